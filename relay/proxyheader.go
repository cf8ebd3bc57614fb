package relay

import (
	"errors"

	"proxymap/relay/allow"
	"proxymap/relay/proxyheader"
)

// Where Mapping.ProxyProtocol says so, each connection begins with a PROXY header, whatever the client speaks after it. The
// header says whose connection it is; the address of the socket's peer says who may send one.

var (
	errHeaderCut  = errors.New("it ended before the header did")
	errHeaderTime = errors.New("the header did not come in time")
)

// readProxyHeader collects the header. Mostly it comes whole, and the first request with it.
func (i *intake) readProxyHeader() {
	for b := i.receive(); b != nil; b = i.receive() {
		if i.takeProxyHeader(b) {
			return
		}
	}
}

// takeProxyHeader takes more bytes of the header, which are in the loop's buffer. It reports whether the stage is over.
func (i *intake) takeProxyHeader(b []byte) bool {
	c := i.c
	fresh := c.in.empty()
	if !fresh {
		c.in.append(b)
		b = c.in.bytes()
	}
	client, n, err := proxyheader.Parse(b)
	switch {
	case err != nil:
		i.refuseProxyHeader(err)
		return true
	case n == 0:
		if fresh {
			c.in.append(b)
		}
		return false
	}
	if client.IsValid() {
		c.from = client.Addr()
	}
	rest := c.l.buf[:copy(c.l.buf[:], b[n:])] // what is behind the header has come with its last byte, in one read
	c.in.release()
	c.enter(stageIdle)
	if len(rest) > 0 && !i.beginsSocks(rest) {
		i.onHeadBytes(rest)
	}
	c.run()
	return true
}

// refuseProxyHeader turns a connection away whose header is not as it should be.
func (i *intake) refuseProxyHeader(why error) {
	c := i.c
	turnAway(c.l, byHeader, allow.Connection{From: c.from, To: c.port.addr, Why: why})
	c.close()
}
