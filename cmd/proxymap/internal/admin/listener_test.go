package admin

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"proxymap/relay"
	"proxymap/session"
)

// dial connects to the admin listener and sends text.
func (g *adminRig) dial(text string) (net.Conn, *bufio.Reader) {
	g.t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(g.url, "http://"))
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, text); err != nil {
		g.t.Fatal(err)
	}
	return c, bufio.NewReader(c)
}

// answered reads an answer, and returns its status and content.
func answered(t *testing.T, in *bufio.Reader) (*http.Response, string) {
	t.Helper()
	res, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(text)
}

// ended waits for a connection's end, whichever way it comes.
func ended(t *testing.T, in *bufio.Reader) {
	t.Helper()
	for {
		_, err := in.ReadByte()
		if e, ok := err.(net.Error); ok && e.Timeout() {
			t.Fatal("the connection is still open")
		}
		if err != nil {
			return
		}
	}
}

const (
	health = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
	renew  = "POST /sessions/new?ports=all HTTP/1.1\r\nHost: localhost\r\n"
)

// unconfirmed has calls that change sessions wait until they are confirmed by what it returns.
func unconfirmed(confirm chan func(error)) func(*relay.Config) {
	return func(cfg *relay.Config) {
		cfg.Mappings = cfg.Mappings[:1]
		cfg.Store = confirmer(func(_ netip.AddrPort, done func(error)) { confirm <- done })
	}
}

// asked waits for a call to ask for its confirmation.
func (g *adminRig) asked(confirm chan func(error)) (done func(error)) {
	g.t.Helper()
	select {
	case done = <-confirm:
		return done
	case <-time.After(patience):
		g.t.Fatal("a call does not ask to be confirmed")
		return nil
	}
}

// However many connections are idle, or have sent a part of a request, one more is answered at once, and so are those
// that were being answered before these came.
func TestAdminMakesRoom(t *testing.T) {
	confirm := make(chan func(error), 1)
	g := newAdminRig(t, "", unconfirmed(confirm))
	_, slow := g.dial(renew + "Content-Length: 2\r\n\r\n{}")
	done := g.asked(confirm) // it is being answered
	_, first := g.dial("")
	parts := []string{"", "G", health[:len(health)-1], renew + "Content-Length: 100\r\n\r\n{", renew + "Transfer-Encoding: chunked\r\n\r\n5\r\n{", health,
		"GET /metrics HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 100\r\n\r\n"}
	for i := range 200 {
		g.dial(parts[i%len(parts)])
	}
	began := time.Now()
	_, last := g.dial(health)
	if res, text := answered(t, last); res.StatusCode != 200 || text != "ok\n" {
		t.Errorf("/healthz beside 200 connections: %s, %q", res.Status, text)
	}
	took := time.Since(began)
	t.Logf("/healthz beside 200 connections: answered after %v", took)
	if took > headerTime/2 { // what used to be waited for is at least one time-out of another
		t.Errorf("/healthz beside 200 connections takes %v; want no time that others are given", took)
	}
	ended(t, first)
	done(nil)
	if res, text := answered(t, slow); res.StatusCode != 200 {
		t.Errorf("the call that was being answered: %s, %q", res.Status, text)
	}
}

// As many requests are answered at a time as there are places, but for one, in which /healthz and /readyz are answered and
// others are told that there is no room.
func TestAdminKeepsOnePlace(t *testing.T) {
	confirm := make(chan func(error), maxConnections)
	g := newAdminRig(t, "", unconfirmed(confirm))
	var busy []*bufio.Reader
	var dones []func(error)
	for range maxConnections - 1 {
		_, in := g.dial(renew + "\r\n")
		busy, dones = append(busy, in), append(dones, g.asked(confirm))
	}
	for range 3 {
		for path, want := range map[string]string{"/healthz": "ok\n", "/readyz": "ready\n"} {
			if res, text := g.do("GET", path); res.StatusCode != 200 || text != want {
				t.Errorf("%s: %s: %q", path, res.Status, text)
			}
		}
		res, text := g.do("GET", "/ProxyStats")
		if res.StatusCode != 503 || res.Header.Get("Retry-After") != "1" || !res.Close || !strings.Contains(text, "too many requests") {
			t.Errorf("another request: %s, %v: %q", res.Status, res.Header, text)
		}
	}
	for i, in := range busy {
		dones[i](nil)
		if res, text := answered(t, in); res.StatusCode != 200 {
			t.Errorf("call %d: %s, %q", i, res.Status, text)
		}
	}
	if res, text := g.do("GET", "/ProxyStats"); res.StatusCode != 200 {
		t.Errorf("when the calls have been answered: %s: %q", res.Status, text)
	}
}

// Those that read events are limited apart: they take no place from others, and no other takes theirs.
func TestEventsHaveNoPlace(t *testing.T) {
	g := newAdminRig(t, "")
	const events = "GET /sessions/events HTTP/1.1\r\nHost: localhost\r\n\r\n"
	var readers []*bufio.Reader
	for range maxReaders {
		_, in := g.dial(events)
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		if line, err := bufio.NewReader(res.Body).ReadString('\n'); res.StatusCode != 200 || !strings.HasPrefix(line, ":") {
			t.Fatalf("%s, %q, %v", res.Status, line, err)
		}
		readers = append(readers, in)
	}
	_, in := g.dial(events)
	if res, text := answered(t, in); res.StatusCode != 503 || !strings.Contains(text, "8 readers") {
		t.Errorf("one reader more: %s, %q", res.Status, text)
	}
	idle := map[net.Conn]*bufio.Reader{}
	for range maxConnections - 1 { // one place may still be that of the reader more
		c, in := g.dial(health)
		answered(t, in)
		idle[c] = in
	}
	for c, in := range idle { // all of them have a place
		if _, err := io.WriteString(c, health); err != nil {
			t.Fatal(err)
		}
		answered(t, in)
	}
	for range 2 * maxConnections { // some of the idle ones may only now go idle, and be the last to make room
		g.dial("")
	}
	for _, in := range idle {
		ended(t, in)
	}
	g.sessions("POST", "/sessions/new?ports=all")
	for i, in := range readers {
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				t.Fatalf("reader %d: %v", i, err)
			}
			if strings.HasPrefix(line, "event: ") {
				break
			}
		}
	}
}

// Content that cannot be read is a 400, and what is longer than any call's a 413, as from a call alone.
func TestAdminContent(t *testing.T) {
	g := newAdminRig(t, "")
	_, in := g.dial(renew + "Transfer-Encoding: chunked\r\n\r\nx\r\n")
	if res, text := answered(t, in); res.StatusCode != 400 || !strings.Contains(text, "content") {
		t.Errorf("malformed chunks: %s, %q", res.Status, text)
	}
	_, in = g.dial(renew + fmt.Sprintf("Content-Length: %d\r\n\r\n", session.MaxBody+1) + strings.Repeat(" ", session.MaxBody+1))
	if res, text := answered(t, in); res.StatusCode != 413 {
		t.Errorf("too much: %s, %q", res.Status, text)
	}
}
