package relay

import (
	"bytes"
	"io"
	"net/netip"

	"proxymap/httpparse"
	"proxymap/relay/hostrule"
	"proxymap/relay/internal/kernel"
	"proxymap/relay/refusal"
	"proxymap/relay/socks"
	"proxymap/relay/verdict"
	"proxymap/session"
)

const (
	// maxEdits is how many field lines of one request may have to be dropped or replaced. Clients send one
	// Proxy-Authorization and one Host.
	maxEdits = 5

	// maxInformational is how many 1xx responses may come before a final one. Servers send one or two.
	maxInformational = 16

	// maxSpare is how many ended exchanges a loop keeps for the next requests. More than that many at once, and the
	// collector has something to do.
	maxSpare = 256
)

// An exchange is one request and its response: plain HTTP, a CONNECT until its tunnel stands, or a call of the Session
// API. It holds the request's head, which dialling, failover and the one retry need, and where the two messages end.
type exchange struct {
	c *conn

	head       buffer // as it came, empty lines before it included; given back at the first response byte
	start      int    // of the request line in head
	edits      [maxEdits]edit
	numEdits   int
	authority  httpparse.Span // the target's, in head
	host       httpparse.Span // without port and brackets
	port       uint16
	hostAgrees bool           // the Host field names the authority
	rule       *hostrule.Rule // that has matched the host
	direct     bool           // the target is dialled itself, past the upstream proxies
	method     httpparse.Method
	minor      uint8
	persists   bool // the client means to use its connection again
	upgrade    bool // Upgrade was asked for
	idempotent bool // may be sent a second time: a safe method without content
	request    framed

	out      outbound
	resolved netip.Addr // the target's, if an upstream proxy is to be told it
	shake    socks.Dial // with an upstream SOCKS server

	reused     bool             // the upstream connection has answered a request before
	retried    bool             // this is the second try
	used       *session.Session // that the request counts as a use of
	sendFailed bool             // the upstream connection takes no more
	answered   bool             // a response byte has come
	responding bool             // the final response's head has been passed on
	partial    buffer           // an incomplete response head
	interim    int              // 1xx responses so far
	finAt      int64            // the loop's time at which the client's FIN was seen, while the answer is waited for; 0: it was not
	response   framed           // of the final response
	decode     bool             // a chunked response to HTTP/1.0 goes out without its chunks
	ended      bool             // the response has ended; what is kept in toClient is its rest
	keepClient bool             // the client connection may be used again
	keepServer bool             // the upstream connection may be used again
	spared     bool             // the response has set off a rotation that cuts others, and comes whole all the same
	api        *apiCall         // of a Session API call
	verdict    *verdict.Verdict // what the provider says in its 407; nil: there is none

	odd httpparse.Oddities // in the responses so far
}

// An edit drops a field line of a request on its way upstream, or puts a new Host in its place.
type edit struct {
	line httpparse.Span // its CRLF included
	host bool
}

// framed follows one message's content to its end.
type framed struct {
	kind   httpparse.BodyKind
	left   int64 // bytes to come, of BodyLength
	chunks httpparse.Chunks
}

func frame(b httpparse.Body) framed { return framed{kind: b.Kind, left: b.Length} }

// done reports whether the content has ended.
func (f *framed) done() bool {
	switch f.kind {
	case httpparse.BodyNone:
		return true
	case httpparse.BodyLength:
		return f.left == 0
	case httpparse.BodyChunked:
		return f.chunks.Done()
	}
	return false
}

// mayBeSpliced reports whether the content's rest is long enough, and known to be.
func (f *framed) mayBeSpliced() bool {
	return f.kind == httpparse.BodyLength && f.left >= spliceContent
}

// take returns how many of b's bytes belong to the content.
func (f *framed) take(b []byte) (n int, err error) {
	switch f.kind {
	case httpparse.BodyLength:
		n = int(min(int64(len(b)), f.left))
		f.left -= int64(n)
	case httpparse.BodyChunked:
		for n < len(b) && !f.chunks.Done() {
			m, _, err := f.chunks.Next(b[n:])
			if err != nil {
				return n, err
			}
			n += m
		}
	case httpparse.BodyUntilClose:
		n = len(b)
	}
	return n, nil
}

// newExchange makes an exchange of the request in l.req, whose head, and what stands before it, is head.
func (l *loop) newExchange(c *conn, head []byte) *exchange {
	var x *exchange
	if n := len(l.spare); n > 0 {
		x, l.spare = l.spare[n-1], l.spare[:n-1]
	} else {
		x = new(exchange)
	}
	l.exchanges++
	l.peakExchanges = max(l.peakExchanges, l.exchanges)
	r := &l.req
	x.c, x.out.c = c, c
	x.head.append(head)
	x.start = r.Start
	x.authority, x.host, x.port = r.Target.Authority, r.Target.Host, r.Target.Port
	x.method, x.minor = r.Method, r.Minor
	x.persists, x.upgrade = r.Persists(), r.HasUpgrade()
	x.request = frame(r.Body())
	switch r.Method {
	case httpparse.MethodGet, httpparse.MethodHead, httpparse.MethodOptions, httpparse.MethodTrace:
		x.idempotent = x.request.done()
	}
	return x
}

// dropExchange ends the exchange, if there is one, without looking at the connection.
func (c *conn) dropExchange() {
	x := c.x
	if x == nil {
		return
	}
	c.x.out.stopWaiting()
	c.x = nil
	x.head.release()
	x.partial.release()
	if x.api != nil {
		x.api.content.release()
	}
	*x = exchange{}
	c.l.exchanges--
	if c.l.peakExchanges >= burstSize {
		c.l.noteFall()
	}
	if len(c.l.spare) < maxSpare {
		c.l.spare = append(c.l.spare, x)
	}
}

// beginExchange has the provider answer the request: over the upstream connection there is, if it leads there and the
// session is still the same, else over a new one.
func (t *transfer) beginExchange() {
	c := t.c
	if !c.x.planEdits() {
		c.refuse(refusal.TooManyCredentials)
		return
	}
	x := c.x
	c.x.noteTraffic()
	current := c.x.current()
	if c.upstream.fd >= 0 && x.method != httpparse.MethodConnect && c.x.leadsThere(current) && c.x.sending() == current && t.upstreamQuiet() {
		x.reused = true
		t.sendRequest()
		return
	}
	c.closeUpstream()
	c.x.out.beginDial(c.x.current())
}

// current is the session of this moment that the request goes under; nil if it is the connection's own, or none.
func (x *exchange) current() *session.Session {
	c := x.c
	if x.direct {
		return nil
	}
	return c.port.slot.Current(c.l.wall, c.who)
}

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

// planEdits finds the field lines that may not go upstream as they came: the client's Proxy-Authorization, and Host, which
// is replaced if it names another authority than the target, for that decides (RFC 9112 section 3.2.2).
func (x *exchange) planEdits() bool {
	c := x.c
	r, x := &c.l.req, x
	head := x.head.bytes()
	for i := range r.Fields {
		f := &r.Fields[i]
		e := edit{line: httpparse.Span{Start: f.Name.Start, End: f.End}}
		switch f.Kind {
		case httpparse.KindProxyAuthorization:
		case httpparse.KindHost:
			e.host = true
			x.hostAgrees = sameAuthority(&r.Target, head, f.Value.In(head))
		default:
			continue
		}
		if x.numEdits == maxEdits {
			return false
		}
		x.edits[x.numEdits] = e
		x.numEdits++
	}
	return true
}

// sameAuthority reports whether a Host value names the target's host and port. It may leave the port out, as clients
// do for CONNECT.
func sameAuthority(t *httpparse.Target, head, value []byte) bool {
	host, port, err := httpparse.SplitHost(value)
	return err == nil && (port == t.Port || port == 0 && (t.Port == 80 || t.Form == httpparse.AuthorityForm)) &&
		bytes.EqualFold(host, t.Host.In(head))
}

// sendRequest writes the head, with the credentials of this moment, and what has come of the content, in one call. The
// loop's buffer is free for putting them together: what was read into it is in x.head and c.in.
func (t *transfer) sendRequest() {
	c := t.c
	x, l := c.x, c.l
	if c.x.countsForwards() && c.x.toTarget() && c.x.endsHere(c.x.parseAgain()) {
		return
	}
	content := c.in.bytes()
	n, err := x.request.take(content[:min(len(content), readSize/2)])
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
	if c.stage == stageExchange && !x.request.done() {
		t.pumpRequest()
	}
	if c.stage != stageClosed && c.upstream.readable {
		c.l.schedule(c) // it has spoken, or ended, already as it was connected to
	}
}

// appendHead appends the head as it goes upstream. ok is false if it cannot go.
func (x *exchange) appendHead(b []byte) (out []byte, ok bool) {
	c := x.c
	if !x.toTarget() {
		goes := c.sess // what is used again has its session, which beginExchange has found to be the port's: one look decides both
		if !x.reused {
			goes = x.sending()
		}
		c.joinSession(goes)
		return x.appendRequestHead(b), true
	}
	head, r := x.head.bytes(), x.parseAgain()
	forwards := int64(-1)
	if x.countsForwards() {
		if left, _ := r.MaxForwards(head); left > 0 { // what is malformed, or 0, has been answered
			forwards = left - 1
		}
	}
	var authority [300]byte // a name has 255 bytes at most
	return r.AppendOriginForm(b, head, x.appendAuthority(authority[:0]), forwards)
}

// parseAgain has l.req describe the request's head once more: other heads may have come since.
func (x *exchange) parseAgain() *httpparse.Request {
	c := x.c
	r := &c.l.req
	if err := r.Parse(x.head.bytes(), c.l.relay.headLimits); err != nil {
		panic("relay: a head that was good is so no longer: " + err.Error())
	}
	return r
}

// appendRequestHead appends the head as a proxy takes it: as it came, with a new authority where a rule says so, without
// the lines that planEdits found, and with our credentials as its last field line.
func (x *exchange) appendRequestHead(b []byte) []byte {
	head := x.head.bytes()
	from, overridden := x.start, x.overridden()
	if overridden {
		b = append(b, head[from:x.authority.Start]...)
		b = x.appendAuthority(b)
		from = int(x.authority.End)
	}
	for _, e := range x.edits[:x.numEdits] {
		if e.host && x.hostAgrees && !overridden {
			continue
		}
		b = append(b, head[from:e.line.Start]...)
		if e.host {
			b = append(b, "Host: "...)
			b = x.appendAuthority(b)
			b = append(b, "\r\n"...)
		}
		from = int(e.line.End)
	}
	end := len(head) - len("\r\n")
	b = append(b, head[from:end]...)
	b = append(b, x.credentials()...)
	return append(b, "\r\n"...)
}

// credentials is the field line for the server that upstream is connected to, nil if it gets none of ours. Mostly the
// session has it ready; where it is the client connection's own it is rendered once.
func (x *exchange) credentials() []byte {
	c := x.c
	if c.sess != nil {
		if line := c.sess.Line(c.server); line != nil {
			return line
		}
	}
	if !c.hasCreds || c.credsFor != c.sess || c.credsAt != c.server || c.credsWho != c.who {
		var line [1024]byte
		c.creds.release()
		c.creds.append(c.port.slot.Plan().AppendCredentials(line[:0], c.sess, c.server, c.who))
		c.hasCreds, c.credsFor, c.credsAt, c.credsWho = true, c.sess, c.server, c.who
	}
	return c.creds.bytes()
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
		if !done || x.request.done() {
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
		n, splices := 0, x.request.mayBeSpliced() && c.toUpstream.splices(c.l, &c.upstream)
		var err error
		if splices {
			n, err = c.toUpstream.fill(&c.client, x.request.left)
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
			x.request.left -= int64(n)
			c.arm()
			return n, true
		}
		c.toUpstream.noteRead(n)
		b = c.l.buf[:n]
	}
	n, err := x.request.take(b)
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
		c.x.out.beginDial(c.x.current())
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
	case !x.request.done() && !x.sendFailed && c.toUpstream.empty():
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
	if !x.request.done() || !c.toUpstream.empty() {
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
		if err != nil || done && c.x.request.done() {
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
