package relay

import (
	"slices"

	"proxymap/httpparse"
	"proxymap/relay/refusal"
)

// Max-Forwards of OPTIONS and TRACE says how many proxies may still forward a request (RFC 9110 section 7.6.2). It is
// counted where this relay is the last proxy: where the request goes to its target itself, or through a SOCKS server. Where
// it goes to an HTTP proxy the head passes as it came, and that proxy counts.

// allowed are the methods of an answer to OPTIONS: there is none that would not be forwarded, so these are the common ones.
const allowed = "Allow: GET, HEAD, POST, PUT, PATCH, DELETE, CONNECT, OPTIONS, TRACE\r\n"

// endsAtOnce is endsHere before anything is dialled. Where a list has servers of both kinds it is
// not known yet who counts, and sendRequest asks again.
func (x *exchange) endsAtOnce() bool {
	return x.countsForwards() && x.onlyToTarget() && x.endsHere()
}

// onlyToTarget reports whether the request can reach its target in no other way than with this relay as its last proxy.
func (x *exchange) onlyToTarget() bool {
	c := x.c
	m := c.m
	switch {
	case x.direct:
		return true
	case x.rule != nil && x.rule.Server >= 0:
		return m.servers[m.listed+x.rule.Server].Type != HTTP
	}
	return !slices.ContainsFunc(m.servers[:m.listed], func(s *server) bool { return s.Type == HTTP })
}

// endsHere answers the request if it may not be forwarded, and reports whether it did.
func (x *exchange) endsHere() bool {
	switch {
	case x.forwardsFault != nil:
		x.c.refuseFor(refusal.Malformed, x.forwardsFault)
	case x.forwards == 0:
		x.answerAsTarget()
	default:
		return false
	}
	return true
}

// answerAsTarget answers an OPTIONS or TRACE whose final recipient is this relay. The connection closes after it if the
// request has content, which nobody reads.
func (x *exchange) answerAsTarget() {
	c := x.c
	keep := x.persists && x.content.done() && !c.l.draining && c.drainBy == 0
	answer := response{status: 200, fields: allowed, closes: !keep}
	if x.method == httpparse.MethodTrace {
		answer.fields, answer.contentType = "", "message/http"
		answer.content = string(x.parseAgain().AppendTrace(nil, x.head.bytes()))
	}
	c.respond(answer)
	if !x.content.done() {
		c.linger()
		return
	}
	c.transfer.endOfOwnAnswer(keep)
}
