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
	"proxymap/session"
)

// maxServersTried is how many servers are tried for one request.
const maxServersTried = 8

// outbound is where an exchange is in finding a server that takes it.
type outbound struct {
	c       *conn
	server  *server          // being tried; of a direct request the target
	target  *server          // whose name is looked up before dialling
	known   *addresses       // of the server being tried
	addrs   []netip.AddrPort // of them, those not tried yet
	addr    netip.AddrPort   // that the upstream socket connects to
	race    race.Race        // of that attempt and those beside it
	rivals  *rivals          // the latter; nil: there are none
	first   int              // the server that was to be tried first
	tried   int              // servers given up
	began   int64            // the loop's time
	until   int64            // the loop's time when all trying ends; look-ups are not part of it
	lookup  bool             // the server's name, or the target's, is being looked up
	asked   int64            // the loop's time since when
	patient int64            // nanoseconds that look-ups may still take
	err     error            // why the last try failed
}

// await begins to wait for a look-up.
func (o *outbound) await(now int64) { o.lookup, o.asked = true, now }

// goOn ends the wait for a look-up, which leaves as much time for connecting as there was.
func (o *outbound) goOn(now int64) {
	waited := now - o.asked
	o.lookup = false
	o.patient -= waited
	if o.until != never {
		o.until += waited
	}
}

// join takes what is known of the server by now. What has been tried is not tried again.
func (o *outbound) join(known *addresses) {
	if o.known == nil {
		o.addrs = known.list
	} else {
		for _, addr := range known.list {
			if !slices.Contains(o.known.list, addr) {
				o.addrs = append(slices.Clip(o.addrs), addr)
			}
		}
	}
	o.known = known
}

// errLookup wraps why a name could not be looked up.
type errLookup struct{ err error }

func (e errLookup) Error() string { return e.err.Error() }
func (e errLookup) Unwrap() error { return e.err }

var errDialTimeout = errors.New("no answer in time")

// beginDial connects to where the request is to go: to the session's server, or the next one that takes us, to the
// server of a rule, or to the target itself.
func (o *outbound) beginDial(s *session.Session) {
	c := o.c
	x, m := c.x, c.port.mapping
	x.out = outbound{c: c, began: c.l.now, until: never, patient: int64(lookupWait)}
	if d := c.l.relay.limits.Dial; d > 0 {
		x.out.until = c.l.now + int64(d)
	}
	c.joinSession(s)
	switch {
	case x.direct:
		c.server = -1
	case x.rule != nil && x.rule.Server >= 0:
		c.server = m.listed + x.rule.Server
	case s != nil || c.port.slot.Fixed():
		c.server = c.port.slot.Server()
	case c.server < 0 || c.server >= m.listed:
		c.server = m.nextServer() // without a lifetime, each client connection is a session
	}
	x.out.first = c.server
	if o.candidates() > 1 && c.l.now < m.servers[c.server].restUntil.Load() {
		if other := o.another(false); other >= 0 {
			c.server = other
		}
	}
	if !o.resolveTarget() {
		o.tryServer()
	}
}

// candidates is how many servers there are to be tried.
func (o *outbound) candidates() int {
	c := o.c
	if n := c.port.mapping.listed; o.first >= 0 && o.first < n && !c.port.slot.Fixed() {
		return min(n, maxServersTried)
	}
	return 1
}

// dialTime is how long it is until something is due: another address, or the end of the server's time. A look-up has a
// time of its own.
func (o *outbound) dialTime() time.Duration {
	c := o.c
	if o.lookup {
		return time.Duration(max(o.patient, 0))
	}
	at := o.race.Wake(len(o.addrs) > 0 || o.known != nil && o.known.more)
	if at == race.Never {
		return -1
	}
	return time.Duration(max(at-c.l.now, 0))
}

// tryServer begins with c.server.
func (o *outbound) tryServer() {
	c := o.c
	if c.server < 0 {
		o.server = c.l.relay.targets.of(c.x.targetHost(), c.x.targetPort())
	} else {
		o.server = c.port.mapping.servers[c.server]
	}
	o.addrs = nil
	o.known, o.err = o.server.resolve(waiter{c.l, c.ref()})
	switch {
	case o.err == errManyLookups:
		o.dialFailed() // which is not the server's fault
		return
	case o.err != nil:
		o.err = errLookup{o.err}
	case o.known == nil:
		o.await(c.l.now)
		c.enter(stageDial)
		return
	default:
		o.addrs = o.known.list
	}
	o.beginRace()
}

// onLookup is called with the addresses that the connection waits for.
func (o *outbound) onLookup(s *server, known *addresses, err error) {
	c := o.c
	if c.stage != stageDial || !o.lookup {
		return // it has gone on meanwhile
	}
	switch s {
	case o.target:
		if err == nil {
			known = s.withIPv4(known, waiter{c.l, c.ref()})
			if known == nil {
				return
			}
		}
		o.goOn(c.l.now)
		if err != nil {
			o.server, o.err = s, errLookup{err}
			o.dialFailed()
			return
		}
		o.target = nil
		c.x.resolved = preferred(known.list)
		o.tryServer()
	case o.server:
		o.goOn(c.l.now)
		if err != nil {
			o.err = errLookup{err}
		} else {
			o.join(known)
		}
		o.beginRace()
	}
}

// beginRace begins with the addresses that are known of the server. All of them together have what is left of the time,
// but for as much for each server behind it as one of them has on average.
func (o *outbound) beginRace() {
	c := o.c
	n, ends := int64(max(len(o.addrs), 1)), int64(race.Never)
	if o.until != never {
		others := int64(o.candidates() - o.tried - 1)
		ends = c.l.now + max(o.until-c.l.now, 0)/(n+others)*n
	}
	o.race = race.New(c.l.now, ends, time.Duration(o.server.usual.Load()), int(n))
	o.connectNext()
}

// connectNext begins with the server's next address, beside those that are under way. When there is neither it goes on with
// the next server.
func (o *outbound) connectNext() {
	c := o.c
	srv := o.server
	for len(o.addrs) > 0 {
		addr, rest := o.addrs[0], o.addrs[1:]
		if c.server < 0 {
			if why := c.port.mapping.forbidden(c.l.relay, addr); why != 0 {
				o.err, o.addrs = errForbidden(why), rest
				continue
			}
		}
		fd, err := srv.connect(c.l, addr)
		if err == nil {
			err = o.beginAttempt(fd, addr)
		}
		if err == nil {
			o.addrs = rest
			c.enter(stageDial)
			return
		}
		if exhausted(err) {
			c.l.outOfDescriptors()
			if o.race.Running() == 0 {
				o.err = err
				o.dialFailed()
				return
			}
			o.race.Postpone(c.l.now)
			break
		}
		o.err, o.addrs = err, rest
	}
	o.settle(c.l)
	if o.race.Running() > 0 {
		c.arm()
		return
	}
	if !o.awaitsRest() {
		o.serverFailed()
	}
}

// serverFailed goes on when none of a server's addresses takes a connection.
func (o *outbound) serverFailed() {
	c := o.c
	if o.err != unix.EADDRNOTAVAIL { // which is not the server's fault
		o.server.failed(c.l)
	}
	o.nextServer()
}

// awaitsRest reports whether there is more to try, or may be: the look-up that gave the addresses had not ended.
func (o *outbound) awaitsRest() bool {
	c := o.c
	if o.known == nil || !o.known.more || o.patient <= 0 {
		return false
	}
	if rest := o.server.rest(waiter{c.l, c.ref()}); rest != nil {
		o.join(rest)
		o.beginRace()
		return true
	}
	o.await(c.l.now)
	c.enter(stageDial)
	return true
}

// nextServer gives the current server up.
func (o *outbound) nextServer() {
	c := o.c
	o.tried++
	other := -1
	if o.tried < o.candidates() && c.l.now < o.until {
		if other = o.another(false); other < 0 {
			other = o.another(true)
		}
	}
	if other < 0 {
		o.dialFailed()
		return
	}
	c.server = other
	o.tryServer()
}

// another is the listed server behind c.server that is to be tried next: one that is not in quarantine, or, if resting
// says so, one that has been since before this request, for it may be back. It is -1 if there is none.
func (o *outbound) another(resting bool) int {
	c := o.c
	m := c.port.mapping
	for i, s := 1, m.after[c.server]; i < m.listed; i, s = i+1, m.after[s] {
		rest := m.servers[s].restUntil.Load()
		if resting && rest > c.l.now && rest-int64(quarantine) < o.began || !resting && rest <= c.l.now {
			return s
		}
	}
	return -1
}

// onDialEvent is called when connecting a socket has ended.
func (o *outbound) onDialEvent(s *socket, ev poll.Events) {
	c := o.c
	// A connect that worked makes the socket writable and nothing else, mostly. How one that failed looks differs from
	// system to system, so whatever else there is, the socket is asked.
	var err error
	if ev != poll.Writable {
		err = kernel.SocketError(s.fd)
		if err == nil && ev&poll.Failed != 0 {
			err = unix.ECONNRESET
		}
	}
	if err == nil && ev&poll.Writable == 0 {
		return
	}
	i := o.attemptOf(s)
	if err == nil && o.server.metItself(c.l, s.fd, o.addrOf(i).Addr()) {
		err = unix.ECONNREFUSED
	}
	if err != nil {
		o.err = err
		o.endAttempt(i)
		o.connectNext()
		return
	}
	o.win(i)
	c.upstream.keepAliveAt = c.l.relay.limits.keepAliveAt(c.l.now)
	if o.server.restUntil.Load() != 0 {
		o.server.restUntil.Store(0)
	}
	if c.sess != nil && c.server != o.first {
		o.repin()
	}
	switch {
	case c.server < 0:
		c.transfer.reachTarget()
	case c.port.mapping.servers[c.server].Type != HTTP:
		o.beginHandshake()
	default:
		c.countConnected()
		c.transfer.sendRequest()
	}
}

// repin leaves the port with the server that has worked in place of the first one.
func (o *outbound) repin() {
	c := o.c
	c.port.slot.Repin(o.first, c.server)
	c.l.relay.noteRepin(c.port)
}

// onDialTimeout is called when something is due: see dialTime.
func (o *outbound) onDialTimeout() {
	c := o.c
	if o.lookup {
		o.onLookupTimeout()
		return
	}
	if o.known.more {
		o.join(o.server.known.Load())
	}
	move := o.race.Due(c.l.now, len(o.addrs) > 0)
	if move == race.Begin && !o.takePlace(c.l.relay) {
		move = o.race.Crowded(c.l.now)
	}
	switch move {
	case race.GiveUp:
		o.err = errDialTimeout
		for o.race.Running() > 0 {
			o.endAttempt(0)
		}
		o.settle(c.l)
		o.serverFailed()
	case race.Replace:
		o.endAttempt(0)
		o.connectNext()
	case race.Begin:
		o.connectNext()
	default:
		c.arm()
	}
}

// onLookupTimeout is called when look-ups have taken too long.
func (o *outbound) onLookupTimeout() {
	if o.err == nil {
		o.err = errDialTimeout
	}
	o.stopWaiting()
	if o.target != nil {
		o.server = o.target
		o.dialFailed()
		return
	}
	o.serverFailed()
}

// stopWaiting ends the wait for a look-up, if there is one.
func (o *outbound) stopWaiting() {
	c := o.c
	switch {
	case !o.lookup:
	case o.target != nil:
		o.target.forget(c.ref(), c.l)
	default:
		o.server.forget(c.ref(), c.l)
	}
	if o.lookup {
		o.goOn(c.l.now)
	}
}

// dialFailed answers when nothing could be reached.
func (o *outbound) dialFailed() {
	c := o.c
	c.countFailed()
	r := refusal.Refusal{Subject: refusal.Subject{Side: refusal.Provider, Name: o.server.name()}}
	if c.server < 0 || o.target != nil {
		r.Subject.Side = refusal.Target
	}
	c.server = -1
	if r.Subject.Side == refusal.Provider {
		c.signalDial(o.err, c.sess)
	}
	r.Code, r.Cause = whyNotDialled(o.err)
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
	case err == unix.ENETUNREACH || err == unix.EHOSTUNREACH:
		return refusal.Unroutable, err
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

// resolveTarget begins to look the target's name up, if it must be known before dialling. It reports whether that is to
// be waited for, or has been answered already.
func (o *outbound) resolveTarget() bool {
	c := o.c
	x, m := c.x, c.port.mapping
	resolves := m.resolves
	if x.rule != nil && x.rule.Server >= 0 {
		resolves = m.servers[m.listed+x.rule.Server].ResolveIP
	}
	if x.direct || !resolves {
		return false
	}
	if addr, err := netip.ParseAddr(string(c.x.targetHost())); err == nil {
		x.resolved = addr
		return false
	}
	d := &x.out
	d.target = c.l.relay.targets.of(c.x.targetHost(), c.x.targetPort())
	known, err := d.target.resolve(waiter{c.l, c.ref()})
	if err != nil {
		d.server, d.err = d.target, err
		if err != errManyLookups {
			d.err = errLookup{err}
		}
		o.dialFailed()
		return true
	}
	if known != nil {
		known = d.target.withIPv4(known, waiter{c.l, c.ref()})
	}
	if known == nil {
		d.await(c.l.now)
		c.enter(stageDial)
		return true
	}
	d.target = nil
	x.resolved = preferred(known.list)
	return false
}

// preferred is the address of a target that an upstream proxy is told: an IPv4 address where there is one, which all
// proxies can take.
func preferred(addrs []netip.AddrPort) netip.Addr {
	for _, a := range addrs {
		if a.Addr().Is4() {
			return a.Addr()
		}
	}
	return addrs[0].Addr()
}
