package relay

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"proxymap/relay/refusal"
	"proxymap/session"
	"proxymap/session/credential"
)

// Responses that cannot be passed on. Nothing of them reaches the client, and both connections end.
func TestBadResponses(t *testing.T) {
	for name, response := range map[string]string{
		"two lengths":            okLine + "Content-Length: 2\r\nContent-Length: 3\r\n\r\nok",
		"list of lengths":        okLine + "Content-Length: 2, 3\r\n\r\nok",
		"signed length":          okLine + "Content-Length: +2\r\n\r\nok",
		"negative length":        okLine + "Content-Length: -2\r\n\r\nok",
		"hexadecimal length":     okLine + "Content-Length: 0x2\r\n\r\nok",
		"huge length":            okLine + "Content-Length: 18446744073709551618\r\n\r\nok",
		"empty length":           okLine + "Content-Length:\r\n\r\nok",
		"CR in a value":          okLine + "A: b\rContent-Length: 3\r\nContent-Length: 2\r\n\r\nok",
		"NUL in a value":         okLine + "A: b\x00\r\nContent-Length: 2\r\n\r\nok",
		"NUL in the reason":      "HTTP/1.1 200 O\x00K\r\nContent-Length: 2\r\n\r\nok",
		"chunk size is no digit": okLine + "Transfer-Encoding: chunked\r\n\r\nzz\r\n",
		"chunk size with sign":   okLine + "Transfer-Encoding: chunked\r\n\r\n+2\r\nok\r\n0\r\n\r\n",
		"chunk size with 0x":     okLine + "Transfer-Encoding: chunked\r\n\r\n0x2\r\nok\r\n0\r\n\r\n",
		"chunk size over 2^63":   okLine + "Transfer-Encoding: chunked\r\n\r\n10000000000000002\r\nok\r\n0\r\n\r\n",
		"chunk without end":      okLine + "Transfer-Encoding: chunked\r\n\r\n2\r\nokk\r\n0\r\n\r\n",
		"interim flood":          strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", maxInformational+1) + ok,
		"101 unasked":            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n",
		"HTTP/0.9":               "<html>\r\nhello</html>\r\n",
		"HTTP/2 preface":         "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"HTTP/2 frames":          "\x00\x00\x12\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x80\x00\x04\x00\x01\x00\x00\x00\x05\x00\xff\xff\xff\r\n",
		"HTTP/2 status line":     "HTTP/2 200\r\nContent-Length: 2\r\n\r\nok",
		"HTTP/1.2":               "HTTP/1.2 200 OK\r\nContent-Length: 2\r\n\r\nok",
		"ICY":                    "ICY 200 OK\r\n\r\n",
		"status of two digits":   "HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\nok",
		"status of four digits":  "HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\nok",
		"empty line first":       "\r\n" + ok,
		"a request":              get,
		"a head over the limit":  okLine + "A: " + strings.Repeat("x", 300_000) + "\r\n\r\n",
		"a line without end":     strings.Repeat("x", 300_000),
		"too many fields":        okLine + strings.Repeat("A: b\r\n", 300) + "\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t)
			c, u := g.asked(get)
			u.send(response)
			c.expectAnswer(502, "upstream-bad-response", "")
			c.expectEnd()
			u.expectClosed()
		})
	}
}

// Where something of the response has been passed on before it turns out bad, a reset shows that it is.
func TestBadChunksBehindGoodOnes(t *testing.T) {
	const head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	for name, rest := range map[string]string{
		"no digit":             "zz\r\n",
		"empty size":           "\r\n",
		"sign":                 "-1\r\n",
		"0x":                   "0x2\r\nok\r\n",
		"over 2^63":            "8000000000000000\r\n",
		"data without its end": "2\r\nok0\r\n\r\n",
		"long size line":       strings.Repeat("0", 2000) + "\r\n",
		"NUL in extension":     "2;a=\x00\r\nok\r\n",
		"CR in a trailer":      "0\r\nA: b\rc\r\n\r\n",
	} {
		for minor, passed := range []string{"HTTP/1.1 200 OK\r\n\r\nok", head + "2\r\nok\r\n"} {
			t.Run(fmt.Sprintf("%s, HTTP/1.%d", name, minor), func(t *testing.T) {
				g := newRig(t)
				c, u := g.asked(fmt.Sprintf("GET http://a/ HTTP/1.%d\r\nHost: a\r\n\r\n", minor))
				u.send(head + "2\r\nok\r\n")
				c.expect(passed)
				u.send(rest)
				if got := c.expectReset(); got != "" {
					t.Errorf("got %q of what is malformed", got)
				}
				u.expectClosed()
			})
		}
	}
}

// What stands behind a complete response reaches nobody, and no request goes over the connection on which it came. Where
// it has come with the response, both connections end.
func TestSmuggledResponse(t *testing.T) {
	const evil = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
	for name, row := range map[string]struct{ request, response string }{
		"behind a length":         {get, ok},
		"behind no content":       {get, "HTTP/1.1 204 No Content\r\n\r\n"},
		"behind chunks":           {get, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"},
		"as the content of a 304": {get, "HTTP/1.1 304 Not Modified\r\nContent-Length: 42\r\n\r\n"},
		"as the content of HEAD":  {"HEAD http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 42\r\n\r\n"},
	} {
		for _, pieces := range [][]string{{row.response + evil}, {row.response, evil}} {
			t.Run(fmt.Sprintf("%s, in %d", name, len(pieces)), func(t *testing.T) {
				g := newRig(t)
				c, u := g.asked(row.request)
				u.send(pieces[0])
				c.expect(row.response)
				u.send(pieces[1:]...)
				u.expectClosed()
				if len(pieces) == 1 {
					c.expectEnd()
					return
				}
				c.send(get)
				u = g.upstream()
				u.head()
				u.send(ok)
				c.expect(ok)
			})
		}
	}
}

// lines keeps what is logged.
type lines struct {
	mu   sync.Mutex
	text []string
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, string(b))
	return len(b), nil
}

// with are the lines that hold all of the parts.
func (l *lines) with(parts ...string) (found []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.text {
		if !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(line, part) }) {
			found = append(found, line)
		}
	}
	return found
}

// The provider's 407 is logged with what is to be done, once a minute for each port, and without the credentials.
func TestRefusedCredentialsAreLogged(t *testing.T) {
	log := &lines{}
	g := newRig(t, func(cfg *Config) {
		cfg.Mappings = append(cfg.Mappings, cfg.Mappings[0])
		cfg.Log = slog.New(slog.NewTextHandler(log, nil))
		cfg.Remedies = refusal.Remedies{refusal.ProviderWantsLogin: "check them"}
	})
	refuse := func(port int) {
		t.Helper()
		c := g.client(port)
		c.send(get)
		u := g.upstream()
		u.head()
		u.send("HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
		c.expectAnswer(502, "upstream-auth", "the provider refuses this port's credentials")
	}
	logged := func(port int) int {
		return len(log.with("level=WARN", "the provider refuses the port's credentials; check them",
			fmt.Sprintf("port=%d", g.relay.Ports()[port].Port()), "upstream="+g.provider.Addr().String()))
	}
	last := &g.relay.ports()[0].authWarned
	refuse(0)
	last.Add(int64(time.Hour)) // however long this takes, the warning was just now
	for range 5 {
		refuse(0)
	}
	if n := logged(0); n != 1 {
		t.Errorf("6 refusals within a minute are logged %d times; want once", n)
	}
	last.Store(time.Now().Add(-authWarnPause - time.Second).UnixNano())
	refuse(0)
	if n := logged(0); n != 2 {
		t.Errorf("a minute later there are %d warnings; want 2", n)
	}
	refuse(1)
	if n := logged(1); n != 1 {
		t.Errorf("the other port has %d warnings; want 1", n)
	}
	for _, secret := range []string{"pass", "user-session", strings.TrimSpace(strings.TrimPrefix(credentialsOf(1), "Proxy-Authorization: Basic "))} {
		if found := log.with(secret); found != nil {
			t.Errorf("the log holds %q: %q", secret, found)
		}
	}
}

// A port without credentials has nothing to do with a 407: it is the client's.
func TestClientsOwn407(t *testing.T) {
	const response = "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n"
	g := newRig(t, func(cfg *Config) {
		cfg.Mappings[0].Plan = newPlan(t, session.PlanConfig{Account: &credential.Account{}, Lifetime: time.Minute})
	})
	c, u := g.asked(get)
	u.send(response)
	c.expect(response)
}

// Whatever else is spoken on a proxy port gets a 400 or its like, or the end where it did not come so far as to be wrong,
// and the provider not a byte.
func TestOtherProtocols(t *testing.T) {
	hellos := map[string]string{
		"SSH":         "SSH-2.0-OpenSSH_9.6\r\n",
		"SMTP":        "EHLO example.com\r\nMAIL FROM:<a@example.com>\r\n",
		"FTP":         "USER anonymous\r\n",
		"Redis":       "*1\r\n$4\r\nPING\r\n",
		"memcached":   "get a\r\n",
		"SIP":         "OPTIONS sip:a@example.com SIP/2.0\r\n\r\n",
		"RTSP":        "OPTIONS rtsp://example.com/ RTSP/1.0\r\nCSeq: 1\r\n\r\n",
		"PROXY":       "PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n" + get,
		"PROXY 2":     "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c",
		"HTTP/0.9":    "GET http://example.com/\r\n",
		"HTTP/2":      "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"RDP":         "\x03\x00\x00\x13\x0e\xe0\x00\x00\x00\x00\x00\x01\x00\x08\x00\x03\x00\x00\x00",
		"PostgreSQL":  "\x00\x00\x00\x08\x04\xd2\x16\x2f",
		"BitTorrent":  "\x13BitTorrent protocol\x00\x00\x00\x00\x00\x00\x00\x00",
		"no request":  "\n",
		"empty lines": strings.Repeat("\r\n", 100),
	}
	rnd := rand.New(rand.NewPCG(1, 200))
	for i := range 200 {
		b := make([]byte, 1+rnd.IntN(3000))
		for j := range b {
			b[j] = byte(rnd.Uint32())
		}
		if b[0] == 4 || b[0] == 5 { // the beginning of SOCKS, which has answers of its own
			b[0] = 3
		}
		hellos[fmt.Sprintf("random bytes %d", i)] = string(b)
	}
	g := newRig(t)
	for name, hello := range hellos {
		c := g.client(0)
		c.send(hello)
		c.fin()
		got, err := io.ReadAll(c.r)
		if err != nil || len(got) > 0 && !strings.HasPrefix(string(got), "HTTP/1.1 400 ") && !strings.HasPrefix(string(got), "HTTP/1.1 505 ") {
			t.Errorf("%s: got %q (%v); want a 400", name, got, err)
		}
		if len(got) == 0 && len(hello) > 64 {
			t.Errorf("%s: %d bytes are not answered", name, len(hello))
		}
	}
	expectNothingSent(g)
}

// A browser that takes the port for a TLS server hears that it is none, in a way that its user is shown.
func TestTLSOnTheProxyPort(t *testing.T) {
	g := newRig(t)
	c := g.client(0)
	err := tls.Client(c.conn, &tls.Config{ServerName: "example.com"}).Handshake()
	var not tls.RecordHeaderError
	if !errors.As(err, &not) || string(not.RecordHeader[:]) != "HTTP/" {
		t.Errorf("got %v; want an HTTP response", err)
	}
	expectNothingSent(g)
}

// expectNothingSent checks that the relay has not connected to the provider: its next connection is that of a request
// which is made now.
func expectNothingSent(g *rig) {
	g.t.Helper()
	c := g.client(0)
	c.send("GET http://last.example/ HTTP/1.1\r\nHost: last.example\r\n\r\n")
	if head := g.upstream().head(); !strings.HasPrefix(head, "GET http://last.example/ ") {
		g.t.Errorf("the provider got %q", head)
	}
}

// RFC 9112 section 3.2.2, the rest: Host is made to agree whatever the version and the form, and where it does not say
// one thing, or the target holds more than a place, the request is refused.
func TestTargetAndHost(t *testing.T) {
	for _, row := range []struct{ request, upstream string }{
		{"GET http://a.example/ HTTP/1.0\r\nHost: b.example\r\n", "GET http://a.example/ HTTP/1.0\r\nHost: a.example\r\n"},
		{"GET http://a.example/ HTTP/1.0\r\n", "GET http://a.example/ HTTP/1.0\r\n"},
		{"GET HTTP://a.example:81?q HTTP/1.1\r\nhost:b.example\r\n", "GET HTTP://a.example:81?q HTTP/1.1\r\nHost: a.example:81\r\n"},
		{"GET http://[::1]:81/ HTTP/1.1\r\nHost: [::2]:81\r\n", "GET http://[::1]:81/ HTTP/1.1\r\nHost: [::1]:81\r\n"},
		{"CONNECT a.example:443 HTTP/1.1\r\nHost: b.example:443\r\n", "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n"},
		{"CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:80\r\n", "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n"},
		{"CONNECT a.example:443 HTTP/1.1\r\nHost: a.example\r\n", "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example\r\n"},
		{"GET http://a.example/ HTTP/1.1\r\nHost: a.example\r\nHost: b.example\r\n", ""},
		{"GET http://a.example/ HTTP/1.1\r\nHost: a.example, b.example\r\n", ""},
		{"GET http://a.example/ HTTP/1.1\r\nHost: secret@a.example\r\n", ""},
		{"GET http://a.example/ HTTP/1.1\r\nHost: a.example/b\r\n", ""},
		{"GET http://name:secret@b.example@a.example/ HTTP/1.1\r\nHost: a.example\r\n", ""},
		{"GET http://name:secret\\@a.example/ HTTP/1.1\r\nHost: a.example\r\n", ""},
		{"GET https://name:secret@a.example/ HTTP/1.1\r\nHost: a.example\r\n", ""},
		{"CONNECT secret@a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n", ""},
		{"GET http:///a.example HTTP/1.1\r\nHost: a.example\r\n", ""},
		{"CONNECT a.example:443#b HTTP/1.1\r\nHost: a.example\r\n", ""},
		{"GET http://a.example\\b/ HTTP/1.1\r\nHost: a.example\r\n", ""},
		{"GET http://a%2eexample/ HTTP/1.1\r\nHost: a.example\r\n", ""},
	} {
		t.Run(row.request, func(t *testing.T) {
			g := newRig(t)
			c := g.client(0)
			c.send(row.request + "\r\n")
			if row.upstream != "" {
				g.upstream().expect(row.upstream + credentialsOf(1) + "\r\n")
				return
			}
			answer, _ := io.ReadAll(c.r)
			if !strings.HasPrefix(string(answer), "HTTP/1.1 400 ") || strings.Contains(string(answer), "secret") {
				t.Errorf("got %q; want a 400 that does not repeat the secret", answer)
			}
			expectNothingSent(g)
		})
	}
}
