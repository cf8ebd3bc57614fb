package relay

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"proxymap/relay/hostrule"
)

// A gate is a resolver that answers when it is told to: every name is the provider's.
type gate struct {
	mu      sync.Mutex
	asked   []string
	now     int // look-ups under way
	most    int
	opened  chan struct{}
	missing bool
}

// bypassing has all requests go to their targets, whose names the gate looks up.
func bypassing() (*gate, func(*Config)) {
	k := &gate{opened: make(chan struct{})}
	return k, func(cfg *Config) {
		cfg.Mappings[0].Action = hostrule.Bypass
		cfg.Mappings[0].AllowLocalTargets = true
		cfg.lookup = k.lookup
	}
}

func (k *gate) lookup(_ context.Context, host string, _ func([]netip.Addr)) ([]netip.Addr, error) {
	k.mu.Lock()
	k.asked = append(k.asked, host)
	k.now++
	k.most = max(k.most, k.now)
	k.mu.Unlock()
	<-k.opened
	k.mu.Lock()
	defer k.mu.Unlock()
	k.now--
	if k.missing {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
}

// count is how many look-ups there were, of one name or, if it is empty, of all.
func (k *gate) count(host string) (n int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, h := range k.asked {
		if host == "" || h == host {
			n++
		}
	}
	return n
}

// asks has a new client send a request for a host at the provider's port.
func (g *rig) asks(host string) *peer {
	g.t.Helper()
	c := g.client(0)
	c.send(fmt.Sprintf("GET http://%s:%d/ HTTP/1.1\r\nHost: %s\r\n\r\n", host, g.port(), host))
	return c
}

// bound has the relay look up so many names at once, whatever the limit of open files here.
func (g *rig) bound(most int) {
	g.relay.lookups.mu.Lock()
	defer g.relay.lookups.mu.Unlock()
	g.relay.lookups.most = most
}

// However many names clients ask for, a few are looked up at a time, and each request is served in its turn.
func TestLookUpsAreBounded(t *testing.T) {
	const most, names = 8, 5 * 8
	k, bypass := bypassing()
	g := newRig(t, bypass)
	g.bound(most)
	g.echo()
	var clients []*peer
	for i := range names {
		clients = append(clients, g.asks(fmt.Sprintf("host%d.example", i)))
	}
	await(t, "all wait", func() bool {
		g.relay.lookups.mu.Lock()
		defer g.relay.lookups.mu.Unlock()
		return len(g.relay.lookups.queue) == names-most
	})
	close(k.opened)
	for _, c := range clients {
		c.expect(ok)
	}
	k.mu.Lock()
	if k.most > most {
		t.Errorf("%d names were looked up at once; want %d at most", k.most, most)
	}
	k.mu.Unlock()
	if n := g.relay.Stats().LookUps; n != names {
		t.Errorf("%d look-ups are counted; want %d", n, names)
	}
	await(t, "the workers have ended", func() bool {
		g.relay.lookups.mu.Lock()
		defer g.relay.lookups.mu.Unlock()
		return g.relay.lookups.workers == 0 && len(g.relay.lookups.byHost) == 0
	})
}

// Six names a second whose name servers are silent, each of which has a place for all of lookupTimeout, do not keep others
// from being looked up.
func TestSilentNamesDoNotStarveOthers(t *testing.T) {
	const silent = 6 * int(lookupTimeout/time.Second)
	k, bypass := bypassing()
	g := newRig(t, bypass, func(cfg *Config) {
		cfg.lookup = func(ctx context.Context, host string, early func([]netip.Addr)) ([]netip.Addr, error) {
			if strings.HasPrefix(host, "silent") {
				return k.lookup(ctx, host, early)
			}
			if at, ok := ctx.Deadline(); !ok || time.Until(at) > lookupTimeout {
				t.Errorf("the look-up of %s may take until %v; want %v at most", host, at, lookupTimeout)
			}
			return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
		}
	})
	b, err := newBudget(20_000, 1, 2, 0)
	if err != nil {
		t.Fatal(err)
	}
	g.bound(b.lookups)
	g.echo()
	var waiting []*peer
	for i := range silent {
		waiting = append(waiting, g.asks(fmt.Sprintf("silent%d.example", i)))
	}
	for i := range 20 {
		g.asks(fmt.Sprintf("quick%d.example", i)).expect(ok)
	}
	await(t, "all silent names are being looked up", func() bool { return k.count("") == silent })
	close(k.opened)
	for _, c := range waiting {
		c.expect(ok)
	}
}

// Requests for one name share a look-up, whatever the port.
func TestLookUpIsShared(t *testing.T) {
	k, bypass := bypassing()
	g := newRig(t, bypass)
	g.echo()
	var clients []*peer
	for range 5 {
		clients = append(clients, g.asks("one.example"))
	}
	other := g.client(0)
	other.send("GET http://one.example:9/ HTTP/1.1\r\nHost: one.example:9\r\n\r\n")
	await(t, "all wait", func() bool {
		return onLoops(g.relay, func(l *loop) (n int) {
			for _, c := range l.conns {
				if c != nil && c.stage == stageDial {
					n++
				}
			}
			return n
		}) == 6
	})
	close(k.opened)
	for _, c := range clients {
		c.expect(ok)
	}
	other.expectAnswer(502, "upstream-refused", "")
	if n := k.count(""); n != 1 {
		t.Errorf("the name was looked up %d times; want once", n)
	}
}

// A name that does not exist is not asked for again for a few seconds.
func TestMissingNameIsRemembered(t *testing.T) {
	k, bypass := bypassing()
	k.missing = true
	close(k.opened)
	g := newRig(t, bypass)
	for range 3 {
		g.asks("missing.example").expectAnswer(502, "upstream-dns", "no such host")
	}
	if n := k.count(""); n != 1 {
		t.Errorf("the name was looked up %d times; want once", n)
	}
	g.relay.lookups.mu.Lock()
	g.relay.lookups.byHost["missing.example"].until = 0
	g.relay.lookups.mu.Unlock()
	g.asks("missing.example").expectAnswer(502, "upstream-dns", "no such host")
	if n := k.count(""); n != 2 {
		t.Errorf("the name was looked up %d times; want another time when a while has passed", n)
	}
}

// A client that leaves takes its look-up with it.
func TestLookUpOfGoneClientIsDropped(t *testing.T) {
	const most = 8
	k, bypass := bypassing()
	g := newRig(t, bypass)
	g.bound(most)
	g.echo()
	var clients []*peer
	for i := range most {
		clients = append(clients, g.asks(fmt.Sprintf("host%d.example", i)))
	}
	await(t, "all workers are at work", func() bool { return k.count("") == most })
	gone := g.asks("gone.example")
	await(t, "it waits", func() bool {
		g.relay.lookups.mu.Lock()
		defer g.relay.lookups.mu.Unlock()
		return len(g.relay.lookups.queue) == 1
	})
	gone.reset()
	await(t, "it has gone", func() bool { return g.relay.Connections() == most })
	close(k.opened)
	for _, c := range clients {
		c.expect(ok)
	}
	g.asks("last.example").expect(ok)
	if n := k.count("gone.example"); n != 0 {
		t.Error("a name that nobody waits for is looked up")
	}
}

// Where too many names wait a request is told so.
func TestTooManyLookUps(t *testing.T) {
	_, bypass := bypassing()
	g := newRig(t, bypass)
	k := &g.relay.lookups
	k.mu.Lock()
	k.workers, k.queue = k.most, make([]*asking, maxQueued)
	k.mu.Unlock()
	g.asks("a.example").expectAnswer(503, "too-many-lookups", "too many names wait to be looked up")
	if n := g.relay.Stats().LookUpsRefused; n != 1 {
		t.Errorf("%d refused look-ups are counted; want 1", n)
	}
}

// Addresses that are too old are not used: the request waits for new ones.
func TestAddressesHaveAGreatestAge(t *testing.T) {
	k, bypass := bypassing()
	close(k.opened)
	g := newRig(t, bypass)
	g.echo()
	g.asks("old.example").expect(ok)
	srv := g.relay.targets.of([]byte("old.example"), uint16(g.port()))
	known := *srv.known.Load()
	known.list = []netip.AddrPort{g.at("127.0.0.9")} // where nobody listens
	known.until = 0
	known.found -= int64(targetAge) + int64(time.Second)
	srv.known.Store(&known)
	g.asks("old.example").expect(ok)
	if n := k.count(""); n != 2 {
		t.Errorf("the name was looked up %d times; want 2", n)
	}
}
