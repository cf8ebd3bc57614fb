package e2e

import (
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"proxymap/bench/provider"
)

// A served is proxymap with one port, started by a test from settings of its own.
type served struct {
	*process
	port     int
	to       []string // arguments that lead session commands there
	provider *provider.Provider
}

// serveSession starts proxymap with members of Listen and of Authentication, and the provider for its upstream.
func serveSession(t *testing.T, listen, auth string) *served {
	t.Helper()
	p, err := provider.Start(provider.Config{}) // it lets everybody in
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return serveSessionBy(t, p, int(p.Addr().Port()), listen, auth)
}

func serveSessionBy(t *testing.T, p *provider.Provider, upstream int, listen, auth string) *served {
	t.Helper()
	s := &served{port: freePort(t), provider: p}
	file := write(t, t.TempDir(), "appsettings.json", fmt.Sprintf(`{
		"Listen": {"Port": %d, %s},
		"Authentication": {"SetAuthentication": true, "Username": "demo", "Password": "word", %s},
		"ProxyServers": {"Items": [{"Host": "127.0.0.1", "Port": %d}]},
		"SessionAPI": {"Enabled": true},
	}`, s.port, listen, auth, upstream))
	s.process = start(t, "serve", "--config", file)
	s.logged("msg=listening")
	s.to = []string{fmt.Sprint("--port=", s.port)}
	return s
}

const sessionParameter = `"UsernameParameters": [{"Name": "session", "Value": "^[a-z]{8}", "SessionId": true}]`

// get makes a request on a connection of its own, and returns the status.
func (s *served) get(target string) int {
	s.t.Helper()
	proxy := &url.URL{Scheme: "http", Host: fmt.Sprintf("127.0.0.1:%d", s.port)}
	client := &http.Client{Transport: &http.Transport{Proxy: http.ProxyURL(proxy), DisableKeepAlives: true}, Timeout: patience}
	res, err := client.Get(target)
	if err != nil {
		s.t.Fatal(err)
	}
	res.Body.Close()
	return res.StatusCode
}

// sessions are those that the provider has seen, in the order of the requests.
func (s *served) sessions() (ids []string) {
	for _, r := range s.provider.Records() {
		ids = append(ids, r.Session)
	}
	return ids
}

// await waits until a port's session is another one.
func (s *served) await(old string) {
	s.t.Helper()
	for end := time.Now().Add(patience); idOf(s.t, s.to...) == old; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			s.t.Fatalf("the session is still %q", old)
		}
	}
}

// Close in the settings reaches tunnels: when a call says nothing of them, and when the session expires.
func TestOnRotateSetting(t *testing.T) {
	t.Parallel()
	s := serveSession(t, `"StickyProxyLifetime": 10, "OnRotate": "Close"`, sessionParameter)
	tunnel := openTunnel(t, s.port)
	out, _ := ask(t, exitOK, append([]string{"new"}, s.to...)...)
	if !strings.HasSuffix(out, "connections: 1 closed, 0 draining\n") {
		t.Errorf("new prints %q", out)
	}
	closed(t, tunnel)

	s = serveSession(t, `"StickyProxyLifetime": "1s", "OnRotate": "Close"`, sessionParameter)
	closed(t, openTunnel(t, s.port))
}

// A drain has ten seconds if the settings do not say how long, and what they say else.
func TestDrainTimeSetting(t *testing.T) {
	t.Parallel()
	s := serveSession(t, `"StickyProxyLifetime": 10`, sessionParameter)
	tunnel := openTunnel(t, s.port)
	if out, _ := ask(t, exitOK, append([]string{"new", "--on-rotate=drain"}, s.to...)...); !strings.HasSuffix(out, "connections: 0 closed, 1 draining\n") {
		t.Errorf("new prints %q", out)
	}
	// The tunnel still carries a request, to the provider's own host.
	fmt.Fprint(tunnel, "GET / HTTP/1.1\r\nHost: ip.demo\r\n\r\n")
	if n, err := tunnel.Read(make([]byte, 1)); n == 0 {
		t.Errorf("the tunnel does not drain, but is closed at once: %v", err)
	}

	s = serveSession(t, `"StickyProxyLifetime": 10, "OnRotate": "Drain", "DrainTime": "50ms"`, sessionParameter)
	tunnel = openTunnel(t, s.port)
	ask(t, exitOK, append([]string{"new"}, s.to...)...)
	closed(t, tunnel)
}

// A port without traffic gets another session.
func TestIdleLifetimeSetting(t *testing.T) {
	t.Parallel()
	s := serveSession(t, `"StickyProxyLifetime": "1h", "IdleLifetime": "1s"`, sessionParameter)
	s.get("http://ip.demo/")
	s.await(s.sessions()[0])
}

// A session is worth that many requests.
func TestMaxRequestsSetting(t *testing.T) {
	t.Parallel()
	s := serveSession(t, `"StickyProxyLifetime": 10, "MaxRequests": 2`, sessionParameter)
	for range 4 {
		s.get("http://ip.demo/")
	}
	if ids := s.sessions(); len(ids) != 4 || ids[0] != ids[1] || ids[1] == ids[2] || ids[2] != ids[3] {
		t.Errorf("the provider sees the sessions %q; want another one behind two requests", ids)
	}
}

// Statuses, and a provider that takes no connections, cost a port its session.
func TestRotateOnSetting(t *testing.T) {
	t.Parallel()
	banned := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTooManyRequests) }))
	t.Cleanup(banned.Close)
	const rotateOn = `"StickyProxyLifetime": 10, "RotateMinInterval": "1ms", "RotateOn": [
		{"Status": [403, 429], "Count": 2, "Within": "60s"}, {"UpstreamError": ["refused"], "Count": 1}]`
	s := serveSession(t, rotateOn, sessionParameter)
	for range 3 {
		if status := s.get(banned.URL); status != http.StatusTooManyRequests {
			t.Fatalf("got %d", status)
		}
	}
	if ids := s.sessions(); len(ids) != 3 || ids[0] != ids[1] || ids[1] == ids[2] {
		t.Errorf("the provider sees the sessions %q; want another one behind two of its 429", ids)
	}
	s.logged("status 429, 2 within 1m0s")

	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s = serveSessionBy(t, s.provider, nobody.Addr().(*net.TCPAddr).Port, rotateOn, sessionParameter)
	nobody.Close() // its port is nobody else's before proxymap has its own
	first := idOf(t, s.to...)
	if status := s.get("http://ip.demo/"); status != http.StatusBadGateway {
		t.Fatalf("got %d", status)
	}
	s.await(first)
	s.logged("upstream refused, 1 within 1m0s")
}

// A preset's credentials arrive at the provider, with the session's id in the password.
func TestProviderSetting(t *testing.T) {
	t.Parallel()
	s := serveSession(t, `"StickyProxyLifetime": "90s"`, `"Provider": "iproyal"`)
	credentials := regexp.MustCompile(`\r\nProxy-Authorization: Basic (.*)\r\n`)
	id := idOf(t, s.to...)
	s.get("http://ip.demo/")
	ask(t, exitOK, append([]string{"new", "country=de"}, s.to...)...)
	newer := idOf(t, s.to...)
	s.get("http://ip.demo/")
	var got []string
	for _, r := range s.provider.Records() {
		text, err := base64.StdEncoding.DecodeString(credentials.FindStringSubmatch(r.Head)[1])
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(text))
	}
	want := []string{"demo:word_session-" + id + "_lifetime-90s", "demo:word_country-de_session-" + newer + "_lifetime-90s"}
	if !slices.Equal(got, want) || id == newer {
		t.Errorf("the provider gets %q; want %q", got, want)
	}
}
