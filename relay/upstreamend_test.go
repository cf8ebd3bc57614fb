package relay

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// whileHeld runs f while all loops are busy with something else, so that what f does comes to them as one event.
func whileHeld(r *Relay, f func()) {
	release, held := make(chan struct{}), make(chan struct{})
	for _, l := range r.loops {
		l.do(func() {
			held <- struct{}{}
			<-release
		})
		<-held
	}
	f()
	close(release)
}

// expectEndSoon is expectEnd long before an idle connection's time is over.
func (p *peer) expectEndSoon() {
	p.t.Helper()
	_ = p.conn.SetDeadline(time.Now().Add(patience))
	p.expectEnd()
}

// An upstream that sends its response and its FIN together, without Connection: close, is closed at once: no event will
// tell of that FIN again. Left open its socket is in CLOSE_WAIT until the next request, or the end of Limits.Idle.
func TestUpstreamEndsWithItsResponse(t *testing.T) {
	for name, response := range map[string]string{
		"a small one":      ok,
		"a buffer's worth": sized(readSize), // the read of which does not show that there is an end behind it
		"without content":  "HTTP/1.1 304 Not Modified\r\n\r\n",
		"no bytes":         "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
		"chunked":          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
		"after an interim": "HTTP/1.1 103 Early Hints\r\n\r\n" + ok,
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t)
			c, u := g.asked(get)
			whileHeld(g.relay, func() {
				u.send(response)
				u.fin()
			})
			u.expectEndSoon()
			c.expect(response)
			c.send(get)
			g.upstream().head()
		})
	}
}

// The same of a response that is spliced, and of one that its client takes late.
func TestUpstreamEndsWithBulk(t *testing.T) {
	for name, size := range map[string]int{"spliced": 64 * readSize, "a few buffers": 3 * readSize} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t)
			c, u := g.asked(get)
			response := sized(size)
			go func() {
				u.send(response)
				u.fin()
			}()
			c.expect(response)
			u.expectEndSoon()
		})
	}
}

// sized is a response of so many bytes.
func sized(n int) string {
	content := n - len("HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\n") - len(fmt.Sprint(n))
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %0*d\r\n\r\n%s", len(fmt.Sprint(n)), content, strings.Repeat("x", content))
}

// An upstream that ends as soon as it has been connected to says so in the one event that tells of the connection. The
// request is answered then, and not when Limits.Reply is over.
func TestUpstreamEndsAsItConnects(t *testing.T) {
	for name, request := range map[string]string{"plain": get, "CONNECT": connect, "with content": "POST http://example.com/ HTTP/1.1\r\nHost: example.com\r\nContent-Length: 9\r\n\r\nabc"} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t, func(cfg *Config) { cfg.Loops = 1 })
			c, ended := g.heldAtDial(request)
			u := g.upstream()
			u.fin()
			close(ended)
			_ = c.conn.SetDeadline(time.Now().Add(patience))
			c.expectAnswer(502, "upstream-closed", "without a response")
		})
	}
}

// heldAtDial has a client send a request, and holds the loop, the rig's only one, when it has begun to connect for it and
// has not seen yet what comes of that, until ended is closed. Which comes first at a turn, the connection's events or the
// look at where it stands, is chance: where the moment is missed, the next client tries.
func (g *rig) heldAtDial(request string) (c *peer, ended chan struct{}) {
	g.t.Helper()
	l := g.relay.loops[0]
	for until := time.Now().Add(patience); time.Now().Before(until); {
		c := g.client(0)
		await(g.t, "it is accepted", func() bool { return g.relay.Connections() == 1 })
		held, ended := make(chan bool, 1), make(chan struct{})
		var look func()
		look = func() {
			for _, c := range l.conns {
				if c == nil || c.stage < stageDial || c.upstream.fd < 0 {
					continue
				}
				if held <- c.stage == stageDial; c.stage == stageDial {
					<-ended
				}
				return
			}
			go l.do(look) // what a loop of the portable poller posts itself keeps events away
		}
		l.do(look)
		c.send(request)
		if <-held {
			return c, ended
		}
		g.upstream().close()
		c.close()
		await(g.t, "it has gone", func() bool { return g.relay.Connections() == 0 })
	}
	g.t.Fatal("the loop was never seen connecting")
	return nil, nil
}
