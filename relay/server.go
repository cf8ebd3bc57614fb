package relay

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"proxymap/relay/refusal"
)

const (
	lookupAge   = time.Minute     // after which a server's addresses are looked up again
	lookupRetry = 5 * time.Second // after which one that failed, or whose addresses have, is tried again

	// lookupTimeout is how long a look-up may take. The system's resolver gives each name server 5 s, twice.
	lookupTimeout = 15 * time.Second

	// lookupWait is how long a request waits for look-ups in all, their turn included: so long that it is told why one
	// has failed.
	lookupWait = lookupTimeout + time.Second

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

	restUntil    atomic.Int64 // the loops' time until which it is in quarantine
	trustedUntil atomic.Int64 // the loops' time until which somebody listens there, as far as is known
	usual        atomic.Int64 // nanoseconds that it mostly takes to connect, if it has several addresses; 0: not known

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
	more  bool             // the look-up that they come from has not ended: there may be others

	worked netip.AddrPort // that took a connection where others did not, and so comes first; the zero AddrPort: none had to
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

// A finder looks a name up, as lookup.Resolver.Find does.
type finder func(ctx context.Context, host string, early func([]netip.Addr)) ([]netip.Addr, error)

// resolve returns the server's addresses, nil while there are none. Looking them up happens off the loops; w is told of
// the result if there are none yet. Old addresses are good until new ones have come, but not for ever. An error says that
// there will be no result.
func (s *server) resolve(w waiter) (*addresses, error) {
	now := w.l.now
	if known := s.known.Load(); known != nil && now < known.until {
		return known, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.lookUp(w.l.relay)
	if known := s.fresh(now); known != nil {
		return known, nil
	}
	if err == nil {
		s.waiting = append(s.waiting, w)
	}
	return nil, err
}

// askForAll returns what a look-up has found, if it has ended. Else w is told when it has.
func (s *server) askForAll(w waiter) *addresses {
	s.mu.Lock()
	defer s.mu.Unlock()
	if known := s.known.Load(); !known.more {
		return known
	}
	s.waiting = append(s.waiting, w)
	return nil
}

// withIPv4 is known, unless that has no IPv4 address and one may still come: then it is what askForAll returns.
func (s *server) withIPv4(known *addresses, w waiter) *addresses {
	is4 := func(a netip.AddrPort) bool { return a.Addr().Is4() }
	if !known.more || slices.ContainsFunc(known.list, is4) {
		return known
	}
	return s.askForAll(w)
}

// fresh is what is known of the server, nil if that is nothing, or too old.
func (s *server) fresh(now int64) *addresses {
	if known := s.known.Load(); known != nil && now-known.found < int64(s.greatestAge()) {
		return known
	}
	return nil
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
	early, err := r.lookups.ask(r, s)
	s.busy = err == nil
	if len(early) > 0 {
		s.takeEarly(r.clock(), early)
	}
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
	s.trustedUntil.Store(0)
	known := s.known.Load()
	if known == nil || known.until == never {
		return
	}
	until := min(known.until, known.since+int64(lookupRetry))
	if until != known.until {
		next := *known
		next.until = until
		s.known.CompareAndSwap(known, &next)
	}
	if l.now >= until {
		s.mu.Lock()
		defer s.mu.Unlock()
		_ = s.lookUp(l.relay) // there will be another time
	}
}

// prefer puts addr first, now and when the name has been looked up again: it takes connections, and others do not.
func (s *server) prefer(addr netip.AddrPort) {
	for {
		known := s.known.Load()
		next := *known
		next.worked = addr
		if i := slices.Index(known.list, addr); i > 0 {
			next.list = slices.Concat(known.list[i:], known.list[:i])
		}
		if next.worked == known.worked && next.list[0] == known.list[0] || s.known.CompareAndSwap(known, &next) {
			return
		}
	}
}

// noteConnect takes note of how long a connection has taken. usual follows an eighth of the way.
func (s *server) noteConnect(took int64) {
	if usual := s.usual.Load(); usual > 0 {
		took = usual + (took-usual)/8
	}
	s.usual.Store(max(took, 1))
}

// take makes the result of a look-up what is known of the server.
func (s *server) take(now int64, addrs []netip.Addr, more bool) {
	known := &addresses{since: now, until: now + int64(lookupAge), found: now, more: more}
	for _, a := range addrs {
		known.list = append(known.list, netip.AddrPortFrom(a.Unmap(), s.Port))
	}
	if old := s.known.Load(); old != nil {
		known.worked = old.worked
	}
	if i := slices.Index(known.list, known.worked); i > 0 {
		known.list = slices.Concat(known.list[i:], known.list[:i])
	}
	s.known.Store(known)
}

// takeEarly is take of addresses that others may follow. Where all of them are known from before, those are better.
func (s *server) takeEarly(now int64, addrs []netip.Addr) {
	if s.fresh(now) == nil {
		s.take(now, addrs, true)
	}
}

// foundEarly takes what a look-up has found while it goes on, and tells those who wait.
func (s *server) foundEarly(r *Relay, addrs []netip.Addr) {
	s.mu.Lock()
	s.takeEarly(r.clock(), addrs)
	waiting := s.waiting
	s.waiting = nil
	s.mu.Unlock()
	s.tell(waiting, nil)
}

// found takes the result of a look-up and tells those who wait.
func (s *server) found(r *Relay, addrs []netip.Addr, err error) {
	now := r.clock()
	if err == nil {
		s.take(now, addrs, false)
	} else {
		s.warnLookup(r, err, now)
		if old := s.known.Load(); old != nil {
			next := *old
			next.since, next.until, next.more = now, now+int64(lookupRetry), false
			s.known.Store(&next)
		}
	}
	s.mu.Lock()
	waiting := s.waiting
	s.waiting, s.busy = nil, false
	s.mu.Unlock()
	s.tell(waiting, err)
}

// tell tells those who wait that there are addresses now, or why there are none.
func (s *server) tell(waiting []waiter, err error) {
	known := s.known.Load()
	if err != nil {
		known = nil
	}
	for _, w := range waiting {
		w.l.doFor(w.ref, func(c *conn) { c.x.out.onLookup(s, known, err) })
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
			r.machine.refresh()
		}
	}
}

func (r *Relay) refreshOnce() {
	for _, m := range r.table.Load().mappings {
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
