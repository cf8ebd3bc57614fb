package relay

import (
	"proxymap/httpparse"
	"proxymap/relay/internal/kernel"
	"proxymap/relay/refusal"
)

// transfer is the machine that moves bytes between a client and its upstream connection: an exchange of plain HTTP, the
// rest of a request behind its response, a tunnel, and what a client still sends behind the last answer.
type transfer struct {
	c         *conn
	discarded int // bytes, while lingering
}

// beginExchange has the provider answer the request: over the upstream connection there is, if it leads there and the
// session is still the same, else over a new one.
func (t *transfer) beginExchange() {
	c := t.c
	x := c.x
	c.x.noteTraffic()
	current := c.x.current()
	if !x.fits(current) {
		x.routeAnew(current)
		return
	}
	if c.upstream.fd >= 0 && x.method != httpparse.MethodConnect && c.x.leadsThere(current) && c.x.sending() == current && t.upstreamQuiet() {
		x.reused = true
		t.sendRequest()
		return
	}
	c.closeUpstream()
	x.dial(current)
}

// onReached is called when outbound has found a way upstream: the request goes there. If that leads to the target itself a
// CONNECT is granted, and rest is what the target has sent behind a SOCKS server's last message.
func (t *transfer) onReached(rest []byte) {
	c := t.c
	x := c.x
	switch {
	case !x.toTarget():
		t.sendRequest()
	case x.method == httpparse.MethodConnect:
		t.startTunnel(connectGranted, rest)
	case len(rest) > 0:
		c.refuseWith(refusal.Refusal{Code: refusal.SpokeFirst, Subject: refusal.Subject{Side: refusal.Target}})
	default:
		t.sendRequest()
	}
}

// connectGranted is the head with which the relay itself grants a CONNECT. Some clients look for these words.
var connectGranted = []byte("HTTP/1.1 200 Connection established\r\n\r\n")

// upstreamQuiet reports whether the idle upstream connection may carry a request: nothing has come on it, not even an
// end. It only asks where that is not known: the last read has filled its buffer, or an end was told of with what it read.
func (t *transfer) upstreamQuiet() bool {
	c := t.c
	_, got := c.upstream.receive(c.l.buf[:1])
	return got == nothingNow
}

// sendRequest writes the head, with the credentials of this moment, and what has come of the content, in one call. The
// loop's buffer is free for putting them together: what was read into it is in x.head and c.in.
func (t *transfer) sendRequest() {
	c := t.c
	x, l := c.x, c.l
	if c.x.countsForwards() && c.x.toTarget() && c.x.endsHere() {
		return
	}
	content := c.in.bytes()
	n, err := x.content.take(content[:min(len(content), readSize/2)])
	if err != nil {
		c.refuseFor(refusal.ContentMalformed, err)
		return
	}
	out, ok := c.x.appendHead(l.buf[:0])
	if !ok {
		c.refuse(refusal.TooManyOptions)
		return
	}
	out = append(out, content[:n]...)
	err = c.toUpstream.send(&c.upstream, out)
	c.in.skip(n)
	if x.method == httpparse.MethodConnect {
		c.enter(stageReply)
	} else {
		c.enter(stageExchange)
	}
	if err != nil {
		t.upstreamTakesNoMore()
		return
	}
	if x.method != httpparse.MethodConnect && !x.content.done() && !t.pumpRequest() {
		return
	}
	if c.upstream.readable {
		c.l.schedule(c) // it has spoken, or ended, already as it was connected to
	}
}

// pumpExchange moves the request and the response.
func (t *transfer) pumpExchange() {
	if t.pumpRequest() {
		t.pumpResponse()
	}
}

// pumpRequest moves the request's content upstream, as far as it has come and upstream takes it.
func (t *transfer) pumpRequest() (goesOn bool) {
	c := t.c
	if c.x.sendFailed {
		return true
	}
	switch t.moveContent() {
	case sourceEnded, sourceReset:
		c.abort() // it ended before its end
		return false
	case malformed:
		t.badContent()
		return false
	case sinkBroken:
		t.upstreamTakesNoMore()
		return false
	}
	return true
}

// moveContent moves the request's content.
func (t *transfer) moveContent() outcome {
	c := t.c
	alive, why := c.toUpstream.move(c.l, &c.client, &c.upstream, &c.x.content, &c.in)
	if alive {
		c.arm() // the last byte begins the wait for the response
	}
	if why == budgetSpent {
		c.l.schedule(c)
	}
	return why
}

// badContent ends an exchange whose request is malformed behind its head. The provider must not take it for complete.
func (t *transfer) badContent() {
	c := t.c
	kernel.ResetOnClose(c.upstream.fd)
	if c.x.progress == passing {
		c.reset()
		return
	}
	c.refuseFor(refusal.ContentMalformed, c.x.content.fault)
}

// upstreamTakesNoMore is called when a write upstream has failed. What the provider said before may still be there to be
// read, and mostly says why: the response is moved.
func (t *transfer) upstreamTakesNoMore() {
	c := t.c
	c.x.sendFailed = true
	c.toUpstream.drop()
	c.upstream.readable = true
	t.pumpResponse()
}

// truncate ends a response that broke off such that the client sees it. What has a length shows by itself that
// something is missing; the rest has to end in a reset.
func (t *transfer) truncate() {
	c := t.c
	if c.x.response.decodes || c.x.response.kind == httpparse.BodyUntilClose {
		c.reset()
		return
	}
	c.linger()
}

// onExchangeTimeout is called when nothing has moved for too long.
func (t *transfer) onExchangeTimeout() {
	c := t.c
	x := c.x
	switch {
	case x.progress >= passing:
		c.reset()
	case !x.content.done() && !x.sendFailed && c.toUpstream.empty():
		kernel.ResetOnClose(c.upstream.fd)
		c.refuse(refusal.ContentTimeout)
	default:
		kernel.ResetOnClose(c.upstream.fd)
		c.refuseWith(refusal.Refusal{Code: refusal.ResponseTimeout, Subject: c.otherSide()})
	}
}

// endExchange is called when the response has gone out in full. What both sides allow to be kept is kept.
func (t *transfer) endExchange() {
	c := t.c
	x := c.x
	if !x.content.done() || !c.toUpstream.empty() {
		t.beginEarly()
		return
	}
	// What came behind the response, its FIN mostly, was told of with it: no event will tell of it again.
	if !x.keepServer || !t.upstreamQuiet() {
		c.closeUpstream()
	}
	if !x.keepClient || c.l.draining || c.drainBy != 0 || x.spared {
		t.endConnection()
		return
	}
	c.dropExchange()
	c.enter(stageIdle)
	if !c.in.empty() || c.client.readable {
		c.l.schedule(c) // the next request in its turn: others may wait
	}
}

// endConnection closes behind a last response. A client that asked for it sends no more, so lingering is for the others:
// among them those whose CONNECT has failed, and whose payload is discarded unread (RFC 9931 section 8).
func (t *transfer) endConnection() {
	c := t.c
	if c.x.method != httpparse.MethodConnect && !c.x.persists && c.in.empty() && !c.client.readable {
		c.close()
		return
	}
	c.linger()
}

// beginEarly is called when the response has ended before the request: the content goes on as long as upstream takes
// it, for many clients read nothing before they have sent all. The client's connection is not used again.
func (t *transfer) beginEarly() {
	c := t.c
	c.x.keepClient = false
	if c.x.sendFailed || c.upstream.fd < 0 || c.x.spared {
		c.linger()
		return
	}
	c.sendFIN()
	c.enter(stageEarly)
	t.pumpEarly()
}

// pumpEarly moves the rest of the content. Whatever ends that leaves the client to its answer, but for a client that has not
// sent all that it has begun.
func (t *transfer) pumpEarly() {
	c := t.c
	if _, got := c.upstream.receive(c.l.buf[:]); got != nothingNow {
		c.linger() // nothing can come that belongs to this exchange: it is the end, or as good as one
		return
	}
	switch t.moveContent() {
	case complete, sinkBroken:
		c.linger()
	case malformed:
		t.badContent()
	case sourceEnded, sourceReset:
		c.abort()
	}
}

// endOfOwnAnswer sends what has been put behind toClient, and goes on with the next request if keep says so.
func (t *transfer) endOfOwnAnswer(keep bool) {
	c := t.c
	x := c.x
	x.progress, x.keepClient, x.keepServer = ownAnswer, keep, true
	c.enter(stageExchange)
	t.pumpResponse()
}

// linger closes the connection such that the client still gets the last answer: it goes out, then our FIN, and what the
// client sends meanwhile is discarded, up to a bound (RFC 9112 section 9.6). Nothing of it is parsed.
func (c *conn) linger() {
	c.closeUpstream()
	c.dropExchange()
	c.in.release()
	c.transfer.discarded = 0
	c.enter(stageLinger)
	c.transfer.pumpLinger()
}

func (t *transfer) pumpLinger() {
	c := t.c
	if !c.finSent {
		done, err := c.toClient.flush(&c.client)
		if err != nil {
			c.abort()
			return
		}
		if !done {
			return
		}
		c.sendFIN()
		c.arm()
	}
	for {
		b, got := c.client.receive(c.l.buf[:])
		if got == nothingNow {
			return
		}
		t.discarded += len(b)
		if got != bytesCame || t.discarded > lingerBytes {
			c.close()
			return
		}
	}
}
