package relay

import (
	"fmt"
	"strings"
	"testing"
)

// forwardsTo is how a request gets to a rig's provider, which plays the target but where it is an HTTP proxy.
type forwardsTo struct {
	name   string
	change func(*Config)
	target bool // the relay is the last proxy
	socks  bool
}

var forwardsWays = []forwardsTo{
	{"bypass", bypass, true, false},
	{"SOCKS4", upstreamOf(SOCKS4), true, true},
	{"SOCKS5", upstreamOf(SOCKS5), true, true},
	{"HTTP", upstreamOf(HTTP), false, false},
}

// reached is the upstream end of a request on its way, its SOCKS handshake done.
func (w forwardsTo) reached(g *rig) *peer {
	g.t.Helper()
	u := g.upstream()
	if w.socks {
		u.socksServer()
	}
	return u
}

// limited is a request to a rig's provider with fields of its own.
func (g *rig) limited(method, version, fields string) string {
	return fmt.Sprintf("%s http://127.0.0.1:%d/p HTTP/%s\r\nHost: 127.0.0.1:%[2]d\r\n%[4]s\r\n", method, g.port(), version, fields)
}

// expectFinal reads the relay's answer as a final recipient: of TRACE, the head that it gives back. connection is what its
// Connection says, empty for none.
func (p *peer) expectFinal(method, connection, trace string) {
	p.t.Helper()
	head := p.head()
	fields := []string{"\r\nContent-Length: 0\r\n", "\r\nAllow: GET, HEAD, "}
	if method == "TRACE" {
		fields = []string{fmt.Sprintf("\r\nContent-Length: %d\r\n", len(trace)), "\r\nContent-Type: message/http\r\n"}
	}
	if connection != "" {
		fields = append(fields, "\r\nConnection: "+connection+"\r\n")
	}
	for _, field := range fields {
		if !strings.HasPrefix(head, "HTTP/1.1 200 OK\r\n") || !strings.Contains(head, field) {
			p.t.Fatalf("%s: got %q; want a 200 with %q", p.name, head, field)
		}
	}
	if method == "OPTIONS" && strings.Contains(head, "Content-Type") || connection == "" && strings.Contains(head, "Connection") {
		p.t.Fatalf("%s: got %q; want neither the type of no content, nor Connection", p.name, head)
	}
	if method == "TRACE" {
		p.expect(trace)
	}
}

// Each proxy takes one from Max-Forwards: the relay where it is the last, an upstream HTTP proxy else, which gets the head
// as it came (RFC 9110 section 7.6.2).
func TestMaxForwardsCounts(t *testing.T) {
	for _, way := range forwardsWays {
		t.Run(way.name, func(t *testing.T) {
			g := newRig(t, knows(), way.change)
			c := g.client(0)
			var u *peer
			for _, row := range []struct{ method, came, goes string }{
				{"OPTIONS", "1", "0"}, {"TRACE", "1", "0"}, {"OPTIONS", "10", "9"}, {"TRACE", "0010", "9"},
				{"OPTIONS", "99999999999999999999", "2147483647"}, {"OPTIONS", "2147483648", "2147483647"},
				{"GET", "0", "0"}, {"GET", "3", "3"}, {"GET", "x", "x"}, {"PROPFIND", "0", "0"},
			} {
				c.send(g.limited(row.method, "1.1", "Max-Forwards: "+row.came+"\r\nX: y\r\n"))
				if u == nil {
					u = way.reached(g)
				}
				want := row.goes
				if !way.target {
					want = row.came
				}
				if head := u.head(); !strings.Contains(head, "\r\nMax-Forwards: "+want+"\r\nX: y\r\n") {
					t.Errorf("%s with %s: %q has gone; want Max-Forwards: %s", row.method, row.came, head, want)
				}
				u.send(ok)
				c.expect(ok)
			}
		})
	}
}

// At 0 the relay is the final recipient. Nothing is dialled: the target may be out of reach.
func TestMaxForwardsEnds(t *testing.T) {
	dead := deadServer(t)
	for _, way := range forwardsWays[:3] {
		t.Run(way.name, func(t *testing.T) {
			g := newRig(t, knows(), way.change, func(cfg *Config) {
				for i := range cfg.Mappings[0].Servers {
					cfg.Mappings[0].Servers[i].Port = dead.Port
				}
			})
			for _, method := range []string{"OPTIONS", "TRACE"} {
				target := fmt.Sprintf("http://127.0.0.1:%d/", dead.Port)
				head := func(version, fields string) string {
					return method + " " + target + " HTTP/" + version + "\r\nHost: a\r\nMax-Forwards: 0\r\n" + fields + "\r\n"
				}
				c := g.client(0)
				c.send(head("1.1", "Cookie: a=b\r\nAuthorization: Basic x\r\nX: y\r\n"+basic("a", "b")))
				c.expectFinal(method, "", head("1.1", "X: y\r\n"))
				c.send(head("1.1", ""), head("1.1", "X: z\r\n")) // kept alive, and pipelined
				c.expectFinal(method, "", head("1.1", ""))
				c.expectFinal(method, "", head("1.1", "X: z\r\n"))
				c.send(head("1.0", "Connection: keep-alive\r\n"))
				c.expectFinal(method, "keep-alive", head("1.0", "Connection: keep-alive\r\n"))
				c.send(head("1.0", ""))
				c.expectFinal(method, "close", head("1.0", ""))
				c.expectEnd()

				c = g.client(0)
				c.send(head("1.1", "Connection: close\r\n"))
				c.expectFinal(method, "close", head("1.1", "Connection: close\r\n"))
				c.expectEnd()

				for _, content := range []string{"Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n"} {
					c = g.client(0)
					c.send(head("1.1", content), "GET ht") // content that looks like a request is none
					c.expectFinal(method, "close", head("1.1", content))
					c.expectEnd()
				}
			}
		})
	}
}

// What is no number, or given twice, is refused where the relay counts, and none of its business where it does not.
func TestMaxForwardsMalformed(t *testing.T) {
	for _, way := range forwardsWays {
		t.Run(way.name, func(t *testing.T) {
			g := newRig(t, knows(), way.change)
			for _, row := range []struct{ fields, why string }{
				{"Max-Forwards: x\r\n", "not a plain decimal"}, {"Max-Forwards:\r\n", "not a plain decimal"},
				{"Max-Forwards: -1\r\n", "not a plain decimal"}, {"Max-Forwards: 1, 2\r\n", "not a plain decimal"},
				{"Max-Forwards: 0\r\nmax-forwards: 0\r\n", "given more than once"},
			} {
				c := g.client(0)
				c.send(g.limited("TRACE", "1.1", row.fields))
				if !way.target {
					if head := way.reached(g).head(); !strings.Contains(head, "\r\n"+row.fields) {
						t.Errorf("%q has gone; want %q as it came", head, row.fields)
					}
					continue
				}
				c.expectAnswer(400, "bad-request", "Max-Forwards is "+row.why)
				c.expectEnd()
			}
		})
	}
}

// A list may have servers of both kinds. The one that is reached says who counts.
func TestMaxForwardsOfMixedServers(t *testing.T) {
	for _, kind := range []ServerType{HTTP, SOCKS5} {
		g := newRig(t, knows(), func(cfg *Config) {
			m := &cfg.Mappings[0]
			live, dead := m.Servers[0], deadServer(t)
			live.Type, dead.Type = kind, SOCKS5
			if kind == SOCKS5 {
				dead.Type = HTTP
			}
			m.Servers = []Server{dead, live}
		})
		c := g.client(0)
		zero, two := g.limited("OPTIONS", "1.1", "Max-Forwards: 0\r\n"), g.limited("OPTIONS", "1.1", "Max-Forwards: 2\r\n")
		c.send(zero)
		u := g.upstream()
		if kind == HTTP {
			if head := u.head(); !strings.Contains(head, "\r\nMax-Forwards: 0\r\n") {
				t.Errorf("%q has gone to the HTTP proxy; want it as it came", head)
			}
			continue
		}
		u.socksServer()
		c.expectFinal("OPTIONS", "", "")
		c.send(two) // through the tunnel that there is
		if head := u.head(); !strings.Contains(head, "\r\nMax-Forwards: 1\r\n") {
			t.Errorf("%q has gone to the target; want one less than 2", head)
		}
		u.send(ok)
		c.expect(ok)
		c.send(zero)
		c.expectFinal("OPTIONS", "", "")
		c.send(g.limited("TRACE", "1.1", "Max-Forwards: 0\r\nContent-Length: 2\r\n"), "ok")
		c.expectFinal("TRACE", "close", g.limited("TRACE", "1.1", "Max-Forwards: 0\r\nContent-Length: 2\r\n"))
		u.expectEnd() // and nothing of the content
		c.expectEnd()
	}
}
