package relay

import (
	"bytes"
	"errors"
	"net/http"

	"proxymap/httpparse"
	"proxymap/relay/refusal"
)

// pumpResponse moves the response to the client, as far as it has come and the client takes it.
func (t *transfer) pumpResponse() {
	c := t.c
	for {
		x := c.x
		alive, why := c.toClient.move(c.l, &c.upstream, &c.client, &x.response, &x.partial)
		if alive {
			c.arm()
		}
		if x.progress < passing && why == complete { // nothing is content yet, and the client has taken all that was kept
			if !t.readHeads() {
				return
			}
			continue
		}
		t.onResponseMoved(why)
		return
	}
}

// onResponseMoved goes on after what had the response's content pause.
func (t *transfer) onResponseMoved(why outcome) {
	c := t.c
	t.judgeContent()
	switch why {
	case complete:
		t.endExchange()
	case budgetSpent:
		c.l.schedule(c)
	case sourceEnded, sourceReset:
		t.onContentCut(why)
	case malformed:
		c.reset() // its chunks: nothing else can be misread
	case sinkBroken:
		c.abort()
	}
}

// readHeads reads on in the heads of responses. It reports whether something has come, and the exchange goes on.
func (t *transfer) readHeads() (more bool) {
	c := t.c
	b, got := c.upstream.receive(c.l.buf[:])
	switch got {
	case nothingNow:
		return false
	case peerEnded, peerReset:
		t.onHeadMissing(got == peerReset)
		return false
	}
	c.l.moved += readSize
	c.toClient.noteRead(len(b))
	if !t.onHeadBytes(b) {
		return false
	}
	if c.x.progress == passing {
		c.arm() // a head has its time in all, however many pieces it comes in
	}
	return true
}

// onHeadMissing is called when upstream has ended, by FIN or by failing, before the final response's head has come.
func (t *transfer) onHeadMissing(reset bool) {
	c := t.c
	x := c.x
	c.closeUpstream()
	switch {
	case x.progress == awaited && x.reused && x.idempotent:
		// It closed the idle connection just as the request left (RFC 9112 section 9.3.1). The next one is new, so this is the
		// only time.
		x.reused, x.sendFailed = false, false
		x.dial(c.sess)
	case x.progress == begun:
		c.refuseWith(refusal.Refusal{Code: refusal.ResponseCut, Subject: c.otherSide()})
	default:
		if reset {
			c.signal(0, ErrorReset, c.sess)
		}
		c.refuseWith(refusal.Refusal{Code: refusal.ResponseMissing, Subject: c.otherSide()})
	}
}

// onContentCut is called when upstream has ended, by FIN or by failing, within the content.
func (t *transfer) onContentCut(why outcome) {
	c := t.c
	c.closeUpstream()
	if why == sourceEnded && c.x.response.kind == httpparse.BodyUntilClose {
		t.endExchange() // which is its end
		return
	}
	t.truncate()
}

// onHeadBytes takes what upstream has sent before the final head has come whole: heads, then content.
func (t *transfer) onHeadBytes(b []byte) (goesOn bool) {
	c := t.c
	x := c.x
	if x.progress == awaited {
		x.progress = begun
		x.head.release() // no way back from here: the request is not sent again
	}
	if x.partial.empty() {
		return t.onResponseHeads(b)
	}
	x.partial.append(b)
	if !worthALook(x.partial.bytes(), len(b), c.m.limits.ResponseHeadBytes) {
		return true
	}
	// The heads' bytes leave the exchange for the time of the call: it may end the exchange.
	partial := x.partial
	x.partial = buffer{}
	goesOn = t.onResponseHeads(partial.bytes())
	partial.release()
	return goesOn
}

// worthALook reports whether the last bytes of an incomplete head, as many as came last, may make a verdict: they end its
// first line or the head itself, reach the limit, or make it twice as long as before. So a slow provider costs linear work.
func worthALook(partial []byte, last, limit int) bool {
	before := len(partial) - last
	if len(partial) >= limit || len(partial) >= 2*before {
		return true
	}
	lf := bytes.IndexByte(partial[before:], '\n')
	if lf < 0 {
		return false
	}
	end := partial[max(0, before-2):]
	return bytes.IndexByte(partial[:before], '\n') < 0 || bytes.Contains(end, []byte("\n\r\n")) || bytes.Contains(end, []byte("\n\n"))
}

// onResponseHeads reads heads up to the final one; interim ones are passed on as they come (RFC 9110 section 15.2).
func (t *transfer) onResponseHeads(b []byte) (goesOn bool) {
	c := t.c
	x, res := c.x, &c.l.res
	from, pos := 0, 0 // b[from:pos] is read and to be passed on as it came
	for {
		err := res.Parse(b[pos:], c.m.responseLimits)
		if err == httpparse.ErrNeedMore {
			x.partial.append(b[pos:])
			return t.send(b[from:pos])
		}
		if err != nil {
			return t.badResponse(codeOfResponse(err), reasonOf(err))
		}
		noteOdd(c, res.Odd)
		if res.Status >= 200 || res.Status == 101 {
			break
		}
		if x.interim++; x.interim > maxInformational {
			return t.badResponse(refusal.TooManyInterim, nil)
		}
		head := b[pos : pos+res.End]
		pos += res.End
		c.arm() // the provider works on it
		if x.minor == 0 || c.intake.socks != 0 {
			from = pos // RFC 9110 section 15.2: an HTTP/1.0 client knows none
		} else if how := (httpparse.Rewrite{}); !res.Passes(how) {
			c.toClient.unsent.append(b[from : pos-res.End])
			keepHead(&c.toClient, res, head, how)
			from = pos
		}
	}
	return t.onFinalHead(b[from:], pos-from)
}

// codeOfResponse is why a response head cannot be parsed.
func codeOfResponse(err error) refusal.Code {
	if fault, ok := err.(*httpparse.Error); ok && fault.Status == http.StatusRequestHeaderFieldsTooLarge {
		return refusal.ResponseTooLarge // the parser speaks of requests
	}
	return refusal.ResponseMalformed
}

// errCodingTo10 is why a response is not passed on whose content is compressed by a transfer coding, to a client of HTTP/1.0:
// RFC 9112 section 6.1 forbids to tell it, and untold it would take the content for what it is not.
var errCodingTo10 = errors.New("a transfer coding other than chunked, which a client of HTTP/1.0 does not know")

// onFinalHead takes the final response, whose head stands at b[pos:] and is described by l.res. What stands before it is
// to be passed on.
func (t *transfer) onFinalHead(b []byte, pos int) (goesOn bool) {
	c := t.c
	x, res := c.x, &c.l.res
	c.signal(res.Status, 0, c.sess)
	connect := x.method == httpparse.MethodConnect
	switch {
	case res.Status == 101 && (connect || !x.upgrade || !x.content.done()):
		return t.badResponse(refusal.SwitchedUnasked, nil)
	case res.Status == 101, connect && res.Status < 300:
		t.grantTunnel(b, pos)
		return false
	case res.Status == 407 && c.x.toTarget():
		return t.badResponse(refusal.TargetWantsLogin, nil)
	case res.Status == 407 && c.m.Plan.Sets(c.server):
		t.hearVerdict(b[pos:])
		return false
	}
	if c.intake.socks != 0 {
		c.refuseSocks(refusal.ReplyTo(res.Status))
		return false
	}
	body, err := res.Body(x.method)
	if err != nil {
		return t.badResponse(refusal.ResponseMalformed, reasonOf(err))
	}
	if x.minor == 0 && body.Kind != httpparse.BodyNone && res.Coded() && !res.OnlyChunked() {
		return t.badResponse(refusal.ResponseUnreadable, errCodingTo10)
	}
	x.response = frame(body)
	x.response.chunks = httpparse.ChunksOfResponse()
	x.response.decodes = x.minor == 0 && body.Kind == httpparse.BodyChunked
	x.keepServer = !connect && x.persists && res.Persists() && body.Kind != httpparse.BodyUntilClose
	x.keepClient = x.keepServer && !x.response.decodes
	return t.beginContent(b, pos)
}

// beginContent passes on the final head, at b[pos:], what stands before it, and what has come of the content behind it. The
// content is looked at first: what is odd in its chunks is for the head to tell.
func (t *transfer) beginContent(b []byte, pos int) (goesOn bool) {
	c := t.c
	x, res := c.x, &c.l.res
	content, n := b[pos+res.End:], 0
	var err error
	if x.response.decodes {
		err = readable(x.response.chunks, content)
	} else {
		n, err = x.response.take(content)
	}
	if err != nil {
		return t.badResponse(refusal.ResponseUnreadable, reasonOf(err)) // its chunks: nothing else can be misread
	}
	if !x.response.decodes {
		x.partial.append(content[n:])
		t.judgeContent()
	}
	how := x.rewriting(res, b[pos:pos+res.End], c.x.toTarget())
	if res.Passes(how) {
		x.progress = passing
		return t.send(b[:pos+res.End+n])
	}
	c.toClient.unsent.append(b[:pos])
	if !keepHead(&c.toClient, res, b[pos:pos+res.End], how) {
		return t.badResponse(refusal.ResponseTooComplex, nil)
	}
	x.progress = passing
	if !x.response.decodes {
		return t.send(content[:n])
	}
	n, _ = x.response.collect(content, &c.toClient.unsent) // readable has looked through it
	x.partial.append(content[n:])
	t.judgeContent()
	return true
}

// grantTunnel begins the tunnel that the head at b[pos:] grants. What its fields say of content means nothing (RFC 9110
// section 9.3.6), and clients that believe it would lose the tunnel's first bytes: they do not go on.
func (t *transfer) grantTunnel(b []byte, pos int) {
	c := t.c
	res, how := &c.l.res, httpparse.Rewrite{Unframed: true}
	switch {
	case c.intake.socks != 0:
		t.startTunnel(nil, b[pos+res.End:])
	case res.Passes(how):
		t.startTunnel(b, nil) // in one piece
	default:
		c.toClient.unsent.append(b[:pos])
		keepHead(&c.toClient, res, b[pos:pos+res.End], how)
		t.startTunnel(nil, b[pos+res.End:])
	}
}

// rewriting is what becomes another in the final response's head, which stands in head, beside what is put right. forwarded
// says that it comes from the target itself, for which we are the proxy. A client of HTTP/1.0 goes by the connection option
// alone, whatever the response's version (RFC 9112 section 9.3): if it means to use its connection again it waits without
// the option for an end that does not come, and with it no client of that version waits for the end that does. It gets no
// transfer codings, not even in answers without content (section 6.1).
// After the answer to a CONNECT that made no tunnel the connection ends, and the client hears so, whatever the provider says
// of its own: many come again on a new one then.
func (x *exchange) rewriting(res *httpparse.Response, head []byte, forwarded bool) (how httpparse.Rewrite) {
	http10 := x.minor == 0
	how.Decoded, how.Forwarded = http10 && res.Coded(), forwarded
	switch {
	case x.odd.InDoubt(), x.method == httpparse.MethodConnect, forwarded && !x.keepClient, http10 && !x.keepClient && res.SaysKeepAlive(head):
		how.Connection = "close"
	case forwarded && http10, http10 && x.keepClient && res.Options&httpparse.OptionKeepAlive == 0:
		how.Connection = "keep-alive"
	}
	return how
}

// keepHead puts the response head b, which res describes, rewritten behind what d keeps. It reports whether that can be.
func keepHead(d *direction, res *httpparse.Response, b []byte, how httpparse.Rewrite) bool {
	var scratch [4 << 10]byte // on the stack; few heads are larger
	out, ok := res.Append(scratch[:0], b, how)
	d.unsent.append(out)
	return ok
}

// judgeContent takes note of what is odd in the response's content, and of its end if it has come. What stands after the end
// belongs to nobody, and who sends such, or leaves it in doubt where the end is, is not trusted with anything more: both
// connections end after the response.
func (t *transfer) judgeContent() {
	c := t.c
	x := c.x
	noteOdd(c, x.response.chunks.Odd)
	if x.response.done() && (!x.partial.empty() || x.odd.InDoubt()) {
		x.keepServer, x.keepClient = false, false
	}
}

// readable looks through b as the first bytes of a chunked content.
func readable(chunks httpparse.Chunks, b []byte) error {
	for len(b) > 0 && !chunks.Done() {
		n, _, err := chunks.Next(b)
		if err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// send passes b on to the client. If that fails the connection is closed.
func (t *transfer) send(b []byte) (goesOn bool) {
	c := t.c
	if err := c.toClient.send(&c.client, b); err != nil {
		c.abort()
		return false
	}
	return true
}

// badResponse ends both connections, and tells the client why: it has nothing of a final response yet. It returns false,
// for the callers to return.
func (t *transfer) badResponse(code refusal.Code, cause error) (goesOn bool) {
	c := t.c
	from := c.otherSide()
	if code == refusal.TargetWantsLogin || code == refusal.ResponseTooComplex {
		from.Side = refusal.Target // through a SOCKS server
	}
	c.refuseWith(refusal.Refusal{Code: code, Subject: from, Cause: cause})
	return false
}
