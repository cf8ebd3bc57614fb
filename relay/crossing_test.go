package relay

import (
	"encoding/binary"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"testing"

	"proxymap/relay/hostrule"
	"proxymap/session"
	"proxymap/session/credential"
)

// upstreamOf is a rig's change: its server speaks that protocol.
func upstreamOf(kind ServerType) func(*Config) {
	return func(cfg *Config) { cfg.Mappings[0].Servers[0].Type = kind }
}

// take reads exactly n bytes.
func (p *peer) take(n int) []byte {
	p.t.Helper()
	b := make([]byte, n)
	if _, err := io.ReadFull(p.r, b); err != nil {
		p.t.Fatalf("%s: got %q, then %v; want %d bytes", p.name, b, err, n)
	}
	return b
}

// until reads up to a NUL.
func (p *peer) until0() string {
	p.t.Helper()
	s, err := p.r.ReadString(0)
	if err != nil {
		p.t.Fatalf("%s: got %q, then %v; want text and a NUL", p.name, s, err)
	}
	return strings.TrimSuffix(s, "\x00")
}

// socksServer is a provider's part of a SOCKS handshake, written for this test alone. It grants the request, and returns
// the target and the credentials.
func (p *peer) socksServer() (target, credentials string) {
	p.t.Helper()
	if version := p.take(1)[0]; version == 4 {
		head := p.take(7)
		port, ip := binary.BigEndian.Uint16(head[1:]), netip.AddrFrom4([4]byte(head[3:]))
		credentials = p.until0()
		target = fmt.Sprintf("%s:%d", ip, port)
		if b := ip.As4(); b[0] == 0 && b[1] == 0 && b[2] == 0 && b[3] != 0 {
			target = fmt.Sprintf("%s:%d", p.until0(), port)
		}
		p.send("\x00\x5a\x00\x00\x00\x00\x00\x00")
		return target, credentials
	}
	methods := p.take(int(p.take(1)[0]))
	if strings.Contains(string(methods), "\x02") {
		p.send("\x05\x02")
		p.take(1)
		user := p.take(int(p.take(1)[0]))
		password := p.take(int(p.take(1)[0]))
		credentials = string(user) + ":" + string(password)
		p.send("\x01\x00")
	} else {
		p.send("\x05\x00")
	}
	head := p.take(4)
	var host string
	switch head[3] {
	case 1:
		host = netip.AddrFrom4([4]byte(p.take(4))).String()
	case 3:
		host = string(p.take(int(p.take(1)[0])))
	case 4:
		host = "[" + netip.AddrFrom16([16]byte(p.take(16))).String() + "]"
	}
	p.send("\x05\x00\x00\x03\x04name\x00\x50") // a bound address of the longest kind
	return fmt.Sprintf("%s:%d", host, binary.BigEndian.Uint16(p.take(2))), credentials
}

// A front is a way in which a client asks for a tunnel: what it sends, and what it gets each time before it sends more.
type front struct {
	name   string
	says   []string
	hears  []string
	target string // as an HTTP or SOCKS5 upstream is told it
}

const (
	socks4Name = "\x04\x01\x01\xbb\x00\x00\x00\x01me\x00example.com\x00"
	socks4Addr = "\x04\x01\x01\xbb\xc0\x00\x02\x07\x00"
	socks5Name = "\x05\x01\x00\x03\x0bexample.com\x01\xbb"
	socks5Addr = "\x05\x01\x00\x01\xc0\x00\x02\x07\x01\xbb"
	answer4    = "\x00\x5a\x00\x00\x00\x00\x00\x00"
	answer5    = "\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00"
	granted    = "HTTP/1.1 200 Connection established\r\n\r\n" // as the relay itself says it
)

var fronts = []front{
	{"HTTP", []string{connect}, []string{granted}, "example.com:443"},
	{"SOCKS4", []string{socks4Addr}, []string{answer4}, "192.0.2.7:443"},
	{"SOCKS4a", []string{socks4Name}, []string{answer4}, "example.com:443"},
	{"SOCKS5", []string{"\x05\x01\x00", socks5Name}, []string{"\x05\x00", answer5}, "example.com:443"},
	{"SOCKS5 with an address", []string{"\x05\x01\x00", socks5Addr}, []string{"\x05\x00", answer5}, "192.0.2.7:443"},
	{"SOCKS5 with credentials", []string{"\x05\x01\x02", "\x01\x02me\x02pw", socks5Name}, []string{"\x05\x02", "\x01\x00", answer5}, "example.com:443"},
}

// All crossings of the protocols of clients and upstream servers, with the port's credentials, and payload that comes
// early on both sides.
func TestCrossings(t *testing.T) {
	for _, f := range fronts {
		for kind, name := range map[ServerType]string{HTTP: "HTTP", SOCKS4: "SOCKS4", SOCKS5: "SOCKS5"} {
			t.Run(f.name+" to "+name, func(t *testing.T) {
				g := newRig(t, upstreamOf(kind))
				c := g.client(0)
				for i, text := range f.says {
					last := i == len(f.says)-1
					if last {
						text += "early"
					}
					c.send(text)
					if !last {
						c.expect(f.hears[i])
					}
				}
				u := g.upstream()
				if kind == HTTP {
					head := u.head()
					if !strings.HasPrefix(head, "CONNECT "+f.target+" HTTP/1.1\r\nHost: "+f.target+"\r\n") || !strings.Contains(head, basic("user-session-id1", "pass")) {
						t.Fatalf("the provider got %q; want a CONNECT to %s with the port's credentials", head, f.target)
					}
					u.send("HTTP/1.1 103 Early Hints\r\n\r\n" + granted + "first")
					if f.name == "HTTP" {
						c.expect("HTTP/1.1 103 Early Hints\r\n\r\n")
					}
				} else {
					want := map[ServerType]string{SOCKS4: "user-session-id1", SOCKS5: "user-session-id1:pass"}[kind]
					if target, credentials := u.socksServer(); target != f.target || credentials != want {
						t.Fatalf("the server got %q with %q; want %q with %q", target, credentials, f.target, want)
					}
					u.send("first")
				}
				c.expect(f.hears[len(f.hears)-1])
				c.expect("first")
				u.expect("early")
				c.send("x")
				u.expect("x")
				c.fin()
				u.expectEnd()
				u.send("y")
				u.fin()
				c.expect("y")
				c.expectEnd()
			})
		}
	}
}

// However a client's bytes come, they mean the same.
func TestSocksByteByByte(t *testing.T) {
	for _, f := range fronts[1:] {
		t.Run(f.name, func(t *testing.T) {
			g := newRig(t)
			c := g.client(0)
			for i, text := range f.says {
				for _, b := range []byte(text) {
					c.send(string([]byte{b}))
				}
				if i < len(f.says)-1 {
					c.expect(f.hears[i])
				}
			}
			u := g.upstream()
			if head := u.head(); !strings.HasPrefix(head, "CONNECT "+f.target+" ") {
				t.Fatalf("the provider got %q; want a CONNECT to %s", head, f.target)
			}
			u.send(granted)
			c.expect(f.hears[len(f.hears)-1])
		})
	}
}

// An upstream server's bytes may come one by one, too.
func TestSocksServerByteByByte(t *testing.T) {
	g := newRig(t, upstreamOf(SOCKS5))
	c := g.client(0)
	c.send(connect)
	u := g.upstream()
	for _, step := range []struct {
		read  int
		reply string
	}{{3, "\x05\x02"}, {2 + len("user-session-id1") + 1 + len("pass"), "\x01\x00"}, {5 + len("example.com") + 2, answer5 + "z"}} {
		u.take(step.read)
		for _, b := range []byte(step.reply) {
			u.send(string([]byte{b}))
		}
	}
	c.expect(granted + "z")
}

// What a SOCKS client cannot have it is told in its protocol.
func TestSocksRefusals(t *testing.T) {
	reply5 := func(code byte) string { return "\x05" + string([]byte{code}) + answer5[2:] }
	const rejected4 = "\x00\x5b\x00\x00\x00\x00\x00\x00"
	for _, row := range []struct {
		name, says, hears string
		change            func(*Config)
	}{
		{"BIND", "\x05\x01\x00\x05\x02\x00\x01\x7f\x00\x00\x01\x00\x50", "\x05\x00" + reply5(7), nil},
		{"UDP", "\x05\x01\x00\x05\x03\x00\x01\x7f\x00\x00\x01\x00\x50", "\x05\x00" + reply5(7), nil},
		{"BIND of version 4", "\x04\x02\x00\x50\x7f\x00\x00\x01\x00", rejected4, nil},
		{"address type", "\x05\x01\x00\x05\x01\x00\x02\x7f\x00\x00\x01\x00\x50", "\x05\x00" + reply5(8), nil},
		{"port 0", "\x05\x01\x00\x05\x01\x00\x01\x7f\x00\x00\x01\x00\x00", "\x05\x00" + reply5(1), nil},
		{"name that is none", "\x05\x01\x00\x05\x01\x00\x03\x03a:b\x00\x50", "\x05\x00" + reply5(1), nil},
		{"name with a line end", "\x05\x01\x00\x05\x01\x00\x03\x04a\r\nb\x00\x50", "\x05\x00" + reply5(1), nil},
		{"no method that will do", "\x05\x01\x01", "\x05\xff", nil},
		{"denied", "\x05\x01\x00" + socks5Name, "\x05\x00" + reply5(2), func(cfg *Config) { cfg.Mappings[0].Action = hostrule.Deny }},
		{"denied, version 4", socks4Name, rejected4, func(cfg *Config) { cfg.Mappings[0].Action = hostrule.Deny }},
		{"no upstream", "\x05\x01\x00" + socks5Name, "\x05\x00" + reply5(1), func(cfg *Config) { cfg.Mappings[0].Servers = nil }},
		{"upstream refuses to connect", "\x05\x01\x00" + socks5Name, "\x05\x00" + reply5(5), func(cfg *Config) {
			cfg.Mappings[0].Servers[0].Port = 1
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			g := newRig(t, func(cfg *Config) {
				if row.change != nil {
					row.change(cfg)
				}
			})
			c := g.client(0)
			c.send(row.says)
			c.expect(row.hears)
			c.expectEnd()
		})
	}
}

// A provider's refusal of the CONNECT becomes a code.
func TestSocksProviderRefuses(t *testing.T) {
	for status, code := range map[string]byte{"403 Forbidden": 2, "407 Proxy Authentication Required": 1, "502 Bad Gateway": 1, "504 Gateway Timeout": 4} {
		g := newRig(t)
		c := g.client(0)
		c.send("\x05\x01\x00" + socks5Name)
		c.expect("\x05\x00")
		u := g.upstream()
		u.head()
		u.send("HTTP/1.1 " + status + "\r\nContent-Length: 4\r\n\r\ntext")
		c.expect("\x05" + string([]byte{code}) + answer5[2:])
		c.expectEnd()
	}
}

// A SOCKS server's refusal reaches clients of both protocols.
func TestSocksServerRefuses(t *testing.T) {
	for code, want := range map[byte]struct {
		status int
		class  string
	}{1: {502, "upstream-refused"}, 2: {403, "denied"}, 4: {502, "upstream-refused"}, 5: {502, "upstream-refused"}, 6: {504, "upstream-timeout"}} {
		refusal := "\x05\x00\x05" + string([]byte{code}) + answer5[2:]
		noCredentials := func(cfg *Config) {
			cfg.Mappings[0].Plan = newPlan(t, session.PlanConfig{Account: &credential.Account{}})
		}
		g := newRig(t, upstreamOf(SOCKS5), noCredentials)
		c := g.client(0)
		c.send(connect)
		g.upstream().send(refusal)
		c.expectAnswer(want.status, want.class, "refused with code")

		c = g.client(0)
		c.send("\x05\x01\x00" + socks5Name)
		c.expect("\x05\x00")
		g.upstream().send(refusal)
		c.expect("\x05" + string([]byte{code}) + answer5[2:])
	}
}

// A SOCKS server that refuses our credentials is like a provider's 407, and one that talks nonsense like a malformed
// response.
func TestSocksServerFaults(t *testing.T) {
	for _, row := range []struct {
		name, says string
		status     int
		class, why string
	}{
		{"no method", "\x05\xff", 502, "upstream-auth", "credentials"},
		{"wrong password", "\x05\x02\x01\x01", 502, "upstream-auth", "credentials"},
		{"HTTP", "HTTP/1.1 400 Bad Request\r\n\r\n", 502, "upstream-bad-response", "SOCKS"},
		{"end", "", 502, "upstream-closed", "closed"},
	} {
		t.Run(row.name, func(t *testing.T) {
			g := newRig(t, upstreamOf(SOCKS5))
			c := g.client(0)
			c.send(connect)
			u := g.upstream()
			u.send(row.says)
			u.fin()
			c.expectAnswer(row.status, row.class, row.why)
			c.expectEnd()
		})
	}
}

// A server that could take the connection without credentials would never hear the session, so with credentials only
// their method is offered, and no other taken. RFC 1929's answer may have the version of SOCKS.
func TestSocksServerHearsCredentials(t *testing.T) {
	const login = "\x01\x10user-session-id1\x04pass"
	g := newRig(t, upstreamOf(SOCKS5))
	c := g.client(0)
	c.send(connect)
	u := g.upstream()
	u.expect("\x05\x01\x02")
	u.send("\x05\x02")
	u.expect(login)
	u.send("\x05\x00")
	u.expect(socks5Name)
	u.send(answer5)
	c.expect(granted)

	c = g.client(0)
	c.send(connect)
	u = g.upstream()
	u.expect("\x05\x01\x02")
	u.send("\x05\x00" + answer5)
	c.expectAnswer(502, "upstream-bad-response", "the server would not know the session")
	u.expectEnd()

	c = g.client(0)
	c.send(connect)
	u = g.upstream()
	u.expect("\x05\x01\x02")
	u.send("\x05\x02")
	u.expect(login)
	u.send("\x05\x01")
	c.expectAnswer(502, "upstream-auth", "credentials")

	g = newRig(t, upstreamOf(SOCKS5), func(cfg *Config) {
		cfg.Mappings[0].Plan = newPlan(t, session.PlanConfig{Account: &credential.Account{}})
	})
	c = g.client(0)
	c.send(connect)
	u = g.upstream()
	u.expect("\x05\x01\x00")
	u.send("\x05\x00")
	u.expect(socks5Name)
	u.send(answer5)
	c.expect(granted)
}

// Plain requests over a SOCKS server go to the target as to an origin server, over a connection that serves that target
// alone.
func TestPlainOverSocks(t *testing.T) {
	g := newRig(t, upstreamOf(SOCKS5))
	c := g.client(0)
	const request = "GET http://example.com/p?q HTTP/1.1\r\nHost: example.com\r\nProxy-Connection: keep-alive\r\nConnection: X\r\nX: 1\r\nAccept: a\r\n\r\n"
	const forwarded = "GET /p?q HTTP/1.1\r\nHost: example.com\r\nAccept: a\r\n\r\n"
	c.send(request)
	u := g.upstream()
	if target, credentials := u.socksServer(); target != "example.com:80" || credentials != "user-session-id1:pass" {
		t.Fatalf("the server got %q with %q", target, credentials)
	}
	u.expect(forwarded)
	u.send(ok)
	c.expect(ok)
	c.send(request)
	u.expect(forwarded)
	u.send(ok)
	c.expect(ok)
	// Another target, another connection.
	c.send(strings.ReplaceAll(request, "example.com", "example.org"))
	u.expectEnd()
	u = g.upstream()
	if target, _ := u.socksServer(); target != "example.org:80" {
		t.Fatalf("the server got %q", target)
	}
	u.expect(strings.ReplaceAll(forwarded, "example.com", "example.org"))
}

// The Session API answers SOCKS clients too.
func TestSessionAPIOverSocks(t *testing.T) {
	for _, f := range []struct {
		says  []string
		hears []string
	}{
		{[]string{"\x04\x01\x00\x50\x00\x00\x00\x01\x00portmapper\x00"}, []string{answer4}},
		{[]string{"\x05\x01\x00", "\x05\x01\x00\x03\x0aportmapper\x00\x50"}, []string{"\x05\x00", answer5}},
	} {
		g := newRig(t, withAPI("portmapper"))
		c := g.client(0)
		for i := range f.says {
			c.send(f.says[i])
			c.expect(f.hears[i])
		}
		for range 2 {
			c.send("GET /session/ HTTP/1.1\r\nHost: portmapper\r\n\r\n")
			if head := c.head(); !strings.HasPrefix(head, "HTTP/1.1 200 ") || !strings.Contains(head, "X-Session-Id: id1\r\n") {
				t.Fatalf("got %q; want the session", head)
			}
			if _, err := c.r.ReadString('}'); err != nil {
				t.Fatal(err)
			}
			c.r.Discard(c.r.Buffered())
		}
	}
}
