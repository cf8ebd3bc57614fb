package relay

import (
	"io"

	"proxymap/relay/internal/kernel"
)

// startTunnel turns the exchange into a tunnel. grant is the head that says so, of which a SOCKS client gets its own form,
// and first what came behind it; they go to the client first, as what the client sent behind its own head goes first to
// the provider.
func (t *transfer) startTunnel(grant, first []byte) {
	c := t.c
	c.enter(stageTunnel)
	if c.intake.socks != 0 {
		grant = socksGrant(c.intake.socks)
		c.intake.socks = 0
	}
	err := c.toClient.send(&c.client, grant)
	if err == nil && len(first) > 0 {
		err = c.toClient.send(&c.client, first)
	}
	if err != nil {
		c.abort()
		return
	}
	c.dropExchange()
	c.forget() // a tunnel may stand for hours and has no use for them
	if c.toUpstream.unsent.empty() {
		c.toUpstream.unsent = c.in
		c.in = buffer{}
	} else {
		c.toUpstream.unsent.append(c.in.bytes())
		c.in.release()
	}
	c.toUpstream.ended, c.toClient.ended = false, false
	t.pumpTunnel()
}

// pumpTunnel moves what there is to be moved, both ways. Neither direction knows of the other, but that a socket which
// failed as a sink may still have something to say as a source: a peer that answers, closes, and resets what still comes.
func (t *transfer) pumpTunnel() {
	c := t.c
	more := t.pump(&c.toUpstream, &c.client, &c.upstream)
	if c.stage != stageClosed && t.pump(&c.toClient, &c.upstream, &c.client) {
		more = true
	}
	if c.stage != stageClosed && more {
		c.l.schedule(c)
	}
}

// pump moves bytes of one direction until the source has no more, the sink takes no more, or its budget is used up. It
// reports whether the tunnel has to be run again for all there is.
func (t *transfer) pump(d *direction, source, sink *socket) (more bool) {
	c := t.c
	moved := 0
	defer func() { c.l.moved += moved; d.settle() }()
	for moved < turnBudget {
		if d.ended {
			return false
		}
		done, err := c.flush(d, sink)
		if err != nil {
			return t.sinkFailed(d, sink)
		}
		if !done || !source.readable {
			return false
		}
		n, splices := 0, d.splices(c.l, sink)
		if splices {
			n, err = d.fill(source, pipeSize)
		} else {
			n, err = source.read(c.l.buf[:])
		}
		switch err {
		case nil:
		case kernel.ErrAgain:
			return false
		case io.EOF:
			t.endDirection(d, sink)
			return false
		default:
			c.reset() // the source was reset: so is the sink
			return false
		}
		c.arm()
		if splices {
			moved += n
			continue
		}
		moved += readSize
		d.noteRead(n)
		if err := d.send(sink, c.l.buf[:n]); err != nil {
			return t.sinkFailed(d, sink)
		}
	}
	return true
}

// endDirection passes the source's FIN on. The last direction to end closes the connection.
func (t *transfer) endDirection(d *direction, sink *socket) {
	c := t.c
	d.ended = true
	if c.toUpstream.ended && c.toClient.ended {
		c.close()
		return
	}
	kernel.ShutdownWrite(sink.fd)
	c.enter(stageHalfClosed)
}

// sinkFailed ends a direction whose sink takes no more. The other direction goes on: its source, the same socket, gives
// what it still has, and then the reset that is passed on.
func (t *transfer) sinkFailed(d *direction, sink *socket) (more bool) {
	c := t.c
	d.ended = true
	d.drop()
	sink.readable = true
	if c.toUpstream.ended && c.toClient.ended {
		c.reset()
		return false
	}
	c.enter(stageHalfClosed)
	return true
}
