package relay

import (
	"bytes"
	"strconv"

	"proxymap/httpparse"
	"proxymap/session"
)

// What is written of a request: its head as a proxy takes it, or as the target does, with the credentials of the moment.

// noteTraffic notes that a request has come, which is traffic of the port's session. A session that has been without for
// too long ends, for the provider has dropped it.
func (x *exchange) noteTraffic() {
	c := x.c
	p := c.port
	if x.direct || c.m.IdleLifetime <= 0 {
		return
	}
	if p.isIdle(c.l.now) {
		p.slot.Drop(p.slot.Peek(c.l.wall), reasonIdle)
	}
	p.touch(c.l.now)
}

// current is the session of this moment that the request goes under; nil if it is the connection's own, or none.
func (x *exchange) current() *session.Session {
	c := x.c
	if x.direct {
		return nil
	}
	return c.port.slot.Current(c.l.wall, c.who)
}

// sending is the session that the request goes under whose head is about to be written. It counts as a use of it, once; a
// session that has been used often enough makes place for another.
func (x *exchange) sending() *session.Session {
	c := x.c
	most := int64(c.m.MaxRequests)
	for {
		s := x.current()
		if !x.fits(s) {
			return c.sess // the request stays as it is
		}
		if s == nil || most == 0 || s == x.used {
			return s
		}
		x.used = s
		if s.Use() <= most {
			return s
		}
		c.port.slot.Replace(s, c.l.wall, reasonRequests) // or another request has
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
		forwards = max(x.forwards-1, -1) // what is malformed, or 0, has been answered
	}
	var authority [300]byte // a name has 255 bytes at most
	return r.AppendOriginForm(b, head, x.appendAuthority(authority[:0]), forwards)
}

// parseAgain has l.req describe the request's head once more: other heads may have come since.
func (x *exchange) parseAgain() *httpparse.Request {
	c := x.c
	r := &c.l.req
	head := x.head.bytes()
	size := len(head) // bounds all that is in it: the limits of the mapping may be others than those that it has met
	if err := r.Parse(head, httpparse.Limits{Head: size, Target: size, Fields: size}); err != nil {
		panic("relay: a head that was good is so no longer: " + err.Error())
	}
	return r
}

// appendRequestHead appends the head as a proxy takes it: as it came, with a new authority where a rule says so, without
// the lines that are to be edited, and with our credentials as its last field line.
func (x *exchange) appendRequestHead(b []byte) []byte {
	if x.socks != 0 {
		return x.appendConnect(b)
	}
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

// appendConnect appends the CONNECT that an HTTP proxy gets for a SOCKS client's request.
func (x *exchange) appendConnect(b []byte) []byte {
	b = append(b, "CONNECT "...)
	at := len(b)
	b = x.appendAuthority(b)
	end := len(b)
	b = append(b, " HTTP/1.1\r\nHost: "...)
	b = append(append(b, b[at:end]...), "\r\n"...)
	if ua := x.c.m.userAgent; ua != "" {
		b = append(append(append(b, "User-Agent: "...), ua...), "\r\n"...)
	}
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
		c.creds.append(c.m.Plan.AppendCredentials(line[:0], c.sess, c.server, c.who))
		c.hasCreds, c.credsFor, c.credsAt, c.credsWho = true, c.sess, c.server, c.who
	}
	return c.creds.bytes()
}

// takeAccount is credentials for a SOCKS server, which gets them before the request: as name and password of this moment. The
// request counts as a use of its session.
func (x *exchange) takeAccount() (user, password string) {
	c := x.c
	c.joinSession(x.sending())
	user, password, _ = c.m.Plan.Credentials(c.sess, c.server, c.who)
	return user, password
}

// appendAuthority appends the authority that goes upstream: what the client has written, or what takes its place.
func (x *exchange) appendAuthority(b []byte) []byte {
	if !x.overridden() {
		return append(b, x.authority.In(x.head.bytes())...)
	}
	host, port := x.targetHost(), x.targetPort()
	if x.sendsAddress() && !x.toTarget() {
		host = x.out.resolved.AppendTo(nil)
	}
	if bytes.IndexByte(host, ':') >= 0 {
		b = append(b, '[')
		b = append(b, host...)
		b = append(b, ']')
	} else {
		b = append(b, host...)
	}
	if port != 80 || x.method == httpparse.MethodConnect {
		b = append(b, ':')
		b = strconv.AppendUint(b, uint64(port), 10)
	}
	return b
}
