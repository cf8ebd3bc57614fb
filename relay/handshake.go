package relay

import (
	"errors"
	"io"
	"net/netip"

	"proxymap/relay/refusal"
	"proxymap/relay/socks"
)

// maxHandshake is how many bytes a SOCKS server's message may have: a reply with a name.
const maxHandshake = 512

// beginHandshake asks the SOCKS server that upstream is connected to for a tunnel to the target, with the credentials of this
// moment.
func (o *outbound) beginHandshake() {
	c := o.c
	version := uint8(socks.V5)
	if o.server.Type == SOCKS4 {
		version = socks.V4
	}
	var addr netip.Addr
	if o.tellsAddress() {
		addr = o.resolved
	}
	user, password := c.x.takeAccount()
	first, err := o.shake.Begin(c.l.buf[:0], version, o.to.host, addr, o.to.port, user, password)
	if err != nil {
		o.handshakeFailed(errUnfit{err})
		return
	}
	c.enter(stageHandshake)
	if err := c.toUpstream.send(&c.upstream, first); err != nil {
		o.handshakeFailed(err)
		return
	}
	o.pumpHandshake()
}

// pumpHandshake goes on with what has come from the SOCKS server.
func (o *outbound) pumpHandshake() {
	c := o.c
	for {
		done, err := c.toUpstream.flush(&c.upstream)
		if err != nil {
			o.handshakeFailed(err)
			return
		}
		if !done {
			return
		}
		b, got := c.upstream.receive(c.l.buf[:])
		switch got {
		case nothingNow:
			return
		case peerEnded, peerReset:
			o.handshakeFailed(io.EOF)
			return
		}
		stands, err := o.hear(b)
		if err != nil {
			o.handshakeFailed(err)
			return
		}
		if stands {
			o.reached()
			return
		}
	}
}

// hear takes what a SOCKS server has sent, and answers it. It reports whether the tunnel stands: what is left in heard comes
// out of that.
func (o *outbound) hear(b []byte) (stands bool, err error) {
	c := o.c
	o.heard.append(b)
	n, out, stands, err := o.shake.Next(o.heard.bytes(), c.l.buf[:0])
	if err == nil && len(out) > 0 {
		err = c.toUpstream.send(&c.upstream, out)
	}
	if err != nil {
		return false, err
	}
	o.heard.skip(n)
	if !stands && len(o.heard.bytes()) > maxHandshake {
		return false, socks.ErrMalformed
	}
	return stands, nil
}

// handshakeFailed fails because the SOCKS server makes no tunnel.
func (o *outbound) handshakeFailed(err error) {
	c := o.c
	if errors.Is(err, socks.ErrCredentials) && c.m.Plan.Sets(c.server) {
		c.warnLogin(refusal.HandshakeLogin, "")
		o.failed(refusal.Refusal{Code: refusal.HandshakeLogin})
		return
	}
	r := refusal.Refusal{Subject: refusal.Subject{Side: refusal.Provider, Name: o.server.name()}}
	r.Code, r.Cause = whyNoTunnel(err)
	o.failed(r)
}

// errUnfit wraps why a SOCKS server cannot be asked for the tunnel.
type errUnfit struct{ error }

var errHandshakeTime = errors.New("no tunnel in time")

// whyNoTunnel is what clients are told of why a SOCKS server makes no tunnel. What the server has not said itself is an end of
// the connection to it.
func whyNoTunnel(err error) (code refusal.Code, cause error) {
	var said *socks.Refusal
	var unfit errUnfit
	switch {
	case errors.As(err, &said):
		return refusal.OfHandshake(said), err
	case errors.As(err, &unfit):
		return refusal.HandshakeUnfit, unfit.error
	case errors.Is(err, socks.ErrCredentials):
		return refusal.HandshakeCredentials, nil
	case errors.Is(err, socks.ErrMalformed):
		return refusal.HandshakeMalformed, err
	case err == errHandshakeTime:
		return refusal.HandshakeTimeout, nil
	}
	return refusal.HandshakeClosed, nil
}
