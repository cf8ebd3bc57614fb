package relay

import (
	"time"

	"golang.org/x/sys/unix"

	"proxymap/relay/internal/kernel"
	"proxymap/relay/internal/poll"
	"proxymap/relay/internal/race"
)

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
