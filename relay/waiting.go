package relay

import (
	"time"

	"proxymap/httpparse"
	"proxymap/relay/internal/kernel"
	"proxymap/relay/refusal"
)

// A client that waits for an answer and has sent its FIN is gone, mostly: clients that end their own side and still read
// are few. Nothing else tells of it, for what would reset the connection is an answer. So from the FIN on less time counts,
// and what nobody waits for does not fill the places of others.

// noteFIN takes note of whether the client has sent its FIN. What it sent before may still wait to be read.
func (x *exchange) noteFIN(client *socket, now int64) {
	if client.hup && x.finAt == 0 {
		x.finAt = now
	}
}

// abandonedAt is the loop's time at which the client of a tunnel that is not granted by then is taken for gone.
func (x *exchange) abandonedAt(limits *Limits) int64 {
	if x.finAt == 0 || x.method != httpparse.MethodConnect || limits.Abandon < 0 {
		return never
	}
	return x.finAt + int64(limits.Abandon)
}

// headTime is how long the head of a plain response may take. sent says that the request has gone upstream whole.
func (x *exchange) headTime(limits *Limits, sent bool) time.Duration {
	switch {
	case !sent:
		return limits.Reply
	case x.finAt == 0:
		return limits.Response
	}
	return shorter(limits.Response, limits.Reply)
}

// shorter is the shorter of two limits, of which a negative one is none.
func shorter(a, b time.Duration) time.Duration {
	if a < 0 || b >= 0 && b < a {
		return b
	}
	return a
}

// onClientFIN is called when the FIN of a client has come that waits for an answer. It gives no wait more time.
func (c *conn) onClientFIN() {
	if c.x == nil || !c.row().awaits || c.x.finAt != 0 {
		return
	}
	before := c.deadline
	c.arm()
	c.deadline = min(c.deadline, before)
}

// abandon ends the wait for a tunnel whose client has gone. One that has only ended its side is told.
func (c *conn) abandon() {
	if c.upstream.fd >= 0 {
		kernel.ResetOnClose(c.upstream.fd)
	}
	r := refusal.Refusal{Code: refusal.Abandoned}
	if c.stage != stageReply { // there is no way upstream yet
		c.x.out.failed(r)
		return
	}
	c.refuseWith(r)
}
