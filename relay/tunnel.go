package relay

import "proxymap/relay/internal/kernel"

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
	if t.pumpDirection(&c.toUpstream, &c.client, &c.upstream) {
		t.pumpDirection(&c.toClient, &c.upstream, &c.client)
	}
}

// pumpDirection moves what there is to be moved one way.
func (t *transfer) pumpDirection(d *direction, source, sink *socket) (goesOn bool) {
	c := t.c
	if d.ended {
		return true
	}
	alive, why := d.move(c.l, source, sink, nil, nil)
	if alive {
		c.arm()
	}
	switch why {
	case sourceEnded:
		return t.endDirection(d, sink)
	case sourceReset:
		c.reset() // so is the sink
		return false
	case sinkBroken:
		return t.sinkFailed(d, sink)
	case budgetSpent:
		c.l.schedule(c)
	}
	return true
}

// endDirection passes the source's FIN on. The last direction to end closes the connection.
func (t *transfer) endDirection(d *direction, sink *socket) (goesOn bool) {
	c := t.c
	d.ended = true
	if c.toUpstream.ended && c.toClient.ended {
		c.close()
		return false
	}
	kernel.ShutdownWrite(sink.fd)
	c.enter(stageHalfClosed)
	return true
}

// sinkFailed ends a direction whose sink takes no more. The other direction goes on: its source, the same socket, gives
// what it still has, and then the reset that is passed on.
func (t *transfer) sinkFailed(d *direction, sink *socket) (goesOn bool) {
	c := t.c
	d.ended = true
	d.drop()
	sink.readable = true
	if c.toUpstream.ended && c.toClient.ended {
		c.reset()
		return false
	}
	c.enter(stageHalfClosed)
	c.l.schedule(c) // no event reports what is there already
	return true
}
