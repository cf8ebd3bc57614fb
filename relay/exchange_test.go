package relay

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"

	"proxymap/session"
)

const (
	get    = "GET http://example.com/ HTTP/1.1\r\nHost: example.com\r\n\r\n"
	post4  = "POST http://example.com/ HTTP/1.1\r\nHost: example.com\r\nContent-Length: 4\r\n\r\n"
	ok     = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
	reply4 = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"
)

// credentialsOf is the field line that newPlan's n-th session sets.
func credentialsOf(n int) string { return basic(fmt.Sprintf("user-session-id%d", n), "pass") }

// The head goes upstream as it came, but for the client's own credentials, which ours replace.
func TestHeadPassesUnchanged(t *testing.T) {
	g := newRig(t)
	c := g.client(0)
	c.send("GeT+x http://example.com/a?b HTTP/1.1\r\nhOST:example.com\r\nX-Odd:   spaced\t value \t\r\n" +
		"proxy-AUTHORIZATION: Basic Y2xpZW50OnNlY3JldA==\r\nConnection: keep-alive, X-Odd\r\nx-bytes: \x80\xff\r\n\r\n")
	u := g.upstream()
	u.expect("GeT+x http://example.com/a?b HTTP/1.1\r\nhOST:example.com\r\nX-Odd:   spaced\t value \t\r\n" +
		"Connection: keep-alive, X-Odd\r\nx-bytes: \x80\xff\r\n" + credentialsOf(1) + "\r\n")
	u.send("HTTP/1.1 299 \x80 odd\r\nX-Odd:a\r\nContent-Length: 0\r\n\r\n")
	c.expect("HTTP/1.1 299 \x80 odd\r\nX-Odd:a\r\nContent-Length: 0\r\n\r\n")
}

func TestSeveralClientCredentialsAreAllDropped(t *testing.T) {
	g := newRig(t)
	c := g.client(0)
	c.send("GET http://example.com/ HTTP/1.1\r\nProxy-Authorization: a\r\nHost: example.com\r\nProxy-Authorization: b\r\nA: b\r\n\r\n")
	g.upstream().expect("GET http://example.com/ HTTP/1.1\r\nHost: example.com\r\nA: b\r\n" + credentialsOf(1) + "\r\n")
}

func TestTooManyClientCredentialsAreRefused(t *testing.T) {
	g := newRig(t)
	c := g.client(0)
	c.send("GET http://example.com/ HTTP/1.1\r\nHost: example.com\r\n" + strings.Repeat("Proxy-Authorization: a\r\n", 5) + "\r\n")
	c.expectAnswer(400, "bad-request", "Proxy-Authorization")
}

// RFC 9112 section 3.2.2: the target decides, and Host is made to agree with it.
func TestHostThatDisagreesIsReplaced(t *testing.T) {
	for _, row := range []struct{ target, host, want string }{
		{"http://example.com/", "other.example", "example.com"},
		{"http://example.com:8080/", "example.com", "example.com:8080"},
		{"http://example.com/", "example.com:8080", "example.com"},
		{"http://example.com/", "", "example.com"},
		{"http://example.com/", "EXAMPLE.com", "EXAMPLE.com"},
		{"http://example.com/", "example.com:80", "example.com:80"},
		{"http://example.com:80/", "example.com", "example.com"},
	} {
		t.Run(row.target+" "+row.host, func(t *testing.T) {
			g := newRig(t)
			c := g.client(0)
			c.send("GET " + row.target + " HTTP/1.1\r\nA: 1\r\nHost: " + row.host + "\r\nB: 2\r\n\r\n")
			g.upstream().expect("GET " + row.target + " HTTP/1.1\r\nA: 1\r\nHost: " + row.want + "\r\nB: 2\r\n" + credentialsOf(1) + "\r\n")
		})
	}
}

func TestHeadOneByteAtATime(t *testing.T) {
	g := newRig(t)
	c := g.client(0)
	_ = c.conn.SetNoDelay(true)
	c.send(strings.Split(get, "")...)
	u := g.upstream()
	u.expect(strings.TrimSuffix(get, "\r\n") + credentialsOf(1) + "\r\n")
	_ = u.conn.SetNoDelay(true)
	u.send(strings.Split(ok, "")...)
	c.expect(ok)
	c.send(strings.Split(post4+"body", "")...)
	u.expect(strings.TrimSuffix(post4, "\r\n") + credentialsOf(1) + "\r\nbody")
	u.send(ok)
	c.expect(ok)
}

// Every framing of a response leaves both connections good for the next request, or ends them as it says.
func TestResponseFraming(t *testing.T) {
	for _, row := range []struct{ name, request, response string }{
		{"content-length", get, ok},
		{"no content", get, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"},
		{"chunked", get, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"},
		{"chunked with extensions and trailers", get, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: A\r\n\r\n" +
			"02;a=b;c=\"d;\\\"e\"\r\nok\r\n0;x\r\nA: b\r\nC:\r\n\r\n"},
		{"HEAD with a length", "HEAD http://example.com/ HTTP/1.1\r\nHost: example.com\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n"},
		{"HEAD chunked", "HEAD http://example.com/ HTTP/1.1\r\nHost: example.com\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"},
		{"204", get, "HTTP/1.1 204 No Content\r\n\r\n"},
		{"304 with a length", get, "HTTP/1.1 304 Not Modified\r\nContent-Length: 2000\r\n\r\n"},
		{"interim responses", get, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n" + ok},
		{"HTTP/1.0 keep-alive", get, "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok"},
	} {
		t.Run(row.name, func(t *testing.T) {
			g := newRig(t)
			c, u := g.asked(row.request)
			u.send(row.response)
			c.expect(row.response)
			c.send(get)
			u.head() // over the same connection
			u.send(ok)
			c.expect(ok)
		})
	}
}

func TestRequestFraming(t *testing.T) {
	const chunked = "POST http://example.com/ HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding: chunked\r\n\r\n"
	for _, row := range []struct{ name, head, content string }{
		{"content-length", post4, "body"},
		{"content-length zero", "POST http://example.com/ HTTP/1.1\r\nHost: example.com\r\nContent-Length: 0\r\n\r\n", ""},
		{"chunked", chunked, "4\r\nbody\r\n0\r\n\r\n"},
		{"chunked with extensions and trailers", chunked, "4;a=\"b\"\r\nbody\r\n000;c\r\nA: b\r\n\r\n"},
	} {
		t.Run(row.name, func(t *testing.T) {
			g := newRig(t)
			c := g.client(0)
			var u *peer
			for _, pieces := range [][]string{{row.head + row.content}, {row.head, row.content}, strings.Split(row.head+row.content, "")} {
				c.send(pieces...)
				if u == nil {
					u = g.upstream()
				}
				u.expect(strings.TrimSuffix(row.head, "\r\n") + credentialsOf(1) + "\r\n" + row.content)
				u.send(ok)
				c.expect(ok)
			}
		})
	}
}

// The 100 comes from the provider, and the content waits for it.
func TestExpectContinue(t *testing.T) {
	g := newRig(t)
	c, u := g.asked("POST http://example.com/ HTTP/1.1\r\nHost: example.com\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
	u.send("HTTP/1.1 100 Continue\r\n\r\n")
	c.expect("HTTP/1.1 100 Continue\r\n\r\n")
	c.send("body")
	u.expect("body")
	u.send(ok)
	c.expect(ok)
	c.send(get)
	u.head()
}

// Every request of a kept-alive connection has credentials, not only the first.
func TestThousandRequestsOnOneConnection(t *testing.T) {
	g := newRig(t)
	c := g.client(0)
	var u *peer
	for i := range 1000 {
		c.send(get)
		if i == 0 {
			u = g.upstream()
		}
		u.expect(strings.TrimSuffix(get, "\r\n") + credentialsOf(1) + "\r\n")
		u.send(ok)
		c.expect(ok)
	}
}

// A session that changes between two requests of a connection takes effect on the second, over a new upstream
// connection: the old one is bound to the old session's exit.
func TestRotationBetweenTwoRequests(t *testing.T) {
	g := newRig(t, withAPI("portmapper"))
	c := g.client(0)
	c.send(get)
	u := g.upstream()
	u.expect(strings.TrimSuffix(get, "\r\n") + credentialsOf(1) + "\r\n")
	u.send(ok)
	c.expect(ok)

	other := g.client(0)
	other.send("GET http://portmapper/session/new HTTP/1.1\r\nHost: portmapper\r\n\r\n")
	if head := other.head(); !strings.Contains(head, "X-Session-Id: id2\r\n") {
		t.Fatalf("got %q; want the second session", head)
	}
	c.send(get)
	u.expectEnd()
	u = g.upstream()
	u.expect(strings.TrimSuffix(get, "\r\n") + credentialsOf(2) + "\r\n")
	u.send(ok)
	c.expect(ok)
}

func TestPipelinedRequests(t *testing.T) {
	g := newRig(t)
	c := g.client(0)
	c.send(get + post4 + "body" + get)
	u := g.upstream()
	for _, want := range []string{get, post4, get} {
		u.expect(strings.TrimSuffix(want, "\r\n") + credentialsOf(1) + "\r\n")
		if want == post4 {
			u.expect("body")
		}
		if u.r.Buffered() > 0 {
			t.Fatal("a pipelined request went upstream before the response to the one before it")
		}
		u.send(ok)
		c.expect(ok)
	}
}

// Exchange, point 1: the connection persists only if both messages allow it, by their own versions and fields.
func TestPersistence(t *testing.T) {
	const r10 = "GET http://example.com/ HTTP/1.0\r\n"
	const r11 = "GET http://example.com/ HTTP/1.1\r\nHost: example.com\r\n"
	const s10 = "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n"
	const s11 = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
	for _, row := range []struct {
		request, response string
		persists          bool
	}{
		{r11, s11, true},
		{r11, s10, false},
		{r11, s10 + "Connection: keep-alive\r\n", true},
		{r11, s11 + "Connection: close\r\n", false},
		{r11, s11 + "Proxy-Connection: close\r\n", true},
		{r11, s10 + "Proxy-Connection: keep-alive\r\n", false},
		{r11 + "Connection: close\r\n", s11, false},
		{r11 + "Connection: x, Close\r\n", s11, false},
		{r11 + "Proxy-Connection: close\r\n", s11, false},
		{r10, s11, false},
		{r10 + "Connection: keep-alive\r\n", s11, true},
		{r10 + "Proxy-Connection: Keep-Alive\r\n", s11, true},
		{r10 + "Connection: keep-alive\r\n", s10, false},
		{r10 + "Connection: keep-alive\r\n", s10 + "Connection: keep-alive\r\n", true},
	} {
		t.Run(row.request[len("GET http://example.com/ "):]+"|"+row.response, func(t *testing.T) {
			g := newRig(t)
			c, u := g.asked(row.request + "\r\n")
			u.send(row.response + "\r\nok")
			if strings.HasPrefix(row.request, r10) && row.persists && row.response == s11 {
				row.response += "Connection: keep-alive\r\n" // the client's only sign of it
			}
			c.expect(row.response + "\r\nok")
			if !row.persists {
				c.expectEnd()
				return
			}
			c.send(get)
			u.head()
		})
	}
}

// Chunks that cannot be read are told of while the head is not out, which it is not to a client that does not know chunks
// either.
func TestUnreadableChunks(t *testing.T) {
	for _, version := range []string{"1.0", "1.1"} {
		for _, chunks := range []string{"zz\r\n", "2\r\nok\r\nzz\r\n"} {
			g := newRig(t)
			c, u := g.asked("GET http://example.com/ HTTP/" + version + "\r\nHost: example.com\r\n\r\n")
			u.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks)
			c.expectAnswer(502, "upstream-bad-response", "chunk")
		}
	}
}

// Point 2: an HTTP/1.0 client does not know chunks.
func TestChunkedResponseToHTTP10(t *testing.T) {
	g := newRig(t)
	c, u := g.asked("GET http://example.com/ HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
	u.send("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nA: b\r\nTrailer: T\r\n\r\n3;x\r\nabc\r\n", "2\r\nde\r\n0\r\nT: u\r\n\r\n")
	c.expect("HTTP/1.1 200 OK\r\nA: b\r\n\r\nabcde")
	c.expectEnd()
}

func TestTruncatedChunkedResponseToHTTP10(t *testing.T) {
	g := newRig(t)
	c, u := g.asked("GET http://example.com/ HTTP/1.0\r\n\r\n")
	u.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
	c.expect("HTTP/1.1 200 OK\r\n\r\nabc")
	u.close()
	c.expectReset()
}

// Point 3.
func TestConnectionNamesFraming(t *testing.T) {
	for _, option := range []string{"Content-Length", "transfer-encoding", "close, Host"} {
		g := newRig(t)
		c := g.client(0)
		c.send("GET http://example.com/ HTTP/1.1\r\nHost: example.com\r\nConnection: " + option + "\r\n\r\n")
		c.expectAnswer(400, "bad-request", "hop-by-hop")
		c.expectEnd()
	}
}

// Point 4, first half: a FIN behind a complete request is no reason to stop.
func TestClientEndsAfterItsRequest(t *testing.T) {
	g := newRig(t)
	c := g.client(0)
	c.send(get + get)
	c.fin()
	u := g.upstream()
	for range 2 {
		u.head()
		u.send(ok)
		c.expect(ok)
	}
	c.expectEnd()
	u.expectEnd()
}

// Point 4, second half: the provider must not take half a request for a whole one.
func TestClientEndsWithinItsRequest(t *testing.T) {
	g := newRig(t)
	c, u := g.asked(post4 + "bo")
	u.expect("bo")
	c.fin()
	u.expectReset()
	c.expectClosed()
}

// Point 5.
func TestUpgrade(t *testing.T) {
	g := newRig(t)
	c, u := g.asked("GET http://example.com/ HTTP/1.1\r\nHost: example.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nearly")
	u.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello")
	c.expect("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello")
	u.expect("early")
	c.send(get) // no request any more
	u.expect(get)
	u.fin()
	c.expectEnd()
	c.send("still")
	u.expect("still")
	c.fin()
	u.expectEnd()
}

func TestUpgradeNobodyAskedFor(t *testing.T) {
	const upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\n"
	for name, request := range map[string]string{
		"not asked":              get,
		"upgrade not connection": "GET http://example.com/ HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\n\r\n",
		"content to come":        "POST http://example.com/ HTTP/1.1\r\nHost: example.com\r\nContent-Length: 4\r\n" + upgrade + "\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t)
			c, u := g.asked(request)
			u.send("HTTP/1.1 101 Switching Protocols\r\n" + upgrade + "\r\n")
			c.expectAnswer(502, "upstream-bad-response", "switched protocols")
		})
	}
}

// Point 6: the answer to an upload arrives, and the upload goes on as long as the provider takes it.
func TestEarlyResponse(t *testing.T) {
	g := newRig(t)
	c, u := g.asked("POST http://example.com/ HTTP/1.1\r\nHost: example.com\r\nContent-Length: 8\r\n\r\n1234")
	u.expect("1234")
	u.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno")
	c.expect("HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno")
	c.expectEnd()
	c.send("5678" + get)
	u.expect("5678")
	u.expectEnd() // and not a byte of what stands behind
}

// A provider that answers early and leaves: a client that goes on sending without a look still finds the answer.
func TestEarlyResponseReachesBusyClient(t *testing.T) {
	const size = 8 << 20
	g := newRig(t)
	c, u := g.asked(fmt.Sprintf("POST http://example.com/ HTTP/1.1\r\nHost: example.com\r\nContent-Length: %d\r\n\r\n", size))
	u.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno")
	go func() {
		_, _ = u.r.Discard(size) // it drains what comes, as servers do
		u.close()
	}()
	buf := strings.Repeat("x", 64<<10)
	for range size / len(buf) {
		c.send(buf)
	}
	c.expect("HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno")
	c.expectEnd()
}

// A provider that answers early and closes with our bytes unread resets the connection behind its answer.
func TestEarlyResponseBeforeReset(t *testing.T) {
	g := newRig(t)
	c, u := g.asked("POST http://example.com/ HTTP/1.1\r\nHost: example.com\r\nContent-Length: 200000\r\n\r\n")
	c.send(strings.Repeat("x", 100000))
	u.expect("x")
	u.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno")
	u.close()
	c.expect("HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno")
}

// Point 7: the one retry.
func TestRetryOnReusedConnection(t *testing.T) {
	for _, method := range []string{"GET", "HEAD", "OPTIONS", "TRACE"} {
		t.Run(method, func(t *testing.T) {
			g := newRig(t)
			c, u := g.served()
			c.send(method + " http://example.com/2 HTTP/1.1\r\nHost: example.com\r\n\r\n")
			u.head()
			u.close() // just as the request came
			u = g.upstream()
			if head := u.head(); !strings.HasPrefix(head, method+" http://example.com/2 ") || !strings.Contains(head, credentialsOf(1)) {
				t.Fatalf("got %q; want the request once more", head)
			}
			u.close() // not a third time
			if method == "HEAD" {
				if head := c.head(); !strings.HasPrefix(head, "HTTP/1.1 502 ") {
					t.Fatalf("got %q; want 502", head)
				}
			} else {
				c.expectAnswer(502, "upstream-closed", "without a response")
			}
		})
	}
}

func TestNoRetry(t *testing.T) {
	for _, row := range []struct{ name, request, partial string }{
		{"of a method with effects", "DELETE http://example.com/ HTTP/1.1\r\nHost: example.com\r\n\r\n", ""},
		{"of a request with content", "GET http://example.com/ HTTP/1.1\r\nHost: example.com\r\nContent-Length: 1\r\n\r\nx", ""},
		{"behind the first response byte", get, "H"},
	} {
		t.Run(row.name, func(t *testing.T) {
			g := newRig(t)
			c, u := g.served()
			c.send(row.request)
			u.head()
			u.send(row.partial)
			u.fin()
			if head := c.head(); !strings.HasPrefix(head, "HTTP/1.1 502 ") {
				t.Fatalf("got %q; want 502", head)
			}
		})
	}
}

func TestNoRetryOnFreshConnection(t *testing.T) {
	g := newRig(t)
	c, u := g.asked(get)
	u.close()
	c.expectAnswer(502, "upstream-closed", "without a response")
	c.expectEnd()
}

// Point 7, failover: the next server is tried before anything is written, and the session stays with the one that works.
func TestFailover(t *testing.T) {
	dead := deadServer(t)
	g := newRig(t, func(cfg *Config) {
		m := &cfg.Mappings[0]
		m.Servers = append([]Server{dead, dead}, m.Servers...)
	})
	for range 2 {
		g.served()
	}
	if got := g.relay.ports()[0].slot.Server(); got != 2 {
		t.Errorf("the session is pinned to server %d; want the one that works, 2", got)
	}
}

// A server to which no local port is left is not dialled for a moment: the next one is, and where there is none the
// client is told.
func TestNoSourcePort(t *testing.T) {
	for _, servers := range []int{1, 2} {
		g := newRig(t, func(cfg *Config) {
			m := &cfg.Mappings[0]
			for len(m.Servers) < servers {
				m.Servers = append(m.Servers, m.Servers[0])
			}
		})
		full := &g.relay.ports()[0].mapping().servers[0].any.noPortUntil
		full.Store(never)
		if servers == 2 {
			g.served()
			continue
		}
		c := g.client(0)
		c.send(get)
		c.expectAnswer(503, "no-source-port", "no local port is free")
		full.Store(0)
		c.close()
		g.served()
	}
}

// Point 7: whatever comes on an idle upstream connection ends it.
func TestIdleUpstreamNeverAnswers(t *testing.T) {
	for name, disturb := range map[string]func(*peer){
		"bytes": func(u *peer) { u.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil") },
		"FIN":   func(u *peer) { u.fin() },
		"reset": func(u *peer) { u.reset() },
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t)
			c, u := g.served()
			disturb(u)
			if name != "reset" {
				u.expectClosed()
			}
			c.send(get)
			u = g.upstream()
			u.head()
			u.send(ok)
			c.expect(ok)
		})
	}
}

// What stands behind a response belongs to no request.
func TestBytesBehindResponse(t *testing.T) {
	g := newRig(t)
	c, u := g.asked(get)
	u.send(ok + "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
	c.expect(ok)
	c.expectEnd()
	u.expectClosed()
}

func TestCloseDelimitedResponse(t *testing.T) {
	g := newRig(t)
	c, u := g.asked(get)
	u.send("HTTP/1.1 200 OK\r\n\r\nabc")
	c.expect("HTTP/1.1 200 OK\r\n\r\nabc")
	u.send("def")
	c.expect("def")
	u.fin()
	c.expectEnd()
}

// A response that breaks off is never taken for a complete one.
func TestTruncatedResponse(t *testing.T) {
	t.Run("content-length", func(t *testing.T) {
		g := newRig(t)
		c, u := g.asked(get)
		u.send(reply4 + "ab")
		u.close()
		c.expect(reply4 + "ab")
		c.expectEnd()
	})
	t.Run("close-delimited", func(t *testing.T) {
		g := newRig(t)
		c, u := g.asked(get)
		u.send("HTTP/1.1 200 OK\r\n\r\nabc")
		c.expect("HTTP/1.1 200 OK\r\n\r\nabc")
		u.reset()
		c.expectReset()
	})
}

func TestMalformedResponse(t *testing.T) {
	for name, response := range map[string]string{
		"not HTTP":               "SSH-2.0-x\r\n\r\n",
		"two lengths":            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
		"a length in two pieces": "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n 0\r\n\r\nok",
		"bad chunk":              "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
		"endless interim heads":  strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 17),
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t)
			c, u := g.asked(get)
			u.send(response)
			c.expectAnswer(502, "upstream-bad-response", "")
			u.expectClosed()
		})
	}
}

func TestMalformedRequestContent(t *testing.T) {
	g := newRig(t)
	c, u := g.asked("POST http://example.com/ HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n")
	u.expect("4\r\nbody\r\n")
	c.send("-1\r\n")
	c.expectAnswer(400, "bad-request", "chunk size")
	u.expectReset()
}

// With lifetime 0 each client connection is a session of its own, and keeps it.
func TestLifetimeZero(t *testing.T) {
	g := newRig(t, func(cfg *Config) { cfg.Mappings[0].Plan = newPlan(t, session.PlanConfig{}) })
	for n := 1; n <= 2; n++ {
		c := g.client(0)
		c.send(get)
		u := g.upstream()
		for range 2 {
			u.expect(strings.TrimSuffix(get, "\r\n") + credentialsOf(n) + "\r\n")
			u.send(ok)
			c.expect(ok)
			c.send(get)
		}
		u.close()
		g.upstream().expect(strings.TrimSuffix(get, "\r\n") + credentialsOf(n) + "\r\n")
	}
}

func TestTwoPortsNeverShareASession(t *testing.T) {
	g := newRig(t, func(cfg *Config) { cfg.Mappings = append(cfg.Mappings, cfg.Mappings[0], cfg.Mappings[0]) })
	seen := map[string]bool{}
	for i := range 3 {
		c := g.client(i)
		c.send(get)
		seen[g.upstream().head()] = true
	}
	if len(seen) != 3 {
		t.Errorf("3 ports used %d sessions", len(seen))
	}
}

// A server with source addresses is dialled from them in turn, from those that have a port left, and of its own IP
// version.
func TestSourceAddresses(t *testing.T) {
	a, b := netip.MustParseAddr("127.0.0.2"), netip.MustParseAddr("127.0.0.3")
	g := newRig(t, func(cfg *Config) {
		cfg.Mappings[0].Servers[0].Sources = []netip.Addr{a, netip.IPv6Loopback(), b}
	})
	seen := map[string]int{}
	for range 6 {
		_, u := g.served()
		seen[u.conn.RemoteAddr().(*net.TCPAddr).IP.String()]++
	}
	if seen["127.0.0.2"] < 2 || seen["127.0.0.3"] < 2 || len(seen) != 2 {
		t.Errorf("the provider was dialled from %v; want both addresses in turn", seen)
	}
	srv := g.relay.ports()[0].mapping().servers[0]
	srv.sources[0].noPortUntil.Store(never)
	for range 3 {
		if _, u := g.served(); !strings.HasPrefix(u.conn.RemoteAddr().String(), "127.0.0.3:") {
			t.Errorf("dialled from %v; the other address has ports left", u.conn.RemoteAddr())
		}
	}
	srv.sources[2].noPortUntil.Store(never)
	c := g.client(0)
	c.send(get)
	c.expectAnswer(503, "no-source-port", "no local port is free")
}

// A server all of whose source addresses are of the other IP version is dialled from whatever address the system chooses.
func TestSourceAddressesOfTheOtherVersion(t *testing.T) {
	g := newRig(t, func(cfg *Config) {
		cfg.Mappings[0].Servers[0].Sources = []netip.Addr{netip.IPv6Loopback()}
	})
	g.served()
	g.tunnel()
}

func TestForeignSourceAddress(t *testing.T) {
	_, err := Listen(Config{Mappings: []Mapping{{
		Address: netip.MustParseAddr("127.0.0.1"), Plan: newPlan(t, session.PlanConfig{}),
		Servers: []Server{{Host: "127.0.0.1", Port: 1, Sources: []netip.Addr{netip.MustParseAddr("198.51.100.7")}}},
	}}})
	if err == nil || !strings.Contains(err.Error(), "source address 198.51.100.7 of upstream 127.0.0.1: ") || !strings.Contains(err.Error(), "of this machine") {
		t.Errorf("got %v; want the address, and that it is not the machine's", err)
	}
}
