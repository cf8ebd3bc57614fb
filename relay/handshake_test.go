package relay

import (
	"errors"
	"io"
	"testing"
	"time"

	"proxymap/relay/refusal"
	"proxymap/relay/socks"
)

// What clients are told of a handshake goes by what the server has said, and an end of the connection is all else.
func TestWhyNoTunnel(t *testing.T) {
	denied := &socks.Refusal{Version: socks.V5, Code: socks.NotAllowed}
	unfit := errors.New("no place for the password")
	for _, row := range []struct {
		err   error
		code  refusal.Code
		cause error
	}{
		{denied, refusal.SOCKSDenied, denied},
		{errUnfit{unfit}, refusal.HandshakeUnfit, unfit},
		{socks.ErrCredentials, refusal.HandshakeCredentials, nil},
		{socks.ErrMalformed, refusal.HandshakeMalformed, socks.ErrMalformed},
		{errHandshakeTime, refusal.HandshakeTimeout, nil},
		{io.EOF, refusal.HandshakeClosed, nil},
	} {
		if code, cause := whyNoTunnel(row.err); code != row.code || cause != row.cause {
			t.Errorf("%v: code %d, %v; want %d, %v", row.err, code, cause, row.code, row.cause)
		}
	}
}

// A SOCKS server that takes the connection and says nothing has Limits.Reply.
func TestSilentHandshake(t *testing.T) {
	t.Parallel()
	g := newRig(t, upstreamOf(SOCKS5), func(cfg *Config) { cfg.Limits.Reply = 100 * time.Millisecond })
	c := g.client(0)
	c.send(connect)
	c.expectAnswer(504, "upstream-timeout", "did not answer the SOCKS handshake in time")
}

// What comes with the SOCKS server's last message is the target's: it goes first into a tunnel, and a request that has not
// been sent yet cannot be what it answers.
func TestBytesAfterHandshake(t *testing.T) {
	t.Parallel()
	const reply, early = "\x00\x5a\x00\x00\x00\x00\x00\x00", "220 hello\r\n"
	asked := func(request string) *peer {
		g := newRig(t, upstreamOf(SOCKS4))
		c := g.client(0)
		c.send(request)
		u := g.upstream()
		u.take(8)
		u.until0() // the user-id
		u.until0() // the name
		u.send(reply + early)
		return c
	}
	asked(connect).expect(granted + early)
	asked(get).expectAnswer(502, "upstream-bad-response", "the target sent something before the request")
}
