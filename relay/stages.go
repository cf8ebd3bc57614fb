package relay

import (
	"time"

	"proxymap/relay/internal/poll"
	"proxymap/relay/refusal"
)

// A stage is where a connection is in its life. conn.enter is the only place that changes one, but for conn.open and
// conn.close.
type stage uint8

const (
	stageClosed      stage = iota // all given back; the struct waits for its next connection
	stageProxyHeader              // collecting the header in which a balancer says whose connection it is
	stageIdle                     // between requests: nothing of the next one has come
	stageHead                     // collecting the rest of a request head
	stageSocks                    // a SOCKS client says who it is and where it wants to go
	stageAPIContent               // collecting the content of a Session API request
	stageAPI                      // the Session API's answer waits for its conditions
	stageDial                     // looking up a server's name, connecting to it
	stageHandshake                // an upstream SOCKS server is asked for a tunnel to the target
	stageReply                    // our CONNECT has gone; collecting the provider's response head
	stageVerdict                  // the provider refuses our credentials; what it says of it is collected
	stageExchange                 // plain HTTP: a framed request one way, its framed response the other
	stageEarly                    // the response has ended, the request's content still goes upstream
	stageTunnel                   // two directions of bytes that mean nothing to us
	stageHalfClosed               // a tunnel of which one direction has ended and passed its FIN on
	stageLinger                   // the last answer goes out; what still comes is discarded, or the close would reset it away
	numStages
)

// A stageRow says all that is particular to a stage. Any stage may end in closed.
type stageRow struct {
	name    string
	machine string // that the stage belongs to
	next    stages // that may follow

	limit string                      // that lasts goes by, for the diagram
	lasts func(c *conn) time.Duration // how long the stage may last from now on; negative: as long as it likes

	run      func(c *conn)                            // does what the sockets' flags allow: what a readable client means; nil: it waits
	upstream func(c *conn, s *socket, ev poll.Events) // what news of an upstream socket mean; nil: run does
	expire   func(c *conn)                            // is called when the stage has lasted too long

	awaits   bool    // the client waits for an answer of the other side: its FIN counts
	abandons bool    // and is what ends the wait of one that may be gone
	works    bool    // the connection is at work for its session, which is not idle then
	moves    bool    // bytes are moved, which in bulk takes turns
	empty    bool    // there is nothing that a drain would have to wait for
	rotation rotated // what a rotation of its session does to it
}

// rotated is what becomes of a connection when its session is rotated.
type rotated uint8

const (
	isReached      rotated = iota // cut or drained, as the rotation says
	isClosed                      // closed at once: it carries nothing
	leavesSession                 // an answer of ours is on its way to it: it goes on, without its session
	followsSession                // its request will go under the next session, unless a call wants it cut
)

// stages is a set of them.
type stages uint32

func setOf(list ...stage) (set stages) {
	for _, s := range list {
		set |= 1 << s
	}
	return set
}

func (set stages) has(s stage) bool { return set>>s&1 != 0 }

// atOnce are the stages that follow where the relay itself answers a request, or cuts it off.
var atOnce = setOf(stageExchange, stageLinger)

// table has a row for each stage. It is filled in by init, for its functions enter stages, which looks into it.
var table = [numStages]stageRow{stageClosed: {name: "closed"}}

func init() {
	for machine, rows := range map[string]map[stage]stageRow{"intake": intakeRows(), "outbound": outboundRows(), "transfer": transferRows()} {
		for s, row := range rows {
			row.machine = machine
			table[s] = row
		}
	}
}

// intakeRows are the stages in which connections take what a client sends, until that is a request.
func intakeRows() map[stage]stageRow {
	return map[stage]stageRow{
		stageProxyHeader: {
			name: "PROXY header", next: setOf(stageIdle), empty: true,
			limit: "Limits.Head", lasts: headTime, run: func(c *conn) { c.intake.readProxyHeader() },
			expire: func(c *conn) { c.intake.refuseProxyHeader(errHeaderTime) },
		},
		stageIdle: {
			name: "idle", next: atOnce | setOf(stageHead, stageSocks, stageAPIContent, stageDial), empty: true,
			limit: "Limits.Idle", lasts: func(c *conn) time.Duration { return c.port.mapping().limits.Idle },
			run: func(c *conn) { c.intake.readHead() }, upstream: endIdleUpstream, expire: (*conn).close, rotation: isClosed,
		},
		stageHead: {
			name: "head", next: atOnce | setOf(stageAPIContent, stageDial),
			limit: "Limits.Head", lasts: headTime, run: func(c *conn) { c.intake.readHead() }, upstream: endIdleUpstream,
			expire: func(c *conn) { c.l.count(headerFailed); c.refuse(refusal.HeadTimeout) },
		},
		stageSocks: {
			name: "SOCKS", next: atOnce | setOf(stageDial),
			limit: "Limits.Head", lasts: headTime, run: func(c *conn) { c.intake.readSocks() }, expire: (*conn).close,
		},
		stageAPIContent: {
			name: "API content", next: atOnce | setOf(stageAPI), rotation: leavesSession,
			limit: "Limits.Head", lasts: headTime, run: func(c *conn) { c.x.api.readContent() }, upstream: endIdleUpstream,
			expire: func(c *conn) { c.refuse(refusal.APIContentTimeout) },
		},
		stageAPI: {
			name: "API", next: atOnce, rotation: leavesSession,
			limit: "Limits.API", lasts: func(c *conn) time.Duration { return c.m.limits.API }, upstream: endIdleUpstream,
			expire: func(c *conn) { c.refuse(refusal.NotConfirmedInTime) },
		},
	}
}

// outboundRows are the stages in which connections find a way upstream.
func outboundRows() map[stage]stageRow {
	return map[stage]stageRow{
		stageDial: {
			name: "dial", next: atOnce | setOf(stageDial, stageHandshake, stageReply, stageTunnel),
			limit: "Limits.Dial", lasts: func(c *conn) time.Duration { return c.x.out.dialTime() },
			upstream: func(c *conn, s *socket, ev poll.Events) { c.x.out.onDialEvent(s, ev) },
			expire:   func(c *conn) { c.x.out.onDialTimeout() },
			awaits:   true, abandons: true, works: true, rotation: followsSession,
		},
		stageHandshake: {
			name: "handshake", next: atOnce | setOf(stageTunnel),
			limit: "Limits.Reply", lasts: replyTime, run: func(c *conn) { c.x.out.pumpHandshake() },
			expire: func(c *conn) { c.x.out.handshakeFailed(errHandshakeTime) },
			awaits: true, abandons: true, works: true,
		},
	}
}

// transferRows are the stages in which connections move bytes until the request is answered, or the tunnel has ended.
func transferRows() map[stage]stageRow {
	return map[stage]stageRow{
		stageReply: {
			name: "reply", next: setOf(stageVerdict, stageEarly, stageTunnel, stageLinger),
			limit: "Limits.Reply", lasts: replyTime, run: func(c *conn) { c.transfer.pumpResponse() }, expire: func(c *conn) { c.transfer.onExchangeTimeout() },
			awaits: true, abandons: true, works: true,
		},
		stageVerdict: {
			name: "verdict", next: setOf(stageLinger),
			limit: "verdictTime", lasts: func(*conn) time.Duration { return verdictTime },
			run: func(c *conn) { c.transfer.pumpVerdict() }, expire: func(c *conn) { c.transfer.refuseByVerdict() },
			awaits: true, works: true, moves: true,
		},
		stageExchange: {
			name:  "exchange",
			next:  setOf(stageIdle, stageDial, stageVerdict, stageExchange, stageEarly, stageTunnel, stageLinger),
			limit: "Limits.TunnelIdle", lasts: exchangeTime, run: func(c *conn) { c.transfer.pumpExchange() }, expire: func(c *conn) { c.transfer.onExchangeTimeout() },
			awaits: true, works: true, moves: true,
		},
		stageEarly: {
			name: "early", next: setOf(stageLinger),
			limit: "Limits.Reply", lasts: replyTime, run: func(c *conn) { c.transfer.pumpEarly() }, expire: (*conn).close,
			works: true, moves: true,
		},
		stageTunnel: {
			name: "tunnel", next: setOf(stageHalfClosed),
			limit: "Limits.TunnelIdle", lasts: func(c *conn) time.Duration { return c.m.limits.TunnelIdle },
			run: func(c *conn) { c.transfer.pumpTunnel() }, expire: (*conn).close, works: true, moves: true,
		},
		stageHalfClosed: {
			name:  "half-closed",
			limit: "Limits.HalfClosed", lasts: func(c *conn) time.Duration { return c.m.limits.HalfClosed },
			run: func(c *conn) { c.transfer.pumpTunnel() }, expire: (*conn).close, works: true, moves: true,
		},
		stageLinger: {
			name: "linger", rotation: leavesSession,
			limit: "Limits.Linger", lasts: lingerTime, run: func(c *conn) { c.transfer.pumpLinger() }, expire: (*conn).close,
			moves: true,
		},
	}
}

// row is what the table says of the connection's stage.
func (c *conn) row() *stageRow { return &table[c.stage] }

func headTime(c *conn) time.Duration { return c.m.limits.Head }

func replyTime(c *conn) time.Duration { return c.m.limits.Reply }

// exchangeTime is how long it may take until something moves: a byte of content, or the response's head.
func exchangeTime(c *conn) time.Duration {
	limits := &c.m.limits
	if c.x.progress == passing {
		return limits.TunnelIdle
	}
	return c.x.headTime(limits, c.x.content.done() && c.toUpstream.empty())
}

// lingerTime is how long the client has to take the last answer, and then to end its side.
func lingerTime(c *conn) time.Duration {
	if c.finSent {
		return c.m.limits.Linger
	}
	return c.m.limits.Reply
}

// endIdleUpstream closes an upstream connection that no request uses: between requests nothing may come, for it must never
// answer one.
func endIdleUpstream(c *conn, _ *socket, ev poll.Events) {
	if ev&poll.Readable != 0 {
		c.closeUpstream()
	}
}
