package relay

import (
	"strings"
	"testing"

	"proxymap/session"
	"proxymap/session/credential"
)

const connect = "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n"

func TestConnectHead(t *testing.T) {
	g := newRig(t)
	c := g.client(0)
	c.send("CONNECT example.com:443 HTTP/1.0\r\nproxy-authorization: mine\r\nUser-Agent: a\r\n\r\n")
	u := g.upstream()
	u.expect("CONNECT example.com:443 HTTP/1.0\r\nUser-Agent: a\r\n" + credentialsOf(1) + "\r\n")
	u.send("HTTP/1.0 200 Connection established\r\nX-Exit: 1\r\n\r\n")
	c.expect("HTTP/1.0 200 Connection established\r\nX-Exit: 1\r\n\r\n")
}

// A 2xx to CONNECT is followed by the tunnel, whatever its fields say of content (RFC 9110 section 9.3.6), and the client
// does not get them.
func TestConnectAnsweredWithFraming(t *testing.T) {
	for _, row := range []struct{ line, fields, passed string }{
		{"HTTP/1.1 200 OK", "Content-Length: 0\r\n", ""},
		{"HTTP/1.1 200 OK", "Content-Length: 5\r\n", ""},
		{"HTTP/1.1 200 OK", "A: b\r\nContent-Length: 5\r\nC: d\r\n", "A: b\r\nC: d\r\n"},
		{"HTTP/1.1 200 OK", "content-length: 5\r\nContent-Length: 5\r\n", ""},
		{"HTTP/1.1 200 OK", "Content-Length: 5\r\nContent-Length: 6\r\n", ""},
		{"HTTP/1.1 200 OK", "Content-Length: 5, 6\r\n", ""},
		{"HTTP/1.1 200 OK", "Content-Length: many\r\n", ""},
		{"HTTP/1.1 200 OK", "Content-Length:\r\n", ""},
		{"HTTP/1.1 200 OK", "Content-Length : 5\r\n", ""},
		{"HTTP/1.1 200 OK", "Transfer-Encoding: chunked\r\nTrailer: X\r\n", ""},
		{"HTTP/1.1 200 OK", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", ""},
		{"HTTP/1.1 200 OK", "Transfer-Encoding: chunked, gzip\r\n", ""},
		{"HTTP/1.1 200 OK", "Transfer-Encoding: identity\r\n", ""},
		{"HTTP/1.1 200 OK", "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", ""},
		{"HTTP/1.1 204 No Content", "Content-Length: 5\r\n", ""},
		{"HTTP/1.1 206 Partial Content", "Content-Length: 5\r\nConnection: keep-alive\r\n", "Connection: keep-alive\r\n"},
		{"HTTP/1.1 200 OK", "Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n", ""},
		{"HTTP/1.1 200 OK", "connection: a , content-length,b,Trailer\r\nContent-Length: 5\r\nTrailer: A\r\n", "Connection: a, b\r\n"},
		{"HTTP/1.1 200 OK", "Connection: Content-Length\r\nA: b\r\n", "A: b\r\n"},
		{"HTTP/1.0 200 Connection established", "Transfer-Encoding: chunked\r\n", ""},
		{"HTTP/1.0 200 Connection established", "Connection: close\r\nContent-Length: 1\r\n", "Connection: close\r\n"},
	} {
		t.Run(row.line+" "+row.fields, func(t *testing.T) {
			g := newRig(t)
			for _, behind := range []string{"hello and more", ""} {
				c, u := g.asked(connect + "early")
				u.send(row.line + "\r\n" + row.fields + "\r\n" + behind)
				c.expect(row.line + "\r\n" + row.passed + "\r\n" + behind)
				u.expect("early")
				c.send("x")
				u.expect("x")
				u.send("y")
				c.expect("y")
			}
			c := g.client(0)
			c.send("\x05\x01\x00" + socks5Name)
			c.expect("\x05\x00")
			u := g.upstream()
			u.head()
			u.send(row.line + "\r\n" + row.fields + "\r\nhello")
			c.expect(answer5 + "hello")
		})
	}
}

// Payload behind a CONNECT waits for the provider's 2xx, and then goes first.
func TestPayloadBehindConnect(t *testing.T) {
	g := newRig(t)
	c := g.client(0)
	c.send(connect+"client", " hello")
	u := g.upstream()
	if head := u.head(); u.r.Buffered() > 0 {
		t.Fatalf("got bytes behind %q before the 2xx", head)
	}
	u.send("HTTP/1.1 200 OK\r\n\r\nserver hello")
	u.expect("client hello")
	c.expect("HTTP/1.1 200 OK\r\n\r\nserver hello")
	c.send("!")
	u.expect("!")
}

// While the payload is held, the relay reads no more: a client that sends without end fills its own buffers.
func TestPayloadBehindConnectIsBounded(t *testing.T) {
	g := newRig(t)
	c, u := g.asked(connect)
	payload := strings.Repeat("0123456789abcdef", 1<<20)
	sent := make(chan struct{})
	go func() { defer close(sent); c.send(payload) }()
	u.send("HTTP/1.1 200 OK\r\n\r\n")
	u.expect(payload)
	<-sent
}

// A CONNECT that fails is answered in full, and told that the connection ends, whatever the provider says of its own; what
// the client had sent for its target is discarded, never parsed.
func TestConnectRejected(t *testing.T) {
	for _, row := range []struct{ name, head, content, passed string }{
		{"with content", "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n", "no", "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nConnection: close\r\n\r\n"},
		{"chunked", "HTTP/1.1 502 Bad Gateway\r\nTransfer-Encoding: chunked\r\n", "2\r\nno\r\n0\r\n\r\n", "HTTP/1.1 502 Bad Gateway\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"},
		{"close-delimited", "HTTP/1.1 503 Service Unavailable\r\n", "no", "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n\r\n"},
		{"no content", "HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n", "", "HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"},
		{"redirect", "HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n", "", "HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"},
		{"it means to go on", "HTTP/1.1 403 Forbidden\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nA: b\r\nContent-Length: 0\r\n", "",
			"HTTP/1.1 403 Forbidden\r\nA: b\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"},
		{"HTTP/1.0, which means to go on", "HTTP/1.0 403 Forbidden\r\nconnection: Keep-Alive\r\nContent-Length: 2\r\n", "no",
			"HTTP/1.0 403 Forbidden\r\nContent-Length: 2\r\nConnection: close\r\n\r\n"},
		{"it ends", "HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 0\r\n", "", "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"},
		{"several lengths", "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nContent-Length: 2\r\n", "no", "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nConnection: close\r\n\r\n"},
		{"an interim response before it", "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n", "",
			"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"},
	} {
		t.Run(row.name, func(t *testing.T) {
			g := newRig(t)
			c, u := g.asked(connect + get + get)
			u.send(row.head + "\r\n" + row.content)
			if row.name == "close-delimited" {
				u.fin()
			}
			c.expect(row.passed + row.content)
			c.expectEnd()
			if got := u.r.Buffered(); got > 0 {
				t.Errorf("the provider got %d bytes of payload", got)
			}
			u.expectEnd()
		})
	}
}

// The same answer in pieces is the same to the client.
func TestConnectRejectedByteByByte(t *testing.T) {
	g := newRig(t)
	c, u := g.asked(connect)
	for _, b := range []byte("HTTP/1.1 403 Forbidden\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nno") {
		u.send(string([]byte{b}))
	}
	c.expect("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")
	c.expectEnd()
}

// A 407 that is about the client's own credentials is the client's: .NET, Java and curl come again on a new connection.
func TestClientIsAskedForCredentials(t *testing.T) {
	g := newRig(t, func(cfg *Config) {
		cfg.Mappings[0].Plan = newPlan(t, session.PlanConfig{Account: &credential.Account{}})
	})
	c, u := g.asked(connect)
	u.send("HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"p\"\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nno")
	c.expect("HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"p\"\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")
	c.expectEnd()
	c = g.client(0)
	c.send("CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n" + basic("me", "pw") + "\r\n")
	u = g.upstream()
	u.expect("CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n" + basic("me", "pw") + "\r\n")
	u.send("HTTP/1.1 200 OK\r\n\r\n")
	c.expect("HTTP/1.1 200 OK\r\n\r\n")
}

func TestConnectInterimResponses(t *testing.T) {
	g := newRig(t)
	c, u := g.asked(connect)
	u.send("HTTP/1.1 102 Processing\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n")
	c.expect("HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\n\r\n")
	c.send("x")
	u.expect("x")
}

func TestConnectBadAnswers(t *testing.T) {
	for _, row := range []struct{ name, response, why string }{
		{"101", "HTTP/1.1 101 Switching Protocols\r\n\r\n", "switched protocols"},
		{"endless interim responses", strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 17), "interim"},
		{"malformed", "HTTP/2 200\r\n\r\n", "malformed"},
		{"head too large", "HTTP/1.1 200 OK\r\nA: " + strings.Repeat("x", 300_000) + "\r\n\r\n", "larger than the limit"},
	} {
		t.Run(row.name, func(t *testing.T) {
			g := newRig(t)
			c, u := g.asked(connect)
			u.send(row.response)
			c.expectAnswer(502, "upstream-bad-response", row.why)
			c.expectEnd()
		})
	}
}

func TestConnectWithContent(t *testing.T) {
	for _, field := range []string{"Content-Length: 5", "Transfer-Encoding: chunked"} {
		g := newRig(t)
		c := g.client(0)
		c.send("CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n" + field + "\r\n\r\n")
		c.expectAnswer(400, "bad-request", "CONNECT")
	}
}

// The provider's 407 is about our credentials: the client is not asked for a password that it does not have.
func TestProviderRefusesCredentials(t *testing.T) {
	for _, request := range []string{connect, get} {
		g := newRig(t)
		c, u := g.asked(request)
		u.send("HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\nContent-Length: 2\r\n\r\nno")
		c.expectAnswer(502, "upstream-auth", "the provider refuses this port's credentials")
		c.expectEnd()
	}
}

// A CONNECT never uses an upstream connection that has served requests.
func TestConnectBehindRequest(t *testing.T) {
	g := newRig(t)
	c, u := g.served()
	c.send(connect)
	u.expectEnd()
	u = g.upstream()
	u.head()
	u.send("HTTP/1.1 200 OK\r\n\r\n")
	c.expect("HTTP/1.1 200 OK\r\n\r\n")
}
