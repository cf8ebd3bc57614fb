package relay

import "proxymap/relay/internal/kernel"

// transfer is the machine that moves bytes between a client and its upstream connection: an exchange of plain HTTP, the
// rest of a request behind its response, a tunnel, and what a client still sends behind the last answer.
type transfer struct {
	c         *conn
	discarded int // bytes, while lingering
}

func (t *transfer) pumpLinger() {
	c := t.c
	if !c.finSent {
		done, err := c.toClient.flush(&c.client)
		if err != nil {
			c.abort()
			return
		}
		if !done {
			return
		}
		c.sendFIN()
		c.arm()
	}
	for c.client.readable {
		n, err := c.client.read(c.l.buf[:])
		if err == kernel.ErrAgain {
			return
		}
		t.discarded += n
		if err != nil || t.discarded > lingerBytes {
			c.close()
			return
		}
	}
}
