package relay

import (
	"net/netip"

	"proxymap/relay/internal/kernel"
	"proxymap/relay/internal/poll"
	"proxymap/session"
)

// lingerBytes is the most that is discarded of what a client still sends behind the last answer.
const lingerBytes = 256 << 10

// A conn is a client's connection, and the upstream connection that belongs to it while there is one. It belongs to one
// loop, and so needs no lock.
//
//	field       owns                     given back by
//	client      its descriptor           close
//	upstream    its descriptor           closeUpstream
//	x's rivals  their descriptors        endAttempt, endRivals
//	in          pooled bytes             the reader that takes the last of them; close
//	toUpstream  pooled bytes             flush; closeUpstream
//	toClient    pooled bytes             flush; close
//	x           a struct of the loop's   endExchange, startTunnel, linger; close
type conn struct {
	l        *loop
	index    uint32 // in l.conns
	window   uint32 // of gathering, in which it last had an event
	timer    int32  // in l.timers, -1 if not there
	deadline int64  // the loop's time at which the stage has lasted too long
	drainBy  int64  // the loop's time at which the connection ends, for its session has; 0: it may stay

	stage     stage
	place     place // that it has been admitted to
	scheduled bool  // on the loop's run list
	insideAPI bool  // behind a CONNECT to the Session API's domain: nothing is forwarded
	finSent   bool  // the client has our FIN

	port     *port
	m        *mapping   // that its last request is served by, from the first byte on; before it, the port's when it was opened
	from     netip.Addr // the client's: the socket's peer, or who a balancer says it is
	tally    *tally     // the loop's, of the port
	seat     seat       // among those that belong to the port's sessions
	client   socket
	upstream socket

	in         buffer // come from the client and not taken yet: an incomplete head, or what stands behind one
	toUpstream direction
	toClient   direction

	intake   intake
	transfer transfer

	x        *exchange        // from a complete request head to the end of its response
	who      *session.Client  // the credentials that the client brought with its last request; nil: none
	whoField string           // the field value that who was made of
	sess     *session.Session // that the connection belongs to: its last request goes upstream under it; nil: none, or its own
	sessWho  *session.Client  // whose credentials that was with
	server   int              // index in via of the server that upstream is connected to; -1: none chosen yet, or the target itself
	via      *proxies         // of the mapping that upstream was connected under; nil: of none yet
	target   endpoint         // that upstream leads to, if it does so to one alone
	host     *hostTally       // the loop's, of the last request's host; nil: none

	creds    buffer // credentials line that is the connection's own, if hasCreds; empty: it has none
	hasCreds bool
	credsFor *session.Session // what it was rendered for
	credsWho *session.Client
	credsAt  int
}

// open begins the life of a connection with a client's socket.
//
// Here and wherever a call may close the connection, or have it go on in another stage with another machine, it returns
// whether it has not: goesOn is false if the caller has to leave the connection alone.
func (c *conn) open(p *port, a arrival) (goesOn bool) {
	*c = conn{l: c.l, index: c.index, timer: -1, place: a.place, port: p, m: p.mapping(), from: a.from, client: socket{fd: a.fd}, upstream: noSocket, server: -1,
		intake: intake{c: c}, transfer: transfer{c: c}}
	// A new socket has room; the poller's first event would say so too, but not before the first answer.
	c.client.writable = true
	c.tally = c.l.tallyOf(p)
	c.tally.connections.Add(1)
	p.open.Add(1)
	if err := c.l.watch(c, &c.client, 0); err != nil {
		c.l.relay.log.Warn("cannot watch a connection", "port", p.addr, "client", c.from, "err", err)
		c.stage = stageLinger
		c.close()
		return false
	}
	c.stage = stageIdle
	if c.m.ProxyProtocol {
		c.stage = stageProxyHeader
	}
	c.arm()
	return true
}

// enter is the only place that changes the stage, but for open and close. A closed connection's struct may be another
// one's by now: to go on with it would mix up two clients, and closed has no stage that may follow.
func (c *conn) enter(s stage) {
	if !c.row().next.has(s) {
		panic("relay: " + c.row().name + " is not followed by " + table[s].name)
	}
	c.stage = s
	c.arm()
}

// arm sets the stage's deadline anew: on entering it, and where bytes count as life, with them.
func (c *conn) arm() {
	row, limits := c.row(), &c.m.limits
	abandoned := int64(never)
	if row.awaits {
		c.x.noteFIN(&c.client, c.l.now)
		abandoned = c.x.abandonedAt(limits)
	}
	d := row.lasts(c)
	if c.place == reserved && (d < 0 || d > reserveTime) {
		d = reserveTime
	}
	if c.m.IdleLifetime > 0 && row.works && !c.asksAPI() && c.isTraffic() {
		c.port.touch(c.l.now)
	}
	c.deadline = c.l.now + int64(d)
	if d < 0 {
		c.deadline = never
	}
	c.deadline = min(c.deadline, abandoned)
	if c.drainBy != 0 {
		c.deadline = min(c.deadline, c.drainBy)
	}
	c.l.timers.set(c)
}

// asksAPI reports whether what is under way is between the client and the Session API.
func (c *conn) asksAPI() bool { return c.insideAPI || c.x != nil && c.x.api != nil }

// isTraffic reports whether the connection is at work for the port's session: not one that went, and not past the upstream.
func (c *conn) isTraffic() bool {
	return c.sess != nil && c.sess == c.port.slot.Last()
}

const never = 1<<63 - 1

// onEvent is called when s, one of the connection's sockets, has news. They stand in its flags already.
func (c *conn) onEvent(s *socket, ev poll.Events) {
	ofClient := s == &c.client
	switch {
	case ofClient && ev&poll.Failed != 0:
		c.abort() // the client has reset the connection
		return
	case ofClient && ev&poll.Hup != 0:
		c.onClientFIN()
	}
	switch row := c.row(); {
	case row.moves && (c.toClient.bulk > 0 || c.toUpstream.bulk > 0):
		c.l.schedule(c) // bulk takes its turn
	case !ofClient && row.upstream != nil:
		row.upstream(c, s, ev)
	default:
		c.run()
	}
}

// run does what the sockets' flags allow in this stage.
func (c *conn) run() {
	if run := c.row().run; run != nil {
		run(c)
	}
}

// onDeadline is called when the stage has lasted too long.
func (c *conn) onDeadline() {
	row := c.row()
	switch {
	case c.drainBy != 0 && c.l.now >= c.drainBy:
		c.reset()
	case row.abandons && c.l.now >= c.x.abandonedAt(&c.m.limits):
		c.abandon()
	default:
		row.expire(c)
	}
}

// sendFIN tells the client that no more will come.
func (c *conn) sendFIN() {
	if !c.finSent {
		c.finSent = true
		kernel.ShutdownWrite(c.client.fd)
	}
}

// abort closes both sides because the client has gone; the provider is told by a reset.
func (c *conn) abort() {
	if c.upstream.fd >= 0 {
		kernel.ResetOnClose(c.upstream.fd)
	}
	c.close()
}

// reset closes both sides such that neither can take what it got for complete.
func (c *conn) reset() {
	kernel.ResetOnClose(c.client.fd)
	c.abort()
}

// close gives back everything, once.
func (c *conn) close() {
	if c.stage == stageClosed {
		return
	}
	c.closeUpstream()
	c.dropExchange()
	c.stage = stageClosed
	c.scheduled = false
	c.l.closeLater(c.client.fd)
	c.client = noSocket
	c.in.release()
	c.toClient.drop()
	c.forget()
	c.port.open.Add(-1)
	c.seat.leave(c.l)
	c.sess, c.port, c.m, c.via, c.tally, c.host = nil, nil, nil, nil, nil, nil
	c.l.release(c)
}

// forget drops the credentials that are the connection's own.
func (c *conn) forget() {
	c.creds.release()
	c.hasCreds, c.credsFor, c.credsWho = false, nil, nil
	c.who, c.whoField, c.sessWho = nil, "", nil
	c.target = endpoint{}
}

// closeUpstream ends the upstream connection, if there is one.
func (c *conn) closeUpstream() {
	if c.x != nil {
		c.x.out.attempts.endRivals(c.l)
	}
	if c.upstream.fd >= 0 {
		c.l.closeLater(c.upstream.fd)
		c.upstream = noSocket
	}
	c.toUpstream.drop()
}

// joinSession has the connection belong to a session from here on, that of its request that goes upstream, whose client
// is the last one; nil: to none, or one of its own.
func (c *conn) joinSession(s *session.Session) {
	c.sess, c.sessWho = s, c.who
	switch has := c.seat.prev != nil; {
	case s != nil && !has:
		c.port.rosters.enlist(c)
	case s == nil:
		c.seat.leave(c.l)
	}
}
