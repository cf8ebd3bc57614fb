package relay

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/sys/unix"

	"proxymap/relay/hostrule"
)

// Requests are counted for their hosts, in any case, by the way they went, also where one upstream connection serves
// several hosts; what is denied is not.
func TestHostStats(t *testing.T) {
	g := newRig(t, knows("direct.example"), withRules(t,
		hostrule.Rule{Host: "denied.example", Action: hostrule.Deny, Server: -1}, hostrule.Rule{Host: "direct.example", Action: hostrule.Bypass, Server: -1},
	), func(cfg *Config) { cfg.HostStats = true })
	c := g.client(0)
	var u *peer
	ask := func(authority string, connects bool) (sent int64) {
		c.send("GET http://" + authority + "/ HTTP/1.1\r\nHost: " + authority + "\r\n\r\n")
		if connects {
			u = g.upstream()
		}
		sent = int64(len(u.head()))
		u.send(ok)
		c.expect(ok)
		return sent
	}
	a := ask("a.example", true)
	b := ask("b.example", false)
	a += ask("A.Example:81", false)
	direct := ask(fmt.Sprintf("direct.example:%d", g.port()), true)
	c.send("GET http://denied.example/ HTTP/1.1\r\nHost: denied.example\r\n\r\n")
	c.expectAnswer(403, "denied", "")
	size := int64(len(ok))
	want := []HostStats{
		{Host: "a.example", Proxified: 2, Read: 2 * size, Sent: a},
		{Host: "b.example", Proxified: 1, Read: size, Sent: b},
		{Host: "direct.example", Bypassed: 1, Read: size, Sent: direct},
	}
	order := cmpopts.SortSlices(func(a, b HostStats) bool { return a.Host < b.Host })
	var got []HostStats
	await(t, "the hosts to have been counted", func() bool { got, _ = g.relay.HostStats(); return cmp.Equal(got, want, order) })
	if got[0].Host != "a.example" {
		t.Errorf("the first host is %+v; want the most used", got[0])
	}
}

// Nothing is counted by host unless that is asked for.
func TestHostStatsOff(t *testing.T) {
	g := newRig(t)
	g.served()
	if hosts, other := g.relay.HostStats(); len(hosts) != 0 || other != (HostStats{}) {
		t.Errorf("there are %+v and %+v", hosts, other)
	}
}

// Only so many hosts are counted by themselves. The least used count as other, those that are no longer known to a
// connection too, and nothing is lost or counted twice.
func TestHostsAreBounded(t *testing.T) {
	const extra = 5*maxHosts + 1
	h := newHosts()
	r := &Relay{loops: []*loop{{}, {}}}
	r.table.Store(newPortTable(nil, nil, nil))
	busy := h.of([]byte("Busy.example"))
	busy.ways[byProxy].Add(2)
	early := h.of([]byte("early.example")) // a tunnel of it stands all the time
	early.flow.read.Add(1)
	for i := range extra {
		h.of(fmt.Appendf(nil, "%d.example", i)).counted().ways[byBypass].Add(1)
	}
	if early.other == nil {
		t.Fatal("the least used host has kept its place")
	}
	early.counted().flow.read.Add(10)
	h.of([]byte(strings.Repeat("x", maxHostName+1))).counted().ways[byBypass].Add(1)
	if len(h.byName) > maxHosts || h.of([]byte("busy.example")) != busy {
		t.Errorf("%d hosts are counted; the busy one among them: %v", len(h.byName), h.byName["busy.example"] == busy)
	}
	other := newHosts() // another loop's, with hosts of its own
	for i := range maxHosts {
		other.of(fmt.Appendf(nil, "%d.other.example", i)).counted().ways[byBypass].Add(1)
	}
	r.loops[0].hosts.byName, r.loops[0].hosts.other = h.byName, h.other
	r.loops[1].hosts.byName, r.loops[1].hosts.other = other.byName, other.other
	list, rest := r.HostStats()
	if len(list) != maxHosts || list[0].Host != "busy.example" {
		t.Fatalf("there are %d hosts, the first of them %+v", len(list), list[0])
	}
	sum := rest
	for _, s := range list {
		sum.add(&s)
	}
	if want := (HostStats{Proxified: 2, Bypassed: extra + 1 + maxHosts, Read: 11}); sum != want {
		t.Errorf("all hosts make %+v; want %+v", sum, want)
	}
	r.ResetStats()
	early.counted().flow.read.Add(7)
	if list, rest := r.HostStats(); len(list) != 0 || rest != (HostStats{Read: 7}) {
		t.Errorf("after a reset there are %d hosts and %+v; want what came since", len(list), rest)
	}
}

// A connection that another loop takes over counts there, under its host's name.
func TestTakenOverCounts(t *testing.T) {
	r := &Relay{start: time.Now(), log: slog.New(slog.DiscardHandler)}
	r.latest.Store(newSetup(&Config{}))
	var loops [2]*loop
	for i := range loops {
		l, err := newLoop(r)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.poll.Close() })
		l.hosts = newHosts()
		loops[i] = l
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(pair[0]); _ = unix.Close(pair[1]) })
	p, host := &port{}, []byte("a.example")
	c := &conn{timer: -1, stage: stageTunnel, port: p, client: socket{fd: pair[0]}, upstream: socket{fd: pair[1]},
		host: &hostTally{name: string(host)}}
	loops[0].takeOver(c)
	c.upstream.countRead(1)
	loops[0].timers.remove(c)
	for _, fd := range pair {
		if err := loops[0].poll.Remove(fd); err != nil {
			t.Fatal(err)
		}
	}
	loops[1].takeOver(c)
	c.upstream.countRead(10)
	c.upstream.countSent(100)
	for i, want := range []struct{ read, sent int64 }{{1, 0}, {10, 100}} {
		f, h := &loops[i].tallyOf(p).ways[byProxy], loops[i].hosts.of(host)
		if f.read.Load() != want.read || f.sent.Load() != want.sent || h.flow.read.Load() != want.read || h.sent.Load() != want.sent {
			t.Errorf("loop %d has %d, %d and %+v; want %d, %d", i, f.read.Load(), f.sent.Load(), h.stats(), want.read, want.sent)
		}
	}
}
