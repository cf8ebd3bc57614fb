package relay

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"proxymap/relay/internal/kernel"
	"proxymap/relay/internal/poll"
	"proxymap/relay/refusal"
	"proxymap/session"
)

const (
	maxServersTried = 8               // of one request
	lookupAge       = time.Minute     // after which a server's addresses are looked up again
	lookupRetry     = 5 * time.Second // after which one that failed, or whose addresses have, is tried again
	lookupTimeout   = 5 * time.Second // of one look-up

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

// dialing is where an exchange is in finding a server that takes it.
type dialing struct {
	session *session.Session
	server  *server          // being tried; of a direct request the target
	target  *server          // whose name is looked up before dialling
	addrs   []netip.AddrPort // of the server being tried, those not tried yet
	addr    netip.AddrPort   // being tried
	first   int              // the server that was to be tried first
	tried   int              // servers given up
	began   int64            // the loop's time
	until   int64            // the loop's time when all trying ends
	lookup  bool             // the server's name, or the target's, is being looked up
	err     error            // why the last try failed
}

// errLookup wraps why a name could not be looked up.
type errLookup struct{ err error }

func (e errLookup) Error() string { return e.err.Error() }

var errDialTimeout = errors.New("no answer in time")

// beginDial connects to where the request is to go: to the session's server, or the next one that takes us, to the
// server of a rule, or to the target itself.
func (c *conn) beginDial(s *session.Session) {
	x, m := c.x, c.port.mapping
	x.dial = dialing{session: s, began: c.l.now, until: never}
	if d := c.l.relay.limits.Dial; d > 0 {
		x.dial.until = c.l.now + int64(d)
	}
	switch {
	case x.direct:
		c.server = -1
		c.sess, c.sessWho = nil, nil
	case x.rule != nil && x.rule.Server >= 0:
		c.server = m.listed + x.rule.Server
	case s != nil:
		c.server = c.port.slot.Server()
	case c.server < 0 || c.server >= m.listed:
		c.server = m.nextServer() // without a lifetime, each client connection is a session
	}
	x.dial.first = c.server
	if c.candidates() > 1 && c.l.now < m.servers[c.server].restUntil.Load() {
		if other := c.another(false); other >= 0 {
			c.server = other
		}
	}
	if !c.resolveTarget() {
		c.tryServer()
	}
}

// candidates is how many servers there are to be tried.
func (c *conn) candidates() int {
	if n := c.port.mapping.listed; c.x.dial.first >= 0 && c.x.dial.first < n {
		return min(n, maxServersTried)
	}
	return 1
}

// dialTime is how long the current address, or the look-up, may take: an even share of what is left, so that one that
// drops our packets does not use up the time of those behind it.
func (c *conn) dialTime() time.Duration {
	d := &c.x.dial
	if d.until == never {
		return -1
	}
	left := len(d.addrs) + c.candidates() - d.tried
	return time.Duration(max(d.until-c.l.now, 0) / int64(max(left, 1)))
}

// tryServer begins with c.server.
func (c *conn) tryServer() {
	d := &c.x.dial
	if c.server < 0 {
		d.server = c.l.relay.targets.of(c.targetHost(), c.targetPort())
	} else {
		d.server = c.port.mapping.servers[c.server]
	}
	d.addrs, d.err = d.server.resolve(waiter{c.l, c.ref()})
	if d.err == errManyLookups {
		c.dialFailed() // which is not the server's fault
		return
	}
	if d.err != nil {
		d.err = errLookup{d.err}
	} else if d.addrs == nil {
		d.lookup = true
		c.enter(stageDial)
		return
	}
	c.connectNext()
}

// onLookup is called with the addresses that the connection waits for.
func (c *conn) onLookup(s *server, addrs []netip.AddrPort, err error) {
	if c.stage != stageDial || !c.x.dial.lookup {
		return // it has gone on meanwhile
	}
	d := &c.x.dial
	switch s {
	case d.target:
		d.lookup = false
		if err != nil {
			d.server, d.err = s, errLookup{err}
			c.dialFailed()
			return
		}
		d.target = nil
		c.x.resolved = preferred(addrs)
		c.tryServer()
	case d.server:
		d.lookup = false
		if err != nil {
			d.err = errLookup{err}
		}
		d.addrs = addrs
		c.connectNext()
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

// connectNext tries the server's next address, and when there is none the next server.
func (c *conn) connectNext() {
	d := &c.x.dial
	srv := d.server
	for len(d.addrs) > 0 {
		d.addr, d.addrs = d.addrs[0], d.addrs[1:]
		if c.server < 0 {
			if why := c.port.mapping.forbidden(c.l.relay, d.addr); why != 0 {
				d.err = errForbidden(why)
				continue
			}
		}
		c.enter(stageDial)
		fd, err := srv.connect(c.l, d.addr)
		if err == nil {
			c.upstream = socket{fd: fd, flow: c.way(), host: c.host}
			err = c.l.watch(c, &c.upstream, tokenUpstream)
			if err == nil {
				return
			}
			c.closeUpstream()
		}
		d.err = err
		if exhausted(err) {
			c.l.outOfDescriptors()
			c.dialFailed()
			return
		}
	}
	if d.err != unix.EADDRNOTAVAIL { // which is not the server's fault
		srv.failed(c.l)
	}
	c.nextServer()
}

// nextServer gives the current server up.
func (c *conn) nextServer() {
	d := &c.x.dial
	d.tried++
	other := -1
	if d.tried < c.candidates() && c.l.now < d.until {
		if other = c.another(false); other < 0 {
			other = c.another(true)
		}
	}
	if other < 0 {
		c.dialFailed()
		return
	}
	c.server = other
	c.tryServer()
}

// another is the listed server behind c.server that is to be tried next: one that is not in quarantine, or, if resting
// says so, one that has been since before this request, for it may be back. It is -1 if there is none.
func (c *conn) another(resting bool) int {
	d, m := &c.x.dial, c.port.mapping
	for i, s := 1, m.after[c.server]; i < m.listed; i, s = i+1, m.after[s] {
		rest := m.servers[s].restUntil.Load()
		if resting && rest > c.l.now && rest-int64(quarantine) < d.began || !resting && rest <= c.l.now {
			return s
		}
	}
	return -1
}

// onDialEvent is called when connecting has ended.
func (c *conn) onDialEvent(ev poll.Events) {
	d := &c.x.dial
	// A connect that worked makes the socket writable and nothing else, mostly. How one that failed looks differs from
	// system to system, so whatever else there is, the socket is asked.
	if ev != poll.Writable {
		err := kernel.SocketError(c.upstream.fd)
		if err == nil && ev&poll.Failed != 0 {
			err = unix.ECONNRESET
		}
		if err != nil {
			d.err = err
			c.closeUpstream()
			c.connectNext()
			return
		}
	}
	if ev&poll.Writable == 0 {
		return
	}
	if d.err != nil {
		d.server.prefer(d.addr)
	}
	if d.server.restUntil.Load() != 0 {
		d.server.restUntil.Store(0)
	}
	if d.session != nil && c.server != d.first {
		c.repin()
	}
	switch {
	case c.server < 0:
		c.reachTarget()
	case c.port.mapping.servers[c.server].Type != HTTP:
		c.beginHandshake()
	default:
		c.countConnected()
		c.sendRequest()
	}
}

// repin leaves the port with the server that has worked in place of the first one.
func (c *conn) repin() {
	c.port.slot.Repin(c.x.dial.first, c.server)
	c.l.relay.noteRepin(c.port)
}

// onDialTimeout is called when the current address's share of the time has passed, or the look-up's.
func (c *conn) onDialTimeout() {
	d := &c.x.dial
	d.err = errDialTimeout
	c.stopWaiting()
	if d.target != nil {
		d.server = d.target
		c.dialFailed()
		return
	}
	c.closeUpstream()
	c.connectNext()
}

// stopWaiting ends the wait for a look-up, if there is one.
func (c *conn) stopWaiting() {
	d := &c.x.dial
	switch {
	case !d.lookup:
	case d.target != nil:
		d.target.forget(c.ref(), c.l)
	default:
		d.server.forget(c.ref(), c.l)
	}
	d.lookup = false
}

// dialFailed answers when nothing could be reached.
func (c *conn) dialFailed() {
	d := &c.x.dial
	c.countFailed()
	r := refusal.Refusal{Subject: refusal.Subject{Side: refusal.Provider, Name: d.server.name()}}
	if c.server < 0 || d.target != nil {
		r.Subject.Side = refusal.Target
	}
	c.server = -1
	if r.Subject.Side == refusal.Provider {
		c.signalDial(d.err, d.session)
	}
	r.Code, r.Cause = whyNotDialled(d.err)
	c.refuseWith(r)
}

// whyNotDialled is what clients are told of why nothing could be reached.
func whyNotDialled(err error) (code refusal.Code, cause error) {
	var notFound errLookup
	var forbidden errForbidden
	switch {
	case errors.As(err, &notFound):
		return refusal.NameUnknown, err
	case errors.As(err, &forbidden):
		return refusal.Code(forbidden), nil
	case err == errDialTimeout || err == unix.ETIMEDOUT:
		return refusal.ConnectTimeout, nil
	case err == unix.EADDRNOTAVAIL:
		return refusal.NoSourcePort, nil
	case exhausted(err):
		return refusal.NoDescriptors, nil
	case err == errManyLookups:
		return refusal.TooManyLookups, nil
	}
	return refusal.ConnectFailed, err
}

// errForbidden is why a target must not be dialled.
type errForbidden refusal.Code

func (e errForbidden) Error() string { return refusal.Refusal{Code: refusal.Code(e)}.Text(nil) }

// exhausted reports whether the fault is ours, so that another server would not help.
func exhausted(err error) bool {
	return slices.Contains([]error{unix.EMFILE, unix.ENFILE, unix.ENOBUFS, unix.ENOMEM, unix.ENOSPC}, err)
}
