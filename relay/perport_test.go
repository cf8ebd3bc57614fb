//go:build linux

package relay

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"proxymap/bench/provider"
	"proxymap/relay/hostrule"
	"proxymap/session"
	"proxymap/session/credential"
)

// A lineRig is a relay of which each port has a server of its own, out of three with an account each.
type lineRig struct {
	*rig
	providers [3]*provider.Provider
	addrs     [3]netip.AddrPort
}

const linePorts = 5

func newLineRig(t *testing.T, lifetime time.Duration, change ...func(*Config)) *lineRig {
	t.Helper()
	g := &lineRig{rig: &rig{t: t}}
	cfg := Config{loud: true, Mappings: []Mapping{{Address: ownAddr(), First: 10000, Last: 10000 + linePorts - 1, PerPort: true}}}
	m := &cfg.Mappings[0]
	plan := session.PlanConfig{Lifetime: lifetime, Account: &credential.Account{
		Username: "mapping", Password: "pass", Parameters: []credential.Parameter{{Name: "session", Value: "^[a-z]{8}", SessionID: true}},
	}}
	for i := range g.providers {
		g.addrs[i] = freeAddr(t)
		g.start(i)
		t.Cleanup(func() { g.providers[i].Close() })
		m.Servers = append(m.Servers, Server{Host: g.addrs[i].Addr().String(), Port: g.addrs[i].Port()})
		plan.Servers = append(plan.Servers, &credential.Account{Username: fmt.Sprint("line", i), Password: "pass"})
	}
	plan.Servers = append(plan.Servers, &credential.Account{Username: "line2", Password: "pass"}) // of a rule, if there is one
	var err error
	if m.Plan, err = session.NewPlan(plan); err != nil {
		t.Fatal(err)
	}
	withAPI("portmapper")(&cfg)
	for _, f := range change {
		f(&cfg)
	}
	g.relay = serve(t, cfg)
	return g
}

// start starts the i-th provider, again where it was if it has been closed.
func (g *lineRig) start(i int) {
	g.t.Helper()
	p, err := provider.Start(provider.Config{Address: g.addrs[i].String(), User: fmt.Sprint("line", i), Password: "pass"})
	if err != nil {
		g.t.Fatal(err)
	}
	g.providers[i] = p
}

// ask has a new client ask through a port, and reports the answer's status and which providers were asked.
func (g *lineRig) ask(port int) (status string, asked []int) {
	g.t.Helper()
	var before [3]int64
	for i, p := range g.providers {
		before[i] = p.Requests()
	}
	c := g.client(port)
	c.send(strings.ReplaceAll(get, "example.com", "ip.demo")) // which the provider answers itself
	status = strings.Fields(c.head())[1]
	c.conn.Close()
	for i, p := range g.providers {
		if p.Requests() != before[i] {
			asked = append(asked, i)
		}
	}
	return status, asked
}

// expect asks through each port several times. The i-th of the servers that is dead leaves its ports without.
func (g *lineRig) expect(when string, dead int) {
	g.t.Helper()
	for port := range linePorts {
		want, servers := "200", []int{port % 3}
		if port%3 == dead {
			want, servers = "502", nil
		}
		for range 3 {
			if status, asked := g.ask(port); status != want || !slices.Equal(asked, servers) {
				g.t.Errorf("%s, port %d: answered %s by the servers %v; want %s by %v", when, port, status, asked, want, servers)
			}
		}
	}
}

// Each port has its server, whose death is its ports' alone, and it has it again when it is back: with and without sessions,
// whoever replaces these.
func TestPerPort(t *testing.T) {
	for _, lifetime := range []time.Duration{0, 10 * time.Minute} {
		t.Run(lifetime.String(), func(t *testing.T) {
			g := newLineRig(t, lifetime, func(cfg *Config) {
				cfg.Mappings[0].RotateOn = []Signal{{Errors: ErrorRefused, Count: 1, Within: time.Minute}}
			})
			const none = -1
			g.expect("at first", none)
			g.providers[1].Close()
			g.expect("without the second", 1)
			g.start(1)
			g.expect("when it is back", none)
			for port := range linePorts {
				for range 4 {
					if head, _ := g.client(port).call(renewSession); !strings.Contains(head, " 200 ") {
						t.Fatalf("/session/new: %s", head)
					}
					if status, asked := g.ask(port); status != "200" || !slices.Equal(asked, []int{port % 3}) {
						t.Errorf("after /session/new, port %d: answered %s by the servers %v; want %d", port, status, asked, port%3)
					}
				}
			}
			for range 4 {
				if err := g.relay.Rotate(t.Context(), g.relay.Ports(), &Rotation{Renew: true, OnRotate: session.CloseAll}); err != nil {
					t.Fatal(err)
				}
				g.expect("after a rotation of all", none)
			}
		})
	}
}

// Sessions are replaced while requests run, and no request goes to the server of another port.
func TestPerPortWhileRotating(t *testing.T) {
	g := newLineRig(t, time.Minute)
	var stop atomic.Bool
	done := make(chan error, 1)
	go func() {
		for !stop.Load() {
			if err := g.relay.Rotate(context.Background(), g.relay.Ports(), &Rotation{Renew: true}); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for range 10 {
		g.expect("while sessions are replaced", -1)
	}
	stop.Store(true)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// A rule's own server comes before the port's.
func TestPerPortAndRules(t *testing.T) {
	g := newLineRig(t, time.Minute, func(cfg *Config) {
		var err error
		cfg.RuleServers = []Server{cfg.Mappings[0].Servers[2]}
		cfg.Rules, err = hostrule.New([]hostrule.Rule{{Host: "ip.demo", Server: 0}}, false)
		if err != nil {
			t.Fatal(err)
		}
	})
	for port := range linePorts {
		if status, asked := g.ask(port); status != "200" || !slices.Equal(asked, []int{2}) {
			t.Errorf("port %d: answered %s by the servers %v; want the rule's, 2", port, status, asked)
		}
	}
}

// Of the addresses of a server's name the one that works is taken, as ever.
func TestPerPortAddresses(t *testing.T) {
	g := newLineRig(t, time.Minute, func(cfg *Config) {
		for i := range cfg.Mappings[0].Servers {
			cfg.Mappings[0].Servers[i].Host = "gate.example.com"
		}
		cfg.lookup = func(context.Context, string, func([]netip.Addr)) ([]netip.Addr, error) {
			return []netip.Addr{netip.MustParseAddr("127.0.0.3"), netip.MustParseAddr("127.0.0.2")}, nil
		}
	})
	g.expect("with a dead address", -1)
	g.providers[0].Close()
	g.expect("without the first", 0)
}

// A kept session that was pinned to another server does not move the port, and the store can tell servers of one address
// apart, without their user names.
func TestPerPortIsNotMovedByStore(t *testing.T) {
	store := &lineStore{}
	g := newLineRig(t, time.Minute, func(cfg *Config) { cfg.Store = store })
	g.expect("with a store that pins to the second", -1)
	for i, name := range store.servers {
		rest, found := strings.CutPrefix(name, g.addrs[i].String()+" ")
		if !found || len(rest) != 16 || strings.Contains(name, "line") {
			t.Errorf("the store knows server %d as %q; want its address and a mark", i, name)
		}
	}
	other := &mapping{Mapping: g.relay.table.Load().mappings[0].Mapping}
	other.Servers = slices.Repeat(other.Servers[:1], 3)
	if names := other.keptNames(); names[0] == names[1] || names[1] == names[2] {
		t.Errorf("three accounts at one address are %q", names)
	}
	if other.PerPort = false; other.keptNames()[0] != g.addrs[0].String() {
		t.Errorf("a server of many ports is %q", other.keptNames()[0])
	}
}

type lineStore struct {
	storeOfNothing
	servers []string
}

func (s *lineStore) Load(_ netip.AddrPort, slot *session.Slot, servers []string) {
	s.servers = servers
	slot.Pin(1)
}
