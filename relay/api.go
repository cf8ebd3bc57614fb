package relay

import (
	"proxymap/httpparse"
	"proxymap/relay/refusal"
	"proxymap/session"
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

// openAPITunnel answers a CONNECT to the API's domain. What comes inside are requests to the API, and nothing else.
func (x *exchange) openAPITunnel() {
	c := x.c
	c.insideAPI = true
	c.leaveSession()
	if x.socks != 0 {
		c.toClient.unsent.append(socksGrant(x.socks))
		c.intake.socks = 0 // inside it speaks HTTP
	} else {
		c.toClient.unsent.append(connectGranted)
	}
	c.transfer.endOfOwnAnswer(true)
}

// newAPICall makes the call that the exchange's request is.
func (x *exchange) newAPICall() *apiCall {
	c := x.c
	head, host := x.head.bytes(), x.hostField
	if x.form == httpparse.AbsoluteForm {
		host = x.authority
	}
	return &apiCall{c: c, request: session.Request{
		Method:    x.methodName.In(head),
		Path:      x.path.In(head),
		Query:     x.query.In(head),
		Host:      host.In(head),
		Direct:    x.form == httpparse.OriginForm && c.m.API.Domain == "",
		Listen:    c.port.addr,
		Client:    c.who,
		Origin:    x.field(x.caller.origin),
		Referer:   x.field(x.caller.referer),
		FetchSite: x.field(x.caller.fetchSite),
		Header:    x.field(x.caller.header),
	}}
}

// beginAPI takes a call of the Session API: its head now, its content as it comes.
func (x *exchange) beginAPI() {
	c := x.c
	x.api = x.newAPICall()
	if x.content.left > session.MaxBody {
		c.refuse(refusal.APIContentTooLarge)
		return
	}
	c.enter(stageAPIContent)
	if x.expects && c.in.empty() && !x.content.done() {
		if !c.transfer.send([]byte("HTTP/1.1 100 Continue\r\n\r\n")) {
			return
		}
	}
	x.api.readContent()
}

// readContent collects the call's content.
func (a *apiCall) readContent() {
	c, content := a.c, &a.c.x.content
	for !content.done() {
		b := c.in.bytes()
		held := b != nil
		if !held {
			if b = c.intake.receive(); b == nil {
				return
			}
		}
		n, err := content.collect(b, &a.content)
		if err != nil {
			c.refuseFor(refusal.ContentMalformed, err)
			return
		}
		if held {
			c.in.skip(n)
		} else {
			c.in.append(b[n:])
		}
		if len(a.content.bytes()) > session.MaxBody {
			c.refuse(refusal.APIContentTooLarge)
			return
		}
	}
	a.carryOut()
}

// carryOut makes the call's change. The answer waits for what must hold when it is sent.
func (a *apiCall) carryOut() {
	c := a.c
	a.request.Body = a.content.bytes()
	a.answer = c.m.API.Answer(c.port.slot, &a.request, c.l.wall)
	how := c.m.onRotate(a.answer.OnRotate)
	a.rotates = a.answer.Rotates && how != session.Keep
	kept := c.l.relay.store != nil && a.answer.Status == 200
	for _, waits := range [...]bool{kept, a.rotates} {
		if waits {
			a.waiting++
		}
	}
	if a.waiting == 0 {
		a.sendAnswer()
		return
	}
	c.enter(stageAPI)
	if a.rotates {
		a.awaitRotation(how)
	}
	if kept {
		a.awaitStore()
	}
}

// awaitRotation has the connections of the session that has ended reached, and counted.
func (a *apiCall) awaitRotation(how session.OnRotate) {
	c := a.c
	c.leaveSession() // so it is none of those that the call reaches
	l, r := c.l, c.ref()
	l.relay.rotate([]want{{port: c.port, how: how, through: a.answer.Change.Ended}}, func(closed, draining int) {
		l.doFor(r, func(c *conn) {
			if c.stage == stageAPI {
				c.x.api.closed, c.x.api.draining = closed, draining
				c.x.api.onCondition(nil)
			}
		})
	})
}

// awaitStore has the store confirm that the change is kept.
func (a *apiCall) awaitStore() {
	c := a.c
	l, r := c.l, c.ref()
	l.relay.store.Confirm(c.port.addr, func(err error) {
		l.doFor(r, func(c *conn) {
			if c.stage == stageAPI {
				c.x.api.onCondition(err)
			}
		})
	})
}

// onCondition is called when one condition has been met, or cannot be.
func (a *apiCall) onCondition(err error) {
	if err != nil {
		a.err = err
	}
	if a.waiting--; a.waiting == 0 {
		a.sendAnswer()
	}
}

// sendAnswer sends the answer, or says that the change cannot be confirmed.
func (a *apiCall) sendAnswer() {
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
