package relay

import (
	"io"

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
	if c.upstream.fd >= 0 && x.method != httpparse.MethodConnect && c.x.leadsThere(current) && c.x.sending() == current && t.upstreamQuiet() {
		x.reused = true
		t.sendRequest()
		return
	}
	c.closeUpstream()
	x.dial()
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
	if c.upstream.readable {
		_, err := c.upstream.read(c.l.buf[:1])
		return err == kernel.ErrAgain
	}
	return true
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
	if c.stage == stageExchange && !x.content.done() {
		t.pumpRequest()
	}
	if c.stage != stageClosed && c.upstream.readable {
		c.l.schedule(c) // it has spoken, or ended, already as it was connected to
	}
}

// pumpRequest moves the request's content upstream, as far as it has come and upstream takes it.
func (t *transfer) pumpRequest() {
	c := t.c
	x := c.x
	moved := 0
	defer func() { c.l.moved += moved; c.toUpstream.settle() }()
	for moved < turnBudget {
		if x.sendFailed {
			return
		}
		done, err := c.flush(&c.toUpstream, &c.upstream)
		if err != nil {
			t.upstreamTakesNoMore()
			return
		}
		if !done || x.content.done() {
			return
		}
		n, more := t.moveContent()
		if !more {
			return
		}
		moved += n
	}
	c.l.schedule(c)
}

// moveContent moves a buffer or a pipe of the request's content. It returns what that counts for in the turn's budget,
// and whether there may be more.
func (t *transfer) moveContent() (moved int, more bool) {
	c := t.c
	x := c.x
	b := c.in.bytes()
	held := b != nil
	if !held {
		if !c.client.readable {
			return 0, false
		}
		n, splices := 0, x.content.mayBeSpliced() && c.toUpstream.splices(c.l, &c.upstream)
		var err error
		if splices {
			n, err = c.toUpstream.fill(&c.client, x.content.left)
		} else {
			n, err = c.client.read(c.l.buf[:])
		}
		if err == kernel.ErrAgain {
			return 0, false
		}
		if err != nil {
			c.abort() // it ended before its end
			return 0, false
		}
		if splices {
			x.content.left -= int64(n)
			c.arm()
			return n, true
		}
		c.toUpstream.noteRead(n)
		b = c.l.buf[:n]
	}
	n, err := x.content.take(b)
	if err != nil {
		t.badContent(err)
		return 0, false
	}
	err = c.toUpstream.send(&c.upstream, b[:n])
	if held {
		c.in.skip(n)
	} else {
		c.in.append(b[n:]) // a pipelined request
	}
	if err != nil {
		t.upstreamTakesNoMore()
		return 0, false
	}
	c.arm() // the last byte begins the wait for the response
	return readSize, true
}

// badContent ends an exchange whose request is malformed behind its head. The provider must not take it for complete.
func (t *transfer) badContent(err error) {
	c := t.c
	kernel.ResetOnClose(c.upstream.fd)
	if c.x.responding {
		c.reset()
		return
	}
	c.refuseFor(refusal.ContentMalformed, err)
}

// upstreamTakesNoMore is called when a write upstream has failed. What the provider said before may still be there to be
// read, and mostly says why.
func (t *transfer) upstreamTakesNoMore() {
	c := t.c
	c.x.sendFailed = true
	c.toUpstream.drop()
	c.upstream.readable = true
	t.pumpResponse()
}

// pumpResponse moves the response to the client, as far as it has come and the client takes it.
func (t *transfer) pumpResponse() {
	c := t.c
	moved := 0
	defer func() { c.l.moved += moved; c.toClient.settle() }()
	for moved < turnBudget {
		x := c.x
		done, err := c.flush(&c.toClient, &c.client)
		if err != nil {
			c.abort()
			return
		}
		if !done {
			return
		}
		if x.ended {
			t.endExchange()
			return
		}
		if !c.upstream.readable {
			return
		}
		n, splices := 0, x.responding && !x.decode && x.response.mayBeSpliced() && c.toClient.splices(c.l, &c.client)
		if splices {
			n, err = c.toClient.fill(&c.upstream, x.response.left)
		} else {
			n, err = c.upstream.read(c.l.buf[:])
		}
		if err == kernel.ErrAgain {
			return
		}
		if err != nil {
			t.onUpstreamEnd(err)
			return
		}
		if splices {
			moved += n
			x.response.left -= int64(n)
			t.endOfContent(0)
			c.arm()
			continue
		}
		moved += readSize
		c.toClient.noteRead(n)
		t.onResponseBytes(c.l.buf[:n])
		if c.stage != stageReply && c.stage != stageExchange {
			return
		}
		if c.x.responding {
			c.arm() // a head has its time in all, however many pieces it comes in
		}
	}
	c.l.schedule(c)
}

// onUpstreamEnd is called when upstream has ended, by FIN or by failing, before we know the response to be complete.
func (t *transfer) onUpstreamEnd(err error) {
	c := t.c
	x := c.x
	c.closeUpstream()
	switch {
	case x.responding && x.response.kind == httpparse.BodyUntilClose && err == io.EOF:
		x.ended = true
		t.pumpResponse()
	case x.responding:
		t.truncate()
	case !x.answered && x.reused && x.idempotent && !x.retried:
		// It closed the idle connection just as the request left (RFC 9112 section 9.3.1).
		x.retried, x.reused, x.sendFailed = true, false, false
		x.dial()
	case x.answered:
		c.refuseWith(refusal.Refusal{Code: refusal.ResponseCut, Subject: c.otherSide()})
	default:
		if err != io.EOF {
			c.signal(0, ErrorReset, c.sess)
		}
		c.refuseWith(refusal.Refusal{Code: refusal.ResponseMissing, Subject: c.otherSide()})
	}
}

// truncate ends a response that broke off such that the client sees it. What has a length shows by itself that
// something is missing; the rest has to end in a reset.
func (t *transfer) truncate() {
	c := t.c
	if c.x.decode || c.x.response.kind == httpparse.BodyUntilClose {
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
	case x.responding, x.ended:
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

func (t *transfer) pumpEarly() {
	c := t.c
	if c.upstream.readable {
		// Nothing can come that belongs to this exchange: it is the end, or as good as one.
		if _, err := c.upstream.read(c.l.buf[:]); err != kernel.ErrAgain {
			c.linger()
			return
		}
	}
	t.pumpContentOfEarly()
}

// pumpContentOfEarly is pumpRequest, with lingering for what pumpRequest leaves to the response.
func (t *transfer) pumpContentOfEarly() {
	c := t.c
	moved := 0
	defer func() { c.l.moved += moved; c.toUpstream.settle() }()
	for moved < turnBudget {
		done, err := c.flush(&c.toUpstream, &c.upstream)
		if err != nil || done && c.x.content.done() {
			c.linger()
			return
		}
		if !done {
			return
		}
		n, more := t.moveContent()
		if !more {
			return
		}
		moved += n
	}
	c.l.schedule(c)
}

// endOfOwnAnswer sends what has been put behind toClient, and goes on with the next request if keep says so.
func (t *transfer) endOfOwnAnswer(keep bool) {
	c := t.c
	x := c.x
	x.ended, x.keepClient, x.keepServer = true, keep, true
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
	for c.client.readable {
		n, err := c.client.read(c.l.buf[:])
		if err == kernel.ErrAgain {
			return
		}
		t.discarded += n
		if err != nil || t.discarded > lingerBytes {
			c.close()
			return
		}
	}
}
