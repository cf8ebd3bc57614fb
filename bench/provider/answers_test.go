package provider

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// dial connects to the provider, for a test that speaks by itself.
func dial(t *testing.T, p *Provider) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := net.Dial("tcp", p.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	return conn, bufio.NewReader(conn)
}

// The provider's own answers, and whether its connection goes on after them.
func TestOwnAnswers(t *testing.T) {
	unused, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone := unused.Addr().String()
	unused.Close()
	p := start(t, Config{})
	for _, row := range []struct {
		name, request string
		status        int
		keep          bool
	}{
		{"the exit address", "GET http://ip.demo/ HTTP/1.1\r\n\r\n", 200, true},
		{"the exit address, by its port", "GET http://ip.demo:80/ HTTP/1.1\r\n\r\n", 200, true},
		{"without a path", "GET http://ip.demo HTTP/1.1\r\n\r\n", 200, true},
		{"another path", "GET http://ip.demo/x HTTP/1.1\r\n\r\n", 404, true},
		{"HEAD", "HEAD http://ip.demo/ HTTP/1.1\r\n\r\n", 200, true},
		{"HTTP/1.0", "GET http://ip.demo/ HTTP/1.0\r\n\r\n", 200, false},
		{"close", "GET http://ip.demo/ HTTP/1.1\r\nConnection: Close\r\n\r\n", 200, false},
		{"content that is not read", "POST http://ip.demo/ HTTP/1.1\r\nContent-Length: 5\r\n\r\n", 200, false},
		{"chunks that are not read", "POST http://ip.demo/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 200, false},
		{"origin-form", "GET / HTTP/1.1\r\nHost: ip.demo\r\n\r\n", 400, true},
		{"an origin that is not there", "GET http://" + gone + "/ HTTP/1.1\r\nHost: x\r\n\r\n", 502, false},
		{"a tunnel to nowhere", "CONNECT " + gone + " HTTP/1.1\r\n\r\n", 502, false},
	} {
		conn, r := dial(t, p)
		method, _, _ := strings.Cut(row.request, " ")
		again := "GET http://ip.demo/ HTTP/1.1\r\n\r\n"
		fmt.Fprint(conn, row.request)
		res, err := http.ReadResponse(r, &http.Request{Method: method})
		if err != nil {
			t.Errorf("%s: %v", row.name, err)
			continue
		}
		_, _ = io.Copy(io.Discard, res.Body)
		fmt.Fprint(conn, again)
		_, err = http.ReadResponse(r, nil)
		if res.StatusCode != row.status || (err == nil) != row.keep || method != "CONNECT" && res.Close == row.keep {
			t.Errorf("%s: %d, close %v, after it %v; want %d, and that it goes on: %v", row.name, res.StatusCode, res.Close, err, row.status, row.keep)
		}
	}
}

// What is no head ends the connection without an answer.
func TestMalformedHeads(t *testing.T) {
	p := start(t, Config{})
	for name, request := range map[string]string{
		"no request line":    "hello\r\n\r\n",
		"a word too many":    "GET http://ip.demo/ HTTP/1.1 x\r\n\r\n",
		"too many bytes":     "GET http://ip.demo/ HTTP/1.1\r\n" + strings.Repeat("x: "+strings.Repeat("y", 997)+"\r\n", maxHead/1000+1) + "x: y\r\n\r\n",
		"a line without end": "GET http://ip.demo/" + strings.Repeat("x", 20<<10),
	} {
		conn, r := dial(t, p)
		go func() { _, _ = io.WriteString(conn, request) }() // the provider may end it before all is written
		if b, _ := io.ReadAll(r); len(b) > 0 {
			t.Errorf("%s: answered %q", name, b)
		}
	}
}

func TestFieldsOfAHead(t *testing.T) {
	h := &Head{Raw: []byte("GET / HTTP/1.1\r\nHost: a:80\r\nempty:\r\nX-Two:  one \r\nx-two: other\r\nno colon\r\n\r\n")}
	for name, want := range map[string]string{"host": "a:80", "EMPTY": "", "x-Two": "one", "none": "", "no colon": "", "GET / HTTP/1.1": ""} {
		if got := h.Get(name); got != want {
			t.Errorf("%s is %q; want %q", name, got, want)
		}
	}
}

func TestSessionOf(t *testing.T) {
	for user, want := range map[string]string{
		"customer-session-abc":               "abc",
		"customer-country-us-sessid-abc-x-1": "abc",
		"customer-sid-1-session-2":           "1",
		"customer":                           "",
		"customer-session":                   "",
		"session-abc":                        "", // the account's name
		"customer-sessions-abc":              "",
	} {
		if got := SessionOf(user); got != want {
			t.Errorf("%s: %q; want %q", user, got, want)
		}
	}
}

// Exit addresses are in the block for benchmarks, and use all of it.
func TestExitAddresses(t *testing.T) {
	block := netip.MustParsePrefix("198.18.0.0/15")
	seen := map[netip.Addr]bool{}
	for i := range 1000 {
		a := ExitIP(fmt.Sprint("session", i))
		if !block.Contains(a) {
			t.Fatalf("%v is outside of %v", a, block)
		}
		seen[a] = true
	}
	if len(seen) < 950 {
		t.Errorf("1000 sessions have %d exits", len(seen))
	}
}

func TestDemoInsideATunnel(t *testing.T) {
	p := start(t, Config{User: "user", Password: "pass"})
	conn, r := dial(t, p)
	fmt.Fprint(conn, "CONNECT ip.demo:80 HTTP/1.1\r\nProxy-Authorization: Basic dXNlci1zaWQtNzpwYXNz\r\n\r\n")
	if res, err := http.ReadResponse(r, &http.Request{Method: http.MethodConnect}); err != nil || res.StatusCode != 200 {
		t.Fatalf("%+v, %v", res, err)
	}
	for range 2 {
		fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: ip.demo\r\n\r\n")
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(res.Body)
		if want := fmt.Sprintf("{\"session\":\"7\",\"exit_ip\":%q}\n", ExitIP("7")); string(text) != want {
			t.Errorf("got %q; want %q", text, want)
		}
	}
}

// A pipelined request that was read together with the content of the one before it is not lost.
func TestPipelinedBehindContent(t *testing.T) {
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s", r.URL.Path, b)
	}))
	defer origin.Close()
	p := start(t, Config{})
	conn, r := dial(t, p)
	host := origin.Listener.Addr().String()
	fmt.Fprintf(conn, "POST http://%s/a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nfirstGET http://%s/b HTTP/1.1\r\nHost: x\r\n\r\n", host, host)
	for _, want := range []string{"/a first", "/b "} {
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := io.ReadAll(res.Body); string(got) != want {
			t.Errorf("got %q; want %q", got, want)
		}
	}
}

func TestUpgradeBecomesATunnel(t *testing.T) {
	origin := faultyOrigin(t, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nhello")
	p := start(t, Config{})
	conn, r := dial(t, p)
	fmt.Fprintf(conn, "GET http://%s/ HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n", origin)
	res, err := http.ReadResponse(r, nil)
	if err != nil || res.StatusCode != 101 {
		t.Fatalf("%+v, %v", res, err)
	}
	if got, _ := io.ReadAll(r); string(got) != "hello" {
		t.Errorf("after the 101 came %q; want hello", got)
	}
}

func TestOriginWithoutAResponse(t *testing.T) {
	p := start(t, Config{})
	conn, r := dial(t, p)
	fmt.Fprintf(conn, "GET http://%s/ HTTP/1.1\r\nHost: x\r\n\r\n", faultyOrigin(t, "what?\r\n"))
	if res, err := http.ReadResponse(r, nil); err != nil || res.StatusCode != 502 || !res.Close {
		t.Errorf("%+v, %v; want 502 and close", res, err)
	}
}

// faultyOrigin says text to whoever asks, and ends.
func faultyOrigin(t *testing.T, text string) net.Addr {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
				fmt.Fprint(c, text)
			}
			c.Close()
		}
	}()
	return l.Addr()
}

// Close ends connections that wait, and those to origins.
func TestClose(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	p, err := Start(Config{})
	if err != nil {
		t.Fatal(err)
	}
	idle, idleR := dial(t, p)
	busy, busyR := dial(t, p)
	fmt.Fprint(idle, "GET http://ip.demo/ HTTP/1.1\r\n\r\n")
	if _, err := http.ReadResponse(idleR, nil); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(busy, "CONNECT %s HTTP/1.1\r\n\r\n", silent.Addr())
	if _, err := http.ReadResponse(busyR, &http.Request{Method: http.MethodConnect}); err != nil {
		t.Fatal(err)
	}
	p.Close()
	_, err1 := io.Copy(io.Discard, idleR)
	_, err2 := io.Copy(io.Discard, busyR)
	for _, err := range []error{err1, err2} {
		if ne, ok := err.(net.Error); ok && ne.Timeout() {
			t.Error("a connection outlives Close")
		}
	}
	if c, err := net.Dial("tcp", p.Addr().String()); err == nil {
		c.Close()
		t.Error("it still listens")
	}
}
