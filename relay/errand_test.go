package relay

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"proxymap/relay/hostrule"
	"proxymap/session"
)

// lookedAt is how many connections rotations have looked at.
func lookedAt(r *Relay) int {
	return onLoops(r, func(l *loop) int { return int(l.looked) })
}

// awaitErrands waits until all errands are done.
func awaitErrands(t *testing.T, r *Relay) {
	t.Helper()
	await(t, "no errand is under way", func() bool {
		r.errands.mu.Lock()
		defer r.errands.mu.Unlock()
		return !r.errands.underway
	})
}

// tunnelAt opens a tunnel through the relay's i-th port.
func (g *rig) tunnelAt(i int) (client, provider *peer) {
	g.t.Helper()
	client = g.client(i)
	client.send(connect)
	provider = g.upstream()
	provider.head()
	provider.send(granted)
	client.expect(granted)
	return client, provider
}

// A rotation looks at the connections of its session and at no other, whatever has set it off: not at those of other ports,
// and not at those of its own port that belong to no session.
func TestRotationLooksAtItsOwn(t *testing.T) {
	const others, perOther, fresh = 4, 25, 50
	g := newRig(t, withAPI("portmapper"), func(cfg *Config) {
		cfg.Loops, cfg.spread = 2, true
		cfg.Mappings[0].OnRotate = session.CloseAll
		for range others {
			cfg.Mappings = append(cfg.Mappings, cfg.Mappings[0])
		}
	})
	for i := range others * perOther {
		g.tunnelAt(1 + i%others)
	}
	for i := range fresh {
		if c := g.client(0); i%2 == 0 {
			c.call("GET http://portmapper/session/")
		}
	}
	now := time.Now().UnixNano()
	slot := g.relay.ports()[0].slot
	for _, row := range []struct {
		name string
		set  func() error // off
	}{
		{"a call through the port", func() error {
			if _, content := g.call(renewSession + "?on_rotate=close"); counts(content) != "9 0" {
				return fmt.Errorf("it counts %s", counts(content))
			}
			return nil
		}},
		{"a call from outside", func() error {
			ro := Rotation{Renew: true, OnRotate: session.CloseAll}
			err := g.relay.Rotate(context.Background(), g.relay.Ports()[:1], &ro)
			if err == nil && (ro.Closed != 9 || ro.Draining != 0) {
				err = fmt.Errorf("it counts %d, %d", ro.Closed, ro.Draining)
			}
			return err
		}},
		{"its time", func() error { slot.Expire(later()); slot.Reset(now); return nil }},
		{"its idle time", func() error { slot.Drop(slot.Last(), reasonIdle); return nil }},
		{"a signal", func() error { slot.Replace(slot.Last(), now, "status 403"); return nil }},
		{"its number of requests", func() error { slot.Replace(slot.Last(), now, reasonRequests); return nil }},
	} {
		t.Run(row.name, func(t *testing.T) {
			var tunnels []*peer
			for range 6 {
				c, _ := g.tunnelAt(0)
				tunnels = append(tunnels, c)
			}
			for range 3 {
				g.served()
			}
			before := lookedAt(g.relay)
			if err := row.set(); err != nil {
				t.Error(err)
			}
			for _, c := range tunnels {
				c.expectReset()
			}
			awaitErrands(t, g.relay)
			if n := lookedAt(g.relay) - before; n != 9 {
				t.Errorf("it has looked at %d connections; want the 9 of its session", n)
			}
		})
	}
}

// What is wanted while an errand is under way goes to each loop in one message, and each caller hears what its own
// rotation has reached.
func TestOneErrandForAllThatWaits(t *testing.T) {
	const ports = 30
	g := newRig(t, func(cfg *Config) {
		cfg.Loops = 2
		for range ports - 1 {
			cfg.Mappings = append(cfg.Mappings, cfg.Mappings[0])
		}
		cfg.Mappings[0].OnRotate = session.CloseAll
	})
	for i := range ports {
		g.tunnelAt(i)
	}
	g.tunnelAt(7)
	own, _ := g.tunnelAt(0)
	var held []halted
	for _, l := range g.relay.loops {
		held = append(held, halt(l))
	}
	results := make(chan error, ports)
	rotate := func(i, want int) {
		ro := Rotation{Renew: true, OnRotate: session.CloseAll}
		err := g.relay.Rotate(context.Background(), g.relay.Ports()[i:i+1], &ro)
		if err == nil && (ro.Closed != want || ro.Draining != 0) {
			err = fmt.Errorf("port %d counts %d, %d; want %d", i, ro.Closed, ro.Draining, want)
		}
		results <- err
	}
	go rotate(1, 1)
	await(t, "the first is under way", func() bool { return letters(g.relay.loops[0]) == 1 && letters(g.relay.loops[1]) == 1 })
	for i := 2; i < ports; i++ {
		want := 1
		if i == 7 {
			want = 2
		}
		go rotate(i, want)
	}
	slot := g.relay.ports()[0].slot
	for range 3 { // one after the other, of the relay's own
		slot.Replace(slot.Last(), time.Now().UnixNano(), reasonRequests)
	}
	await(t, "all others wait", func() bool {
		g.relay.errands.mu.Lock()
		defer g.relay.errands.mu.Unlock()
		return len(g.relay.errands.next.calls) == ports-2 && len(g.relay.errands.next.wants) == ports-1
	})
	for i, l := range g.relay.loops {
		if n := letters(l); n != 1 {
			t.Errorf("%d messages wait for loop %d; want one", n, i)
		}
	}
	for _, h := range held {
		h <- nil
	}
	for range ports - 1 {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	own.expectReset()
	await(t, "all are closed", func() bool { return g.relay.Connections() == 0 })
}

// Of what the relay wants of itself one for each port waits, unless a caller has come between: each counts what it reaches.
func TestEndingsThatWaitAreOne(t *testing.T) {
	var s errands
	a, b := &port{}, &port{}
	own := func(p *port, through uint64) { s.add([]want{{port: p, own: true, through: through}}, nil) }
	got := func() (through []uint64) {
		for _, w := range s.next.wants {
			through = append(through, w.through)
		}
		return through
	}
	own(a, 1)
	own(b, 4)
	own(a, 2)
	if want := []uint64{2, 4}; !slices.Equal(got(), want) {
		t.Fatalf("through %v; want %v", got(), want)
	}
	s.add([]want{{port: a, through: 3}}, func(int, int) {})
	own(a, 4)
	own(b, 5)
	own(a, 5)
	if want := []uint64{2, 5, 3, 5}; !slices.Equal(got(), want) {
		t.Fatalf("with a call in between: through %v; want %v", got(), want)
	}
	s.take()
	own(a, 6)
	if want := []uint64{6}; !slices.Equal(got(), want) {
		t.Fatalf("in the next errand: through %v; want %v", got(), want)
	}
}

// When a rotation is done the descriptors of what it has cut are closed: what their sockets had taken leaves no more.
func TestRotationEndsWhenAllIsClosed(t *testing.T) {
	const tunnels = 20
	g := newRig(t, func(cfg *Config) { cfg.Loops = 2 })
	for range tunnels {
		g.tunnelAt(0)
	}
	before := openDescriptors(t)
	after := make(chan int, 1)
	g.relay.rotate([]want{{port: g.relay.ports()[0], how: session.CloseAll, through: 1 << 62}}, func(closed, _ int) {
		if closed != tunnels {
			t.Errorf("%d are closed; want %d", closed, tunnels)
		}
		after <- openDescriptors(t)
	})
	if n := before - <-after; n != 2*tunnels {
		t.Errorf("%d descriptors are closed when it is done; want %d", n, 2*tunnels)
	}
}

// Two rotations of one port at the same moment count each connection once between them.
func TestRotationsOfOnePortAtOnce(t *testing.T) {
	const calls, tunnels = 6, 20
	g := newRig(t, func(cfg *Config) { cfg.Loops, cfg.spread = 2, true })
	for range tunnels {
		g.tunnelAt(0)
	}
	results := make(chan Rotation, calls)
	for i := range calls {
		go func() {
			ro := Rotation{Renew: true, OnRotate: session.CloseAll}
			if i%3 == 0 {
				ro.OnRotate = session.Drain
			}
			if err := g.relay.Rotate(context.Background(), g.relay.Ports()[:1], &ro); err != nil {
				t.Error(err)
			}
			results <- ro
		}()
	}
	closed := 0
	for range calls {
		ro := <-results
		closed += ro.Closed
		if ro.Draining > tunnels {
			t.Errorf("%d are draining, of %d", ro.Draining, tunnels)
		}
	}
	// With no time to drain in, those that drain may end by themselves before they are closed.
	if closed > tunnels {
		t.Errorf("%d are closed, of %d", closed, tunnels)
	}
	await(t, "all are closed", func() bool { return g.relay.Connections() == 0 })
}

// A rotation that meets a connection which panics ends that one, goes on with the others, and ends.
func TestPanicInRotation(t *testing.T) {
	g := newRig(t, quietly, func(cfg *Config) { cfg.Loops, cfg.Mappings[0].DrainTime = 1, time.Hour })
	victim, _ := g.tunnel()
	g.breakConn(t, false, isTunnel)
	first, firstEnd := g.tunnel()
	idle, _ := g.served()
	ro := Rotation{Renew: true, OnRotate: session.Drain}
	if err := g.relay.Rotate(context.Background(), g.relay.Ports()[:1], &ro); err != nil {
		t.Fatal(err)
	}
	if ro.Closed != 1 || ro.Draining != 1 {
		t.Errorf("%d are closed, %d draining; want one of each", ro.Closed, ro.Draining)
	}
	victim.expectReset()
	idle.expectEnd()
	first.send("x")
	firstEnd.expect("x")
	if n := g.relay.Stats().Panics; n != 1 {
		t.Errorf("%d panics are counted; want 1", n)
	}
}

// A request that goes to its target itself takes its connection out of the session, and a rotation reaches it no more.
func TestRotationLeavesDirectRequests(t *testing.T) {
	g := newRig(t, knows("direct.example"), withRules(t, hostrule.Rule{Host: "direct.example", Action: hostrule.Bypass, Server: -1}))
	c, _ := g.served()
	c.send(fmt.Sprintf("GET http://direct.example:%d/ HTTP/1.1\r\nHost: direct.example:%[1]d\r\n\r\n", g.port()))
	u := g.upstream()
	u.head()
	ro := Rotation{Renew: true, OnRotate: session.CloseAll}
	if err := g.relay.Rotate(context.Background(), g.relay.Ports()[:1], &ro); err != nil {
		t.Fatal(err)
	}
	if n := lookedAt(g.relay); n != 0 || ro.Closed != 0 {
		t.Errorf("%d connections are looked at, %d closed; want none", n, ro.Closed)
	}
	u.send(ok)
	c.expect(ok)
}
