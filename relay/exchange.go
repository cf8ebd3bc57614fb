package relay

import (
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
