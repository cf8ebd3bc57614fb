package relay

import (
	"bytes"
	"proxymap/httpparse"
	"proxymap/relay/hostrule"
	"proxymap/relay/verdict"
	"proxymap/session"
)

const (
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
	request

	rule   *hostrule.Rule // that has matched the host
	direct bool           // the target is dialled itself, past the upstream proxies
	anew   bool           // it has been routed before, and so is counted already

	out outbound

	reused     bool             // the upstream connection has answered a request before
	used       *session.Session // that the request counts as a use of
	sendFailed bool             // the upstream connection takes no more
	progress   progress         // of the answer
	partial    buffer           // an incomplete response head; then what has come after the response's end
	interim    int              // 1xx responses so far
	finAt      int64            // the loop's time at which the client's FIN was seen, while the answer is waited for; 0: it was not
	response   framed           // of the final response, once its head is passed on
	keepClient bool             // the client connection may be used again
	keepServer bool             // the upstream connection may be used again
	spared     bool             // the response has set off a rotation that cuts others, and comes whole all the same
	api        *apiCall         // of a Session API call
	verdict    *verdict.Verdict // what the provider says in its 407; nil: there is none

	odd httpparse.Oddities // in the responses so far
}

// progress is how far the answer to a request has come.
type progress uint8

const (
	awaited   progress = iota // nothing of it has come
	begun                     // interim responses have come, or a part of a head
	passing                   // the final response's head has been passed on, and its content goes after it
	ownAnswer                 // it is an answer of the relay's own, which stands in toClient
)

// newExchange makes an exchange, whose request is for the caller to fill in.
func (l *loop) newExchange(c *conn) *exchange {
	var x *exchange
	if n := len(l.spare); n > 0 {
		x, l.spare = l.spare[n-1], l.spare[:n-1]
	} else {
		x = new(exchange)
	}
	l.exchanges++
	l.peakExchanges = max(l.peakExchanges, l.exchanges)
	x.c, x.out.c = c, c
	return x
}

// dropExchange ends the exchange, if there is one, without looking at the connection.
func (c *conn) dropExchange() {
	x := c.x
	if x == nil {
		return
	}
	x.out.drop()
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

// maxEdits is how many field lines of one request may have to be dropped or replaced. Clients send one
// Proxy-Authorization and one Host.
const maxEdits = 5

// A request is all that is known of what a client asks for, whether it has said so in HTTP or in SOCKS. The intake ends in
// one. Whatever acts upon a request asks this; only who writes its head anew for a target itself parses it again.
type request struct {
	head  buffer // of HTTP, as it came, empty lines before it included; of SOCKS, the authority; given back at the first response byte
	socks uint8  // the version of SOCKS that it came in; 0: HTTP

	start      int // of the request line in head
	method     httpparse.Method
	methodName httpparse.Span
	minor      uint8          // of the HTTP version
	form       httpparse.Form // of the target
	authority  httpparse.Span // the target's, in head
	host       httpparse.Span // without port and brackets
	port       uint16
	path       httpparse.Span
	query      httpparse.Span

	persists   bool // the client means to use its connection again
	upgrade    bool // Upgrade was asked for
	expects    bool // 100-continue
	idempotent bool // may be sent a second time: a safe method without content
	content    framed

	forwards      int64 // Max-Forwards of OPTIONS and TRACE; -1: there is none
	forwardsFault error // what is wrong with it

	login     httpparse.Span // value of the first Proxy-Authorization; all others are dropped unread
	hostField httpparse.Span // value of Host
	caller    caller

	edits      [maxEdits]edit
	numEdits   int
	overfull   bool // there are more lines to be edited than edits has room for
	hostAgrees bool // Host names the authority
}

// An edit drops a field line of a request on its way upstream, or puts a new Host in its place.
type edit struct {
	line httpparse.Span // its CRLF included
	host bool
}

// caller is the values of the fields by which the Session API tells browsers from others. Of a field that is not there it is
// the zero Span.
type caller struct {
	origin, referer, fetchSite, header httpparse.Span
}

// The kinds of the fields of caller.
const (
	fieldOrigin = httpparse.KindNamed + iota
	fieldReferer
	fieldFetchSite
	fieldHeader
)

var callerFields = httpparse.NewNames("Origin", "Referer", "Sec-Fetch-Site", "X-Proxymap")

// fromHead makes the request of the head that r describes. head is copied.
func (q *request) fromHead(r *httpparse.Request, head []byte) {
	q.head.append(head)
	q.start = r.Start
	q.method, q.methodName, q.minor = r.Method, r.MethodName, r.Minor
	q.setTarget(&r.Target)
	q.path, q.query = r.Target.Path, r.Target.Query
	q.persists, q.upgrade, q.expects = r.Persists(), r.HasUpgrade(), r.ExpectsContinue()
	q.content = frame(r.Body())
	q.hostField = r.Host
	switch r.Method {
	case httpparse.MethodOptions, httpparse.MethodTrace:
		q.forwards, q.forwardsFault = r.MaxForwards(head)
		q.idempotent = q.content.done()
	case httpparse.MethodGet, httpparse.MethodHead:
		q.idempotent = q.content.done()
	}
	q.readFields(r, head)
}

// fromSocks makes the request of what a SOCKS client wants: what a CONNECT of HTTP/1.1 is. t describes the authority, which
// is the request's from here on.
func (q *request) fromSocks(version uint8, authority buffer, t *httpparse.Target) {
	q.head, q.socks = authority, version
	q.method, q.minor, q.persists = httpparse.MethodConnect, 1, true
	q.setTarget(t)
}

func (q *request) setTarget(t *httpparse.Target) {
	q.form, q.authority, q.host, q.port = t.Form, t.Authority, t.Host, t.Port
}

// readFields walks the field lines, once for all who want something of them: the client's credentials, the lines that may
// not go upstream as they came, and who calls the Session API. What may not go is Proxy-Authorization, and Host, which is
// replaced if it names another authority than the target, because that decides (RFC 9112 section 3.2.2).
func (q *request) readFields(r *httpparse.Request, head []byte) {
	for i := range r.Fields {
		f := &r.Fields[i]
		switch f.Kind {
		case httpparse.KindProxyAuthorization:
			if q.login == (httpparse.Span{}) {
				q.login = f.Value
			}
			q.addEdit(f, false)
		case httpparse.KindHost:
			q.hostAgrees = sameAuthority(&r.Target, head, f.Value.In(head))
			q.addEdit(f, true)
		case fieldOrigin:
			q.caller.origin = f.Value
		case fieldReferer:
			q.caller.referer = f.Value
		case fieldFetchSite:
			q.caller.fetchSite = f.Value
		case fieldHeader:
			q.caller.header = f.Value
		}
	}
}

func (q *request) addEdit(f *httpparse.Field, host bool) {
	if q.numEdits == maxEdits {
		q.overfull = true
		return
	}
	q.edits[q.numEdits] = edit{line: httpparse.Span{Start: f.Name.Start, End: f.End}, host: host}
	q.numEdits++
}

// sameAuthority reports whether a Host value names the target's host and port. It may leave the port out, as clients
// do for CONNECT.
func sameAuthority(t *httpparse.Target, head, value []byte) bool {
	host, port, err := httpparse.SplitHost(value)
	return err == nil && (port == t.Port || port == 0 && (t.Port == 80 || t.Form == httpparse.AuthorityForm)) &&
		bytes.EqualFold(host, t.Host.In(head))
}

// field is the value of a field in the head, nil if the field is not there.
func (q *request) field(value httpparse.Span) []byte {
	if value == (httpparse.Span{}) {
		return nil
	}
	return value.In(q.head.bytes())
}

// countsForwards reports whether the request's method gives Max-Forwards a meaning.
func (q *request) countsForwards() bool {
	return q.method == httpparse.MethodOptions || q.method == httpparse.MethodTrace
}
