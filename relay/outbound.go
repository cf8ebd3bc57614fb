package relay

import (
	"errors"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"proxymap/relay/internal/kernel"
	"proxymap/relay/internal/poll"
	"proxymap/relay/internal/race"
	"proxymap/relay/refusal"
	"proxymap/relay/socks"
)

// A route is where outbound is to find a way to.
type route struct {
	host     []byte // the target's, rules applied; an IPv6 address has no brackets. It stays as it is until outbound ends
	port     uint16 // the target's, rules applied
	server   int    // index of the mapping's server that is tried first; -1: the target itself is dialled
	only     bool   // no other server is tried
	pinned   bool   // server is where the port's session is pinned to: if another works the session is pinned to that
	resolves bool   // the target's name is looked up here, because a server is to be told an address
}

// direct reports whether the target itself is dialled.
func (r *route) direct() bool { return r.server < 0 }

// outbound is the machine that finds a way upstream: it looks names up (resolve.go), connects to one server after the other
// (attempts.go has those to its addresses), and asks a SOCKS server for a tunnel
// (handshake.go). It knows no HTTP. It begins with a route and ends in reached or in failed, in one of them and once, unless
// the connection ends before.
type outbound struct {
	c  *conn
	to route

	time     searchTime
	target   *server    // whose name is looked up before dialling; nil: none, or that is done
	resolved netip.Addr // the target's, which servers that want it are told; not valid: it was not looked up

	servers candidates
	server  *server // being tried; of a direct route the target
	untried untried // its addresses
	err     error   // why the last try failed

	attempts attempts // to connect to the server

	shake socks.Dial // with an upstream SOCKS server
	heard buffer     // what has come from it and is not used up
}

// begin finds a way along a route.
func (o *outbound) begin(to route) {
	l := o.c.l
	*o = outbound{c: o.c, to: to, time: newSearchTime(l.now, o.c.m.limits.Dial)}
	o.servers = newCandidates(o.c.m.proxies, to.server, to.only, l.now)
	if to.resolves {
		o.lookUpTarget()
		return
	}
	o.tryServer()
}

// reached ends the search: the upstream socket leads to an HTTP proxy, or to the target itself.
func (o *outbound) reached() {
	c := o.c
	if o.to.direct() {
		c.l.count(bypassConnected)
	} else {
		c.l.count(proxyConnected)
	}
	if c.m.leadsToTarget(c.server) {
		c.target = endpoint{string(o.to.host), o.to.port}
	}
	rest := o.heard // leaves the exchange, which may end
	o.heard = buffer{}
	c.transfer.onReached(rest.bytes())
	rest.release()
}

// failed ends the search with what the client is told. A request has failed when no server and no address is left.
func (o *outbound) failed(r refusal.Refusal) {
	c := o.c
	if o.to.direct() {
		c.l.count(bypassFailed)
	} else {
		c.l.count(proxyFailed)
	}
	c.refuseWith(r)
}

// drop gives back what outbound has, but for sockets, when the exchange ends.
func (o *outbound) drop() {
	o.dropWait()
	o.heard.release()
}

// errLookup wraps why a name could not be looked up.
type errLookup struct{ err error }

func (e errLookup) Error() string { return e.err.Error() }
func (e errLookup) Unwrap() error { return e.err }

// errForbidden is why a target must not be dialled.
type errForbidden refusal.Code

func (e errForbidden) Error() string { return refusal.Refusal{Code: refusal.Code(e)}.Text(nil) }

var errDialTimeout = errors.New("no answer in time")

// exhausted reports whether the fault is ours, so that another server would not help.
func exhausted(err error) bool {
	return slices.Contains([]error{unix.EMFILE, unix.ENFILE, unix.ENOBUFS, unix.ENOMEM, unix.ENOSPC}, err)
}

// maxServersTried is how many servers are tried for one request.
const maxServersTried = 8

// candidates are the servers that may be tried for one request: one after the other, in the order in which they
// are given out. Those in quarantine are passed over as long as there is another.
type candidates struct {
	m     *proxies
	first int   // that is to be tried first, but for quarantine
	at    int   // that is being tried; -1: the target itself
	most  int   // that are tried
	tried int   // given up
	began int64 // the loop's time
}

// newCandidates begins with a server, -1 if the target itself is dialled. No other than that is tried if only says so, or
// if it is none of those listed.
func newCandidates(m *proxies, first int, only bool, now int64) candidates {
	k := candidates{m: m, first: first, at: first, most: 1, began: now}
	if !only && first >= 0 && first < m.listed {
		k.most = min(m.listed, maxServersTried)
	}
	if k.most > 1 && now < m.servers[first].restUntil.Load() {
		if other := k.following(now, false); other >= 0 {
			k.at = other
		}
	}
	return k
}

// left is how many more servers may be tried when the current one is given up.
func (k *candidates) left() int { return k.most - k.tried - 1 }

// giveUp gives the current server up for another, and reports whether there is one.
func (k *candidates) giveUp(now int64) bool {
	if k.left() <= 0 {
		return false
	}
	k.tried++
	other := k.following(now, false)
	if other < 0 {
		other = k.following(now, true)
	}
	if other >= 0 {
		k.at = other
	}
	return other >= 0
}

// following is the next server after the current one that is not in quarantine. With resting it is the next one that is, and
// has been since before this request, because it may be back. It is -1 if there is none.
func (k *candidates) following(now int64, resting bool) int {
	m := k.m
	for i, s := 1, m.after[k.at]; i < m.listed; i, s = i+1, m.after[s] {
		rest := m.servers[s].restUntil.Load()
		if resting && rest > now && rest-int64(quarantine) < k.began || !resting && rest <= now {
			return s
		}
	}
	return -1
}

// server is the one that is being tried, nil if that is the target itself.
func (k *candidates) server() *server {
	if k.at < 0 {
		return nil
	}
	return k.m.servers[k.at]
}

// moved reports whether it is another than the one that was to be tried first.
func (k *candidates) moved() bool { return k.at != k.first }

// Connecting to one server after the other, until one takes the connection.

// tryServer begins with the current server.
func (o *outbound) tryServer() {
	c := o.c
	if o.server = o.servers.server(); o.server == nil {
		o.server = c.l.relay.targets.of(o.to.host, o.to.port)
	}
	var known *addresses
	known, o.err = o.server.resolve(waiter{c.l, c.ref()})
	o.untried = untried{}
	switch {
	case o.err == errManyLookups:
		o.dialFailed() // which is not the server's fault
		return
	case o.err != nil:
		o.err = errLookup{o.err}
	case known == nil:
		o.beginWait()
		return
	default:
		o.untried.add(known)
	}
	o.beginRace()
}

// beginRace begins with the addresses that are known of the server. All of them together have what is left of the time,
// but for as much for each server after it as one of them has on average.
func (o *outbound) beginRace() {
	now := o.c.l.now
	n, ends := int64(max(len(o.untried.list), 1)), int64(race.Never)
	if until := o.time.until; until != never {
		ends = now + max(until-now, 0)/(n+int64(o.servers.left()))*n
	}
	o.attempts.race = race.New(now, ends, time.Duration(o.server.usual.Load()), int(n))
	o.connectNext()
}

// connectNext begins with the server's next address, beside those that are under way. When there is neither it goes on with
// the next server.
func (o *outbound) connectNext() {
	c := o.c
	for len(o.untried.list) > 0 {
		err := o.connect()
		if err == nil {
			c.enter(stageDial)
			return
		}
		if exhausted(err) {
			c.l.outOfDescriptors()
			if o.attempts.race.Running() == 0 {
				o.err = err
				o.dialFailed()
				return
			}
			o.attempts.race.Postpone(c.l.now)
			break
		}
		o.err = err
		o.untried.list = o.untried.list[1:]
	}
	o.attempts.giveBack(c.l)
	if o.attempts.race.Running() > 0 {
		c.arm()
		return
	}
	if !o.awaitsMore() {
		o.serverFailed()
	}
}

// connect begins an attempt with the next address, which it takes out if that works.
func (o *outbound) connect() error {
	c, addr := o.c, o.untried.list[0]
	if o.to.direct() {
		if why := c.m.forbidden(addr); why != 0 {
			return errForbidden(why)
		}
	}
	fd, err := o.server.connect(c.l, addr)
	if err == nil {
		err = o.beginAttempt(fd, addr)
	}
	if err == nil {
		o.untried.list = o.untried.list[1:]
	}
	return err
}

// awaitsMore reports whether there is more to try, or may be: the look-up that gave the addresses had not ended.
func (o *outbound) awaitsMore() bool {
	if !o.untried.mayGrow() || o.time.lookups <= 0 {
		return false
	}
	if all := o.server.askForAll(waiter{o.c.l, o.c.ref()}); all != nil {
		o.untried.add(all)
		o.beginRace()
		return true
	}
	o.beginWait()
	return true
}

// serverFailed goes on when none of a server's addresses takes a connection.
func (o *outbound) serverFailed() {
	now := o.c.l.now
	if o.err != unix.EADDRNOTAVAIL { // which is not the server's fault
		o.server.failed(o.c.l)
	}
	if now >= o.time.until || !o.servers.giveUp(now) {
		o.dialFailed()
		return
	}
	o.tryServer()
}

// dialTime is how long it is until something is due: another address, or the end of the server's time. A look-up has a
// time of its own.
func (o *outbound) dialTime() time.Duration {
	if o.time.waits {
		return time.Duration(max(o.time.lookups, 0))
	}
	at := o.attempts.race.Wake(len(o.untried.list) > 0 || o.untried.mayGrow())
	if at == race.Never {
		return -1
	}
	return time.Duration(max(at-o.c.l.now, 0))
}

// onDialTimeout is called when something is due: see dialTime.
func (o *outbound) onDialTimeout() {
	l := o.c.l
	if o.time.waits {
		o.onLookupTimeout()
		return
	}
	if o.untried.mayGrow() {
		o.untried.add(o.server.known.Load())
	}
	switch o.attempts.due(l, len(o.untried.list) > 0) {
	case race.GiveUp:
		o.err = errDialTimeout
		for o.attempts.race.Running() > 0 {
			o.endAttempt(0)
		}
		o.attempts.giveBack(l)
		o.serverFailed()
	case race.Replace:
		o.endAttempt(0)
		o.connectNext()
	case race.Begin:
		o.connectNext()
	default:
		o.c.arm()
	}
}

// onDialEvent is called when connecting a socket has ended.
func (o *outbound) onDialEvent(s *socket, ev poll.Events) {
	err := connectError(s, ev)
	if err == nil && ev&poll.Writable == 0 {
		return
	}
	i := o.attempts.of(s)
	if err == nil && o.server.metItself(o.c.l, s.fd, o.attempts.addrOf(i).Addr()) {
		err = unix.ECONNREFUSED
	}
	if err != nil {
		o.err = err
		o.endAttempt(i)
		o.connectNext()
		return
	}
	o.endRace(i)
	o.onConnected()
}

// connectError is why a socket that has news could not connect; nil: it could, or is still at it. A connect that worked makes
// the socket writable and nothing else, mostly. How one that failed looks differs from system to system, so whatever else
// there is, the socket is asked.
func connectError(s *socket, ev poll.Events) error {
	if ev == poll.Writable {
		return nil
	}
	err := kernel.SocketError(s.fd)
	if err == nil && ev&poll.Failed != 0 {
		err = unix.ECONNRESET
	}
	return err
}

// onConnected goes on when the upstream socket has connected to the server.
func (o *outbound) onConnected() {
	c := o.c
	c.server = o.servers.at
	if via := o.servers.m; c.via != via {
		c.via, c.hasCreds = via, false // credentials of the connection's own are another plan's
	}
	c.upstream.keepAliveAt = c.m.limits.keepAliveAt(c.l.now)
	if o.server.restUntil.Load() != 0 {
		o.server.restUntil.Store(0)
	}
	if o.to.pinned && o.servers.moved() {
		c.port.slot.Repin(c.m.Plan, o.servers.first, o.servers.at)
		c.l.relay.noteRepin(c.port)
	}
	if !o.to.direct() && c.m.leadsToTarget(c.server) {
		o.beginHandshake()
		return
	}
	o.reached()
}

// beginAttempt takes a socket that has begun to connect. If it cannot be watched it is closed.
func (o *outbound) beginAttempt(fd int, addr netip.AddrPort) error {
	c, a := o.c, &o.attempts
	s := socket{fd: fd, flow: c.tally.way(o.to.direct()), host: c.host}
	if err := c.l.watch(c, &s, tokenUpstream); err != nil {
		c.l.closeLater(fd)
		return err
	}
	if n := a.race.Running(); n > 0 {
		a.rivals.list[n-1] = rival{s, addr}
	} else {
		c.upstream, a.addr = s, addr
	}
	a.race.Begins(c.l.now)
	return nil
}

// endAttempt closes attempt i. Those after it move up. It keeps its place, because another attempt takes it or giveBack gives
// it back.
func (o *outbound) endAttempt(i int) {
	c, a := o.c, &o.attempts
	after := a.race.Running() - 1 // rivals
	a.race.Ended(i)
	closed := c.upstream.fd
	switch {
	case i > 0:
		closed = a.rivals.remove(i - 1).fd
	case after > 0:
		next := a.rivals.remove(0)
		c.upstream, a.addr = next.socket, next.addr
	default:
		c.upstream = noSocket
	}
	c.l.closeLater(closed)
}

// endRace ends the race with attempt i, whose socket is the upstream's from here on. Where it did not stand first it will.
func (o *outbound) endRace(i int) {
	l, a, known := o.c.l, &o.attempts, o.untried.known
	if took := l.now - a.race.Begun(i); len(known.list) > 1 {
		o.server.noteConnect(took)
	}
	for ; i > 0; i-- {
		o.endAttempt(0)
	}
	a.endRivals(l)
	if a.addr != known.list[0] {
		o.server.prefer(a.addr)
	}
}
