package relay

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"proxymap/relay/internal/poll"
)

// impossible is a stage that does not exist: whatever comes to a connection in it panics.
const impossible = numStages

// breakConn puts the connection that meets cond into the impossible stage, and has it run into a deadline if overdue says
// so.
func (g *rig) breakConn(t *testing.T, overdue bool, cond func(c *conn) bool) {
	t.Helper()
	found := onLoops(g.relay, func(l *loop) (n int) {
		for _, c := range l.conns {
			if c != nil && c.stage != stageClosed && cond(c) {
				c.stage = impossible
				if overdue {
					c.deadline = l.now
					l.timers.set(c)
				}
				n++
			}
		}
		return n
	})
	if found != 1 {
		t.Fatalf("%d connections were broken; want one", found)
	}
}

func isTunnel(c *conn) bool { return c.stage == stageTunnel }

func quietly(cfg *Config) { cfg.loud = false }

// A panic in an event or a deadline of a connection resets that one and leaves the others, and nothing that it had is used
// again. The log has the stack, and it is counted.
func TestPanicEndsOneConnection(t *testing.T) {
	for _, deadline := range []bool{false, true} {
		name := "event"
		if deadline {
			name = "deadline"
		}
		t.Run(name, func(t *testing.T) {
			var lines logLines
			g := newRig(t, quietly, lines.in, func(cfg *Config) { cfg.Loops = 1 })
			idle, idleUpstream := g.served()
			before := openDescriptors(t)
			victim, upstream := g.tunnel()
			g.breakConn(t, deadline, isTunnel)
			if !deadline {
				victim.send("x")
			}
			victim.expectReset()
			upstream.expectReset()
			idle.send(get)
			idleUpstream.head()
			idleUpstream.send(ok)
			idle.expect(ok)
			g.served()
			victim.close()
			upstream.close()
			served := 4 // descriptors of the connection that came after it, on all sides
			await(t, "its descriptors are closed", func() bool { return openDescriptors(t) == before+served })
			if n := g.relay.Stats().Panics; n != 1 {
				t.Errorf("%d panics are counted; want 1", n)
			}
			if lines.count("a panic has ended a connection") != 1 || lines.count("contain.go") == 0 {
				t.Error("the log does not tell of it with a stack")
			}
		})
	}
}

// What a broken connection holds does not come back: neither its pipe, with bytes of its client in it, nor its buffers,
// nor what the loop has read.
func TestPanicLeavesNothingBehind(t *testing.T) {
	g := newRig(t, quietly, func(cfg *Config) { cfg.Loops = 1 })
	_, upstream := g.tunnel()
	go func() { // more than anybody takes, so that a pipe holds bytes
		b := strings.Repeat("x", 1<<20)
		for {
			if _, err := upstream.conn.Write([]byte(b)); err != nil {
				return
			}
		}
	}()
	held := func() int {
		return onLoops(g.relay, func(l *loop) (n int) {
			for _, c := range l.conns {
				if c != nil && c.stage == stageTunnel && !c.client.writable {
					n += c.toClient.kept()
				}
			}
			return n
		})
	}
	await(t, "the tunnel holds bytes", func() bool { return held() > 0 })
	onLoops(g.relay, func(l *loop) int {
		copy(l.plain[:], "192.0.2.1")
		if p := l.takePipe(); p != nil { // BSD has none
			p.give() // as a deferred settle may do on the way
		}
		return 0
	})
	g.breakConn(t, true, isTunnel)
	await(t, "it has gone", func() bool { return g.relay.Connections() == 0 })
	left := onLoops(g.relay, func(l *loop) int {
		n := len(l.pipes.idle) + len(l.pipes.blocked) + len(l.spare) + int(g.relay.pipes.open.Load())
		for _, c := range l.conns {
			if c != nil {
				n++
			}
		}
		for _, b := range l.buf {
			n += int(b)
		}
		for _, b := range l.plain {
			n += int(b)
		}
		return n
	})
	if left != 0 {
		t.Errorf("something of the connection is left (%d)", left)
	}
	g.served()
}

// What is counted for each connection is counted down: places to be admitted to, exchanges, and the port's connections. A
// broken one of each kind, again and again, leaves room for the next.
func TestPanicLeavesItsPlace(t *testing.T) {
	for name, broken := range map[string]func(g *rig) func(*conn) bool{
		"exchange": func(g *rig) func(*conn) bool { g.asked(get); return func(c *conn) bool { return c.x != nil } },
		"tunnel":   func(g *rig) func(*conn) bool { g.tunnel(); return isTunnel },
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t, quietly, func(cfg *Config) { cfg.Loops, cfg.Limits.Connections = 1, 1 })
			for range 3 {
				g.breakConn(t, true, broken(g))
				await(t, "it has gone", func() bool { return g.relay.Connections() == 0 })
				g.relay.panickedAt.Store(0) // else the second one ends the process
			}
			if n := onLoops(g.relay, func(l *loop) int { return l.exchanges }); n != 0 {
				t.Errorf("%d exchanges are counted; want none", n)
			}
			if n := g.relay.admission.served.Load(); n != 0 {
				t.Errorf("%d places are taken; want none", n)
			}
			if n := g.relay.ports()[0].open.Load(); n != 0 {
				t.Errorf("%d connections are counted at the port; want none", n)
			}
		})
	}
}

// dies runs a test of this package in a process of its own, which must end in a panic.
func dies(t *testing.T, test string) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^"+test+"$", "-test.timeout=1m")
	cmd.Env = append(os.Environ(), "RELAY_DIES=1")
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "[recovered, repanicked]") {
		t.Errorf("got %v:\n%s\nwant a process that ends in a panic", err, out)
	}
}

// A second panic within a minute ends the process.
func TestSecondPanicEndsTheProcess(t *testing.T) {
	if os.Getenv("RELAY_DIES") == "" {
		dies(t, t.Name())
		return
	}
	g := newRig(t, quietly)
	for range 2 {
		c, _ := g.tunnel()
		g.breakConn(t, true, isTunnel)
		c.expectReset()
	}
}

// So does one in tests, whichever it is, and one of a connection that has given back what it had: nobody can say what of
// that is another's by now.
func TestPanicIsLoud(t *testing.T) {
	if os.Getenv("RELAY_DIES") == "" {
		dies(t, t.Name())
		return
	}
	g := newRig(t)
	c, _ := g.tunnel()
	g.breakConn(t, true, isTunnel)
	c.expectReset()
}

func TestPanicOfClosedConnectionEndsTheProcess(t *testing.T) {
	if os.Getenv("RELAY_DIES") == "" {
		dies(t, t.Name())
		return
	}
	g := newRig(t, quietly, func(cfg *Config) { cfg.Loops = 1 })
	g.tunnel()
	l := g.relay.loops[0]
	ref := make(chan ref, 1)
	l.do(func() {
		for _, c := range l.conns {
			ref <- c.ref()
		}
	})
	l.doFor(<-ref, func(c *conn) {
		c.close()
		panic("relay: a stage that closes and goes on")
	})
	await(t, "the end of the process", func() bool { return false })
}

// BenchmarkEvent is what an event costs beside what it is about: here the connection has nothing to do. "bare" is without
// what contains a panic.
func BenchmarkEvent(b *testing.B) {
	g := newRig(b)
	c := g.client(0)
	c.send("GET http://exam") // a part of a head, so that there is something to wait for
	l := g.relay.loops[0]
	await(b, "the client is in its head", func() bool {
		return onLoops(g.relay, func(l *loop) int {
			if len(l.conns) == 1 && l.conns[0].stage == stageHead {
				return 1
			}
			return 0
		}) == 1
	})
	for _, bare := range []bool{false, true} {
		name := "contained"
		if bare {
			name = "bare"
		}
		b.Run(name, func(b *testing.B) {
			done := make(chan struct{})
			l.do(func() {
				defer close(done)
				c := l.conns[0]
				token := poll.NewToken(c.client.gen, c.index<<1)
				for b.Loop() {
					if bare {
						c.onEvent(&c.client, 0)
					} else {
						l.Event(token, 0)
					}
				}
			})
			<-done
		})
	}
}
