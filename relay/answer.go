package relay

import (
	"cmp"
	"errors"
	"net/http"
	"strconv"
	"time"

	"proxymap/httpparse"
	"proxymap/relay/refusal"
	"proxymap/relay/socks"
)

// tlsHandshake is the first byte of a client that speaks TLS (RFC 8446 section 5.1).
const tlsHandshake = 0x16

// refuseHead answers a head that cannot be parsed.
func (i *intake) refuseHead(err *httpparse.Error, begins byte) {
	c := i.c
	c.l.count(headerFailed)
	code := refusal.Malformed
	switch {
	case begins == tlsHandshake:
		c.refuse(refusal.NoTLS)
		return
	case err.Status == 414:
		code = refusal.TargetTooLong
	case err.Status == 431:
		code = refusal.HeadTooLarge
	case err.Status == 505:
		code = refusal.Version
	case err == httpparse.ErrSecureScheme:
		c.refuse(refusal.SecureScheme)
		return
	case err == httpparse.ErrScheme:
		c.refuse(refusal.OtherScheme)
		return
	default:
		code = codeOfRequest(err)
	}
	if code == refusal.NoHTTP && c.x != nil { // it has spoken HTTP before
		code = refusal.Malformed
	}
	c.refuseFor(code, err)
}

// codeOfRequest is what a request head is refused for that breaks a rule of HTTP/1.
func codeOfRequest(err *httpparse.Error) refusal.Code {
	switch err {
	case httpparse.ErrUserinfo, httpparse.ErrUserinfoOfConnect, httpparse.ErrUserinfoOfHost:
		return refusal.BadUserinfo
	case httpparse.ErrHost, httpparse.ErrHostValue:
		return refusal.BadHost
	case httpparse.ErrTargetForm:
		return refusal.NoTarget
	case httpparse.ErrRequestLine:
		return refusal.NoHTTP
	}
	return refusal.Malformed
}

// refuse is refuseWith for what needs no more words than its code.
func (c *conn) refuse(code refusal.Code) { c.refuseWith(refusal.Refusal{Code: code}) }

// refuseFor is refuseWith for what says why, and is about nobody.
func (c *conn) refuseFor(code refusal.Code, cause error) {
	c.refuseWith(refusal.Refusal{Code: code, Cause: reasonOf(cause)})
}

// refuseWith gives the request an answer of our own and closes the connection after it.
func (c *conn) refuseWith(r refusal.Refusal) {
	code := r.Code
	if c.intake.socks != 0 {
		c.port.countAnswer(code.Class())
		c.refuseSocks(r.Reply())
		return
	}
	c.respond(response{
		status: code.Status(), class: code.Class(), proxyStatus: r.ProxyStatus(), fields: code.Fields(), contentType: "text/plain; charset=utf-8",
		content: "proxymap: " + r.Text(c.m.remedies) + "\n", closes: true,
	})
	c.linger()
}

// refuseSocks sends a SOCKS client its one reply, which has a code and no words, and closes the connection after it.
func (c *conn) refuseSocks(reply uint8) {
	c.toClient.unsent.append(socks.AppendReply(nil, c.intake.socks, reply))
	c.linger()
}

// reasonOf is an error without the status that httpparse puts before its reason: the answer has one already.
func reasonOf(err error) error {
	if fault, ok := err.(*httpparse.Error); ok {
		return errors.New(fault.Reason)
	}
	return err
}

// otherSide is who is at the other end of the upstream connection, by side alone.
func (c *conn) otherSide() refusal.Subject {
	if c.x.direct {
		return refusal.Subject{Side: refusal.Target}
	}
	return refusal.Subject{Side: refusal.Provider}
}

// warn logs a warning, with what an operator can change about it.
func (r *Relay) warn(code refusal.Code, text string, args ...any) {
	if remedy := r.setup().remedies[code]; remedy != "" {
		text += "; " + remedy
	}
	r.log.Warn(text, args...)
}

// A response is one of our own.
type response struct {
	status      int
	class       string // of an error, else empty
	proxyStatus string // of an error that has more to say than that it is one of ours
	fields      string // more field lines, each with its CRLF
	contentType string // empty: there is no content
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
	if r.contentType != "" {
		out.append([]byte("Content-Type: " + r.contentType + "\r\n"))
	}
	out.append([]byte("Content-Length: " + strconv.Itoa(len(r.content)) + "\r\n"))
	if r.class != "" {
		out.append([]byte("X-Proxymap-Error: " + r.class + "\r\nProxy-Status: " + cmp.Or(r.proxyStatus, refusal.OwnProxyStatus) + "\r\n"))
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
