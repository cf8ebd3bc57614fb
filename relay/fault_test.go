package relay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// A broadcast address takes no connection, and the kernel says so without sending anything.
func TestUpstreamUnreachable(t *testing.T) {
	for name, servers := range map[string][]Server{
		"all":       {{Host: "127.255.255.255", Port: 9}, {Host: "255.255.255.255", Port: 9}},
		"the first": {{Host: "127.255.255.255", Port: 9}, {}},
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t, func(cfg *Config) {
				if m := &cfg.Mappings[0]; servers[1].Host == "" {
					servers[1] = m.Servers[0]
				}
				cfg.Mappings[0].Servers = servers
			})
			if name == "the first" {
				g.served()
				return
			}
			for _, request := range []string{get, connect} {
				c := g.client(0)
				c.send(request)
				c.expectAnswer(502, "upstream-refused", "unreachable")
				c.expectEnd()
			}
		})
	}
}

// A resolver is one in the hands of a test.
type resolver struct {
	answer atomic.Pointer[func() ([]netip.Addr, error)]
	asked  atomic.Int32
}

// named has the provider go by a name, which stands for the addresses given.
func named(addrs ...string) (*resolver, func(*Config)) {
	r := &resolver{}
	r.set(addrs...)
	return r, func(cfg *Config) {
		cfg.Mappings[0].Servers[0].Host = "proxy.example"
		cfg.lookup = func(context.Context, string, func([]netip.Addr)) ([]netip.Addr, error) {
			defer r.asked.Add(1)
			return (*r.answer.Load())()
		}
	}
}

func (r *resolver) set(addrs ...string) {
	var list []netip.Addr
	for _, a := range addrs {
		list = append(list, netip.MustParseAddr(a))
	}
	r.answer.Store(new(func() ([]netip.Addr, error) { return list, nil }))
}

func (r *resolver) fail() {
	r.answer.Store(new(func() ([]netip.Addr, error) { return nil, errors.New("no such host") }))
}

// server is the rig's first one.
func (g *rig) server() *server { return g.relay.ports()[0].mapping().servers[0] }

// age makes the addresses of the rig's server so much older.
func (g *rig) age(by time.Duration) {
	srv := g.server()
	known := *srv.known.Load()
	known.since -= int64(by)
	known.until -= int64(by)
	srv.known.Store(&known)
}

// at is another address with the provider's port.
func (g *rig) at(addr string) netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr(addr), serverAt(g.provider.Addr()).Port)
}

// A name's addresses are tried in turn: one that refuses, one without a route, one that says nothing, and one that works.
// The next request begins with that.
func TestAddressesAreTriedInTurn(t *testing.T) {
	t.Parallel()
	_, byName := named("127.0.0.2", "127.255.255.255", "127.0.0.3", "127.0.0.1")
	g := newRig(t, byName, func(cfg *Config) { cfg.Limits.Dial = 2 * time.Second })
	silentServerAt(t, g.at("127.0.0.3"))
	g.served()
	if first := g.server().known.Load().list[0]; first != g.at("127.0.0.1") {
		t.Errorf("%v stands first of the addresses; want the one that works", first)
	}
	g.tunnel()
}

// A name is looked up once, not for each connection.
func TestNameIsCached(t *testing.T) {
	names, byName := named("127.0.0.1")
	g := newRig(t, byName)
	for range 5 {
		g.served()
	}
	if n := names.asked.Load(); n != 1 {
		t.Errorf("the name was looked up %d times; want once", n)
	}
}

// After a time the name is looked up again, behind the request that finds it old: that one does not wait. The next one
// goes to the new address.
func TestNameIsLookedUpAgain(t *testing.T) {
	names, byName := named("127.0.0.1")
	g := newRig(t, byName)
	moved, err := net.Listen("tcp", g.at("127.0.0.2").String())
	if err != nil {
		t.Fatal(err)
	}
	defer moved.Close()
	g.served()
	names.set("127.0.0.2")
	g.served()
	g.age(lookupAge)
	g.served()
	await(t, "the new address is known", func() bool { return g.server().known.Load().list[0] == g.at("127.0.0.2") })
	c := g.client(0)
	c.send(get)
	accepted(t, moved).head()
}

// While the name cannot be looked up the old addresses are used.
func TestStaleAddressesAreUsed(t *testing.T) {
	names, byName := named("127.0.0.1")
	g := newRig(t, byName)
	g.served()
	names.fail()
	for n := int32(2); n < 5; n++ {
		g.age(lookupAge)
		g.served()
		await(t, "the name is looked up again", func() bool { return names.asked.Load() == n })
		await(t, "the look-up has ended", func() bool {
			srv := g.server()
			srv.mu.Lock()
			defer srv.mu.Unlock()
			return !srv.busy
		})
		g.served()
	}
}

// When none of the addresses takes a connection the name is looked up again, long before its time: the provider has
// moved.
func TestNameIsLookedUpAfterFailure(t *testing.T) {
	names, byName := named("127.0.0.2")
	g := newRig(t, byName)
	c := g.client(0)
	c.send(get)
	c.expectAnswer(502, "upstream-refused", "connection refused")
	names.set("127.0.0.1")
	g.age(lookupRetry)
	c = g.client(0)
	c.send(get)
	c.expectAnswer(502, "upstream-refused", "connection refused")
	await(t, "the new address is known", func() bool { return g.server().known.Load().list[0] == g.at("127.0.0.1") })
	g.served()
	if n := names.asked.Load(); n != 2 {
		t.Errorf("the name was looked up %d times; want twice", n)
	}
}

// But not for each request that fails.
func TestLookUpsAfterFailuresAreRare(t *testing.T) {
	names, byName := named("127.0.0.2")
	g := newRig(t, byName)
	for i := range 20 {
		c := g.client(0)
		c.send(get)
		c.expectAnswer(502, "upstream-refused", "connection refused")
		if i == 0 {
			g.age(-time.Hour) // however long this takes, the look-up was just now
		}
	}
	if n := names.asked.Load(); n != 1 {
		t.Errorf("the name was looked up %d times for 20 failures; want once", n)
	}
}

// A provider that resets in whatever stage leaves nothing behind, and the client is told.
func TestProviderResetsInEveryStage(t *testing.T) {
	const chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	closed := func(c *peer) { c.expectAnswer(502, "upstream-closed", "") }
	for _, row := range []struct {
		name string
		do   func(g *rig) (client, provider *peer)
		told func(c *peer)
	}{
		{"before the reply to CONNECT", func(g *rig) (*peer, *peer) { return g.asked(connect) }, closed},
		{"in the reply to CONNECT", func(g *rig) (*peer, *peer) {
			c, u := g.asked(connect)
			u.send("HTTP/1.1 200 ")
			return c, u
		}, nil},
		{"before the response", func(g *rig) (*peer, *peer) { return g.asked(get) }, closed},
		{"in the request's content", func(g *rig) (*peer, *peer) { return g.asked(post4 + "bo") }, closed},
		{"between response heads", func(g *rig) (*peer, *peer) {
			c, u := g.asked(get)
			u.send("HTTP/1.1 103 Early Hints\r\n\r\n")
			c.expect("HTTP/1.1 103 Early Hints\r\n\r\n")
			return c, u
		}, func(c *peer) { c.expectAnswer(502, "upstream-bad-response", "") }},
		{"in the response's content", func(g *rig) (*peer, *peer) {
			c, u := g.asked(get)
			u.send(reply4 + "ab")
			c.expect(reply4 + "ab")
			return c, u
		}, (*peer).expectEnd},
		{"in the response's chunks", func(g *rig) (*peer, *peer) {
			c, u := g.asked(get)
			u.send(chunked + "2\r\nok\r\n")
			c.expect(chunked + "2\r\nok\r\n")
			return c, u
		}, (*peer).expectEnd},
		{"behind an early response", func(g *rig) (*peer, *peer) {
			c, u := g.asked(post4 + "bo")
			u.send(ok)
			c.expect(ok)
			c.expectEnd()
			return c, u
		}, (*peer).expectEnd},
		{"in a tunnel", func(g *rig) (*peer, *peer) { return g.tunnel() }, func(c *peer) { c.expectReset() }},
		{"in a tunnel that the client has ended", func(g *rig) (*peer, *peer) {
			c, u := g.tunnel()
			c.fin()
			u.expectEnd()
			return c, u
		}, func(c *peer) { c.expectReset() }},
	} {
		t.Run(row.name, func(t *testing.T) {
			g := newRig(t)
			before := openDescriptors(t)
			c, u := row.do(g)
			u.reset()
			if row.told != nil {
				row.told(c)
			} else {
				c.expectClosed()
			}
			c.close()
			await(t, "the relay has closed all", func() bool { return g.relay.Connections() == 0 && openDescriptors(t) == before })
		})
	}
}

// The provider closes a kept connection just as the next request leaves: by a FIN, by a reset, behind an interim response.
func TestRetryIsForWhatCannotHarm(t *testing.T) {
	const interim = "HTTP/1.1 102 Processing\r\n\r\n"
	for _, row := range []struct {
		name, request string
		end           func(u *peer)
		again         bool
	}{
		{"GET, reset", get, (*peer).reset, true},
		{"GET, FIN", get, (*peer).fin, true},
		{"GET with chunks", "GET http://a/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", (*peer).reset, false},
		{"POST without content", "POST http://a/ HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", (*peer).reset, false},
		{"PUT", "PUT http://a/ HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nok", (*peer).fin, false},
		{"get in small letters", "get http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", (*peer).fin, false},
		{"behind an interim response", get, func(u *peer) { u.send(interim); u.fin() }, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			g := newRig(t)
			c, u := g.served()
			c.send(row.request)
			u.head()
			row.end(u)
			if row.again {
				u = g.upstream()
				u.head()
				u.send(ok)
				c.expect(ok)
				return
			}
			head := c.head()
			if head == interim {
				head = c.head()
			}
			if !strings.HasPrefix(head, "HTTP/1.1 502 ") {
				t.Fatalf("got %q; want 502", head)
			}
			g.served() // over the next connection there is: none was made for the request
		})
	}
}

// A response that breaks off, by FIN or by reset, never looks complete, whichever version the client speaks.
func TestTruncationIsSeen(t *testing.T) {
	const chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	const untilClose = "HTTP/1.1 200 OK\r\n\r\n"
	for _, row := range []struct {
		name, response, passed string
		minor                  int
		reset                  bool // the client must see a reset: nothing else in the message shows the end
	}{
		{"content-length", reply4 + "ab", reply4 + "ab", 1, false},
		{"content-length", reply4 + "ab", with(reply4, "Connection: keep-alive") + "ab", 0, false},
		{"in a chunk", chunked + "4\r\nab", chunked + "4\r\nab", 1, false},
		{"in a chunk", chunked + "4\r\nab", untilClose + "ab", 0, true},
		{"between chunks", chunked + "2\r\nab\r\n", chunked + "2\r\nab\r\n", 1, false},
		{"between chunks", chunked + "2\r\nab\r\n", untilClose + "ab", 0, true},
		{"in the trailers", chunked + "2\r\nab\r\n0\r\nA: b\r\n", chunked + "2\r\nab\r\n0\r\nA: b\r\n", 1, false},
		{"in the trailers", chunked + "2\r\nab\r\n0\r\nA: b\r\n", untilClose + "ab", 0, true},
		{"close-delimited", untilClose + "ab", untilClose + "ab", 1, true},
		{"close-delimited", untilClose + "ab", untilClose + "ab", 0, true},
	} {
		for how, end := range map[string]func(*peer){"FIN": (*peer).fin, "reset": (*peer).reset} {
			if row.response == untilClose+"ab" && how == "FIN" {
				continue // that is its end
			}
			t.Run(fmt.Sprintf("%s, HTTP/1.%d, %s", row.name, row.minor, how), func(t *testing.T) {
				g := newRig(t)
				c, u := g.asked(fmt.Sprintf("GET http://a/ HTTP/1.%d\r\nHost: a\r\nConnection: keep-alive\r\n\r\n", row.minor))
				u.send(row.response)
				c.expect(row.passed)
				end(u)
				if row.reset {
					c.expectReset()
				} else {
					c.expectEnd()
				}
			})
		}
	}
}

// So it is with content that is spliced, and what had come of it is passed on.
func TestTruncatedBulk(t *testing.T) {
	const size, part = 32 << 20, 20 << 20
	g := newRig(t)
	c, u := g.asked(get)
	head := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", size)
	go func() {
		u.send(head + strings.Repeat("x", part))
		u.fin()
	}()
	c.expect(head)
	if n, err := io.Copy(io.Discard, c.r); n != part || err != nil {
		t.Errorf("got %d bytes (%v); want %d and the end", n, err, part)
	}
}

// A provider that answers early: the rest of the content goes to it, is never a request, and ends the connection.
func TestEarlyResponseToChunks(t *testing.T) {
	g := newRig(t)
	c, u := g.asked("POST http://example.com/ HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding: chunked\r\n\r\n")
	u.send(ok)
	c.expect(ok)
	c.expectEnd()
	rest := fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(get), get)
	c.send(rest[:30], rest[30:], get)
	u.expect(rest)
	u.expectEnd()
	c.close()
	await(t, "the connection is closed", func() bool { return g.relay.Connections() == 0 })
	g.served() // and no other connection was made
}

// The same behind a close-delimited response, which ends the upstream connection with it: what still comes is discarded.
func TestEarlyResponseUntilClose(t *testing.T) {
	g := newRig(t)
	c, u := g.asked("POST http://example.com/ HTTP/1.1\r\nHost: example.com\r\nContent-Length: 1000\r\n\r\n")
	u.send("HTTP/1.1 200 OK\r\n\r\nok")
	u.close()
	c.expect("HTTP/1.1 200 OK\r\n\r\nok")
	c.expectEnd()
	c.send(get, get)
	c.close()
	await(t, "the connection is closed", func() bool { return g.relay.Connections() == 0 })
	g.served()
}

// The names of servers that have been used are looked up again by themselves, and it is told once when that fails.
func TestNamesAreRefreshed(t *testing.T) {
	var lookups atomic.Int32
	log := new(logLines)
	g := newRig(t, log.in, func(cfg *Config) {
		cfg.Mappings[0].Servers[0].Host = "proxy.example"
		cfg.lookup = func(context.Context, string, func([]netip.Addr)) ([]netip.Addr, error) {
			if lookups.Add(1) > 2 {
				return nil, errors.New("no such host")
			}
			return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
		}
	})
	g.relay.refreshOnce() // has not been used, so it has nothing to do
	if lookups.Load() != 0 {
		t.Error("a name that nobody has used is looked up")
	}
	g.served()
	for n := int32(2); n < 5; n++ {
		g.relay.refreshOnce()
		await(t, "the name is looked up again", func() bool { return lookups.Load() == n && !g.relay.ports()[0].mapping().servers[0].isBusy() })
	}
	g.served() // by its old address
	if n := log.count("its old addresses stay in use"); n != 1 {
		t.Errorf("it is told %d times; want once a minute", n)
	}
}

func (s *server) isBusy() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.busy
}
