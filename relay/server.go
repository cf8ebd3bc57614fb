package relay

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"proxymap/relay/refusal"
)

const (
	lookupAge     = time.Minute     // after which a server's addresses are looked up again
	lookupRetry   = 5 * time.Second // after which one that failed, or whose addresses have, is tried again
	lookupTimeout = 5 * time.Second // of one look-up

	// serverAge and targetAge are the greatest age of addresses, where looking them up again fails or nobody has asked for
	// long. Servers are renewed while they are in use, so theirs is for resolvers that are down.
	serverAge = time.Hour
	targetAge = 5 * time.Minute

	// quarantine is how long a server that took no connection is passed over, if there is another.
	quarantine = 5 * time.Second

	// noPortPause is how long a server is not dialled from an address of which no local port was left: the kernel looks at
	// each of them, for milliseconds, and the loop waits.
	noPortPause = 100 * time.Millisecond
)

// A server is an upstream proxy and what its name stands for.
type server struct {
	Server
	known atomic.Pointer[addresses] // the last look-up's; kept when a later one fails

	listed bool // it is an upstream server, and no target

	restUntil atomic.Int64 // the loops' time until which it is in quarantine

	sources []*source     // those listed
	turn    atomic.Uint32 // sources given out in turn
	any     source        // the system's choice, where none of those listed is of an address's IP version

	lookupWarned atomic.Int64 // the loops' time of the last warning that looking up fails

	mu      sync.Mutex
	busy    bool     // a look-up is under way
	waiting []waiter // for its result
}

// A source is a local address that a server is dialled from.
type source struct {
	addr netip.Addr // the zero Addr: the system chooses

	noPortUntil atomic.Int64 // the loops' time until which it is not dialled from for want of a local port
}

// addresses are what a name stands for.
type addresses struct {
	list  []netip.AddrPort // not empty
	since int64            // the loops' time at which they were looked up
	until int64            // the loops' time at which they are to be looked up again
	found int64            // the loops' time at which a look-up last gave some
}

// A waiter is a connection that waits for a server's addresses, if it still does.
type waiter struct {
	l *loop
	ref
}

func newServer(s Server) *server {
	srv := &server{Server: s}
	for _, addr := range s.Sources {
		srv.sources = append(srv.sources, &source{addr: addr.Unmap()})
	}
	if addr, err := netip.ParseAddr(s.Host); err == nil {
		srv.known.Store(&addresses{list: []netip.AddrPort{netip.AddrPortFrom(addr, s.Port)}, until: never})
	}
	return srv
}

func (s *server) name() string { return s.HostPort() }

// A lookup resolves a name.
type lookup func(ctx context.Context, host string) ([]netip.Addr, error)

func systemLookup(ctx context.Context, host string) ([]netip.Addr, error) {
	return systemResolver.LookupNetIP(ctx, "ip", host)
}

// systemResolver is the system's resolver. Where Go asks the name servers itself, as it mostly does on Linux, a socket is
// closed when its look-up ends. net.DefaultResolver leaves it open until its own time has passed, which is 10 s, or what
// /etc/resolv.conf says, so more would be open than are counted.
var systemResolver = net.Resolver{Dial: dialNameServer}

// dialNameServer connects to a name server for as long as the query of ctx is under way.
func dialNameServer(ctx context.Context, network, address string) (net.Conn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, func() {
		if ctx.Err() == context.Canceled { // else a deadline of the connection says so
			_ = c.Close()
		}
	})
	return c, nil
}

// resolve returns the server's addresses, nil while there are none. Looking them up happens off the loops; w is told of
// the result if there are none yet. Old addresses are good until new ones have come, but not for ever. An error says that
// there will be no result.
func (s *server) resolve(w waiter) ([]netip.AddrPort, error) {
	known, now := s.known.Load(), w.l.now
	if known != nil && now < known.until {
		return known.list, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.lookUp(w.l.relay)
	if known != nil && now-known.found < int64(s.greatestAge()) {
		return known.list, nil
	}
	if err == nil {
		s.waiting = append(s.waiting, w)
	}
	return nil, err
}

// greatestAge is how old addresses may be that are used: who has them may be somebody else by then.
func (s *server) greatestAge() time.Duration {
	if s.listed {
		return serverAge
	}
	return targetAge
}

// lookUp begins a look-up if none is under way. s.mu is held.
func (s *server) lookUp(r *Relay) error {
	if s.busy {
		return nil
	}
	err := r.lookups.ask(r, s)
	s.busy = err == nil
	return err
}

// forget is called when a connection waits no more.
func (s *server) forget(r ref, l *loop) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting = slices.DeleteFunc(s.waiting, func(w waiter) bool { return w.l == l && w.ref == r })
}

// wants reports whether a look-up is still of use: somebody waits, or there are addresses to be renewed. If not it is over.
func (s *server) wants() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy = len(s.waiting) > 0 || s.known.Load() != nil
	return s.busy
}

// failed is called when none of the server's addresses takes a connection: it is passed over for a while, and its name may
// stand for others by now. A
// server that is down has its name looked up no more often than each lookupRetry.
func (s *server) failed(l *loop) {
	s.restUntil.Store(l.now + int64(quarantine))
	known := s.known.Load()
	if known == nil || known.until == never {
		return
	}
	until := min(known.until, known.since+int64(lookupRetry))
	if until != known.until {
		s.known.CompareAndSwap(known, &addresses{known.list, known.since, until, known.found})
	}
	if l.now >= until {
		s.mu.Lock()
		defer s.mu.Unlock()
		_ = s.lookUp(l.relay) // there will be another time
	}
}

// prefer puts addr first: it takes connections, and those before it do not.
func (s *server) prefer(addr netip.AddrPort) {
	known := s.known.Load()
	if i := slices.Index(known.list, addr); i > 0 {
		list := slices.Concat(known.list[i:], known.list[:i])
		s.known.CompareAndSwap(known, &addresses{list, known.since, known.until, known.found})
	}
}

// found takes the result of a look-up and tells those who wait.
func (s *server) found(r *Relay, addrs []netip.Addr, err error) {
	var list []netip.AddrPort
	for _, a := range addrs {
		list = append(list, netip.AddrPortFrom(a.Unmap(), s.Port))
	}
	now := r.clock()
	if err == nil {
		s.known.Store(&addresses{list, now, now + int64(lookupAge), now})
	} else {
		s.warnLookup(r, err, now)
		if old := s.known.Load(); old != nil {
			s.known.Store(&addresses{old.list, now, now + int64(lookupRetry), old.found})
		}
	}
	s.mu.Lock()
	waiting := s.waiting
	s.waiting, s.busy = nil, false
	s.mu.Unlock()
	for _, w := range waiting {
		w.l.doFor(w.ref, func(c *conn) { c.onLookup(s, list, err) })
	}
}

// warnLookup tells once a minute that a server's name cannot be looked up. Targets are the clients' own affair.
func (s *server) warnLookup(r *Relay, err error, now int64) {
	last := s.lookupWarned.Load()
	if !s.listed || last != 0 && now-last < int64(warnPause) || !s.lookupWarned.CompareAndSwap(last, now) {
		return
	}
	text := "the upstream's name cannot be looked up"
	if s.known.Load() != nil {
		text = "the upstream's name cannot be looked up any more; its old addresses stay in use"
	}
	r.warn(refusal.NameUnknown, text, "upstream", s.name(), "err", err)
}

// refreshNames looks the names of servers that are in use up again each lookupAge, until stop is closed: the first request
// behind a pause would go to where a name led before it.
func (r *Relay) refreshNames(stop <-chan struct{}) {
	tick := time.NewTicker(lookupAge)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
			r.refreshOnce()
		}
	}
}

func (r *Relay) refreshOnce() {
	for _, m := range r.mappings {
		for _, s := range m.servers {
			if known := s.known.Load(); known != nil && known.until != never {
				s.mu.Lock()
				_ = s.lookUp(r) // there will be another time
				s.mu.Unlock()
			}
		}
	}
}

// connect begins to connect to one of the server's addresses, from the next of its sources that has a port left. Sources of
// the other IP version are passed over, and where that leaves none the system chooses.
func (s *server) connect(l *loop, addr netip.AddrPort) (fd int, err error) {
	fd, err = -1, unix.EADDRNOTAVAIL
	is4, fit := addr.Addr().Unmap().Is4(), false
	turn := int(s.turn.Add(1))
	for i := range s.sources {
		from := s.sources[(turn+i)%len(s.sources)]
		if from.addr.Is4() != is4 {
			continue
		}
		fit = true
		if fd, err = from.connect(l, addr); err != unix.EADDRNOTAVAIL {
			return fd, err
		}
	}
	if !fit {
		return s.any.connect(l, addr)
	}
	return fd, err
}

// connect begins to connect from the source. EADDRNOTAVAIL says that it has no local port left.
func (s *source) connect(l *loop, addr netip.AddrPort) (fd int, err error) {
	if l.now < s.noPortUntil.Load() {
		return -1, unix.EADDRNOTAVAIL
	}
	if fd, err = l.dialer.Dial(addr, s.addr); err == unix.EADDRNOTAVAIL {
		s.noPortUntil.Store(l.now + int64(noPortPause))
	}
	return fd, err
}
