package relay

import (
	"bytes"
	"errors"
	"time"

	"proxymap/httpparse"
	"proxymap/relay/refusal"
)

// authWarnPause is how long a port's warning about refused credentials is not repeated.
const authWarnPause = time.Minute

// onResponseBytes takes what upstream has sent: heads, then content.
func (c *conn) onResponseBytes(b []byte) {
	x := c.x
	if !x.answered {
		x.answered = true
		x.head.release() // no way back from here: the request is not sent again
	}
	if x.responding {
		c.onContent(b, 0)
		return
	}
	if x.partial.empty() {
		c.onResponseHeads(b)
		return
	}
	x.partial.append(b)
	if bytes.IndexByte(b, '\n') < 0 && len(x.partial.bytes()) < c.l.relay.limits.HeadBytes {
		return // no line has ended, so there is nothing new to be found: a slow provider costs one look a line
	}
	// The heads' bytes leave the exchange for the time of the call: it may end the exchange.
	partial := x.partial
	x.partial = buffer{}
	c.onResponseHeads(partial.bytes())
	partial.release()
}

// onResponseHeads reads heads up to the final one; interim ones are passed on as they come (RFC 9110 section 15.2).
func (c *conn) onResponseHeads(b []byte) {
	x, res := c.x, &c.l.res
	from, pos := 0, 0 // b[from:pos] is read and to be passed on
	for {
		err := res.Parse(b[pos:], c.l.relay.headLimits)
		if err == httpparse.ErrNeedMore {
			x.partial.append(b[pos:])
			c.send(b[from:pos])
			return
		}
		if err != nil {
			c.badResponse(refusal.ResponseMalformed, reasonOf(err))
			return
		}
		if res.Status >= 200 || res.Status == 101 {
			break
		}
		if res.Contradicts() {
			c.badResponse(refusal.ResponseMalformed, errContradiction)
			return
		}
		if x.interim++; x.interim > maxInformational {
			c.badResponse(refusal.TooManyInterim, nil)
			return
		}
		pos += res.End
		c.arm() // the provider works on it
		if x.minor == 0 || c.socks != 0 {
			from = pos // RFC 9110 section 15.2: an HTTP/1.0 client knows none
		}
	}
	c.onFinalHead(b[from:], pos-from)
}

// onFinalHead takes the final response, whose head stands at b[pos:] and is described by l.res. What stands before it is
// to be passed on.
func (c *conn) onFinalHead(b []byte, pos int) {
	x, res := c.x, &c.l.res
	c.signal(res.Status, 0, c.sess)
	connect := x.method == httpparse.MethodConnect
	switch {
	case res.Status == 101 && (connect || !x.upgrade || !x.request.done()):
		c.badResponse(refusal.SwitchedUnasked, nil)
		return
	case res.Status == 101, connect && res.Status < 300:
		if c.socks == 0 {
			c.startTunnel(b, nil) // in one piece
		} else {
			c.startTunnel(nil, b[pos+res.End:])
		}
		return
	case res.Status == 407 && c.toTarget():
		c.badResponse(refusal.TargetWantsLogin, nil)
		return
	case res.Status == 407 && c.port.slot.Plan().Sets(c.server):
		c.authRefused()
		return
	}
	if c.socks != 0 {
		c.refuseSocks(refusal.ReplyTo(res.Status))
		return
	}
	if res.Contradicts() {
		c.badResponse(refusal.ResponseMalformed, errContradiction)
		return
	}
	body := res.Body(x.method)
	x.response = frame(body)
	x.decode = x.minor == 0 && body.Kind == httpparse.BodyChunked
	x.keepServer = !connect && x.persists && res.Persists() && body.Kind != httpparse.BodyUntilClose
	x.keepClient = x.keepServer && !x.decode
	if x.decode || c.toTarget() {
		c.toClient.unsent.append(b[:pos])
		if !c.sendEditedHead(b[pos : pos+res.End]) {
			c.badResponse(refusal.ResponseTooComplex, nil)
			return
		}
		x.responding = true
		c.onContent(b[pos+res.End:], 0)
		return
	}
	c.onContent(b, pos+res.End)
}

// onContent passes on b, whose first head bytes are heads, and the rest content.
func (c *conn) onContent(b []byte, head int) {
	x := c.x
	if x.decode {
		c.onChunks(b)
		return
	}
	n, err := x.response.take(b[head:])
	if err != nil {
		c.badResponse(refusal.ResponseMalformed, reasonOf(err))
		return
	}
	x.responding = true
	c.endOfContent(len(b) - head - n)
	c.send(b[:head+n])
}

var errContradiction = errors.New("its status has no content, and its fields frame some")

// endOfContent notes the response's end if it has come. What stands behind it belongs to nobody, and who sends such is not
// trusted with anything more: both connections end behind the response.
func (c *conn) endOfContent(rest int) {
	if x := c.x; x.response.done() {
		x.ended = true
		x.keepServer = x.keepServer && rest == 0
		x.keepClient = x.keepClient && rest == 0
	}
}

// onChunks passes on the data of chunks.
func (c *conn) onChunks(b []byte) {
	x := c.x
	for len(b) > 0 && !x.response.chunks.Done() {
		n, data, err := x.response.chunks.Next(b)
		if err != nil {
			c.reset() // the head is out, or on its way
			return
		}
		c.toClient.unsent.append(data)
		b = b[n:]
	}
	c.endOfContent(len(b))
}

// sendEditedHead passes on the head of a response that does not go out as it came: one that comes from the target itself,
// for which we are the proxy, or one whose chunks are taken off (RFC 9112 section 7.1.3). It reports whether that can be.
func (c *conn) sendEditedHead(b []byte) bool {
	x, res := c.x, &c.l.res
	if !c.toTarget() {
		c.sendDecodedHead(b)
		return true
	}
	connection := ""
	switch {
	case !x.keepClient:
		connection = "close"
	case x.minor == 0:
		connection = "keep-alive"
	}
	var scratch [4 << 10]byte // on the stack; few heads are larger
	out, ok := res.AppendForward(scratch[:0], b, x.decode, connection)
	c.toClient.unsent.append(out)
	return ok
}

// sendDecodedHead passes on the head of a chunked response without the fields that speak of its chunks.
func (c *conn) sendDecodedHead(b []byte) {
	res, out := &c.l.res, &c.toClient.unsent
	from := 0
	for i := range res.Fields {
		if f := &res.Fields[i]; f.Kind == httpparse.KindTransferEncoding || f.Kind == httpparse.KindTrailer {
			out.append(b[from:f.Name.Start])
			from = int(f.End)
		}
	}
	out.append(b[from:res.End])
}

// send passes b on to the client. If that fails the connection is closed, which the caller has to look at.
func (c *conn) send(b []byte) {
	if err := c.toClient.send(&c.client, b); err != nil {
		c.abort()
	}
}

// badResponse ends both connections; the client is told why if it has nothing of a final response yet.
func (c *conn) badResponse(code refusal.Code, cause error) {
	if c.x.responding {
		c.reset()
		return
	}
	from := c.otherSide()
	if code == refusal.TargetWantsLogin || code == refusal.ResponseTooComplex {
		from.Side = refusal.Target // through a SOCKS server
	}
	c.refuseWith(refusal.Refusal{Code: code, Subject: from, Cause: cause})
}

// authRefused answers in place of the provider's 407: the client has no password to try again with.
func (c *conn) authRefused() {
	p := c.port
	last := p.authWarned.Load()
	if (last == 0 || c.l.wall-last >= int64(authWarnPause)) && p.authWarned.CompareAndSwap(last, c.l.wall) {
		c.l.relay.warn(refusal.ProviderWantsLogin, "the provider refuses the port's credentials",
			"port", p.addr.Port(), "upstream", p.mapping.servers[c.server].name())
	}
	c.refuse(refusal.ProviderWantsLogin)
}
