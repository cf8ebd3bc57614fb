package relay

import (
	"net/http"
	"strconv"
	"time"

	"proxymap/httpparse"
	"proxymap/relay/socks"
)

// The classes of answers of our own: the value of their X-Proxymap-Error field, for scripts.
const (
	classBadRequest       = "bad-request"
	classTargetTooLong    = "target-too-long"
	classHeadTooLarge     = "head-too-large"
	classHeadTimeout      = "head-timeout"
	classVersion          = "version-not-supported"
	classMethodNotAllowed = "method-not-allowed"
	classNotFound         = "not-found"
	classTooLarge         = "content-too-large"
	classNoUpstream       = "no-upstream"
	classRefused          = "upstream-refused"
	classDNS              = "upstream-dns"
	classTimeout          = "upstream-timeout"
	classAuth             = "upstream-auth"
	classClosed           = "upstream-closed"
	classBadResponse      = "upstream-bad-response"
	classContentTimeout   = "content-timeout"
	classNoDescriptors    = "no-descriptors"
	classNoSourcePort     = "no-source-port"
	classTooMany          = "too-many-connections"
	classDenied           = "denied"
	classProxyAuth        = "proxy-auth"
	classUnsupported      = "upstream-unsupported"
	classNotConfirmed     = "session-not-confirmed"
	classForbidden        = "forbidden" // the Session API's
)

// classes are all of them, as they are counted.
var classes = [...]string{
	classBadRequest, classTargetTooLong, classHeadTooLarge, classHeadTimeout, classVersion, classMethodNotAllowed,
	classNotFound, classTooLarge, classNoUpstream, classRefused, classDNS, classTimeout, classAuth, classClosed,
	classBadResponse, classContentTimeout, classNoDescriptors, classNoSourcePort, classTooMany, classDenied,
	classProxyAuth, classUnsupported, classNotConfirmed, classForbidden,
}

// tlsHandshake is the first byte of a client that speaks TLS (RFC 8446 section 5.1).
const tlsHandshake = 0x16

// refuseHead answers a head that cannot be parsed.
func (c *conn) refuseHead(err *httpparse.Error, begins byte) {
	c.l.count(headerFailed)
	class := classBadRequest
	switch err.Status {
	case 414:
		class = classTargetTooLong
	case 431:
		class = classHeadTooLarge
	case 505:
		class = classVersion
	}
	why := err.Reason
	switch {
	case begins == tlsHandshake:
		why = "this is TLS; this port is an HTTP proxy: put http:// before its address, not https://"
	case class == classBadRequest && c.x == nil:
		why += "; this port is an HTTP proxy, with http:// before its address"
	}
	c.refuse(err.Status, class, why)
}

// refuse gives the request an answer of our own and closes the connection behind it. why says what is wrong and what to
// do, without a line end.
func (c *conn) refuse(status int, class, why string) {
	if c.socks != 0 {
		c.refuseSocks(status, class)
		return
	}
	var fields string
	switch class {
	case classProxyAuth:
		fields = "Proxy-Authenticate: Basic realm=\"proxymap\"\r\n"
	case classMethodNotAllowed:
		fields = "Allow: CONNECT\r\n"
	case classTooMany, classNoDescriptors, classNoSourcePort:
		fields = "Retry-After: 1\r\n" // second
	}
	c.respond(response{
		status: status, class: class, fields: fields, contentType: "text/plain; charset=utf-8",
		content: "proxymap: " + why + "\n", closes: true,
	})
	c.linger()
}

// refuseSocks is refuse for a client that speaks SOCKS, which has codes and no reasons.
func (c *conn) refuseSocks(status int, class string) {
	c.port.countAnswer(class)
	code := socksCode(status, class)
	if c.x != nil && c.x.socksCode != 0 {
		code = c.x.socksCode
	}
	c.toClient.unsent.append(socks.AppendReply(nil, c.socks, code))
	c.linger()
}

// A response is one of our own.
type response struct {
	status      int
	class       string // of an error, else empty
	fields      string // more field lines, each with its CRLF
	contentType string
	content     string
	closes      bool // the connection closes behind it
}

// reason is a status's reason phrase (RFC 9110 section 15).
func reason(status int) string {
	switch status {
	case 413:
		return "Content Too Large"
	case 414:
		return "URI Too Long"
	}
	return http.StatusText(status)
}

// respond puts a complete response behind what goes to the client. It is sent by the next flush.
func (c *conn) respond(r response) {
	c.port.countAnswer(r.class)
	out := &c.toClient.unsent
	out.append([]byte("HTTP/1.1 " + strconv.Itoa(r.status) + " " + reason(r.status) + "\r\n"))
	out.append([]byte("Date: " + time.Unix(0, c.l.wall).UTC().Format(http.TimeFormat) + "\r\n"))
	out.append([]byte("Content-Type: " + r.contentType + "\r\nContent-Length: " + strconv.Itoa(len(r.content)) + "\r\n"))
	if r.class != "" {
		out.append([]byte("X-Proxymap-Error: " + r.class + "\r\n"))
	}
	out.append([]byte(r.fields))
	switch {
	case r.closes:
		out.append([]byte("Connection: close\r\n"))
	case c.x != nil && c.x.minor == 0:
		out.append([]byte("Connection: keep-alive\r\n"))
	}
	out.append([]byte("\r\n"))
	if c.x == nil || c.x.method != httpparse.MethodHead {
		out.append([]byte(r.content))
	}
}
