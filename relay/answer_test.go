package relay

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"proxymap/relay/internal/kernel"
	"proxymap/relay/refusal"
)

// What cannot be forwarded is answered: in full, with its class, and never with a byte to the provider.
func TestRefusals(t *testing.T) {
	for _, row := range []struct {
		name, request string
		status        int
		class, why    string
	}{
		{"origin-form", "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n", 400, "bad-request", "proxy port"},
		{"asterisk-form", "OPTIONS * HTTP/1.1\r\nHost: example.com\r\n\r\n", 400, "bad-request", "OPTIONS *"},
		{"https", "GET https://example.com/ HTTP/1.1\r\nHost: example.com\r\n\r\n", 400, "bad-request", "use CONNECT"},
		{"no port", "CONNECT example.com HTTP/1.1\r\nHost: example.com\r\n\r\n", 400, "bad-request", "port"},
		{"bare LF", "GET http://example.com/ HTTP/1.1\nHost: example.com\n\n", 400, "bad-request", "CRLF"},
		{"no Host", "GET / HTTP/1.1\r\n\r\n", 400, "bad-request", "Host"},
		{"HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "version-not-supported", "version"},
		{"SMTP", "EHLO example.com\r\n", 400, "bad-request", "not an HTTP request line"},
		{"TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "bad-request", "this is TLS"},
		{"long head", "GET http://example.com/ HTTP/1.1\r\nA: " + strings.Repeat("x", 66000), 431, "head-too-large", "larger"},
		{"long target", "GET http://example.com/" + strings.Repeat("x", 17000), 414, "target-too-long", "longer"},
		{"both framings", "POST http://example.com/ HTTP/1.1\r\nHost: example.com\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "bad-request", "both"},
		{"bad chunk behind the head", "POST http://example.com/ HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding: chunked\r\n\r\n0x4\r\n", 400, "bad-request", "chunk"},
	} {
		t.Run(row.name, func(t *testing.T) {
			g := newRig(t)
			c := g.client(0)
			c.send(row.request)
			c.expectAnswer(row.status, row.class, row.why)
			c.expectEnd()
		})
	}
}

// An answer to HEAD has no content, though it says how much there would be.
func TestRefusalOfHEAD(t *testing.T) {
	g := newRig(t)
	c := g.client(0)
	c.send("HEAD / HTTP/1.1\r\nHost: example.com\r\n\r\n")
	if head := c.head(); !strings.HasPrefix(head, "HTTP/1.1 400 ") || !strings.Contains(head, "\r\nConnection: close\r\n") {
		t.Errorf("got %q; want 400 and Connection: close", head)
	}
	c.expectEnd()
}

func TestRejectPlain(t *testing.T) {
	g := newRig(t, withAPI("portmapper"), func(cfg *Config) { cfg.Mappings[0].RejectPlain = true })
	c := g.client(0)
	c.send(get)
	c.expectAnswer(405, "method-not-allowed", "CONNECT")
	c = g.client(0)
	c.send("GET http://portmapper/session/ HTTP/1.1\r\nHost: portmapper\r\n\r\n")
	if head := c.head(); !strings.HasPrefix(head, "HTTP/1.1 200 ") {
		t.Errorf("the Session API answers %q; want 200, for it comes first", head)
	}
	g.tunnel()
}

func TestNoUpstream(t *testing.T) {
	g := newRig(t, func(cfg *Config) {
		cfg.Mappings[0].Servers, cfg.Remedies = nil, refusal.Remedies{refusal.NoUpstream: "add one to the list"}
	})
	for _, request := range []string{get, connect} {
		c := g.client(0)
		c.send(request)
		c.expectAnswer(502, "no-upstream", "has no upstream proxy; add one to the list\n")
	}
}

func TestUpstreamRefused(t *testing.T) {
	dead := deadServer(t)
	g := newRig(t, func(cfg *Config) { cfg.Mappings[0].Servers = []Server{dead, dead} })
	for _, request := range []string{get, connect, post4 + "body"} {
		c := g.client(0)
		c.send(request)
		c.expectAnswer(502, "upstream-refused", "connection refused")
		c.expectEnd()
	}
}

func TestUpstreamDNS(t *testing.T) {
	g := newRig(t, func(cfg *Config) {
		cfg.Mappings[0].Servers = []Server{{Host: "proxy.invalid", Port: 80}}
		cfg.lookup = func(context.Context, string, func([]netip.Addr)) ([]netip.Addr, error) {
			return nil, errors.New("no such host")
		}
	})
	c := g.client(0)
	c.send(get)
	c.expectAnswer(502, "upstream-dns", "no such host")
}

// Names are looked up once for all who wait, and off the loops: others are served meanwhile.
func TestUpstreamByName(t *testing.T) {
	release := make(chan struct{})
	lookups := make(chan string, 10)
	g := newRig(t, func(cfg *Config) {
		cfg.Mappings[0].Servers[0].Host = "proxy.example"
		cfg.lookup = func(_ context.Context, host string, _ func([]netip.Addr)) ([]netip.Addr, error) {
			lookups <- host
			<-release
			return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
		}
	})
	a, b := g.client(0), g.client(0)
	a.send(get)
	b.send(get)
	if host := <-lookups; host != "proxy.example" {
		t.Errorf("looked up %q", host)
	}
	c := g.client(0)
	c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	c.expectAnswer(400, "bad-request", "")
	close(release)
	for range 2 {
		u := g.upstream()
		u.head()
		u.send(ok)
	}
	a.expect(ok)
	b.expect(ok)
	if len(lookups) > 0 {
		t.Error("looked up more than once")
	}
}

// A client that is still sending when it is refused gets the answer, and not a reset in its place.
func TestLingering(t *testing.T) {
	g := newRig(t)
	c := g.client(0)
	c.send("x\r\n")
	for range 200 {
		c.send(strings.Repeat("y", 1000))
	}
	c.expectAnswer(400, "bad-request", "")
	c.expectEnd()
	c.close()
	await(t, "the connection is closed", func() bool { return g.relay.Connections() == 0 })
}

// But not one that never stops: it is discarded for so long and no longer.
func TestLingeringIsBounded(t *testing.T) {
	g := newRig(t)
	c := g.client(0)
	c.send("x\r\n")
	for sent := 0; ; sent += 64 << 10 {
		if _, err := c.conn.Write(make([]byte, 64<<10)); err != nil {
			break
		}
		if sent > 64<<20 {
			t.Fatal("64 MiB have been taken of a client that was refused")
		}
	}
	await(t, "the connection is closed", func() bool { return g.relay.Connections() == 0 })
}

// Each wait has a deadline, and each deadline its answer.
func TestDeadlines(t *testing.T) {
	const soon = 50 * time.Millisecond
	for _, row := range []struct {
		name   string
		limits Limits
		do     func(g *rig)
	}{
		{"idle before the first request", Limits{Idle: soon}, func(g *rig) { g.client(0).expectEnd() }},
		{"head", Limits{Head: soon}, func(g *rig) {
			c := g.client(0)
			c.send("GET http://exam")
			c.expectAnswer(408, "head-timeout", "head")
			c.expectEnd()
		}},
		{"idle between requests", Limits{Idle: soon}, func(g *rig) {
			c, u := g.served()
			c.expectEnd()
			u.expectEnd()
		}},
		{"response to a request", Limits{Response: soon}, func(g *rig) {
			c := g.client(0)
			c.send(get)
			c.expectAnswer(504, "upstream-timeout", "in time")
			g.upstream().expectClosed()
		}},
		{"response to a request whose client has ended", Limits{Reply: soon}, func(g *rig) {
			c := g.client(0)
			c.send(get)
			c.fin()
			c.expectAnswer(504, "upstream-timeout", "in time")
			g.upstream().expectReset()
		}},
		{"reply to a CONNECT", Limits{Reply: soon}, func(g *rig) {
			c := g.client(0)
			c.send(connect)
			c.expectAnswer(504, "upstream-timeout", "in time")
		}},
		{"content of a request", Limits{Reply: soon}, func(g *rig) {
			c := g.client(0)
			c.send(post4 + "bo")
			c.expectAnswer(408, "content-timeout", "content")
			g.upstream().expectReset()
		}},
		{"content of a response", Limits{TunnelIdle: soon}, func(g *rig) {
			c, u := g.asked(get)
			u.send(reply4 + "ab")
			c.expectReset()
			u.expectClosed()
		}},
		{"content of a request behind its response", Limits{Reply: soon}, func(g *rig) {
			c, u := g.asked(post4 + "bo")
			u.expect("bo")
			u.send(ok)
			c.expect(ok)
			u.expectClosed()
			c.expectClosed()
		}},
		{"tunnel", Limits{TunnelIdle: soon}, func(g *rig) {
			c, u := g.tunnel()
			c.expectEnd()
			u.expectEnd()
		}},
		{"half-closed tunnel", Limits{HalfClosed: soon}, func(g *rig) {
			c, u := g.tunnel()
			c.fin()
			u.expectEnd()
			c.expectEnd()
		}},
		{"lingering", Limits{Linger: soon}, func(g *rig) {
			c := g.client(0)
			c.send("x\r\n")
			c.expectAnswer(400, "bad-request", "")
			c.expectEnd()
			await(g.t, "the connection is closed", func() bool { return g.relay.Connections() == 0 })
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			g := newRig(t, func(cfg *Config) { cfg.Limits = row.limits })
			start := time.Now()
			row.do(g)
			if took := time.Since(start); took < soon*9/10 { // a loop's time is that of its batch of events
				t.Errorf("it ended after %v; want %v", took, soon)
			}
		})
	}
}

// A negative limit is none.
func TestNoDeadline(t *testing.T) {
	g := newRig(t, func(cfg *Config) {
		cfg.Limits = Limits{Idle: -1, TunnelIdle: -1, Dial: -1, Reply: -1, Response: -1, Abandon: -1}
	})
	c, u := g.tunnel()
	c.send("x")
	u.expect("x")
}

// A server that answers no connect costs its share of the time, and then the next one has its turn.
func TestDialTimeout(t *testing.T) {
	silent := silentServer(t)
	g := newRig(t, func(cfg *Config) {
		cfg.Limits.Dial = 200 * time.Millisecond
		m := &cfg.Mappings[0]
		m.Servers = append([]Server{silent}, m.Servers...)
	})
	g.tunnel()

	g = newRig(t, func(cfg *Config) {
		cfg.Limits.Dial = 50 * time.Millisecond
		cfg.Mappings[0].Servers = []Server{silent}
	})
	c := g.client(0)
	c.send(get)
	c.expectAnswer(504, "upstream-timeout", "no answer in time")
}

// silentServer is a listener whose backlog is full, so that connects to it hang.
func silentServer(t *testing.T) Server {
	t.Helper()
	return silentServerAt(t, netip.MustParseAddrPort("127.0.0.1:0"))
}

func silentServerAt(t *testing.T, addr netip.AddrPort) Server {
	t.Helper()
	_, server := silentListener(t, addr)
	return server
}

// silentListener is a listener that says nothing until what waits there is accepted.
func silentListener(t *testing.T, addr netip.AddrPort) (fd int, server Server) {
	t.Helper()
	fd, addr, err := kernel.Listen(addr, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Listen(fd, 0); err != nil { // one may wait to be accepted; the SYNs of those behind it are dropped
		t.Fatal(err)
	}
	for range 8 {
		conn, err := net.DialTimeout("tcp", addr.String(), 100*time.Millisecond)
		if err != nil {
			break
		}
		t.Cleanup(func() { conn.Close() })
	}
	return fd, Server{Host: addr.Addr().String(), Port: addr.Port()}
}

// A Session API call waits for its conditions; requests behind it wait too.
func TestAPIConditions(t *testing.T) {
	type question struct {
		port netip.AddrPort
		done func(error)
	}
	asked := make(chan question, 1)
	g := newRig(t, withAPI("portmapper"), func(cfg *Config) {
		cfg.Store = confirmer(func(port netip.AddrPort, done func(error)) { asked <- question{port, done} })
	})
	const renew = "GET http://portmapper/session/new HTTP/1.1\r\nHost: portmapper\r\n\r\n"
	c := g.client(0)
	c.send(renew + get)
	q := <-asked
	if q.port != g.relay.Ports()[0] {
		t.Errorf("the condition is asked about port %s", q.port)
	}
	_ = g.provider.(*net.TCPListener).SetDeadline(time.Now().Add(100 * time.Millisecond))
	if conn, err := g.provider.Accept(); err == nil {
		conn.Close()
		t.Fatal("the request behind the call did not wait")
	}
	q.done(nil)
	if head := c.head(); !strings.HasPrefix(head, "HTTP/1.1 200 ") {
		t.Fatalf("got %q; want 200", head)
	}
	u := g.upstream()
	u.head()

	c = g.client(0)
	c.send(renew)
	(<-asked).done(errors.New("disk full"))
	c.expectAnswer(503, "session-not-confirmed", "disk full")
}

// A call that changes nothing waits as well: what it would show may have been changed a moment ago by another one that
// still waits. One that is refused shows nothing.
func TestAPIConditionsOfLooks(t *testing.T) {
	asked := make(chan func(error), 1)
	g := newRig(t, withAPI("portmapper"), func(cfg *Config) {
		cfg.Store = confirmer(func(_ netip.AddrPort, done func(error)) { asked <- done })
	})
	call := func(path string) *peer {
		c := g.client(0)
		c.send("GET http://portmapper/session/" + path + " HTTP/1.1\r\nHost: portmapper\r\n\r\n")
		return c
	}
	call("new?a=b:c").expectAnswer(400, "bad-request", "colon")
	for _, pair := range [][2]string{{"new", ""}, {"reset", "reset"}} {
		c := call(pair[0])
		(<-asked)(nil)
		c.apiAnswer()
		c = call(pair[1])
		(<-asked)(errors.New("disk full"))
		c.expectAnswer(503, "session-not-confirmed", "disk full")
	}
}

func TestAPIConditionTooLate(t *testing.T) {
	late := make(chan func(error), 1)
	g := newRig(t, withAPI("portmapper"), func(cfg *Config) {
		cfg.Limits.API = 50 * time.Millisecond
		cfg.Store = confirmer(func(_ netip.AddrPort, done func(error)) { late <- done })
	})
	c := g.client(0)
	c.send("GET http://portmapper/session/new HTTP/1.1\r\nHost: portmapper\r\n\r\n")
	c.expectAnswer(503, "session-not-confirmed", "too long")
	(<-late)(nil)
	c.expectEnd()
}

// The limits of a head can be set, smaller and larger.
func TestHeadLimits(t *testing.T) {
	fields := func(n int) string { // one of them is Host
		return "GET http://example.com/ HTTP/1.1\r\nHost: example.com\r\n" + strings.Repeat("A: b\r\n", n-1) + "\r\n"
	}
	long := func(n int) string { // bytes of the target
		const front = "http://example.com/"
		return "GET " + front + strings.Repeat("x", n-len(front)) + " HTTP/1.1\r\nHost: example.com\r\n\r\n"
	}
	for _, row := range []struct {
		name   string
		limits Limits
		good   string
		bad    string
		status int
		class  string
	}{
		{"few field lines", Limits{HeadFields: 16}, fields(16), fields(17), 431, "head-too-large"},
		{"many field lines", Limits{HeadFields: 1000}, fields(1000), fields(1001), 431, "head-too-large"},
		{"short target", Limits{TargetBytes: 300}, long(300), long(301), 414, "target-too-long"},
		{"long target", Limits{TargetBytes: 100_000, HeadBytes: 200_000}, long(100_000), long(100_001), 414, "target-too-long"},
		{"small head", Limits{HeadBytes: 1024}, fields(100), fields(200), 431, "head-too-large"},
		{"large head", Limits{HeadBytes: 100_000, TargetBytes: 90_000}, long(90_000), long(90_000)[:90_000] + strings.Repeat("y", 20_000), 414, "target-too-long"},
	} {
		t.Run(row.name, func(t *testing.T) {
			g := newRig(t, func(cfg *Config) { cfg.Limits = row.limits })
			c, u := g.client(0), (*peer)(nil)
			c.send(row.good)
			u = g.upstream()
			if head := u.head(); len(head) < len(row.good) {
				t.Fatalf("the provider got %d bytes of %d", len(head), len(row.good))
			}
			u.send(ok)
			c.expect(ok)
			c.send(row.bad)
			c.expectAnswer(row.status, row.class, "limit")
		})
	}
}
