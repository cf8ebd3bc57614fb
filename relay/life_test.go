package relay

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"proxymap/session"
)

// openDescriptors counts this process's descriptors.
func openDescriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/dev/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// A relay that is listened for and never served can be closed: its ports are free again, and no descriptor is left.
func TestCloseWithoutServe(t *testing.T) {
	cfg := Config{Loops: 2, Mappings: []Mapping{{
		Address: netip.MustParseAddr("127.0.0.1"), Plan: newPlan(t, session.PlanConfig{}),
		Servers: []Server{{Host: "127.0.0.1", Port: 1}},
	}}}
	before := openDescriptors(t)
	r, err := Listen(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time there is nothing to do, and no descriptor of somebody else's to be closed
		if err := r.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if n := openDescriptors(t); n != before {
			t.Errorf("%d descriptors are open after Close; want %d as before Listen", n, before)
		}
	}
	l, err := net.Listen("tcp", r.Ports()[0].String())
	if err != nil {
		t.Fatalf("the port is not free after Close: %v", err)
	}
	l.Close()
	if err := r.Serve(); err == nil {
		t.Error("a relay that has been closed is served")
	}
}

// Close does nothing to a relay that is served, or has been.
func TestCloseAfterServe(t *testing.T) {
	g := newRig(t)
	await(t, "the relay is served", g.relay.begun.Load)
	if err := g.relay.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	g.served()
	if err := g.relay.Serve(); err == nil {
		t.Error("a relay is served twice")
	}
}

// A client that resets in whatever stage leaves nothing behind, and the provider is told by a reset.
func TestResetInEveryStage(t *testing.T) {
	silent := silentServer(t)
	for _, row := range []struct {
		name string
		do   func(g *rig) (client, provider *peer)
	}{
		{"before a byte", func(g *rig) (*peer, *peer) { return g.client(0), nil }},
		{"in the head", func(g *rig) (*peer, *peer) {
			c := g.client(0)
			c.send("GET http://exam")
			return c, nil
		}},
		{"in the content of an API call", func(g *rig) (*peer, *peer) {
			c := g.client(0)
			c.send("POST http://portmapper/session/new HTTP/1.1\r\nHost: portmapper\r\nContent-Length: 5\r\n\r\n{")
			return c, nil
		}},
		{"while dialling", func(g *rig) (*peer, *peer) {
			c := g.client(1)
			c.send(get)
			return c, nil
		}},
		{"before the reply to CONNECT", func(g *rig) (*peer, *peer) {
			c, u := g.asked(connect)
			return c, u
		}},
		{"before the response", func(g *rig) (*peer, *peer) {
			c, u := g.asked(get)
			return c, u
		}},
		{"in the request's content", func(g *rig) (*peer, *peer) {
			c, u := g.asked(post4 + "bo")
			return c, u
		}},
		{"in the response's head", func(g *rig) (*peer, *peer) {
			c, u := g.asked(get)
			u.send("HTTP/1.1 200 ")
			return c, u
		}},
		{"in the response's content", func(g *rig) (*peer, *peer) {
			c, u := g.asked(get)
			u.send(reply4 + "ab")
			c.expect(reply4 + "ab")
			return c, u
		}},
		{"between requests", func(g *rig) (*peer, *peer) {
			c, u := g.served()
			return c, u
		}},
		{"in a tunnel", func(g *rig) (*peer, *peer) { return g.tunnel() }},
		{"in a half-closed tunnel", func(g *rig) (*peer, *peer) {
			c, u := g.tunnel()
			u.fin()
			c.expectEnd()
			return c, u
		}},
		{"while lingering", func(g *rig) (*peer, *peer) {
			c := g.client(0)
			c.send("x\r\n")
			c.expectAnswer(400, "bad-request", "")
			return c, nil
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			g := newRig(t, withAPI("portmapper"), func(cfg *Config) {
				hanging := cfg.Mappings[0]
				hanging.Servers = []Server{silent}
				cfg.Mappings = append(cfg.Mappings, hanging)
				cfg.Mappings[0].API = session.API{Enabled: true, Domain: "portmapper"}
			})
			before := openDescriptors(t)
			client, provider := row.do(g)
			client.reset()
			if provider != nil {
				provider.expectReset()
				provider.close()
			}
			await(t, "the relay has closed all", func() bool { return g.relay.Connections() == 0 && openDescriptors(t) == before })
		})
	}
}

// Shutdown lets what runs end, and cuts off what does not.
func TestShutdown(t *testing.T) {
	g := newRig(t)
	idle := g.client(0)
	idle.send(get)
	u := g.upstream()
	u.head()
	u.send(ok)
	idle.expect(ok)

	running := g.client(0)
	running.send(get)
	late := g.upstream()
	late.head()
	c, tu := g.tunnel()

	g.relay.Shutdown(time.Minute)
	idle.expectEnd() // at once
	u.expectEnd()
	await(t, "no more connections are accepted", func() bool {
		conn, err := net.Dial("tcp", g.relay.Ports()[0].String())
		if err == nil {
			conn.Close()
		}
		return err != nil
	})
	late.send(ok) // in its grace
	running.expect(ok)
	running.expectEnd()
	c.send("still")
	tu.expect("still")

	g.relay.Shutdown(0)
	c.expectClosed()
	tu.expectClosed()
	await(t, "all is closed", func() bool { return g.relay.Connections() == 0 })
}

// Many connections over many ports reach all loops, and each keeps what it has begun.
func TestManyConnections(t *testing.T) {
	const ports, each = 20, 20
	g := newRig(t, func(cfg *Config) {
		cfg.Loops = 3
		for range ports - 1 {
			cfg.Mappings = append(cfg.Mappings, cfg.Mappings[0])
		}
	})
	g.echo()
	done := make(chan error)
	for i := range ports * each {
		go func() {
			conn, err := net.Dial("tcp", g.relay.Ports()[i%ports].String())
			if err != nil {
				done <- err
				return
			}
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(patience))
			got := make([]byte, len(ok))
			for range 5 {
				if _, err := io.WriteString(conn, get); err != nil {
					done <- err
					return
				}
				if _, err := io.ReadFull(conn, got); err != nil || string(got) != ok {
					done <- fmt.Errorf("got %q, %v", got, err)
					return
				}
			}
			done <- nil
		}()
	}
	for range ports * each {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// IPv6 on both sides.
func TestIPv6(t *testing.T) {
	provider, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skipf("SKIPPED: this machine has no IPv6 loopback: %v", err)
	}
	defer provider.Close()
	g := newRig(t, func(cfg *Config) {
		cfg.Mappings[0].Address = netip.MustParseAddr("::1")
		cfg.Mappings[0].Servers = []Server{serverAt(provider.Addr())}
	})
	c := g.client(0)
	c.send(get)
	u := accepted(t, provider)
	u.head()
	u.send(ok)
	c.expect(ok)
}

// Connections come up in the order of their deadlines, however often these have moved.
func TestTimers(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var timers timers
	conns := make([]*conn, 200)
	for i := range conns {
		conns[i] = &conn{timer: -1}
	}
	for range 2000 {
		c := conns[rnd.IntN(len(conns))]
		if rnd.IntN(4) == 0 {
			timers.remove(c)
			continue
		}
		c.deadline = 1 + rnd.Int64N(1000)
		timers.set(c)
	}
	want := 0
	for _, c := range conns {
		if c.timer >= 0 {
			want++
		}
	}
	var got []int64
	for now := int64(0); now <= 1000; now++ {
		for c := timers.due(now); c != nil; c = timers.due(now) {
			if c.deadline != now {
				t.Fatalf("a deadline of %d comes up at %d", c.deadline, now)
			}
			got = append(got, c.deadline)
			timers.remove(c)
		}
	}
	if len(got) != want || !slices.IsSorted(got) || timers.next() != 0 {
		t.Errorf("%d of %d came up; sorted %v", len(got), want, slices.IsSorted(got))
	}
}

// What is closed in the turn in which the memory of a burst goes back is closed all the same.
func TestTrimLosesNoDescriptors(t *testing.T) {
	l := newRig(t).relay.loops[0]
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	l.do(func() {
		l.closeLater(fd)
		l.peak, l.trimAt = burstSize, l.now
		l.load.Store(0)
	})
	await(t, "the descriptor is closed", func() bool {
		_, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		return err == unix.EBADF
	})
}

// An idle relay has no goroutines but its loops, and a closed one none.
func TestGoroutines(t *testing.T) {
	before := runtime.NumGoroutine()
	t.Run("serve", func(t *testing.T) {
		g := newRig(t)
		g.tunnel()
	})
	await(t, "all goroutines have ended", func() bool { return runtime.NumGoroutine() <= before })
}
