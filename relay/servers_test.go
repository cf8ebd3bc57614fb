package relay

import (
	"fmt"
	"net"
	"slices"
	"sync/atomic"
	"testing"

	"proxymap/session"
)

// Servers are given out in turn, each once before any comes again, in an order that is drawn at the start.
func TestServersInTurn(t *testing.T) {
	servers := make([]Server, 8)
	var orders [][]int
	for range 4 {
		m := &proxies{listed: len(servers)}
		m.shuffle(len(servers), false)
		var first, second []int
		for range servers {
			first = append(first, m.nextServer())
		}
		for range servers {
			second = append(second, m.nextServer())
		}
		sorted := slices.Sorted(slices.Values(first))
		if !slices.Equal(first, second) || !slices.Equal(sorted, []int{0, 1, 2, 3, 4, 5, 6, 7}) {
			t.Fatalf("given out: %v, then %v", first, second)
		}
		for i, s := range first {
			if m.after[s] != first[(i+1)%len(first)] {
				t.Errorf("behind %d comes %d; the order is %v", s, m.after[s], first)
			}
		}
		orders = append(orders, first)
	}
	if slices.Equal(orders[0], orders[1]) && slices.Equal(orders[1], orders[2]) && slices.Equal(orders[2], orders[3]) {
		t.Errorf("four relays have the same order, %v", orders[0])
	}
}

// Without a lifetime each client connection goes to the next server; with one, all of a port's go to its own.
func TestServersOfSessions(t *testing.T) {
	for _, sticky := range []bool{false, true} {
		var servers []Server
		var accepts [3]atomic.Int32
		for i := range accepts {
			g := &rig{t: t}
			g.provider = listenLocal(t)
			servers = append(servers, serverAt(g.provider.Addr()))
			g.echo(&accepts[i])
		}
		g := newRig(t, func(cfg *Config) {
			cfg.Mappings[0].Servers = servers
			if !sticky {
				cfg.Mappings[0].Plan = newPlan(t, session.PlanConfig{})
			}
		})
		for range 6 {
			c := g.client(0)
			c.send(get)
			c.expect(ok)
		}
		got := [3]int32{accepts[0].Load(), accepts[1].Load(), accepts[2].Load()}
		if want := map[bool][3]int32{false: {2, 2, 2}, true: {6, 0, 0}}[sticky]; got != want {
			t.Errorf("sticky %t: the servers were asked %v times; want %v", sticky, got, want)
		}
	}
}

func listenLocal(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// A server that has taken no connection is passed over for a while, unless there is no other.
func TestQuarantine(t *testing.T) {
	dead := deadServer(t)
	g := newRig(t, func(cfg *Config) {
		cfg.Mappings[0].Servers = append([]Server{dead}, cfg.Mappings[0].Servers...)
	})
	g.served()
	p := g.relay.ports()[0]
	srv := p.mapping().servers[0]
	if srv.restUntil.Load() == 0 {
		t.Fatal("the dead server is not in quarantine")
	}
	back, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", dead.Port)) // it is back, but nobody knows
	if err != nil {
		t.Skipf("SKIPPED: somebody has taken port %d meanwhile: %v", dead.Port, err)
	}
	defer back.Close()
	p.slot.Pin(0)
	g.served() // by the other one
	if got := p.slot.Server(); got != 1 {
		t.Errorf("the port is pinned to server %d; want the one that answers, 1", got)
	}
	srv.restUntil.Store(1) // its time is over
	p.slot.Pin(0)
	c := g.client(0)
	c.send(get)
	u := accepted(t, back)
	u.head()
	u.send(ok)
	c.expect(ok)
	if srv.restUntil.Load() != 0 {
		t.Error("it is in quarantine although it has taken a connection")
	}
}

// When all are in quarantine they are tried nevertheless, each once.
func TestQuarantineOfAll(t *testing.T) {
	a, b := deadServer(t), deadServer(t)
	g := newRig(t, func(cfg *Config) { cfg.Mappings[0].Servers = []Server{a, b} })
	for range 2 {
		c := g.client(0)
		c.send(get)
		c.expectAnswer(502, "upstream-refused", "refused")
		c.expectEnd()
	}
	back, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", b.Port))
	if err != nil {
		t.Skipf("SKIPPED: somebody has taken port %d meanwhile: %v", b.Port, err)
	}
	defer back.Close()
	c := g.client(0)
	c.send(get)
	u := accepted(t, back)
	u.head()
	u.send(ok)
	c.expect(ok)
}
