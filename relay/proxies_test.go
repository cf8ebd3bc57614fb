package relay

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"proxymap/session"
)

// serversNamed are servers with those names. The one called sourced has a source.
func serversNamed(names ...string) (list []Server) {
	for _, n := range names {
		s := Server{Host: n, Port: 8080}
		if n == "sourced" {
			s.Sources = []netip.Addr{netip.MustParseAddr("127.0.0.1")}
		}
		list = append(list, s)
	}
	return list
}

func mustProxies(t *testing.T, listed, ofRules []Server, old *proxies) *proxies {
	t.Helper()
	x, err := newProxies(listed, ofRules, old, false)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// A server that stays keeps its state, wherever it stands, and one that is not the same in all has none of it.
func TestProxiesKeepServers(t *testing.T) {
	old := mustProxies(t, serversNamed("a", "b", "b", "sourced"), serversNamed("r"), nil)
	other := func(name string, change func(*Server)) Server {
		s := serversNamed(name)[0]
		change(&s)
		return s
	}
	for _, row := range []struct {
		name            string
		listed, ofRules []Server
		want            []int // which of old's each is, -1: a new one
	}{
		{"the same", serversNamed("a", "b", "b", "sourced"), serversNamed("r"), []int{0, 1, 2, 3, 4}},
		{"in another order", serversNamed("sourced", "b", "a", "b"), serversNamed("r"), []int{3, 1, 0, 2, 4}},
		{"one goes", serversNamed("b", "b", "sourced"), nil, []int{1, 2, 3}},
		{"one comes", serversNamed("new", "a", "b"), nil, []int{-1, 0, 2}},
		{"one comes twice that was there once", serversNamed("a", "a"), nil, []int{0, -1}},
		{"a rule's is listed", serversNamed("r"), serversNamed("a"), []int{4, 0}},
		{"another type", []Server{other("a", func(s *Server) { s.Type = SOCKS5 })}, nil, []int{-1}},
		{"another port", []Server{other("a", func(s *Server) { s.Port++ })}, nil, []int{-1}},
		{"addresses are told", []Server{other("a", func(s *Server) { s.ResolveIP = true })}, nil, []int{-1}},
		{"other sources", []Server{other("sourced", func(s *Server) { s.Sources = nil })}, nil, []int{-1}},
	} {
		got := []int{}
		for _, s := range mustProxies(t, row.listed, row.ofRules, old).servers {
			got = append(got, slices.Index(old.servers, s))
		}
		if !slices.Equal(got, row.want) {
			t.Errorf("%s: the servers are those of old at %v; want %v", row.name, got, row.want)
		}
	}
}

// Servers are shuffled anew, and their turn begins anew, only if the list is another.
func TestProxiesKeepTurn(t *testing.T) {
	names := []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"}
	old := mustProxies(t, serversNamed(names...), nil, nil)
	for range 5 {
		old.nextServer()
	}
	same := mustProxies(t, serversNamed(names...), serversNamed("r"), old)
	if want := old.order[5]; same.nextServer() != want || !slices.Equal(same.order, old.order) || !slices.Equal(same.after, old.after) {
		t.Error("the same servers are given out in another order, or from the first on")
	}
	if old.chosen.Load() != 5 {
		t.Error("the turn of the old ones has gone on")
	}
	fewer := mustProxies(t, serversNamed(names[:11]...), nil, old)
	if slices.Equal(fewer.order, old.order[:11]) || len(fewer.after) != 11 {
		t.Errorf("other servers have the order %v", fewer.order)
	}
}

// A port stays with its server's address, in its old place if that has it, and goes to the next in turn if that is listed no
// more.
func TestPinAfter(t *testing.T) {
	old := mustProxies(t, serversNamed("a", "b", "b", "c"), serversNamed("r"), nil)
	next, err := newProxies(serversNamed("c", "d", "b", "b"), serversNamed("a"), old, true)
	if err != nil {
		t.Fatal(err)
	}
	m := &mapping{proxies: next, Mapping: Mapping{First: 10000}}
	places := next.placesOf(old)
	for was, want := range []int{0, 2, 2, 0, 1} { // a: the first in turn; b, c; the rule's: the second in turn
		if got, fixed := m.pinAfter(places, was, 10003); got != want || fixed {
			t.Errorf("who was pinned to %d is pinned to %d, fixed %t; want %d", was, got, fixed, want)
		}
	}
	m.PerPort = true
	if got, fixed := m.pinAfter(places, 1, 10005); got != 1 || !fixed {
		t.Errorf("a port with a server of its own has %d, fixed %t; want the second", got, fixed)
	}
	if got, _ := (&mapping{proxies: mustProxies(t, nil, nil, old)}).pinAfter([]int{-1, -1, -1, -1}, 1, 10000); got != 0 {
		t.Errorf("without servers the pin is %d", got)
	}
}

// What no connection upstream depends on leaves the proxies as they are, and everything else makes others.
func TestMappingSharesProxies(t *testing.T) {
	plan := newPlan(t, session.PlanConfig{Lifetime: 10 * time.Minute})
	cfg := Mapping{First: 1, Last: 2, Plan: plan, Servers: serversNamed("a")}
	make := func(cfg Mapping, ofRules []Server, old *mapping) *mapping {
		m, err := newMapping(cfg, ofRules, &setup{}, old, true)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	old := make(cfg, serversNamed("r"), nil)
	for _, row := range []struct {
		name   string
		change func(*Mapping, *[]Server)
		shares bool
	}{
		{"nothing", func(*Mapping, *[]Server) {}, true},
		{"more ports", func(m *Mapping, _ *[]Server) { m.Last = 3 }, true},
		{"a signal", func(m *Mapping, _ *[]Server) { m.RotateOn = []Signal{{Status: []int{403}, Count: 1}} }, true},
		{"what goes past the upstream", func(m *Mapping, _ *[]Server) { m.IgnoreRules = true }, true},
		{"the plan", func(m *Mapping, _ *[]Server) { m.Plan = newPlan(t, session.PlanConfig{Lifetime: 10 * time.Minute}) }, false},
		{"a server", func(m *Mapping, _ *[]Server) { m.Servers = serversNamed("b") }, false},
		{"one more server", func(m *Mapping, _ *[]Server) { m.Servers = serversNamed("a", "a") }, false},
		{"a rule's server", func(_ *Mapping, r *[]Server) { *r = nil }, false},
		{"a server for each port", func(m *Mapping, _ *[]Server) { m.PerPort = true }, false},
		{"local targets", func(m *Mapping, _ *[]Server) { m.AllowLocalTargets = true }, false},
	} {
		cfg, ofRules := cfg, serversNamed("r")
		row.change(&cfg, &ofRules)
		m := make(cfg, ofRules, old)
		if got := m.proxies == old.proxies; got != row.shares {
			t.Errorf("%s: shares the proxies: %t; want %t", row.name, got, row.shares)
		}
		if kept := m.servers[0] == old.servers[0]; kept != (row.name != "a server") {
			t.Errorf("%s: the first server is kept: %t", row.name, kept)
		}
	}
}

// What cannot be is refused before anything else: a source that is no address of this machine.
func TestProxiesOfForeignSource(t *testing.T) {
	s := serversNamed("a")
	s[0].Sources = []netip.Addr{netip.MustParseAddr("192.0.2.1")}
	old := mustProxies(t, serversNamed("a"), nil, nil)
	if _, err := newProxies(s, nil, old, false); err == nil {
		t.Error("it is taken")
	}
}
