package relay

import (
	"proxymap/httpparse"
	"proxymap/relay/refusal"
	"proxymap/session"
)

// An apiRoute is what a request has to do with the Session API.
type apiRoute uint8

const (
	apiNone    apiRoute = iota // it is not for the API
	apiAnswers                 // the API answers it
	apiTunnel                  // a CONNECT to the API: requests will come inside
	apiRefused                 // it is for the API's domain, or comes from within a tunnel to it, but not for the API
)

// apiCall is a call of the Session API under way.
type apiCall struct {
	c       *conn
	request session.Request // its slices are of the exchange's head and of content
	content buffer
	answer  session.Answer
	waiting int  // conditions that have not been met yet
	rotates bool // the call reaches connections

	closed, draining int   // of them
	err              error // of a condition that cannot be
}

// apiRoute judges the request in l.req. An absolute-form target alone decides; in origin-form, and behind a CONNECT,
// the Host field does.
func (x *exchange) apiRoute() apiRoute {
	c := x.c
	r, api := &c.l.req, &c.port.mapping.API
	if !api.Enabled {
		return apiNone
	}
	head := x.head.bytes()
	port := r.Target.Port
	switch r.Target.Form {
	case httpparse.AsteriskForm:
		return apiNone
	case httpparse.OriginForm:
		if api.Domain == "" {
			return apiAnswers
		}
		var host []byte
		host, port, _ = httpparse.SplitHost(r.Host.In(head))
		if !api.Owns(host) {
			return apiNone
		}
		if port == 0 || port == c.port.addr.Port() { // asked for without a proxy, by a name that leads here
			port = 80
		}
	case httpparse.AbsoluteForm:
		if !api.Owns(r.Target.Host.In(head)) {
			return x.outsideAPI()
		}
	case httpparse.AuthorityForm:
		if c.insideAPI || !api.Owns(r.Target.Host.In(head)) {
			return x.outsideAPI()
		}
		if port == 80 {
			return apiTunnel
		}
	}
	if port == 80 {
		return apiAnswers
	}
	return apiRefused
}

func (x *exchange) outsideAPI() apiRoute {
	c := x.c
	if c.insideAPI {
		return apiRefused
	}
	return apiNone
}

// openAPITunnel answers a CONNECT to the API's domain. What comes inside are requests to the API, and nothing else.
func (x *exchange) openAPITunnel() {
	c := x.c
	c.insideAPI = true
	c.leaveSession()
	if c.intake.socks != 0 {
		c.toClient.unsent.append(socksGrant(c.intake.socks))
		c.intake.socks = 0
	} else {
		c.toClient.unsent.append(connectGranted)
	}
	c.transfer.endOfOwnAnswer(true)
}

// The fields of a request that the Session API looks at: who called, as browsers tell it, and that it was no browser.
const (
	fieldOrigin = httpparse.KindNamed + iota
	fieldReferer
	fieldFetchSite
	fieldHeader
)

var apiFields = httpparse.NewNames("Origin", "Referer", "Sec-Fetch-Site", "X-Proxymap")

// beginAPI takes a call of the Session API: its head now, its content as it comes.
func (x *exchange) beginAPI() {
	c, r := x.c, &x.c.l.req
	head := x.head.bytes()
	direct := r.Target.Form == httpparse.OriginForm && c.port.mapping.API.Domain == ""
	host := r.Host
	if r.Target.Form == httpparse.AbsoluteForm {
		host = r.Target.Authority
	}
	x.api = &apiCall{c: c}
	x.api.request = session.Request{
		Method: r.MethodName.In(head),
		Path:   r.Target.Path.In(head),
		Query:  r.Target.Query.In(head),
		Host:   host.In(head),
		Direct: direct,
		Listen: c.port.addr,
		Client: c.who,
	}
	for i := range r.Fields {
		value := r.Fields[i].Value.In(head)
		switch r.Fields[i].Kind {
		case fieldOrigin:
			x.api.request.Origin = value
		case fieldReferer:
			x.api.request.Referer = value
		case fieldFetchSite:
			x.api.request.FetchSite = value
		case fieldHeader:
			x.api.request.Header = value
		}
	}
	if x.content.left > session.MaxBody {
		c.refuse(refusal.APIContentTooLarge)
		return
	}
	c.enter(stageAPIContent)
	if r.ExpectsContinue() && c.in.empty() && !x.content.done() {
		if c.transfer.send([]byte("HTTP/1.1 100 Continue\r\n\r\n")); c.stage == stageClosed {
			return
		}
	}
	x.api.readAPIContent()
}

// readAPIContent collects the call's content.
func (a *apiCall) readAPIContent() {
	c := a.c
	x := c.x
	for !x.content.done() {
		b := c.in.bytes()
		held := b != nil
		if !held {
			if b = c.intake.receive(); b == nil {
				return
			}
		}
		n, err := x.content.collect(b, &x.api.content)
		if err != nil {
			c.refuseFor(refusal.ContentMalformed, err)
			return
		}
		if held {
			c.in.skip(n)
		} else {
			c.in.append(b[n:])
		}
		if len(x.api.content.bytes()) > session.MaxBody {
			c.refuse(refusal.APIContentTooLarge)
			return
		}
	}
	a.callAPI()
}

// collect is take, with the content's data put into out.
func (f *framed) collect(b []byte, out *buffer) (n int, err error) {
	if f.kind != httpparse.BodyChunked {
		n, err = f.take(b)
		out.append(b[:n])
		return n, err
	}
	for n < len(b) && !f.chunks.Done() {
		m, data, err := f.chunks.Next(b[n:])
		if err != nil {
			return n, err
		}
		out.append(data)
		n += m
	}
	return n, nil
}

// callAPI has the call make its change, and its answer wait for what must hold then.
func (a *apiCall) callAPI() {
	c := a.c
	x := c.x
	x.api.request.Body = x.api.content.bytes()
	x.api.answer = c.port.mapping.API.Answer(c.port.slot, &x.api.request, c.l.wall)
	store := c.l.relay.store
	how := c.port.mapping.onRotate(x.api.answer.OnRotate)
	x.api.rotates = x.api.answer.Rotates && how != session.Keep
	kept := store != nil && x.api.answer.Status == 200
	if kept {
		x.api.waiting++
	}
	if x.api.rotates {
		x.api.waiting++
	}
	if x.api.waiting == 0 {
		a.answerAPI()
		return
	}
	c.enter(stageAPI)
	l, r := c.l, c.ref()
	if x.api.rotates {
		c.leaveSession() // so it is none of those that the call reaches
		l.relay.rotate([]want{{port: c.port, how: how, through: x.api.answer.Change.Ended}}, func(closed, draining int) {
			l.doFor(r, func(c *conn) {
				if c.stage == stageAPI {
					c.x.api.closed, c.x.api.draining = closed, draining
					c.x.api.onCondition(nil)
				}
			})
		})
	}
	if kept {
		store.Confirm(c.port.addr, func(err error) {
			l.doFor(r, func(c *conn) {
				if c.stage == stageAPI {
					c.x.api.onCondition(err)
				}
			})
		})
	}
}

// onCondition is called when one condition has been met, or cannot be.
func (a *apiCall) onCondition(err error) {
	if err != nil {
		a.err = err
	}
	if a.waiting--; a.waiting == 0 {
		a.answerAPI()
	}
}

func (a *apiCall) answerAPI() {
	c := a.c
	if a.err != nil {
		c.refuseFor(refusal.NotConfirmed, a.err)
		return
	}
	answer := &a.answer
	if a.rotates || answer.Rotates && answer.OnRotate != session.OnRotateDefault {
		*answer = answer.WithConnections(a.closed, a.draining)
	}
	keep := c.x.persists && !c.l.draining && c.place != reserved
	c.respond(response{
		status: answer.Status, class: answer.Class, fields: string(answer.Fields), contentType: answer.ContentType,
		content: string(answer.Body), closes: !keep,
	})
	c.transfer.endOfOwnAnswer(keep)
}
