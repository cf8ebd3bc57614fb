//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"proxymap/bench/provider"
)

// A model that is told something wrong finds a violation, whatever that is. PROXYMAP_LONG=1 tries each way, else it is one.
func TestSabotageIsReported(t *testing.T) {
	for kind, want := range map[string]Kind{"swap": Shared, "forget": Disordered, "close": Cut} {
		if kind != "swap" && os.Getenv("PROXYMAP_LONG") == "" {
			continue
		}
		var out bytes.Buffer
		o := options{Time: time.Minute, Ports: 2, Seed: 1, Sabotage: kind, tree: "../..", calm: true}
		err := o.run(&out)
		if err == nil || !strings.Contains(err.Error(), "violations") || !strings.Contains(out.String(), "\n"+string(want)+": port ") {
			t.Errorf("%s: %v; want a violation of the kind %s\n%s", kind, err, want, &out)
		}
	}
}

func TestSaboteur(t *testing.T) {
	event := func(port int, made string) Event { return Event{Port: port, New: made} }
	for kind, want := range map[string][]Event{
		"":       {event(0, "a"), event(0, "b"), event(1, "c"), event(1, "d")},
		"forget": {event(0, "b"), event(1, "c"), event(1, "d")},
		"swap":   {event(0, "a"), event(0, "c"), event(1, "b"), event(1, "d")},
	} {
		s := saboteur{kind: kind, seen: sabotageAfter}
		var got []Event
		for _, e := range []Event{event(0, "a"), event(0, "b"), event(1, "c"), event(1, "d")} {
			got = append(got, s.events(e)...)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q tells %v; want %v", kind, got, want)
		}
	}
	s := saboteur{kind: "close"}
	if s.how(Keep) != Keep {
		t.Error("a call is taken for another one before the clients have begun")
	}
	s.begun = true
	if s.how(Keep) != Close || s.how(Drain) != Drain {
		t.Error("a call that keeps must be taken for one that closes, and no other")
	}
}

func TestHostNames(t *testing.T) {
	for _, banned := range []bool{false, true} {
		if c, n, ok := parseHost(hostName(17, 4000000000, banned)); c != 17 || n != 4000000000 || !ok {
			t.Errorf("got client %d, number %d, %v", c, n, ok)
		}
	}
	for _, host := range []string{"", "ip.demo", "c1.ip.demo", "c1n.ip.demo", "cn1.ip.demo", "c1n-1.ip.demo", "x1n1.ip.demo"} {
		if _, _, ok := parseHost(host); ok {
			t.Errorf("%q is taken for a request's host", host)
		}
	}
}

func TestLedger(t *testing.T) {
	var l ledger
	first := l.enter(Ask{at: 1}, 0)
	second := l.enter(Ask{at: 2}, first)
	if e, found := l.sight(second, "a"); !found || e.seen || e.asked.at != 2 || e.tunnel != first {
		t.Errorf("the second request is %+v, %v", e, found)
	}
	if e, _ := l.sight(second, "b"); !e.seen || e.session != "a" || l.seen(second) != "b" || l.seen(first) != "" {
		t.Errorf("seen once more it is %+v, and then %q; the first is %q", e, l.seen(second), l.seen(first))
	}
	for range ledgerSize {
		l.enter(Ask{}, 0)
	}
	if _, found := l.sight(second, "a"); found || l.seen(second) != "" {
		t.Error("a request is found that is too long ago")
	}
}

// peer plays a relay that says text.
func peer(t *testing.T, text string) *link {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		_, _ = io.WriteString(conn, text)
		_, _ = io.Copy(io.Discard, conn)
		conn.Close()
	}()
	link, err := dial(netip.MustParseAddrPort(l.Addr().String()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { link.end(true) })
	return link
}

func TestAnswers(t *testing.T) {
	l := peer(t, "HTTP/1.1 200 OK\r\nX-Session-Id: a\r\nContent-Length: 2\r\n\r\n{}"+
		"HTTP/1.1 200 OK\r\ncontent-length: 15\r\n\r\n{\"session\":\"b\"}"+
		"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"+
		"HTTP/1.1 502 Bad Gateway\r\nX-Proxymap-Error: no\r\nContent-Length: 3\r\n\r\nno\n")
	var got []string
	for range 4 {
		if err := l.send("x"); err != nil {
			t.Fatal(err)
		}
		a, err := l.answer(false)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprint(a.status, a.session, a.reason, a.closes))
	}
	if want := []string{"200afalse", "200bfalse", "403true", "502nofalse"}; !slices.Equal(got, want) {
		t.Errorf("got %q; want %q", got, want)
	}
}

// A tunnel's bytes behind its grant are not lost, whatever it was asked for with.
func TestTunnelsOpen(t *testing.T) {
	grant := "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"
	for name, row := range map[string]struct {
		open func(l *link, host, early string) error
		text string
	}{
		"CONNECT": {(*link).connect, grant},
		"SOCKS5":  {(*link).socks, "\x05\x00\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00"},
	} {
		l := peer(t, row.text+"HTTP/1.1 204 None\r\n\r\n")
		if err := row.open(l, "host", "early"); err != nil {
			t.Errorf("%s: %v", name, err)
		} else if a, err := l.answer(false); err != nil || a.status != 204 {
			t.Errorf("%s: after the grant came %+v, %v", name, a, err)
		}
	}
	if err := peer(t, "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n").connect("host", ""); err == nil {
		t.Error("a refused CONNECT is no error")
	}
	if err := peer(t, "\x05\x00\x05\x01").socks("host", ""); err == nil {
		t.Error("a refused SOCKS request is no error")
	}
}

// An answer that is another request's is found, and so is a message in another tunnel.
func TestCrossedAnswers(t *testing.T) {
	r := &run{model: newTestModel(), clock: &clock{}, counts: map[string]int64{}}
	for i := range 2 {
		r.clients = append(r.clients, &client{run: r, index: i, port: i})
	}
	rotated(r.model, 0, "", "a", "traffic", 1)
	c := r.clients[0]
	n, host := c.enter(0)
	r.observe(provider.Sighting{Host: host, Session: "a", Previous: "z"})
	c.link = peer(t, "HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n{\"session\":\"b\"}")
	if _, err := c.hear(n, false); err != nil {
		t.Fatal(err)
	}
	_, inside := c.enter(n)
	r.observe(provider.Sighting{Host: inside, Session: "a", Tunnel: hostName(1, n, false)})
	r.observe(provider.Sighting{Host: inside, Session: "a", Tunnel: host})
	if got, want := kinds(r.model), []Kind{Mixed, Crossed, Crossed}; !slices.Equal(got, want) {
		t.Errorf("got %v; want %v", got, want)
	}
	if r.observe(provider.Sighting{Host: "somewhere"}); r.errors != 1 {
		t.Errorf("%d errors for a request that nobody has sent", r.errors)
	}
}

// A run that has done nothing fails.
func TestTooLittleDone(t *testing.T) {
	r := &run{opts: &options{Kill: true}, model: newTestModel(), counts: map[string]int64{}}
	err := r.report(io.Discard, time.Second, nil)
	for _, want := range []string{"no new close by admin", "no reset keep by port", "no event: expired", "0 requests", "0 messages", "0 kills"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %q in it", err, want)
		}
	}
	r = &run{opts: &options{}, model: newTestModel(), counts: map[string]int64{}}
	for _, kind := range wanted() {
		r.count(kind)
	}
	r.requests.Store(leastDone)
	r.messages.Store(leastDone)
	r.tunnels.Store(leastDone)
	if err := r.report(io.Discard, time.Second, nil); err != nil {
		t.Error(err)
	}
	r.fail(io.EOF)
	if err := r.report(io.Discard, time.Second, nil); err == nil || !strings.Contains(err.Error(), "1 errors") {
		t.Errorf("%v; an error with %d requests must be a fault", err, leastDone)
	}
}

// A run goes on until there has been some of everything, but not for ever.
func TestRunIsDone(t *testing.T) {
	for _, row := range []struct {
		name     string
		requests int64 // that are wanted; 0: the time counts
		all      bool  // each kind of rotation has been
		done     int64
		took     time.Duration
		want     bool
	}{
		{"the time is not over", 0, true, leastDone, time.Second - 1, false},
		{"the time is over", 0, true, leastDone, time.Second, true},
		{"the time is over, and something is missing", 0, false, leastDone, 2*time.Second - 1, false},
		{"twice the time is over", 0, false, leastDone, 2 * time.Second, true},
		{"fewer requests than wanted", 1000, true, 999, time.Hour, false},
		{"as many requests as wanted", 1000, true, 1000, 0, true},
	} {
		r := &run{opts: &options{Time: time.Second, Requests: row.requests}, counts: map[string]int64{}}
		for _, kind := range wanted() {
			if row.all {
				r.counts[kind]++
			}
		}
		for _, n := range []*atomic.Int64{&r.requests, &r.messages, &r.tunnels} {
			n.Store(leastDone)
		}
		if got := r.isDone(row.done, row.took); got != row.want {
			t.Errorf("%s: done %v; want %v", row.name, got, row.want)
		}
	}
}

// The settings give each mapping as many ports as the run uses, and a provider of its own.
func TestSettings(t *testing.T) {
	b := &bed{addr: netip.MustParseAddr("127.0.0.1"), perPort: 3}
	for range mappings {
		p, err := provider.Start(provider.Config{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(p.Close)
		b.providers = append(b.providers, p)
	}
	var settings struct {
		ProxyMappings []struct {
			Listen struct {
				PortRange   struct{ Start, End int }
				OnRotate    string
				MaxRequests int
			}
			ProxyServers struct{ Items []struct{ Port uint16 } }
		}
	}
	if err := json.Unmarshal([]byte(b.settings()), &settings); err != nil {
		t.Fatal(err)
	}
	for i, m := range settings.ProxyMappings {
		of := b.mapping(i * 3)
		if m.Listen.PortRange.Start != firstPort+i*3 || m.Listen.PortRange.End != firstPort+i*3+2 || b.mapping(i*3+2) != of {
			t.Errorf("mapping %d has the ports %v", i, m.Listen.PortRange)
		}
		if how := strings.ToLower(m.Listen.OnRotate); how != string(of.OnRotate) && how+string(of.OnRotate) != string(Keep) || m.Listen.MaxRequests != of.Most {
			t.Errorf("mapping %d has %s and %d requests; the model is told %s and %d", i, how, m.Listen.MaxRequests, of.OnRotate, of.Most)
		}
		if m.ProxyServers.Items[0].Port != b.providers[i].Addr().Port() {
			t.Errorf("mapping %d has the provider of another", i)
		}
	}
	if len(settings.ProxyMappings) != len(mappings) {
		t.Errorf("%d mappings; want %d", len(settings.ProxyMappings), len(mappings))
	}
}
