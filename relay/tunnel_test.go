package relay

import (
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
	"time"
)

func TestHalfClose(t *testing.T) {
	for _, who := range []string{"client", "provider"} {
		t.Run(who, func(t *testing.T) {
			g := newRig(t)
			first, second := g.tunnel()
			if who == "provider" {
				first, second = second, first
			}
			first.send("last words")
			first.fin()
			second.expect("last words")
			second.expectEnd()
			second.send("much ", "later")
			first.expect("much later")
			second.fin()
			first.expectEnd()
			await(t, "the connection is closed", func() bool { return g.relay.Connections() == 0 })
		})
	}
}

// Both ends at once, many times over: an edge that is missed shows as a tunnel that stays.
func TestManyHalfCloses(t *testing.T) {
	g := newRig(t)
	for range 100 {
		c, u := g.tunnel()
		go func() { c.send("request"); c.fin() }()
		u.expect("request")
		u.expectEnd()
		u.send("response")
		u.fin()
		c.expect("response")
		c.expectEnd()
	}
	await(t, "all tunnels are closed", func() bool { return g.relay.Connections() == 0 })
}

// A reset is passed on as a reset.
func TestTunnelReset(t *testing.T) {
	g := newRig(t)
	c, u := g.tunnel()
	c.reset()
	u.expectReset()
	c, u = g.tunnel()
	u.reset()
	c.expectReset()
	await(t, "both are closed", func() bool { return g.relay.Connections() == 0 })
}

// While one end does not read, the other end cannot send for ever, and nothing is lost when reading goes on.
func TestBackPressure(t *testing.T) {
	t.Parallel()
	for _, who := range []string{"client", "provider"} {
		t.Run(who, func(t *testing.T) {
			g := newRig(t)
			source, sink := g.tunnel()
			if who == "provider" {
				source, sink = sink, source
			}
			chunk := make([]byte, 1<<20)
			sent := 0
			for sent < 1<<30 {
				_ = source.conn.SetWriteDeadline(time.Now().Add(500 * time.Millisecond))
				n, err := source.conn.Write(chunk)
				sent += n
				if err != nil {
					break
				}
			}
			if sent == 1<<30 {
				t.Fatal("1 GiB went nowhere: the relay reads what it cannot write")
			}
			source.fin()
			if n, err := io.Copy(io.Discard, sink.r); err != nil || n != int64(sent) {
				t.Fatalf("got %d bytes (%v); want the %d that were sent", n, err, sent)
			}
		})
	}
}

// 64 MiB each way at once, in odd pieces, inside a tunnel and as framed content.
func TestBigBodies(t *testing.T) {
	const size = 64 << 20
	t.Run("tunnel", func(t *testing.T) {
		g := newRig(t)
		c, u := g.tunnel()
		exchangeBodies(t, c, u, size)
	})
	t.Run("content-length", func(t *testing.T) {
		g := newRig(t)
		c, u := g.asked(fmt.Sprintf("POST http://example.com/ HTTP/1.1\r\nHost: example.com\r\nContent-Length: %d\r\n\r\n", size))
		head := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", size)
		u.send(head)
		c.expect(head)
		exchangeBodies(t, c, u, size)
	})
}

// exchangeBodies sends size bytes each way and compares checksums.
func exchangeBodies(t *testing.T, a, b *peer, size int64) {
	t.Helper()
	type result struct {
		sum [32]byte
		err error
	}
	send := func(p *peer, seed uint64) chan result {
		done := make(chan result, 1)
		go func() {
			hash := sha256.New()
			rnd := rand.New(rand.NewPCG(seed, seed))
			var err error
			for left := size; left > 0 && err == nil; {
				piece := make([]byte, min(left, 1+rnd.Int64N(300000)))
				for i := 0; i < len(piece); i += 97 {
					piece[i] = byte(rnd.Uint32())
				}
				hash.Write(piece)
				_, err = p.conn.Write(piece)
				left -= int64(len(piece))
			}
			done <- result{[32]byte(hash.Sum(nil)), err}
		}()
		return done
	}
	receive := func(p *peer) chan result {
		done := make(chan result, 1)
		go func() {
			hash := sha256.New()
			_, err := io.CopyN(hash, p.r, size)
			done <- result{[32]byte(hash.Sum(nil)), err}
		}()
		return done
	}
	sentA, sentB, gotA, gotB := send(a, 1), send(b, 2), receive(a), receive(b)
	for _, pair := range [][2]chan result{{sentA, gotB}, {sentB, gotA}} {
		sent, got := <-pair[0], <-pair[1]
		if sent.err != nil || got.err != nil {
			t.Fatalf("send: %v; receive: %v", sent.err, got.err)
		}
		if sent.sum != got.sum {
			t.Fatal("what came is not what was sent")
		}
	}
}
