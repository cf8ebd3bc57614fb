package relay

import (
	"io"
	"strings"
	"testing"
	"time"

	"proxymap/session"
)

// A client may say all it has to say at once, and end there: what it cannot know yet to be granted, a megabyte behind
// it, and its FIN. Nothing of that is lost, nor of what comes back.
func TestSocksAllAtOnce(t *testing.T) {
	payload := strings.Repeat("0123456789abcdef", 1<<16)
	for _, f := range fronts[1:] {
		t.Run(f.name, func(t *testing.T) {
			g := newRig(t)
			c := g.client(0)
			go func() {
				_, _ = io.WriteString(c.conn, strings.Join(f.says, "")+payload)
				_ = c.conn.CloseWrite()
			}()
			u := g.upstream()
			if head := u.head(); !strings.HasPrefix(head, "CONNECT "+f.target+" ") {
				t.Fatalf("the provider got %q; want a CONNECT to %s", head, f.target)
			}
			u.send(granted)
			u.expect(payload)
			u.expectEnd()
			c.expect(strings.Join(f.hears, ""))
			u.send("late")
			u.fin()
			c.expect("late")
			c.expectEnd()
			await(t, "the connection is closed", func() bool { return g.relay.Connections() == 0 })
		})
	}
}

// While a SOCKS client waits for its tunnel no more of it is held than one read brings.
func TestSocksHoldsLittle(t *testing.T) {
	g := newRig(t, func(cfg *Config) { cfg.Loops = 1 })
	c := g.client(0)
	go func() {
		_, _ = io.WriteString(c.conn, "\x05\x01\x00"+socks5Name+strings.Repeat("x", 8<<20))
	}()
	u := g.upstream()
	u.head()
	l, held, most := g.relay.loops[0], make(chan int), 0
	for range maxInformational { // rounds of the loop, while more comes from both sides
		u.send("HTTP/1.1 103 Early Hints\r\n\r\n")
		l.do(func() { held <- len(l.conns[0].in.bytes()) + len(l.conns[0].toUpstream.unsent.bytes()) })
		most = max(most, <-held)
	}
	u.send(granted)
	c.expect("\x05\x00" + answer5) // it has come so far
	if most > readSize {
		t.Errorf("%d bytes are held; want no more than one read brings, %d", most, readSize)
	}
}

// The first byte of a connection tells SOCKS from HTTP, and no later one: there it is a malformed request.
func TestSocksTooLate(t *testing.T) {
	for _, says := range []string{"\x05\x01\x00" + socks5Name, socks4Name} {
		g := newRig(t, withAPI("portmapper"))
		c, _ := g.served()
		c.send(says)
		c.expectAnswer(400, "bad-request", "control character")
		c.expectEnd()

		c = g.client(0)
		c.send("\r\n" + says)
		c.expectAnswer(400, "bad-request", "control character")
		c.expectEnd()

		c = g.client(0)
		c.send("\x05\x01\x00\x05\x01\x00\x03\x0aportmapper\x00\x50" + says)
		c.expect("\x05\x00" + answer5)
		c.expectAnswer(400, "bad-request", "control character")
		c.expectEnd()
	}
}

// A client that leaves within its messages, by a FIN or a reset, leaves nothing behind.
func TestSocksClientLeaves(t *testing.T) {
	for _, f := range fronts[1:] {
		t.Run(f.name, func(t *testing.T) {
			g := newRig(t)
			says := strings.Join(f.says, "")
			for n := 1; n < len(says); n++ {
				c := g.client(0)
				c.send(says[:n])
				if n%2 == 0 {
					c.reset()
					continue
				}
				c.fin()
				c.expectClosed()
			}
			await(t, "all connections are closed", func() bool { return g.relay.Connections() == 0 })
		})
	}
}

// One that goes silent within its messages is closed in time.
func TestSocksClientStops(t *testing.T) {
	for _, says := range []string{"\x04\x01", "\x05", "\x05\x01\x00", "\x05\x01\x02\x01\x02me", "\x05\x01\x00\x05\x01\x00\x03\x0b"} {
		g := newRig(t, func(cfg *Config) { cfg.Limits.Head = 50 * time.Millisecond })
		c := g.client(0)
		c.send(says)
		c.expectClosed()
	}
}

// Calls of the Session API may come right behind the request for the tunnel that they are made in.
func TestSocksSessionAPIAtOnce(t *testing.T) {
	const show = "GET /session/ HTTP/1.1\r\nHost: portmapper\r\n\r\n"
	g := newRig(t, withAPI("portmapper"))
	c := g.client(0)
	c.send("\x05\x01\x00\x05\x01\x00\x03\x0aportmapper\x00\x50" + show + show)
	c.fin()
	c.expect("\x05\x00" + answer5)
	c.apiAnswer()
	c.apiAnswer()
	c.expectEnd()
}

// A SOCKS client for which there is no room is told so, and may still use the Session API.
func TestSocksAboveBudget(t *testing.T) {
	g, _ := full(t, 40)
	for says, hears := range map[string]string{
		"\x05\x01\x00" + socks5Name: "\x05\x00\x05\x01" + answer5[2:],
		socks4Name:                  "\x00\x5b" + answer4[2:],
	} {
		c := g.client(0)
		c.send(says)
		c.expect(hears)
		c.expectEnd()
	}
	c := g.client(0)
	c.send("\x05\x01\x00\x05\x01\x00\x03\x0aportmapper\x00\x50GET /session/ HTTP/1.1\r\nHost: portmapper\r\n\r\n")
	c.expect("\x05\x00" + answer5)
	c.apiAnswer()
}

// Names and addresses of SOCKS requests, as they come and as they go on.
func TestSocksHosts(t *testing.T) {
	for _, row := range []struct{ name, host, target string }{
		{"IPv6", "2001:db8::1", "[2001:db8::1]:443"},
		{"IPv6 in brackets", "[2001:db8::1]", "[2001:db8::1]:443"},
		{"IPv4 in IPv6", "::ffff:192.0.2.7", "192.0.2.7:443"},
		{"IPv4", "192.0.2.7", "192.0.2.7:443"},
		{"UTF-8", "bücher.example", "xn--bcher-kva.example:443"},
		{"wide digits", "１92.0.2.7", "192.0.2.7:443"},
	} {
		for version, says := range map[string]string{
			"5":  "\x05\x01\x00\x05\x01\x00\x03" + string([]byte{byte(len(row.host))}) + row.host + "\x01\xbb",
			"4a": "\x04\x01\x01\xbb\x00\x00\x00\x01\x00" + row.host + "\x00",
		} {
			t.Run(row.name+" in SOCKS"+version, func(t *testing.T) {
				g := newRig(t)
				c := g.client(0)
				c.send(says)
				u := g.upstream()
				u.expect("CONNECT " + row.target + " HTTP/1.1\r\nHost: " + row.target + "\r\n")
				g = newRig(t, upstreamOf(SOCKS5))
				c = g.client(0)
				c.send(says)
				if target, _ := g.upstream().socksServer(); target != row.target {
					t.Errorf("the SOCKS server got %q; want %q", target, row.target)
				}
			})
		}
	}
	for _, host := range []string{"[::1", "::1%lo", "[192.0.2.7]", "a:80", "b\xfccher.example", "a／b", "a\ufffdb",
		strings.Repeat("a", 64) + ".example", "ü" + strings.Repeat("a", 56), strings.Repeat("a.", 126) + "aa", "ü" + strings.Repeat(".a", 124)} {
		g := newRig(t)
		c := g.client(0)
		c.send("\x05\x01\x00\x05\x01\x00\x03" + string([]byte{byte(len(host))}) + host + "\x01\xbb")
		c.expect("\x05\x00\x05\x01" + answer5[2:])
		c.expectEnd()
		c = g.client(0)
		c.send("\x04\x01\x01\xbb\x00\x00\x00\x01\x00" + host + "\x00")
		c.expect("\x00\x5b" + answer4[2:])
		c.expectEnd()
	}
}

// A SOCKS5 client is asked for credentials only where they mean something; two empty ones are none.
func TestSocksCredentials(t *testing.T) {
	const empty = "\x01\x00\x00"
	ours := func(p *session.PlanConfig) { p.Set = true }
	for _, row := range []struct {
		name        string
		plan        func(*session.PlanConfig)
		says, hears string
		passed      string // in the head that goes upstream; empty: it does not get that far
	}{
		{"both methods, ours go upstream", ours, "\x05\x02\x00\x02" + socks5Name, "\x05\x00", basic("user", "pa:ss")},
		{"login alone, ours go upstream", ours, "\x05\x01\x02\x01\x02me\x02pw" + socks5Name, "\x05\x02\x01\x00", basic("user", "pa:ss")},
		{"both methods, none go upstream", func(p *session.PlanConfig) { p.Remove = true }, "\x05\x02\x02\x00" + socks5Name, "\x05\x00", "\r\n"},
		{"both methods, they pass", func(*session.PlanConfig) {}, "\x05\x02\x00\x02\x01\x02me\x02pw" + socks5Name, "\x05\x02\x01\x00", basic("me", "pw")},
		{"both methods, they have parameters", func(p *session.PlanConfig) { p.Set, p.ParseParameters = true, true },
			"\x05\x02\x00\x02\x01\x02me\x02pw" + socks5Name, "\x05\x02\x01\x00", basic("user", "pa:ss")},
		{"both methods, they are verified", func(p *session.PlanConfig) { p.Set, p.Verify = true, true },
			"\x05\x02\x00\x02\x01\x04user\x05pa:ss" + socks5Name, "\x05\x02\x01\x00", basic("user", "pa:ss")},
		{"empty, they pass", func(*session.PlanConfig) {}, "\x05\x01\x02" + empty + socks5Name, "\x05\x02\x01\x00", "\r\n"},
		{"empty, they are verified and not required", func(p *session.PlanConfig) { p.Set, p.Verify = true, true },
			"\x05\x01\x02" + empty + socks5Name, "\x05\x02\x01\x00", basic("user", "pa:ss")},
		{"empty, they are required", func(p *session.PlanConfig) { p.Set, p.Require = true, true }, "\x05\x02\x00\x02" + empty, "\x05\x02\x01\x01", ""},
		{"a user name alone", func(*session.PlanConfig) {}, "\x05\x01\x02\x01\x02me\x00" + socks5Name, "\x05\x02\x01\x00", basic("me", "")},
	} {
		t.Run(row.name, func(t *testing.T) {
			g := newRig(t, withClients(row.plan))
			c := g.client(0)
			c.send(row.says)
			c.expect(row.hears)
			if row.passed == "" {
				c.expectEnd()
				return
			}
			u := g.upstream()
			if head := u.head(); !strings.HasPrefix(head, connect[:len(connect)-2]) || !strings.HasSuffix(head, row.passed) && !strings.HasSuffix(head, row.passed+"\r\n") ||
				row.passed == "\r\n" && strings.Contains(head, "Proxy-Authorization") {
				t.Errorf("the provider got %q; want it to end with %q", head, row.passed)
			}
			u.send(granted)
			c.expect(answer5)
		})
	}
}
