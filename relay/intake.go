package relay

import "proxymap/httpparse"

// intake is the machine that takes what a client sends until that is a request: between requests, in a head, in the
// messages of SOCKS. Who the client is, and what of its first request has come, it keeps from one request to the next.
type intake struct {
	c         *conn
	progress  httpparse.Progress // in the incomplete head
	greeted   bool               // the client's first byte has come, which tells SOCKS from HTTP
	socks     uint8              // the version that a SOCKS client speaks until its tunnel stands; 0: it speaks HTTP
	socksStep socksStep          // what of SOCKS comes next
}

// readHead collects a request head. Mostly it comes whole, and is parsed where it was read.
func (i *intake) readHead() {
	c := i.c
	if c.stage == stageIdle && !c.in.empty() {
		i.onHeadBytes(nil) // a pipelined request
	}
	// What has been read is taken before more is read: a client that sends request upon request waits its turn.
	for c.stage == stageHead || c.stage == stageIdle && c.in.empty() {
		b := i.receive()
		if b == nil || !i.greeted && i.beginsSocks(b) {
			return
		}
		i.onHeadBytes(b)
	}
}

// receive reads what the client has sent into the loop's buffer, and returns it. It returns nil if there is nothing now, and
// also if the client has gone, and the connection has been closed for that.
func (i *intake) receive() []byte {
	c := i.c
	b, got := c.client.receive(c.l.buf[:])
	switch {
	case got == peerReset:
		c.abort()
	case got == peerEnded && c.stage == stageProxyHeader && !c.in.empty():
		i.refuseProxyHeader(errHeaderCut)
	case got == peerEnded:
		c.close() // between requests, or within a message, which nobody waits for an answer to
	}
	return b
}

// onHeadBytes takes more bytes of a head. What the request is served by is found here, each time, so what has parsed the
// whole head also serves the request.
func (i *intake) onHeadBytes(b []byte) {
	c := i.c
	c.m = c.port.mapping()
	l, limits := c.l, c.m.headLimits
	var err error
	if c.in.empty() {
		if err = l.req.Parse(b, limits); err == httpparse.ErrNeedMore {
			c.in.append(b)
		}
	} else {
		c.in.append(b)
		b = c.in.bytes()
		if err = i.progress.Next(b, limits); err == nil {
			err = l.req.Parse(b, limits)
		}
	}
	switch err {
	case nil:
		i.onHead(b)
	case httpparse.ErrNeedMore:
		if c.stage == stageIdle {
			c.enter(stageHead)
		}
	default:
		i.refuseHead(err.(*httpparse.Error), b[0])
	}
}

// onHead begins the exchange of the head that l.req describes. b begins with it, and is the loop's or c.in's.
func (i *intake) onHead(b []byte) {
	c := i.c
	r, head := &c.l.req, b[:c.l.req.End]
	i.progress = httpparse.Progress{}
	text, plain := head, buffer{}
	if !r.IsPlain() {
		var err error
		if plain, err = putRight(r, head, c.m.headLimits); err != nil {
			i.refuseHead(err.(*httpparse.Error), b[0])
			return
		}
		text = plain.bytes()
	}
	c.x = c.l.newExchange(c)
	c.x.fromHead(r, text)
	plain.release()
	if c.in.empty() {
		c.in.append(b[len(head):])
	} else {
		c.in.skip(len(head))
	}
	c.x.route()
}
