package relay

import (
	"errors"
	"io"

	"proxymap/relay/allow"
	"proxymap/relay/internal/kernel"
	"proxymap/relay/proxyheader"
)

// Where Mapping.ProxyProtocol says so, each connection begins with a PROXY header, whatever the client speaks behind it. Whose
// connection it is, the header says; who may send one, the address of the socket's peer. These are functions, for a conn has
// methods enough: they are its stageProxyHeader.

var (
	errHeaderCut  = errors.New("it ended before the header did")
	errHeaderTime = errors.New("the header did not come in time")
)

// readProxyHeader collects the header. Mostly it comes whole, and the first request with it.
func readProxyHeader(c *conn) {
	for c.client.readable {
		n, err := c.client.read(c.l.buf[:])
		switch err {
		case nil:
			if takeProxyHeader(c, c.l.buf[:n]) {
				return
			}
		case kernel.ErrAgain:
			return
		case io.EOF:
			if c.in.empty() {
				c.close() // a balancer that looks whether the port is there
				return
			}
			refuseProxyHeader(c, errHeaderCut)
			return
		default:
			c.abort()
			return
		}
	}
}

// takeProxyHeader takes more bytes of the header, which are in the loop's buffer. It reports whether the stage is over.
func takeProxyHeader(c *conn, b []byte) bool {
	fresh := c.in.empty()
	if !fresh {
		c.in.append(b)
		b = c.in.bytes()
	}
	client, n, err := proxyheader.Parse(b)
	switch {
	case err != nil:
		refuseProxyHeader(c, err)
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
	if len(rest) > 0 && !c.intake.beginsSocks(rest) {
		c.intake.onHeadBytes(rest)
	}
	c.run()
	return true
}

// refuseProxyHeader turns a connection away whose header is not as it should be.
func refuseProxyHeader(c *conn, why error) {
	turnAway(c.l, byHeader, allow.Connection{From: c.from, To: c.port.addr, Why: why})
	c.close()
}
