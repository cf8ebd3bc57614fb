package relay

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"proxymap/session"
)

// Ports are found by their address, and by their number on all of their addresses, in the order of the mappings.
func TestPortTableFinds(t *testing.T) {
	var ports []*port
	for _, addr := range []string{"127.0.0.2:20", "127.0.0.2:21", "127.0.0.1:20", "[::1]:19", "127.0.0.1:22"} {
		ports = append(ports, &port{addr: netip.MustParseAddrPort(addr)})
	}
	has := newPortTable(nil, ports, nil)
	for _, p := range ports {
		if got := has.find(p.addr); got != p {
			t.Errorf("%s: got %v", p.addr, got)
		}
	}
	if p := has.find(netip.MustParseAddrPort("127.0.0.1:21")); p != nil {
		t.Errorf("found %s", p.addr)
	}
	for number, want := range map[uint16][]*port{18: {}, 19: {ports[3]}, 20: {ports[0], ports[2]}, 21: {ports[1]}, 22: {ports[4]}, 23: {}} {
		if got := has.at(number); !slices.Equal(got, want) {
			t.Errorf("number %d: got %v; want %v", number, got, want)
		}
	}
}

// takeOut has the relay's n-th port be one of those that have been taken out.
func (r *Relay) takeOut(n int) *port {
	was := r.table.Load()
	p := was.ports[n]
	now := newPortTable(was.mappings, slices.Delete(slices.Clone(was.ports), n, n+1), slices.Delete(slices.Clone(was.of), n, n+1))
	now.leaving, now.gone = append(slices.Clone(was.leaving), p), was.gone
	r.table.Store(now)
	return p
}

// What asks for ports by address leaves out, or refuses, one that is no more; the others are as they were.
func TestPortHasGone(t *testing.T) {
	g := newRig(t, func(cfg *Config) { cfg.Mappings = append(cfg.Mappings, cfg.Mappings[0], cfg.Mappings[0]) })
	all := g.relay.Ports()
	renew := Rotation{Renew: true}
	if err := g.relay.Rotate(t.Context(), all, &renew); err != nil {
		t.Fatal(err)
	}
	p := g.relay.takeOut(1)
	before := g.relay.Sessions(nil)
	if err := g.relay.Rotate(context.Background(), all, &renew); !errors.Is(err, ErrNoPort) {
		t.Errorf("a rotation of a port that has gone: %v; want ErrNoPort", err)
	}
	left := []netip.AddrPort{all[0], all[2]}
	if got := g.relay.Ports(); !slices.Equal(got, left) {
		t.Errorf("there are the ports %v; want %v", got, left)
	}
	if got := g.relay.AppendPorts(nil, p.addr.Port()); len(got) > 0 {
		t.Errorf("the port that has gone is listed as %v", got)
	}
	if got := g.relay.Sessions(all); !slices.Equal(got, before) || len(got) != len(left) {
		t.Errorf("the sessions are %+v; want those of the ports that are left, unchanged: %+v", got, before)
	}
}

// The sessions of a port that has come while the relay runs expire.
func TestExpiryOfNewPort(t *testing.T) {
	var ev eventLog
	g := newRig(t, ev.in, func(cfg *Config) { cfg.Mappings[0].Plan = newPlan(t, session.PlanConfig{Lifetime: time.Millisecond}) })
	g.relay.ports()[0].slot.Current(time.Now().UnixNano(), nil)
	await(t, "the watch is there", func() bool { return ev.last().Reason == session.ReasonExpired })
	was := g.relay.table.Load()
	m := &mapping{Mapping: was.mappings[0].Mapping}
	p := newPort(m, netip.MustParseAddrPort("127.0.0.1:1"))
	ended := make(chan string, 10)
	p.slot.Changed = func(_ session.Change, reason string) { ended <- reason }
	p.slot.Current(time.Now().UnixNano(), nil)
	if reason := <-ended; reason != session.ReasonTraffic {
		t.Fatalf("got %s", reason)
	}
	g.relay.table.Store(newPortTable(append(slices.Clone(was.mappings), m), append(slices.Clone(was.ports), p), []int{0, 1}))
	select {
	case reason := <-ended:
		if reason != session.ReasonExpired {
			t.Errorf("the session has ended for %s", reason)
		}
	case <-time.After(patience):
		t.Error("the session does not expire")
	}
}

// What a port has counted stays in the totals when it is taken out: while it has connections, which count on, when it has none
// any more, and when there is another at its address, where it is counted on. A reset is of all of that.
func TestTotalsNeverFall(t *testing.T) {
	g := newRig(t, func(cfg *Config) { cfg.Mappings = append(cfg.Mappings, cfg.Mappings[0]) })
	g.echo()
	ask := func(c *peer) {
		t.Helper()
		c.send(get)
		c.expect(ok)
	}
	read := int64(len(ok))
	totals := func(when string, open, requests int64) (s Stats) {
		t.Helper()
		await(t, when, func() bool {
			s = g.relay.Stats()
			return s.Open == open && s.Requests == requests && s.ProxyRead == requests*read
		})
		return s
	}
	ports := func(when string, s Stats, want ...int64) {
		t.Helper()
		for i, n := range want {
			if len(s.Ports) != len(want) || s.Ports[i].Requests != n || s.Mappings[s.Ports[i].Mapping].Requests != n {
				t.Errorf("%s: the ports have %+v, the mappings %+v; want %d requests", when, s.Ports, s.Mappings, want)
				return
			}
		}
	}
	stays, goes := g.client(0), g.client(1)
	ask(stays)
	ask(goes)
	bad := g.client(1)
	bad.send("GET\r\n\r\n")
	bad.expectAnswer(400, "bad-request", "")
	bad.close()
	p := g.relay.takeOut(1)
	s := totals("the port is taken out", 2, 2)
	ports("taken out", s, 1)
	ask(goes)
	ports("its connection asks on", totals("its connection asks on", 2, 3), 1)
	goes.close()
	totals("its connection ends", 1, 3)
	g.relay.bury(p)
	if s = totals("it is no more", 1, 3); s.Answers["bad-request"] != 1 {
		t.Errorf("its answers are no more: %v", s.Answers)
	}
	again := newPort(p.mapping(), p.addr)
	was := g.relay.table.Load()
	now := newPortTable(was.mappings, append(slices.Clone(was.ports), again), []int{0, 1})
	now.gone = was.gone
	g.relay.table.Store(now)
	ports("there again", totals("there is one at its address again", 1, 3), 1, 2)
	g.relay.ResetStats()
	ports("reset", totals("a reset", 1, 0), 0, 0)
	ask(stays)
	s = totals("after the reset", 1, 1)
	if ports("after the reset", s, 1, 0); s.Ports[1].Answers != nil || s.Answers != nil {
		t.Errorf("after the reset the answers are %v, in all %v", s.Ports[1].Answers, s.Answers)
	}
}

// bury has a port that was taken out be one that has no connections any more.
func (r *Relay) bury(p *port) {
	was := r.table.Load()
	now := *was
	now.leaving = slices.DeleteFunc(slices.Clone(was.leaving), func(o *port) bool { return o == p })
	now.gone = map[netip.AddrPort]Traffic{p.addr: was.past()[p.addr]}
	r.table.Store(&now)
}
