package relay

import (
	"strings"
	"testing"
	"time"
)

const askSession = "GET http://portmapper/session/ HTTP/1.1\r\nHost: portmapper\r\n\r\n"

// What is admitted has all the descriptors that it will need, whatever the limit.
func TestBudget(t *testing.T) {
	for _, row := range []struct{ descriptors, ports, connections, reserve int }{
		{256, 1, 91, 9},
		{1024, 100, 359, 35},
		{20_000, 1, 9_421, 64},
		{20_000, 10_000, 4_421, 64},
		{1 << 20, 50_000, 482_638, 64},
	} {
		b, err := newBudget(row.descriptors, row.ports, 2, 0)
		if err != nil || b.Connections != row.connections || b.Reserve != row.reserve {
			t.Errorf("%d descriptors, %d ports: got %+v, %v; want %d connections, %d in reserve",
				row.descriptors, row.ports, b, err, row.connections, row.reserve)
		}
	}
	for descriptors := 64; descriptors < 30_000; descriptors += 61 {
		b, err := newBudget(descriptors, 10, 2, 0)
		if err == nil && b.Fixed+2*b.Connections+2*b.Reserve > descriptors {
			t.Fatalf("%d descriptors: %+v takes more", descriptors, b)
		}
	}
	if b, _ := newBudget(20_000, 1, 2, 100); b.Connections != 100 || b.Reserve != 10 {
		t.Errorf("at most 100 connections: got %+v", b)
	}
	if _, err := newBudget(1024, 1000, 2, 0); err == nil || !strings.Contains(err.Error(), "ulimit -n") {
		t.Errorf("1024 descriptors, 1000 ports: got %v; want to be told of ulimit", err)
	}
}

// Look-ups get more places with more descriptors, so that silent name servers do not use up all, and few where those are few.
func TestBudgetOfLookUps(t *testing.T) {
	for descriptors, want := range map[int]int{256: 4, 1024: 8, 4096: 32, 20_000: 128, 1 << 20: 128} {
		b, err := newBudget(descriptors, 1, 2, 0)
		if err != nil || b.lookups != want {
			t.Errorf("%d descriptors: %d look-ups at once, %v; want %d", descriptors, b.lookups, err, want)
		}
		if others := 1 + 2*2 + 2*b.pipes + descriptors/32 + sparedDescriptors; b.Fixed != others+2*want {
			t.Errorf("%d descriptors: %d are fixed; want two for each of %d look-ups beside %d", descriptors, b.Fixed, want, others)
		}
	}
}

// full is a rig that serves n connections, all of which are taken by tunnels.
func full(t *testing.T, n int, change ...func(*Config)) (g *rig, taken []*peer) {
	g = newRig(t, append(change, withAPI("portmapper"), func(cfg *Config) { cfg.Limits.Connections = n })...)
	for range n {
		c, _ := g.tunnel()
		taken = append(taken, c)
	}
	return g, taken
}

// expectTooMany reads the refusal of a request above the budget.
func (p *peer) expectTooMany() {
	p.t.Helper()
	head := p.head()
	for _, want := range []string{"HTTP/1.1 503 ", "\r\nX-Proxymap-Error: too-many-connections\r\n", "\r\nRetry-After: 1\r\n", "\r\nConnection: close\r\n"} {
		if !strings.Contains(head, want) {
			p.t.Fatalf("%s: got %q; want it to hold %q", p.name, head, want)
		}
	}
}

// Above the budget the Session API answers, one request for each connection, and all else is refused. What closes makes
// room.
func TestAboveBudget(t *testing.T) {
	g, taken := full(t, 4)
	for _, request := range []string{get, connect, post4 + "body", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"} {
		c := g.client(0)
		c.send(request)
		c.expectTooMany()
		c.close()
	}
	c := g.client(0)
	c.send(askSession + askSession)
	if head := c.head(); !strings.HasPrefix(head, "HTTP/1.1 200 ") || !strings.Contains(head, "\r\nConnection: close\r\n") {
		t.Fatalf("the Session API answers %q; want 200 and the end of the connection", head)
	}
	c.expectClosed()
	c = g.client(0)
	c.send("x\r\n")
	c.expectAnswer(400, "bad-request", "")
	c.close()

	taken[0].reset()
	await(t, "there is room", func() bool { return g.relay.admission.served.Load() == 3 })
	g.tunnel()
	c = g.client(0)
	c.send(get)
	c.expectTooMany()
}

// When the reserve is used up too, clients wait in the backlog, and none is lost, on whichever port.
func TestBacklogHolds(t *testing.T) {
	const ports = 40
	g, taken := full(t, 4, func(cfg *Config) {
		for range ports - 1 {
			cfg.Mappings = append(cfg.Mappings, cfg.Mappings[0])
		}
	})
	idle := g.client(0) // takes the one place of the reserve
	await(t, "the reserve is used up", func() bool { return g.relay.admission.reserved.Load() == 1 })
	var waiting []*peer
	for i := range ports {
		c := g.client(i)
		c.send("GET http://portmapper/session/ HTTP/1.1\r\nHost: portmapper\r\nConnection: close\r\n\r\n")
		waiting = append(waiting, c)
	}
	await(t, "all ports rest", func() bool {
		return onLoops(g.relay, func(l *loop) int { return len(l.paused) }) == ports
	})
	if n := g.relay.Connections(); n != 5 {
		t.Errorf("%d connections are open; want 4 and 1 of the reserve", n)
	}
	deadline := onLoops(g.relay, func(l *loop) (n int) {
		for _, c := range l.conns {
			if c != nil && c.stage == stageIdle && c.deadline-l.now > int64(reserveTime) {
				n++
			}
		}
		return n
	})
	if deadline > 0 {
		t.Error("a connection of the reserve may stay idle for longer than others can wait for its place")
	}
	idle.close()
	taken[0].reset() // which makes room for more than one at a time
	for i, c := range waiting {
		if head := c.head(); !strings.HasPrefix(head, "HTTP/1.1 200 ") {
			t.Fatalf("port %d: got %q; want 200", i, head)
		}
		c.close()
	}
	await(t, "no port rests", func() bool { return onLoops(g.relay, func(l *loop) int { return len(l.paused) }) == 0 })
}

// Refusing is paced: clients that come again at once do not take a processor.
func TestRefusingIsPaced(t *testing.T) {
	g, _ := full(t, 4)
	const refusals = 5 * reserveRate
	began := time.Now()
	for range refusals {
		c := g.client(0)
		c.send(get)
		c.expectTooMany()
		c.close()
	}
	// The first two times reserveRate may come at once: what was left, and what is given anew.
	if took := time.Since(began); took < (refusals/reserveRate-2)*acceptPause {
		t.Errorf("%d refusals took %v; want at most %d in %v", refusals, took, reserveRate, acceptPause)
	}
}

// Neither clients that do not leave when they have been refused, nor those that say nothing, keep others from being
// answered.
func TestReserveIsTakenOver(t *testing.T) {
	g, _ := full(t, 4) // with one place in the reserve
	var staying []*peer
	for range 20 {
		c := g.client(0)
		c.send(get)
		c.expectTooMany()
		staying = append(staying, c)
	}
	began := time.Now()
	c := g.client(0)
	c.send(askSession)
	if head := c.head(); !strings.HasPrefix(head, "HTTP/1.1 200 ") {
		t.Fatalf("got %q; want the session", head)
	}
	for range 3 {
		silent := g.client(0)
		await(t, "it has the place of the reserve", func() bool {
			return onLoops(g.relay, func(l *loop) (n int) {
				for _, c := range l.conns {
					if c != nil && c.stage == stageIdle && c.place == reserved {
						n++
					}
				}
				return n
			}) == 1
		})
		c := g.client(0)
		c.send(askSession)
		c.head()
		silent.expectClosed()
	}
	if took := time.Since(began); took > reserveTime {
		t.Errorf("it took %v, so silent clients had all their time", took)
	}
	for _, c := range staying {
		c.close()
	}
}

// onLoops adds up what f says of each loop.
func onLoops(r *Relay, f func(*loop) int) (sum int) {
	numbers := make(chan int, len(r.loops))
	for _, l := range r.loops {
		l.do(func() { numbers <- f(l) })
	}
	for range r.loops {
		sum += <-numbers
	}
	return sum
}

// The log tells once of what happens thousands of times.
func TestFullIsToldOnce(t *testing.T) {
	log := new(logLines)
	g, _ := full(t, 4, log.in)
	for range 3 {
		c := g.client(0)
		c.send(get)
		c.expectTooMany()
		c.close()
	}
	if n := log.count("no more connections are admitted"); n != 1 {
		t.Errorf("the log has told %d times; want once a minute\n%s", n, log.text.String())
	}
}
