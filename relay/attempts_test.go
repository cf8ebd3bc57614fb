package relay

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"proxymap/relay/internal/kernel"
	"proxymap/session"
)

// soon is far below the 5 s for which an address had the time alone, and far above what another one begins after.
const soon = 4 * time.Second

// races waits until so many attempts beside first ones are under way.
func (g *rig) races(n int) {
	g.t.Helper()
	await(g.t, fmt.Sprintf("%d attempts race beside the first", n), func() bool { return g.relay.rivals.Load() == int32(n) })
}

// An address that is silent is outrun by the next one. That is remembered, also when the name has been looked up again, so
// the next request does not even try the silent one.
func TestSilentAddressIsOutrun(t *testing.T) {
	t.Parallel()
	names, byName := named("127.0.0.3", "127.0.0.1")
	g := newRig(t, byName)
	silentServerAt(t, g.at("127.0.0.3"))
	began := time.Now()
	g.served()
	if took := time.Since(began); took > soon {
		t.Errorf("the request took %v; want it not to wait for the silent address", took)
	}
	g.races(0)
	names.set("127.0.0.3", "127.0.0.4", "127.0.0.1")
	g.relay.refreshOnce()
	await(t, "the name is looked up again", func() bool { return len(g.server().known.Load().list) == 3 })
	if first := g.server().known.Load().list[0]; first != g.at("127.0.0.1") {
		t.Errorf("%v stands first when the name has been looked up again; want the one that worked", first)
	}
}

// However many addresses are silent, one that works is reached: the oldest attempt makes room for the next.
func TestSilentAddressesMakeRoom(t *testing.T) {
	_, byName := named("127.0.0.3", "127.0.0.4", "127.0.0.5", "127.0.0.1")
	g := newRig(t, byName)
	for _, silent := range []string{"127.0.0.3", "127.0.0.4", "127.0.0.5"} {
		silentServerAt(t, g.at(silent))
	}
	before := openDescriptors(t)
	c := g.client(0)
	began := time.Now()
	c.send(connect)
	g.races(2)
	u := g.upstream()
	if took := time.Since(began); took > soon {
		t.Errorf("the request took %v; want it not to wait for the silent addresses", took)
	}
	u.head()
	u.send(granted)
	c.expect(granted)
	g.races(0)
	await(t, "the attempts are closed", func() bool { return openDescriptors(t) == before+4 }) // a tunnel's four ends
}

// Who connects first wins, also the one that was silent for longest. The others are closed.
func TestSlowAddressWins(t *testing.T) {
	t.Parallel()
	_, byName := named("127.0.0.3", "127.0.0.4")
	g := newRig(t, byName)
	slow, _ := silentListener(t, g.at("127.0.0.3"))
	silentServerAt(t, g.at("127.0.0.4"))
	g.client(0).send(get)
	g.races(1)
	var accepted []int
	await(t, "the slow address is connected", func() bool {
		for fd, _, err := kernel.Accept(slow); err == nil; fd, _, err = kernel.Accept(slow) {
			t.Cleanup(func() { _ = kernel.Close(fd) })
			accepted = append(accepted, fd)
		}
		b := make([]byte, 512)
		for _, fd := range accepted {
			if n, _ := kernel.Read(fd, b); n > 0 {
				return true
			}
		}
		return false
	})
	g.races(0)
	if first := g.server().known.Load().list[0]; first != g.at("127.0.0.3") {
		t.Errorf("%v stands first; want the one that worked", first)
	}
}

// Whatever ends a connection while attempts race ends them all, and gives their places back.
func TestEndOfARace(t *testing.T) {
	_, byName := named("127.0.0.3", "127.0.0.4")
	g := newRig(t, byName, quietly)
	silentServerAt(t, g.at("127.0.0.3"))
	silentServerAt(t, g.at("127.0.0.4"))
	before := openDescriptors(t)
	for _, row := range []struct {
		name string
		end  func(c *peer)
	}{
		{"reset", func(c *peer) { c.reset() }},
		{"rotation", func(c *peer) {
			if err := g.relay.Rotate(t.Context(), g.relay.Ports()[:1], &Rotation{OnRotate: session.CloseAll}); err != nil {
				t.Error(err)
			}
			c.expectReset()
		}},
		{"panic", func(c *peer) {
			g.breakConn(t, true, func(c *conn) bool { return c.stage == stageDial })
			c.expectReset()
		}},
		{"shutdown", func(c *peer) {
			g.relay.Shutdown(0)
			c.expectReset()
		}},
	} {
		c := g.client(0)
		c.send(connect)
		g.races(1)
		row.end(c)
		c.close()
		g.races(0)
		if row.name != "shutdown" { // which closes the relay's own as well
			await(t, "all descriptors are closed after "+row.name, func() bool { return openDescriptors(t) == before })
		}
	}
}

// Where there is no place for a second attempt, the first one makes room when it has had its share of the time.
func TestRaceWithoutRoom(t *testing.T) {
	t.Parallel()
	_, byName := named("127.0.0.3", "127.0.0.1")
	g := newRig(t, byName, func(cfg *Config) { cfg.Limits.Dial = 700 * time.Millisecond })
	g.relay.rivals.Store(int32(g.relay.admission.budget.rivals)) // all are taken
	silentServerAt(t, g.at("127.0.0.3"))
	g.served()
	if first := g.server().known.Load().list[0]; first != g.at("127.0.0.1") {
		t.Errorf("%v stands first; want the one that worked", first)
	}
}

// A server of which all addresses are silent leaves the next one its share of the time, and rests.
func TestSilentServerIsPassedOver(t *testing.T) {
	t.Parallel()
	_, byName := named("127.0.0.3", "127.0.0.4")
	g := newRig(t, byName, func(cfg *Config) {
		cfg.Limits.Dial = 1200 * time.Millisecond
		other := cfg.Mappings[0].Servers[0]
		other.Host = "127.0.0.1"
		cfg.Mappings[0].Servers = append(cfg.Mappings[0].Servers, other)
	})
	for _, silent := range []string{"127.0.0.3", "127.0.0.4"} {
		silentServerAt(t, g.at(silent))
	}
	g.served()
	if g.server().restUntil.Load() == 0 {
		t.Error("the silent server does not rest")
	}
	if got := g.relay.ports()[0].slot.Server(); got != 1 {
		t.Errorf("the port is pinned to server %d; want the one that answers, 1", got)
	}
	g.races(0)
}

// Where all is silent the request is told so, and nothing is left behind.
func TestAllAddressesAreSilent(t *testing.T) {
	t.Parallel()
	_, byName := named("127.0.0.3", "127.0.0.4")
	g := newRig(t, byName, func(cfg *Config) { cfg.Limits.Dial = 600 * time.Millisecond })
	for _, silent := range []string{"127.0.0.3", "127.0.0.4"} {
		silentServerAt(t, g.at(silent))
	}
	c := g.client(0)
	c.send(get)
	c.expectAnswer(504, "upstream-timeout", "no answer in time")
	g.races(0)
}

// An address that is found late joins a race that has begun without it.
func TestLateAddressJoinsARace(t *testing.T) {
	t.Parallel()
	h := newHalf("127.0.0.3", "127.0.0.1")
	g := newRig(t, h.byHalves)
	silentServerAt(t, g.at("127.0.0.3"))
	c := g.client(0)
	began := time.Now()
	c.send(get)
	await(t, "the silent address is tried", func() bool {
		return onLoops(g.relay, func(l *loop) (n int) {
			for _, c := range l.conns {
				if c != nil && c.stage == stageDial && c.upstream.fd >= 0 {
					n++
				}
			}
			return n
		}) == 1
	})
	close(h.rest)
	u := g.upstream()
	if took := time.Since(began); took > soon {
		t.Errorf("the request took %v; want it not to wait for the silent address", took)
	}
	u.head()
	u.send(ok)
	c.expect(ok)
}

// What a server mostly takes to connect follows what it takes, and only where it matters.
func TestUsualConnectTime(t *testing.T) {
	s := newServer(Server{Host: "proxy.example"})
	for i, row := range []struct{ took, want int64 }{{800, 800}, {800, 800}, {1600, 900}, {100, 800}, {0, 700}} {
		if s.noteConnect(row.took); s.usual.Load() != row.want {
			t.Errorf("%d. took %d: it mostly takes %d; want %d", i+1, row.took, s.usual.Load(), row.want)
		}
	}
	for _, list := range [][]string{{"127.0.0.1"}, {"127.0.0.1", "127.0.0.2"}} {
		_, byName := named(list...)
		g := newRig(t, byName)
		g.served()
		if known := g.server().usual.Load() > 0; known != (len(list) > 1) {
			t.Errorf("%d addresses: what it mostly takes is known: %t", len(list), known)
		}
	}
}

// An attempt's event that comes when it has ended is nobody's.
func TestStaleRival(t *testing.T) {
	var x *exchange
	if x.rivalOf(1) != nil {
		t.Error("no exchange, and a rival of it")
	}
	x = &exchange{}
	x.out.attempts.race.Begins(1)
	x.out.attempts.race.Begins(2)
	x.out.attempts.rivals = &rivals{list: [2]rival{{socket{fd: 5, gen: 7}, netip.AddrPort{}}, {socket{fd: 6, gen: 8}, netip.AddrPort{}}}}
	if s := x.rivalOf(7); s == nil || s.fd != 5 {
		t.Errorf("generation 7 is %+v; want the rival", s)
	}
	if s := x.rivalOf(8); s != nil {
		t.Errorf("generation 8 is %+v; want nothing, for it has ended", s)
	}
}

// Many races at once, on two loops: some clients wait, some reset, some end their side. Who waits is served, and in the end
// no attempt is left.
func TestRacesUnderFire(t *testing.T) {
	t.Parallel()
	g := newRig(t, bypass, func(cfg *Config) {
		cfg.Loops, cfg.spread = 2, true
		cfg.Mappings[0].AllowLocalTargets = true
		cfg.lookup = func(context.Context, string, func([]netip.Addr)) ([]netip.Addr, error) {
			return addrsOf("127.0.0.3", "127.0.0.4", "127.0.0.1"), nil
		}
	})
	silentServerAt(t, g.at("127.0.0.3"))
	silentServerAt(t, g.at("127.0.0.4"))
	g.echo()
	var waiting []*peer
	var resets sync.WaitGroup
	for i := range 60 {
		c := g.asks(fmt.Sprintf("host%d.example", i)) // each has to find out for itself
		switch i % 3 {
		case 0:
			waiting = append(waiting, c)
		case 1:
			c.fin()
			waiting = append(waiting, c)
		case 2:
			resets.Add(1)
			time.AfterFunc(time.Duration(i)*10*time.Millisecond, func() {
				defer resets.Done()
				c.reset()
			})
		}
	}
	for _, c := range waiting {
		c.expect(ok)
	}
	resets.Wait()
	g.races(0)
}
