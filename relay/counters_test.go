package relay

import (
	"fmt"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/google/go-cmp/cmp"

	"proxymap/relay/hostrule"
	"proxymap/relay/refusal"
	"proxymap/session"
)

// expectStats waits until the relay has counted want: what a peer has got may not have been counted yet.
func (g *rig) expectStats(want Stats) {
	g.t.Helper()
	var got Stats
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		got = g.relay.Stats()
		got.Mappings, got.Ports = nil, nil
		if cmp.Equal(got, want) {
			return
		}
	}
	g.t.Fatalf("counted otherwise than it was (-want +got):\n%s", cmp.Diff(want, got))
}

// Requests of each kind are counted once, by what became of them, and bytes as the upstream side has seen them.
func TestCountsPlainAndConnect(t *testing.T) {
	g := newRig(t)
	c := g.client(0)
	c.send(get)
	u := g.upstream()
	sent := len(u.head())
	u.send(ok)
	c.expect(ok)
	want := Stats{AuthenticationNotRequired: 1, HostProxified: 1, ProxyConnected: 1, Traffic: Traffic{
		Connections: 1, Open: 1, Requests: 1, ProxyRead: int64(len(ok)), ProxySent: int64(sent)}}
	g.expectStats(want)

	c.send(get) // over the connections that there are
	sent += len(u.head())
	u.send(ok)
	c.expect(ok)
	want.AuthenticationNotRequired, want.HostProxified, want.Requests = 2, 2, 2
	want.ProxyRead, want.ProxySent = int64(2*len(ok)), int64(sent)
	g.expectStats(want)

	c.close()
	u.expectEnd()
	want.Open = 0
	g.expectStats(want)

	c = g.client(0)
	c.send(connect + "early")
	u = g.upstream()
	sent += len(u.head()) + len("early")
	u.send(granted)
	c.expect(granted)
	u.expect("early")
	u.send("late")
	c.expect("late")
	want.AuthenticationNotRequired, want.HostProxified, want.Requests = 3, 3, 3
	want.Connections, want.Open, want.ProxyConnected = 2, 1, 2
	want.ProxyRead, want.ProxySent = want.ProxyRead+int64(len(granted)+len("late")), int64(sent)
	g.expectStats(want) // while the tunnel stands
}

// Both parties of a SOCKS handshake upstream count, and what a SOCKS client asks for is a request.
func TestCountsSOCKS(t *testing.T) {
	g := newRig(t)
	c := g.client(0)
	c.send("\x05\x01\x00" + socks5Name)
	c.expect("\x05\x00")
	u := g.upstream()
	sent := int64(len(u.head()))
	u.send(granted)
	c.expect(answer5)
	g.expectStats(Stats{AuthenticationNotRequired: 1, HostProxified: 1, ProxyConnected: 1, Traffic: Traffic{
		Connections: 1, Open: 1, Requests: 1, ProxyRead: int64(len(granted)), ProxySent: sent}})

	g = newRig(t, upstreamOf(SOCKS4))
	c = g.client(0)
	c.send(connect)
	u = g.upstream()
	u.expect("\x04")
	rest := make([]byte, 256)
	n, err := u.r.Read(rest)
	if err != nil {
		t.Fatal(err)
	}
	u.send("\x00\x5b\x00\x00\x00\x00\x00\x00") // refused
	c.expectAnswer(502, "upstream-refused", "")
	c.close()
	g.expectStats(Stats{AuthenticationNotRequired: 1, HostProxified: 1, ProxyFailed: 1, Traffic: Traffic{
		Connections: 1, Requests: 1, ProxyRead: 8, ProxySent: int64(1 + n), Answers: map[string]int64{"upstream-refused": 1}}})
}

// What goes past the upstream proxies is counted apart.
func TestCountsBypass(t *testing.T) {
	g := newRig(t, knows("target.example"), bypass)
	c := g.client(0)
	c.send(fmt.Sprintf("GET http://target.example:%d/ HTTP/1.1\r\nHost: target.example:%[1]d\r\n\r\n", g.port()))
	u := g.upstream()
	sent := int64(len(u.head()))
	u.send(ok)
	c.expect(ok)
	want := Stats{AuthenticationNotRequired: 1, HostBypassed: 1, BypassConnected: 1, LookUps: 1, Traffic: Traffic{
		Connections: 1, Open: 1, Requests: 1, BypassRead: int64(len(ok)), BypassSent: sent}}
	g.expectStats(want)

	c.send("GET http://unknown.example/ HTTP/1.1\r\nHost: unknown.example\r\n\r\n")
	c.expectAnswer(502, "upstream-dns", "")
	c.close()
	want.AuthenticationNotRequired, want.HostBypassed, want.Requests, want.Open = 2, 2, 2, 0
	want.LookUps, want.BypassFailed, want.Answers = 2, 1, map[string]int64{"upstream-dns": 1}
	g.expectStats(want)
}

// A refusal is counted by its reason and its class, and nothing behind it is.
func TestCountsRefusals(t *testing.T) {
	demanding := withClients(func(p *session.PlanConfig) { p.Require, p.Verify, p.Set = true, true, true })
	dead := deadServer(t)
	for name, row := range map[string]struct {
		says   string
		change func(*Config)
		want   Stats
		class  string
	}{
		"denied": {get, func(cfg *Config) { cfg.Mappings[0].Action = hostrule.Deny }, Stats{AuthenticationNotRequired: 1, HostRejected: 1}, "denied"},
		"407":    {get, demanding, Stats{AuthenticationRequired: 1}, "proxy-auth"},
		"wrong": {strings.Replace(get, "\r\n\r\n", "\r\n"+basic("user", "no")+"\r\n", 1), demanding,
			Stats{AuthenticationInvalid: 1}, "proxy-auth"},
		"SOCKS without login": {"\x05\x01\x00", demanding, Stats{AuthenticationRequired: 1}, "proxy-auth"},
		"SOCKS wrong login":   {"\x05\x01\x02\x01\x04user\x02no", demanding, Stats{AuthenticationInvalid: 1}, "proxy-auth"},
		"SOCKS denied": {"\x05\x01\x00" + socks5Name, func(cfg *Config) { cfg.Mappings[0].Action = hostrule.Deny },
			Stats{AuthenticationNotRequired: 1, HostRejected: 1}, "denied"},
		"plain rejected": {get, func(cfg *Config) { cfg.Mappings[0].RejectPlain = true },
			Stats{AuthenticationNotRequired: 1, HTTPRejected: 1}, "method-not-allowed"},
		"malformed": {"GET\r\n\r\n", nil, Stats{HeaderFailed: 1}, "bad-request"},
		"too slow":  {"GET", func(cfg *Config) { cfg.Limits.Head = time.Millisecond }, Stats{HeaderFailed: 1}, "head-timeout"},
		"no host":   {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", nil, Stats{AuthenticationNotRequired: 1, NoHost: 1}, "bad-request"},
		"dead": {get, func(cfg *Config) { cfg.Mappings[0].Servers = []Server{dead} },
			Stats{AuthenticationNotRequired: 1, HostProxified: 1, ProxyFailed: 1}, "upstream-refused"},
		"API from a web page": {"GET http://portmapper/session/new HTTP/1.1\r\nHost: portmapper\r\nOrigin: http://a.example\r\nConnection: close\r\n\r\n",
			withAPI("portmapper"), Stats{AuthenticationNotRequired: 1}, "forbidden"},
		"API": {"GET http://portmapper/x HTTP/1.1\r\nHost: portmapper\r\nConnection: close\r\n\r\n", withAPI("portmapper"),
			Stats{AuthenticationNotRequired: 1}, "not-found"},
	} {
		t.Run(name, func(t *testing.T) {
			var changes []func(*Config)
			if row.change != nil {
				changes = append(changes, row.change)
			}
			g := newRig(t, changes...)
			c := g.client(0)
			c.send(row.says)
			if _, err := c.r.ReadByte(); err != nil {
				t.Fatal(err)
			}
			c.close()
			row.want.Connections, row.want.Answers = 1, map[string]int64{row.class: 1}
			if row.want.AuthenticationNotRequired+row.want.AuthenticationRequired+row.want.AuthenticationInvalid > 0 && !strings.HasPrefix(name, "SOCKS w") {
				row.want.Requests = 1
			}
			g.expectStats(row.want)
		})
	}
}

// Every class can be counted, each by itself.
func TestClassesAreCounted(t *testing.T) {
	for i, class := range refusal.Classes {
		p := &port{}
		p.countAnswer(class)
		if n := p.answers.Load()[i].Load(); class == "" || n != 1 {
			t.Errorf("class %d, %q, was counted %d times", i, class, n)
		}
	}
}

// Bytes that are spliced, and so never seen, are counted all the same, both ways.
func TestCountsSplicedBytes(t *testing.T) {
	const size = 24 << 20
	g := newRig(t, func(cfg *Config) { cfg.HostStats = true })
	c, u := g.tunnel()
	head := g.relay.Stats()
	for _, way := range []struct{ from, to *peer }{{c, u}, {u, c}} {
		go func() { _, _ = io.CopyN(way.from.conn, zeros{}, size) }()
		if n, err := io.CopyN(io.Discard, way.to.r, size); err != nil {
			t.Fatalf("%d bytes, then %v", n, err)
		}
	}
	want := head
	want.Mappings, want.Ports = nil, nil
	want.ProxyRead += size
	want.ProxySent += size
	g.expectStats(want)
	hosts, _ := g.relay.HostStats()
	if len(hosts) != 1 || hosts[0].Read != want.ProxyRead || hosts[0].Sent != want.ProxySent {
		t.Errorf("the host has %+v; want the tunnel's bytes, %d and %d", hosts, want.ProxyRead, want.ProxySent)
	}
}

// What loops count each for itself, of the same ports, adds up, by port, by mapping and in all; also where connections
// change loops.
func TestStatsAddUp(t *testing.T) {
	const loops, ports, rounds = 3, 4, 5
	g := newRig(t, func(cfg *Config) {
		cfg.Loops, cfg.spread, cfg.HostStats = loops, true, true
		first := cfg.Mappings[0]
		cfg.Mappings = nil
		for range ports {
			cfg.Mappings = append(cfg.Mappings, first)
		}
	})
	g.echo()
	for range rounds * loops {
		for i := range ports {
			c := g.client(i)
			for range i + 1 {
				c.send(get)
				c.expect(ok)
			}
			c.close()
		}
	}
	await(t, "all connections to be closed", func() bool { return g.relay.Connections() == 0 })
	s := g.relay.Stats()
	for i, p := range s.Ports {
		n := int64(rounds * loops)
		if p.Port != g.relay.Ports()[i] || p.Mapping != i || p.Connections != n || p.Open != 0 ||
			p.Requests != n*int64(i+1) || p.ProxyRead != p.Requests*int64(len(ok)) {
			t.Errorf("port %d has %+v", i, p)
		}
		if !cmp.Equal(s.Mappings[i].Traffic, p.Traffic) {
			t.Errorf("mapping %d has %+v, its port %+v", i, s.Mappings[i], p)
		}
	}
	const requests = rounds * loops * (1 + 2 + 3 + 4)
	if s.Requests != requests || s.HostProxified != requests || s.ProxyRead != requests*int64(len(ok)) {
		t.Errorf("the relay has %+v; want %d requests", s.Traffic, requests)
	}
	counting := 0
	for _, l := range g.relay.loops {
		if l.counts[hostProxified].Load() > 0 {
			counting++
		}
	}
	if counting != loops {
		t.Errorf("%d loops have counted; the test wants all %d to", counting, loops)
	}
	if hosts, _ := g.relay.HostStats(); len(hosts) != 1 || hosts[0].Proxified != requests || hosts[0].Read != s.ProxyRead || hosts[0].Sent != s.ProxySent {
		t.Errorf("the host has %+v; want what the relay has", hosts)
	}
}

// A reset begins anew, for all that is counted but what is open, and also for a tunnel that stands.
func TestResetStats(t *testing.T) {
	g := newRig(t, func(cfg *Config) { cfg.HostStats = true })
	refused := g.client(0)
	refused.send("GET\r\n\r\n")
	refused.expectAnswer(400, "bad-request", "")
	refused.close()
	c, u := g.tunnel()
	await(t, "the refused connection to be closed", func() bool { return g.relay.Connections() == 1 })
	g.relay.ResetStats()
	g.expectStats(Stats{Traffic: Traffic{Open: 1}})
	if hosts, other := g.relay.HostStats(); len(hosts) != 0 || other != (HostStats{}) {
		t.Errorf("after a reset there are %+v and %+v", hosts, other)
	}
	c.send("abc")
	u.expect("abc")
	u.send("de")
	c.expect("de")
	g.expectStats(Stats{Traffic: Traffic{Open: 1, ProxySent: 3, ProxyRead: 2}})
	hosts, _ := g.relay.HostStats()
	if want := []HostStats{{Host: "example.com", Sent: 3, Read: 2}}; !cmp.Equal(hosts, want) {
		t.Errorf("after a reset there are %+v; want %+v", hosts, want)
	}
}

// Statistics may be read and reset at any moment, also when the loops have ended.
func TestStatsAtAnyMoment(t *testing.T) {
	g := newRig(t, func(cfg *Config) { cfg.HostStats = true })
	g.echo()
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
				g.relay.Stats()
				g.relay.HostStats()
				g.relay.ResetStats()
			}
		}
	}()
	c := g.client(0)
	for i := range 200 {
		c.send(fmt.Sprintf("GET http://%d.example/ HTTP/1.1\r\nHost: %[1]d.example\r\n\r\n", i))
		c.expect(ok)
	}
	close(stop)
	<-done
	g.relay.Shutdown(0)
	await(t, "the relay to end", func() bool { return g.relay.Connections() == 0 })
	if s := g.relay.Stats(); s.Open != 0 || s.Requests > 200 {
		t.Errorf("at the end there are %+v", s.Traffic)
	}
}

// A loop's tally of a port is a cache line, and there is none before the loop has had a connection of the port.
func TestTallyIsSmall(t *testing.T) {
	if n := unsafe.Sizeof(tally{}); n != 64 {
		t.Errorf("a tally has %d bytes; want 64", n)
	}
	g := newRig(t)
	if g.relay.ports()[0].tallies.Load() != nil {
		t.Error("a port that nobody has used has a tally")
	}
}

// Statistics of ten thousand ports, each of which has been used by two loops.
func BenchmarkStats(b *testing.B) {
	r := &Relay{loops: []*loop{{}, {}}}
	m := &mapping{Mapping: Mapping{First: 10000, Last: 19999}}
	var ports []*port
	for i := range 10000 {
		p := newPort(m, netip.AddrPortFrom(netip.IPv6Loopback(), uint16(10000+i)))
		for _, l := range r.loops {
			l.tallyOf(p).requests.Add(1)
		}
		ports = append(ports, p)
	}
	r.table.Store(newPortTable([]*mapping{m}, ports, make([]int, len(ports))))
	r.ResetStats()
	b.ReportAllocs()
	for b.Loop() {
		r.Stats()
	}
}
