package relay

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"proxymap/session"
)

const (
	headerV1    = "PROXY TCP4 192.0.2.7 127.0.0.1 54321 10201\r\n"
	headerV2    = "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x07\x7f\x00\x00\x01\xd4\x31\x27\xd9"
	headerTLV   = "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x12\xc0\x00\x02\x07\x7f\x00\x00\x01\xd4\x31\x27\xd9\x04\x00\x03abc"
	headerV6    = "PROXY TCP6 2001:db8::1 ::1 54321 10201\r\n"
	headerLocal = "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"
	headerNone  = "PROXY UNKNOWN\r\n"
	apiGet      = "GET http://portmapper/session/ HTTP/1.1\r\nHost: portmapper\r\n\r\n"
)

// withProxyHeaders has the ports want a PROXY header.
func withProxyHeaders(cfg *Config) {
	cfg.Mappings[0].ProxyProtocol = true
	cfg.Mappings[0].API = session.API{Enabled: true, Domain: "portmapper"}
}

// stageOf is the stage of the relay's one connection.
func stageOf(r *Relay) (s stage) {
	look(r, func(c *conn) { s = c.stage })
	return s
}

// look has f look at each connection of a relay.
func look(r *Relay, f func(*conn)) {
	for _, l := range r.loops {
		done := make(chan struct{})
		l.do(func() {
			defer close(done)
			for _, c := range l.conns {
				if c != nil && c.stage != stageClosed {
					f(c)
				}
			}
		})
		<-done
	}
}

// clientOf is the address that the relay takes for the client's, of its one connection.
func clientOf(r *Relay) (from netip.Addr) {
	look(r, func(c *conn) { from = c.from })
	return from
}

// Whatever header there is, and whatever stands behind it in the same segment or in a later one, HTTP, SOCKS and the
// Session API are served, and the client is whom the header names.
func TestProxyHeaderIsRead(t *testing.T) {
	for _, header := range []struct{ name, bytes, client string }{
		{"version 1", headerV1, "192.0.2.7"},
		{"version 1, IPv6", headerV6, "2001:db8::1"},
		{"version 1, UNKNOWN", headerNone, "127.0.0.1"},
		{"version 2", headerV2, "192.0.2.7"},
		{"version 2 with TLVs", headerTLV, "192.0.2.7"},
		{"version 2, LOCAL", headerLocal, "127.0.0.1"},
	} {
		for _, behind := range []struct {
			name string
			send []string
			have string // what the client gets
		}{
			{"plain request", []string{get}, ok},
			{"SOCKS5", []string{"\x05\x01\x00", "\x05\x01\x00\x03\x0bexample.com\x01\xbb"}, "\x05\x00" + "\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00"},
			{"SOCKS4", []string{"\x04\x01\x01\xbb\x01\x02\x03\x04\x00"}, "\x00\x5a\x00\x00\x00\x00\x00\x00"},
			{"CONNECT", []string{connect}, "HTTP/1.1 200 OK\r\n\r\n"},
			{"Session API", []string{apiGet}, "HTTP/1.1 200 OK\r\n"},
		} {
			t.Run(header.name+", "+behind.name, func(t *testing.T) {
				g := newRig(t, withProxyHeaders)
				provide(g)
				for _, parts := range [][]string{
					append([]string{header.bytes + behind.send[0]}, behind.send[1:]...), // in one segment
					append([]string{header.bytes}, behind.send...),
				} {
					c := g.client(0)
					got := ""
					for i, part := range parts {
						c.send(part)
						if part == header.bytes { // what comes next comes in another read
							await(t, "the header is read", func() bool { return stageOf(g.relay) == stageIdle })
						}
						if behind.name == "SOCKS5" && strings.HasSuffix(part, behind.send[0]) && i < len(parts)-1 {
							c.expect(behind.have[:2])
							got = behind.have[:2]
						}
					}
					c.expect(strings.TrimPrefix(behind.have, got))
					if from := clientOf(g.relay); from != netip.MustParseAddr(header.client) {
						t.Errorf("the client is %s; want %s", from, header.client)
					}
					c.close()
					await(t, "the connection is closed", func() bool { return g.relay.Connections() == 0 })
				}
				if s := g.relay.Stats(); s.HeaderRejected != 0 || s.Requests != 2 || s.HeaderFailed != 0 {
					t.Errorf("%d without a header, %d requests, %d heads failed; want 0, 2, 0", s.HeaderRejected, s.Requests, s.HeaderFailed)
				}
			})
		}
	}
}

// provide has the provider grant CONNECTs, and answer other requests.
func provide(g *rig) {
	go func() {
		for {
			conn, err := g.provider.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				buf := make([]byte, 4096)
				for n, err := conn.Read(buf); err == nil; n, err = conn.Read(buf) {
					answer := ok
					if strings.HasPrefix(string(buf[:n]), "CONNECT ") {
						answer = "HTTP/1.1 200 OK\r\n\r\n"
					}
					_, _ = conn.Write([]byte(answer))
				}
			}()
		}
	}()
}

// A header that comes in two parts, cut anywhere, is the same header, and so is one that comes byte by byte.
func TestProxyHeaderSplitAnywhere(t *testing.T) {
	g := newRig(t, withProxyHeaders)
	g.echo()
	for _, header := range []string{headerV1, headerTLV, headerLocal, headerNone} {
		whole := header + get
		for cut := 1; cut < len(header)+2; cut++ {
			splitAt(t, g, whole, cut)
		}
		cuts := make([]int, len(whole)-1)
		for i := range cuts {
			cuts[i] = i + 1
		}
		splitAt(t, g, whole, cuts...)
	}
	if s := g.relay.Stats(); s.HeaderRejected != 0 {
		t.Errorf("%d headers are refused", s.HeaderRejected)
	}
}

// splitAt has a new client send a text in parts that the relay reads one by one, and be served.
func splitAt(t *testing.T, g *rig, whole string, cuts ...int) {
	t.Helper()
	c := g.client(0)
	defer c.close()
	sent := 0
	for _, cut := range cuts {
		c.send(whole[sent:cut])
		sent = cut
		awaitRead(t, g, cut)
	}
	c.send(whole[sent:])
	c.expect(ok)
}

// awaitRead waits until a relay that has one connection open has read so many bytes of it.
func awaitRead(t *testing.T, g *rig, n int) {
	t.Helper()
	await(t, "the relay has read the part", func() (read bool) {
		look(g.relay, func(c *conn) { // behind the header it is for others to read, and to test
			read = read || c.stage == stageProxyHeader && len(c.in.bytes()) == n || c.stage == stageHead || c.stage == stageIdle
		})
		return read
	})
}

// Who does not begin with a header as it should be is closed without an answer, counted, and logged with what is wrong.
func TestProxyHeaderIsMissing(t *testing.T) {
	for _, row := range []struct{ name, bytes, why string }{
		{"a request", get, "it does not begin with a PROXY header"},
		{"CONNECT", connect, "it does not begin with a PROXY header"},
		{"POST, which begins with a P", post4 + "body", "it does not begin with a PROXY header"},
		{"an API call", apiGet, "it does not begin with a PROXY header"},
		{"SOCKS5", "\x05\x01\x00", "it does not begin with a PROXY header"},
		{"a header behind a space", " " + headerV1, "it does not begin with a PROXY header"},
		{"a line too long", "PROXY UNKNOWN " + strings.Repeat("x", 100), "the line of version 1 does not end within 107 bytes"},
		{"another family's address", "PROXY TCP4 ::1 ::1 1 2\r\n" + get, "an address of version 1 is none of the line's family"},
		{"a port out of range", "PROXY TCP4 1.2.3.4 1.2.3.4 65536 2\r\n" + get, "a port of version 1 is no number from 0 to 65535"},
		{"version 3", headerV2[:12] + "\x31" + headerV2[13:], "the version of the binary header is not 2"},
		{"command 2", headerV2[:12] + "\x22" + headerV2[13:], "the command of version 2 is neither LOCAL nor PROXY"},
		{"AF_UNIX", headerV2[:13] + "\x31\x00\xd8" + strings.Repeat("/", 216), "the family of version 2 is none of"},
		{"5 KiB", headerV2[:14] + "\x14\x00" + headerV2[16:], "the header of version 2 is longer than 4 KiB"},
	} {
		t.Run(row.name, func(t *testing.T) {
			var lines logLines
			g := newRig(t, withProxyHeaders, lines.in)
			c := g.client(0)
			c.send(row.bytes)
			c.expectTurnedAway()
			if s := g.relay.Stats(); s.HeaderRejected != 1 || s.AddressRejected != 0 || s.Requests != 0 || s.HeaderFailed != 0 {
				t.Errorf("%d without a header, %d for their address, %d requests; want 1, 0, 0", s.HeaderRejected, s.AddressRejected, s.Requests)
			}
			await(t, "it is logged", func() bool { return lines.count(row.why) == 1 })
			if n := lines.count("from=127.0.0.1 port=" + g.relay.Ports()[0].String() + " connections=1"); n != 1 {
				t.Errorf("the log says %s", lines.text.String())
			}
		})
	}
}

// A header that does not end has HeadTime, in all: bytes give it no more.
func TestProxyHeaderNeverEnds(t *testing.T) {
	const headTime = 100 * time.Millisecond
	for _, begin := range []string{"", "PROXY TCP4 ", headerV2[:20]} {
		g := newRig(t, withProxyHeaders, func(cfg *Config) { cfg.Limits.Head = headTime })
		c := g.client(0)
		c.send(begin)
		c.expectTurnedAway()
		if n := g.relay.Stats().HeaderRejected; n != 1 {
			t.Errorf("after %q: %d are counted; want 1", begin, n)
		}
	}
	g := newRig(t, withProxyHeaders, func(cfg *Config) { cfg.Limits.Head = time.Hour })
	c := g.client(0)
	deadline := func() (at int64) {
		look(g.relay, func(c *conn) { at = c.deadline })
		return at
	}
	await(t, "the connection", func() bool { return stageOf(g.relay) == stageProxyHeader })
	first := deadline()
	c.send("PROXY ")
	awaitRead(t, g, len("PROXY "))
	if now := deadline(); now != first {
		t.Errorf("bytes give the header %v more", time.Duration(now-first))
	}
}

// Who looks only whether the port is there is no fault of anybody's; who leaves within the header is.
func TestProxyHeaderEnds(t *testing.T) {
	for begin, counted := range map[string]int64{"": 0, "PROXY": 1} {
		g := newRig(t, withProxyHeaders)
		c := g.client(0)
		c.send(begin)
		c.fin()
		c.expectTurnedAway()
		if n := g.relay.Stats().HeaderRejected; n != counted {
			t.Errorf("after %q and the end %d are counted; want %d", begin, n, counted)
		}
	}
}

// With a header AllowFrom is about who sends it, and not about whom it names.
func TestAllowFromIsTheBalancer(t *testing.T) {
	for _, row := range []struct {
		networks []string
		served   bool
	}{{[]string{"127.0.0.2"}, true}, {[]string{"192.0.2.0/24"}, false}} {
		g := newRig(t, withProxyHeaders, allowing(row.networks...))
		c := g.clientFrom("127.0.0.2", "127.0.0.1")
		if row.served {
			c.send(headerV1 + apiGet)
			c.expect("HTTP/1.1 200 OK\r\n")
		} else {
			c.expectTurnedAway()
		}
		if n := g.relay.Stats().AddressRejected; (n == 0) != row.served {
			t.Errorf("%v: %d are rejected for their address", row.networks, n)
		}
	}
}

// What follows a header is pipelined like the first requests of any connection, however much it is.
func TestProxyHeaderBeforeManyRequests(t *testing.T) {
	const many = 200
	g := newRig(t, withProxyHeaders)
	c := g.client(0)
	c.send(headerV1[:10])
	awaitRead(t, g, 10)
	c.send(headerV1[10:] + strings.Repeat(apiGet, many))
	for i := range many {
		if head := c.head(); !strings.HasPrefix(head, "HTTP/1.1 200 ") {
			t.Fatalf("answer %d: %q", i, head)
		}
		if _, err := c.r.ReadString('}'); err != nil {
			t.Fatal(err)
		}
		c.expect("\n")
	}
	if n := g.relay.Stats().Requests; n != many {
		t.Errorf("%d requests", n)
	}
}

// A header is only at the beginning: behind it another one is a malformed request.
func TestProxyHeaderTwice(t *testing.T) {
	g := newRig(t, withProxyHeaders)
	c := g.client(0)
	c.send(headerV1 + headerV1)
	c.expectAnswer(400, "bad-request", "")
}

// The client that a header names is the one of the log.
func TestProxyHeaderNamesTheClientOfTheLog(t *testing.T) {
	var lines logLines
	g := newRig(t, withProxyHeaders, lines.in)
	c := g.client(0)
	c.send(headerV1 + get)
	u := g.upstream()
	u.head()
	u.send("HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n")
	c.expectAnswer(502, "upstream-auth", "")
	if n := lines.count("client=192.0.2.7"); n != 1 {
		t.Errorf("the log says %s", lines.text.String())
	}
}

// What a relay that ends has of connections without a header ends with it, at once.
func TestProxyHeaderAndShutdown(t *testing.T) {
	g := newRig(t, withProxyHeaders)
	c := g.client(0)
	c.send("PROXY ")
	awaitRead(t, g, len("PROXY "))
	g.relay.Shutdown(time.Hour)
	c.expectTurnedAway()
	<-g.returned
}
