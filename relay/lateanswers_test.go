package relay

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"time"
)

// A half is a resolver that gives the answer about one IP version early, and that about the other when it is told to.
type half struct {
	early, all []netip.Addr
	rest       chan struct{} // closed: the rest comes
	asked      atomic.Int32
	hurried    atomic.Int32 // look-ups that were not let wait for the rest
	late       atomic.Int32 // those that have used up their time
}

func newHalf(early, all string) *half {
	return &half{early: addrsOf(early), all: addrsOf(all), rest: make(chan struct{})}
}

func addrsOf(list ...string) (addrs []netip.Addr) {
	for _, a := range list {
		if a != "" {
			addrs = append(addrs, netip.MustParseAddr(a))
		}
	}
	return addrs
}

func (h *half) lookup(ctx context.Context, _ string, early func([]netip.Addr)) ([]netip.Addr, error) {
	h.asked.Add(1)
	early(h.early)
	select {
	case <-h.rest:
		return slices.Concat(h.early, h.all), nil
	case <-ctx.Done():
		if ctx.Err() == context.Canceled {
			h.hurried.Add(1)
		} else {
			h.late.Add(1)
		}
		return h.early, nil
	}
}

// byHalves has the provider go by a name that is looked up so.
func (h *half) byHalves(cfg *Config) {
	cfg.Mappings[0].Servers[0].Host = "proxy.example"
	cfg.lookup = h.lookup
}

// What has come of a look-up is used while the rest is waited for, by those who wait and by those who come then. The rest
// joins.
func TestEarlyAnswerIsUsed(t *testing.T) {
	h := newHalf("127.0.0.1", "127.0.0.2")
	g := newRig(t, h.byHalves)
	g.served()
	g.served()
	if n := h.asked.Load(); n != 1 {
		t.Errorf("the name was looked up %d times; want once", n)
	}
	close(h.rest)
	want := []netip.AddrPort{g.at("127.0.0.1"), g.at("127.0.0.2")}
	await(t, "the rest has joined", func() bool { return slices.Equal(g.server().known.Load().list, want) })
	if g.server().known.Load().more {
		t.Error("more addresses are waited for after the look-up's end")
	}
}

// When no address of those that have come early takes a connection, the request waits for the others.
func TestFailureWaitsForLateAnswers(t *testing.T) {
	for name, late := range map[string]string{"one that works": "127.0.0.1", "none": "", "another that refuses": "127.0.0.3"} {
		t.Run(name, func(t *testing.T) {
			h := newHalf("127.0.0.2", late)
			g := newRig(t, h.byHalves)
			c := g.client(0)
			c.send(get)
			await(t, "it waits for the rest", func() bool {
				srv := g.server()
				srv.mu.Lock()
				defer srv.mu.Unlock()
				known := srv.known.Load()
				return known != nil && known.more && len(srv.waiting) == 1
			})
			close(h.rest)
			if late != "127.0.0.1" {
				c.expectAnswer(502, "upstream-refused", "connection refused")
				return
			}
			u := g.upstream()
			u.head()
			u.send(ok)
			c.expect(ok)
		})
	}
}

// A client that leaves meanwhile leaves nothing behind, and the look-up goes on.
func TestLateAnswerForGoneClient(t *testing.T) {
	h := newHalf("127.0.0.2", "127.0.0.1")
	g := newRig(t, h.byHalves)
	c := g.client(0)
	c.send(get)
	await(t, "it waits for the rest", func() bool {
		srv := g.server()
		srv.mu.Lock()
		defer srv.mu.Unlock()
		return len(srv.waiting) == 1 && srv.known.Load() != nil
	})
	c.reset()
	await(t, "it has gone", func() bool { return g.relay.Connections() == 0 })
	close(h.rest)
	await(t, "the look-up has ended", func() bool { return !g.server().isBusy() })
	g.served()
}

// A request that comes to the same name's other port while the rest is waited for does not wait.
func TestEarlyAnswerIsShared(t *testing.T) {
	h := newHalf("127.0.0.1", "127.0.0.2")
	g := newRig(t, bypass, func(cfg *Config) {
		cfg.Mappings[0].AllowLocalTargets = true
		cfg.lookup = h.lookup
	})
	other := listenLocal(t)
	g.echo()
	g.asks("target.example").expect(ok)
	c := g.client(0)
	c.send(fmt.Sprintf("GET http://target.example:%d/ HTTP/1.1\r\nHost: target.example\r\n\r\n", other.Addr().(*net.TCPAddr).Port))
	accepted(t, other).head()
	if n := h.asked.Load(); n != 1 {
		t.Errorf("the name was looked up %d times; want once", n)
	}
	close(h.rest)
}

// The rest of a name is waited for only until another name needs the place.
func TestLateAnswersMakeRoom(t *testing.T) {
	h := newHalf("127.0.0.1", "127.0.0.2")
	g := newRig(t, bypass, func(cfg *Config) {
		cfg.Mappings[0].AllowLocalTargets = true
		cfg.lookup = h.lookup
	})
	g.bound(2)
	g.echo()
	var clients []*peer
	for i := range 5 { // some of them wait before there is anything of those before them
		clients = append(clients, g.asks(fmt.Sprintf("host%d.example", i)))
	}
	for _, c := range clients {
		c.expect(ok)
	}
	for i := range 3 { // these come when there is
		g.asks(fmt.Sprintf("later%d.example", i)).expect(ok)
	}
	if hurried, late := h.hurried.Load(), h.late.Load(); hurried < 6 || late > 0 {
		t.Errorf("%d look-ups have made room, %d have used up their time; want 6 and none, for there is room for 2", hurried, late)
	}
	close(h.rest)
	await(t, "the workers have ended", func() bool {
		k := &g.relay.lookups
		k.mu.Lock()
		defer k.mu.Unlock()
		return k.workers == 0 && len(k.late) == 0 && len(k.byHost) == 0
	})
}

// Addresses that are known from before are better than half of new ones.
func TestEarlyAnswerOfARefresh(t *testing.T) {
	h := newHalf("127.0.0.2", "127.0.0.1")
	g := newRig(t, h.byHalves)
	g.server().take(g.relay.clock(), addrsOf("127.0.0.1"), false)
	g.age(lookupAge)
	g.served()
	await(t, "the name is looked up", func() bool { return h.asked.Load() == 1 })
	g.served()
	if known := g.server().known.Load(); known.more || known.list[0] != g.at("127.0.0.1") {
		t.Errorf("%v is known; want the old address until the look-up ends", known.list)
	}
	close(h.rest)
	await(t, "the new addresses are known", func() bool { return len(g.server().known.Load().list) == 2 })
}

// Looking a name up takes nothing of the time for connecting.
func TestLookUpIsNoPartOfDialTime(t *testing.T) {
	h := newHalf("127.0.0.1", "")
	release := make(chan struct{})
	g := newRig(t, h.byHalves, func(cfg *Config) {
		cfg.Limits.Dial = 50 * time.Millisecond
		cfg.lookup = func(context.Context, string, func([]netip.Addr)) ([]netip.Addr, error) {
			<-release
			return h.early, nil
		}
	})
	c := g.client(0)
	c.send(get)
	await(t, "the request waits", func() bool { return g.server().isBusy() })
	began := g.relay.clock()
	await(t, "more than the time for connecting has passed", func() bool { return g.relay.clock()-began > int64(60*time.Millisecond) })
	close(release)
	u := g.upstream()
	u.head()
	u.send(ok)
	c.expect(ok)
}

// Which address worked is remembered when the name has been looked up again, also where an answer between had it not.
func TestWorkingAddressIsRemembered(t *testing.T) {
	names, byName := named("127.0.0.2", "127.0.0.1")
	g := newRig(t, byName)
	g.served()
	srv := g.server()
	for _, list := range [][]string{{"127.0.0.2", "127.0.0.3", "127.0.0.1"}, {"127.0.0.2"}, {"127.0.0.3", "127.0.0.1"}} {
		names.set(list...)
		g.relay.refreshOnce()
		await(t, "the new addresses are known", func() bool { return len(srv.known.Load().list) == len(list) && !srv.isBusy() })
		if first := srv.known.Load().list[0]; len(list) > 1 && first != g.at("127.0.0.1") {
			t.Errorf("of %v %v comes first; want the one that has worked", list, first)
		}
	}
}

// A proxy that is sent addresses gets an IPv4 address, which all of them can take, also where that one comes late.
func TestLateIPv4IsResolved(t *testing.T) {
	h := newHalf("::1", "127.0.0.9")
	g := newRig(t, func(cfg *Config) {
		cfg.Mappings[0].Servers[0].ResolveIP = true
		cfg.lookup = h.lookup
	})
	for n := 1; n <= 2; n++ { // before there is any address, and when there is one of IPv6
		g.client(0).send(connect)
		await(t, "it waits for IPv4", func() bool {
			srv := g.relay.targets.of([]byte("example.com"), 443)
			srv.mu.Lock()
			defer srv.mu.Unlock()
			return srv.known.Load() != nil && len(srv.waiting) == n
		})
	}
	close(h.rest)
	for range 2 {
		g.upstream().expect("CONNECT 127.0.0.9:443 HTTP/1.1\r\nHost: 127.0.0.9:443\r\n")
	}
}
