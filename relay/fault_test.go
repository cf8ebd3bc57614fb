package relay

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"
)

// A broadcast address takes no connection, and the kernel says so without sending anything.
func TestUpstreamUnreachable(t *testing.T) {
	for name, servers := range map[string][]Server{
		"all":       {{Host: "127.255.255.255", Port: 9}, {Host: "255.255.255.255", Port: 9}},
		"the first": {{Host: "127.255.255.255", Port: 9}, {}},
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t, func(cfg *Config) {
				if m := &cfg.Mappings[0]; servers[1].Host == "" {
					servers[1] = m.Servers[0]
				}
				cfg.Mappings[0].Servers = servers
			})
			if name == "the first" {
				g.served()
				return
			}
			for _, request := range []string{get, connect} {
				c := g.client(0)
				c.send(request)
				c.expectAnswer(502, "upstream-refused", "unreachable")
				c.expectEnd()
			}
		})
	}
}

// A resolver is one in the hands of a test.
type resolver struct {
	answer atomic.Pointer[func() ([]netip.Addr, error)]
	asked  atomic.Int32
}

// named has the provider go by a name, which stands for the addresses given.
func named(addrs ...string) (*resolver, func(*Config)) {
	r := &resolver{}
	r.set(addrs...)
	return r, func(cfg *Config) {
		cfg.Mappings[0].Servers[0].Host = "proxy.example"
		cfg.lookup = func(context.Context, string) ([]netip.Addr, error) {
			defer r.asked.Add(1)
			return (*r.answer.Load())()
		}
	}
}

func (r *resolver) set(addrs ...string) {
	var list []netip.Addr
	for _, a := range addrs {
		list = append(list, netip.MustParseAddr(a))
	}
	r.answer.Store(new(func() ([]netip.Addr, error) { return list, nil }))
}

func (r *resolver) fail() {
	r.answer.Store(new(func() ([]netip.Addr, error) { return nil, errors.New("no such host") }))
}

// server is the rig's first one.
func (g *rig) server() *server { return g.relay.ports[0].mapping.servers[0] }

// age makes the addresses of the rig's server so much older.
func (g *rig) age(by time.Duration) {
	srv := g.server()
	known := *srv.known.Load()
	known.since -= int64(by)
	known.until -= int64(by)
	srv.known.Store(&known)
}

// at is another address with the provider's port.
func (g *rig) at(addr string) netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr(addr), serverAt(g.provider.Addr()).Port)
}

// A name's addresses are tried in turn: one that refuses, one without a route, one that says nothing, and one that works.
// The next request begins with that.
func TestAddressesAreTriedInTurn(t *testing.T) {
	_, byName := named("127.0.0.2", "127.255.255.255", "127.0.0.3", "127.0.0.1")
	g := newRig(t, byName, func(cfg *Config) { cfg.Limits.Dial = 2 * time.Second })
	silentServerAt(t, g.at("127.0.0.3"))
	g.served()
	if first := g.server().known.Load().list[0]; first != g.at("127.0.0.1") {
		t.Errorf("%v stands first of the addresses; want the one that works", first)
	}
	g.tunnel()
}

// A name is looked up once, not for each connection.
func TestNameIsCached(t *testing.T) {
	names, byName := named("127.0.0.1")
	g := newRig(t, byName)
	for range 5 {
		g.served()
	}
	if n := names.asked.Load(); n != 1 {
		t.Errorf("the name was looked up %d times; want once", n)
	}
}

// After a time the name is looked up again, behind the request that finds it old: that one does not wait. The next one
// goes to the new address.
func TestNameIsLookedUpAgain(t *testing.T) {
	names, byName := named("127.0.0.1")
	g := newRig(t, byName)
	moved, err := net.Listen("tcp", g.at("127.0.0.2").String())
	if err != nil {
		t.Fatal(err)
	}
	defer moved.Close()
	g.served()
	names.set("127.0.0.2")
	g.served()
	g.age(lookupAge)
	g.served()
	await(t, "the new address is known", func() bool { return g.server().known.Load().list[0] == g.at("127.0.0.2") })
	c := g.client(0)
	c.send(get)
	accepted(t, moved).head()
}

// While the name cannot be looked up the old addresses are used.
func TestStaleAddressesAreUsed(t *testing.T) {
	names, byName := named("127.0.0.1")
	g := newRig(t, byName)
	g.served()
	names.fail()
	for n := int32(2); n < 5; n++ {
		g.age(lookupAge)
		g.served()
		await(t, "the name is looked up again", func() bool { return names.asked.Load() == n })
		await(t, "the look-up has ended", func() bool {
			srv := g.server()
			srv.mu.Lock()
			defer srv.mu.Unlock()
			return !srv.busy
		})
		g.served()
	}
}

// When none of the addresses takes a connection the name is looked up again, long before its time: the provider has
// moved.
func TestNameIsLookedUpAfterFailure(t *testing.T) {
	names, byName := named("127.0.0.2")
	g := newRig(t, byName)
	c := g.client(0)
	c.send(get)
	c.expectAnswer(502, "upstream-refused", "connection refused")
	names.set("127.0.0.1")
	g.age(lookupRetry)
	c = g.client(0)
	c.send(get)
	c.expectAnswer(502, "upstream-refused", "connection refused")
	await(t, "the new address is known", func() bool { return g.server().known.Load().list[0] == g.at("127.0.0.1") })
	g.served()
	if n := names.asked.Load(); n != 2 {
		t.Errorf("the name was looked up %d times; want twice", n)
	}
}

// But not for each request that fails.
func TestLookUpsAfterFailuresAreRare(t *testing.T) {
	names, byName := named("127.0.0.2")
	g := newRig(t, byName)
	for i := range 20 {
		c := g.client(0)
		c.send(get)
		c.expectAnswer(502, "upstream-refused", "connection refused")
		if i == 0 {
			g.age(-time.Hour) // however long this takes, the look-up was just now
		}
	}
	if n := names.asked.Load(); n != 1 {
		t.Errorf("the name was looked up %d times for 20 failures; want once", n)
	}
}
