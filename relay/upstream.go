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

// dialing is where an exchange is in finding a server that takes it.
type dialing struct {
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
func (d *dialing) await(now int64) { d.lookup, d.asked = true, now }

// goOn ends the wait for a look-up, which leaves as much time for connecting as there was.
func (d *dialing) goOn(now int64) {
	waited := now - d.asked
	d.lookup = false
	d.patient -= waited
	if d.until != never {
		d.until += waited
	}
}

// join takes what is known of the server by now. What has been tried is not tried again.
func (d *dialing) join(known *addresses) {
	if d.known == nil {
		d.addrs = known.list
	} else {
		for _, addr := range known.list {
			if !slices.Contains(d.known.list, addr) {
				d.addrs = append(slices.Clip(d.addrs), addr)
			}
		}
	}
	d.known = known
}

// errLookup wraps why a name could not be looked up.
type errLookup struct{ err error }

func (e errLookup) Error() string { return e.err.Error() }
func (e errLookup) Unwrap() error { return e.err }

var errDialTimeout = errors.New("no answer in time")

// beginDial connects to where the request is to go: to the session's server, or the next one that takes us, to the
// server of a rule, or to the target itself.
func (c *conn) beginDial(s *session.Session) {
	x, m := c.x, c.port.mapping
	x.dial = dialing{began: c.l.now, until: never, patient: int64(lookupWait)}
	if d := c.l.relay.limits.Dial; d > 0 {
		x.dial.until = c.l.now + int64(d)
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
	if n := c.port.mapping.listed; c.x.dial.first >= 0 && c.x.dial.first < n && !c.port.slot.Fixed() {
		return min(n, maxServersTried)
	}
	return 1
}

// dialTime is how long it is until something is due: another address, or the end of the server's time. A look-up has a
// time of its own.
func (c *conn) dialTime() time.Duration {
	d := &c.x.dial
	if d.lookup {
		return time.Duration(max(d.patient, 0))
	}
	at := d.race.Wake(len(d.addrs) > 0 || d.known != nil && d.known.more)
	if at == race.Never {
		return -1
	}
	return time.Duration(max(at-c.l.now, 0))
}

// tryServer begins with c.server.
func (c *conn) tryServer() {
	d := &c.x.dial
	if c.server < 0 {
		d.server = c.l.relay.targets.of(c.targetHost(), c.targetPort())
	} else {
		d.server = c.port.mapping.servers[c.server]
	}
	d.addrs = nil
	d.known, d.err = d.server.resolve(waiter{c.l, c.ref()})
	switch {
	case d.err == errManyLookups:
		c.dialFailed() // which is not the server's fault
		return
	case d.err != nil:
		d.err = errLookup{d.err}
	case d.known == nil:
		d.await(c.l.now)
		c.enter(stageDial)
		return
	default:
		d.addrs = d.known.list
	}
	c.beginRace()
}

// onLookup is called with the addresses that the connection waits for.
func (c *conn) onLookup(s *server, known *addresses, err error) {
	if c.stage != stageDial || !c.x.dial.lookup {
		return // it has gone on meanwhile
	}
	d := &c.x.dial
	switch s {
	case d.target:
		if err == nil {
			known = s.withIPv4(known, waiter{c.l, c.ref()})
			if known == nil {
				return
			}
		}
		d.goOn(c.l.now)
		if err != nil {
			d.server, d.err = s, errLookup{err}
			c.dialFailed()
			return
		}
		d.target = nil
		c.x.resolved = preferred(known.list)
		c.tryServer()
	case d.server:
		d.goOn(c.l.now)
		if err != nil {
			d.err = errLookup{err}
		} else {
			d.join(known)
		}
		c.beginRace()
	}
}

// beginRace begins with the addresses that are known of the server. All of them together have what is left of the time,
// but for as much for each server behind it as one of them has on average.
func (c *conn) beginRace() {
	d := &c.x.dial
	n, ends := int64(max(len(d.addrs), 1)), int64(race.Never)
	if d.until != never {
		others := int64(c.candidates() - d.tried - 1)
		ends = c.l.now + max(d.until-c.l.now, 0)/(n+others)*n
	}
	d.race = race.New(c.l.now, ends, time.Duration(d.server.usual.Load()), int(n))
	c.connectNext()
}

// connectNext begins with the server's next address, beside those that are under way. When there is neither it goes on with
// the next server.
func (c *conn) connectNext() {
	d := &c.x.dial
	srv := d.server
	for len(d.addrs) > 0 {
		addr, rest := d.addrs[0], d.addrs[1:]
		if c.server < 0 {
			if why := c.port.mapping.forbidden(c.l.relay, addr); why != 0 {
				d.err, d.addrs = errForbidden(why), rest
				continue
			}
		}
		fd, err := srv.connect(c.l, addr)
		if err == nil {
			err = c.beginAttempt(fd, addr)
		}
		if err == nil {
			d.addrs = rest
			c.enter(stageDial)
			return
		}
		if exhausted(err) {
			c.l.outOfDescriptors()
			if d.race.Running() == 0 {
				d.err = err
				c.dialFailed()
				return
			}
			d.race.Postpone(c.l.now)
			break
		}
		d.err, d.addrs = err, rest
	}
	d.settle(c.l)
	if d.race.Running() > 0 {
		c.arm()
		return
	}
	if !c.awaitsRest() {
		c.serverFailed()
	}
}

// serverFailed goes on when none of a server's addresses takes a connection.
func (c *conn) serverFailed() {
	d := &c.x.dial
	if d.err != unix.EADDRNOTAVAIL { // which is not the server's fault
		d.server.failed(c.l)
	}
	c.nextServer()
}

// awaitsRest reports whether there is more to try, or may be: the look-up that gave the addresses had not ended.
func (c *conn) awaitsRest() bool {
	d := &c.x.dial
	if d.known == nil || !d.known.more || d.patient <= 0 {
		return false
	}
	if rest := d.server.rest(waiter{c.l, c.ref()}); rest != nil {
		d.join(rest)
		c.beginRace()
		return true
	}
	d.await(c.l.now)
	c.enter(stageDial)
	return true
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

// onDialEvent is called when connecting a socket has ended.
func (c *conn) onDialEvent(s *socket, ev poll.Events) {
	d := &c.x.dial
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
	i := d.attemptOf(s)
	if err == nil && d.server.metItself(c.l, s.fd, d.addrOf(i).Addr()) {
		err = unix.ECONNREFUSED
	}
	if err != nil {
		d.err = err
		c.endAttempt(i)
		c.connectNext()
		return
	}
	c.win(i)
	c.upstream.keepAliveAt = c.l.relay.limits.keepAliveAt(c.l.now)
	if d.server.restUntil.Load() != 0 {
		d.server.restUntil.Store(0)
	}
	if c.sess != nil && c.server != d.first {
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

// onDialTimeout is called when something is due: see dialTime.
func (c *conn) onDialTimeout() {
	d := &c.x.dial
	if d.lookup {
		c.onLookupTimeout()
		return
	}
	if d.known.more {
		d.join(d.server.known.Load())
	}
	move := d.race.Due(c.l.now, len(d.addrs) > 0)
	if move == race.Begin && !d.takePlace(c.l.relay) {
		move = d.race.Crowded(c.l.now)
	}
	switch move {
	case race.GiveUp:
		d.err = errDialTimeout
		for d.race.Running() > 0 {
			c.endAttempt(0)
		}
		d.settle(c.l)
		c.serverFailed()
	case race.Replace:
		c.endAttempt(0)
		c.connectNext()
	case race.Begin:
		c.connectNext()
	default:
		c.arm()
	}
}

// onLookupTimeout is called when look-ups have taken too long.
func (c *conn) onLookupTimeout() {
	d := &c.x.dial
	if d.err == nil {
		d.err = errDialTimeout
	}
	c.stopWaiting()
	if d.target != nil {
		d.server = d.target
		c.dialFailed()
		return
	}
	c.serverFailed()
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
	if d.lookup {
		d.goOn(c.l.now)
	}
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
		c.signalDial(d.err, c.sess)
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
