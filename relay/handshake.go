package relay

import (
	"errors"
	"io"
	"net/netip"

	"proxymap/httpparse"
	"proxymap/relay/internal/kernel"
	"proxymap/relay/refusal"
	"proxymap/relay/socks"
)

// beginHandshake asks the SOCKS server that upstream is connected to for a tunnel to the request's target, with the
// credentials of this moment.
func (o *outbound) beginHandshake() {
	c := o.c
	x, srv := c.x, c.port.mapping.servers[c.server]
	version := uint8(socks.V5)
	if srv.Type == SOCKS4 {
		version = socks.V4
	}
	c.joinSession(c.x.sending())
	user, password, _ := c.port.slot.Plan().Credentials(c.sess, c.server, c.who)
	var addr netip.Addr
	if c.x.sendsAddress() {
		addr = x.resolved
	}
	first, err := x.shake.Begin(c.l.buf[:0], version, c.x.targetHost(), addr, c.x.targetPort(), user, password)
	if err != nil {
		o.handshakeFailed(err)
		return
	}
	c.enter(stageHandshake)
	if err := c.toUpstream.send(&c.upstream, first); err != nil {
		o.handshakeFailed(io.EOF)
		return
	}
	o.pumpHandshake()
}

// pumpHandshake goes on with what has come from the SOCKS server.
func (o *outbound) pumpHandshake() {
	c := o.c
	x := c.x
	for {
		done, err := c.toUpstream.flush(&c.upstream)
		if err != nil {
			o.handshakeFailed(err)
			return
		}
		if !done || !c.upstream.readable {
			return
		}
		n, err := c.upstream.read(c.l.buf[:])
		if err == kernel.ErrAgain {
			return
		}
		if err != nil {
			o.handshakeFailed(err)
			return
		}
		x.partial.append(c.l.buf[:n])
		n, out, stands, err := x.shake.Next(x.partial.bytes(), c.l.buf[:0])
		if err == nil && len(out) > 0 {
			err = c.toUpstream.send(&c.upstream, out)
		}
		if err != nil {
			o.handshakeFailed(err)
			return
		}
		x.partial.skip(n)
		if stands {
			c.transfer.reachTarget()
			return
		}
		if len(x.partial.bytes()) > maxHandshake {
			o.handshakeFailed(socks.ErrMalformed)
			return
		}
	}
}

// maxHandshake is how many bytes a SOCKS server's message may have: a reply with a name.
const maxHandshake = 512

// handshakeFailed answers when the SOCKS server makes no tunnel.
func (o *outbound) handshakeFailed(err error) {
	c := o.c
	c.countFailed()
	r := refusal.Refusal{Subject: c.provider(), Cause: err}
	var said *socks.Refusal
	switch {
	case errors.As(err, &said):
		r.Code = refusal.OfHandshake(said)
	case errors.Is(err, socks.ErrCredentials) && c.port.slot.Plan().Sets(c.server):
		c.transfer.authRefused(refusal.HandshakeLogin, "")
		return
	case errors.Is(err, socks.ErrCredentials):
		r.Code, r.Cause = refusal.HandshakeCredentials, nil
	case errors.Is(err, socks.ErrMalformed):
		r.Code = refusal.HandshakeMalformed
	case c.stage == stageDial: // it was not even begun
		r.Code = refusal.HandshakeUnfit
	default:
		r.Code, r.Cause = refusal.HandshakeClosed, nil
	}
	c.refuseWith(r)
}

// provider is the upstream proxy that is dialled, or has been.
func (c *conn) provider() refusal.Subject {
	return refusal.Subject{Side: refusal.Provider, Name: c.port.mapping.servers[c.server].name()}
}

// reachTarget goes on when upstream leads to the target itself: a CONNECT is granted, other requests are sent there.
func (t *transfer) reachTarget() {
	c := t.c
	x := c.x
	c.countConnected()
	c.target = endpoint{string(c.x.targetHost()), c.x.targetPort()}
	if x.method != httpparse.MethodConnect {
		if !x.partial.empty() {
			c.refuseWith(refusal.Refusal{Code: refusal.SpokeFirst, Subject: refusal.Subject{Side: refusal.Target}})
			return
		}
		t.sendRequest()
		return
	}
	rest := x.partial
	x.partial = buffer{}
	t.startTunnel(connectGranted, rest.bytes())
	rest.release()
}

// connectGranted is the head with which the relay itself grants a CONNECT. Some clients look for these words.
var connectGranted = []byte("HTTP/1.1 200 Connection established\r\n\r\n")
