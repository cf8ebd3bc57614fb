package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const (
	shop    = "shop.example"    // a host that only the provider knows
	rebound = "rebound.example" // a name that its owner has made lead to this machine (DNS rebinding)

	browserPatience = time.Minute // from Chromium's start to the end of its last page
)

const browserSettings = `{
  "Listen": {"Port": %d, "StickyProxyLifetime": 10},
  "Authentication": {
    "SetAuthentication": true, "Username": "demo", "Password": "demo",
    "UsernameParameters": [{"Name": "session", "Value": "^[A-Za-z]{8}", "SessionId": true}],
  },
  "ProxyServers": {"Items": [{"Host": "127.0.0.1", "Port": %d}]},
  "SessionAPI": {"Enabled": true, "Domain": "%s", "RequireHeader": %t},
}`

// attempts are what a page can try to change the session, and how the API stops it. What hides where it comes from has
// no Origin and no Referer. The first page of a browser makes all of them, every other page those that say so.
var attempts = []struct {
	name, stopped string
	hides, every  bool
}{
	{"fetch", "GET 403", false, true},
	{"fetch, no Referer", "GET 403", false, false},
	{"fetch, no-cors", "GET 403", false, false},
	{"fetch, no-cors, no Referer", "GET 403", true, true},
	{"fetch, no-cors, POST", "POST 403", false, false},
	{"fetch, no-cors, POST, no Referer", "POST 403", false, true},
	{"fetch, X-Proxymap", preflight, false, true},
	{"fetch, no-cors, X-Proxymap", "GET 403", false, false},
	{"img", "GET 403", false, true},
	{"img, no Referer", "GET 403", true, true},
	{"img, reset", "GET 403", false, false},
	{"img, reset, no Referer", "GET 403", true, true},
	{"img, redirected", "GET 403", false, false},
	{"img, redirected, no Referer", "GET 403", true, false},
	{"script, no Referer", "GET 403", true, false},
	{"iframe", "GET 403", false, false},
	{"iframe, no Referer", "GET 403", true, false},
	{"WebSocket", "GET 403", false, true},
	{"form GET", "GET 403", false, false},
	{"form GET, no Referer", "GET 403", true, true},
	{"form POST", "POST 403", false, false},
	{"form POST, no Referer", "POST 403", false, true},
	{"link", "GET 403", false, false},
	{"link, rel=noreferrer", "GET 403", true, true},
	{"link, meta no-referrer", "GET 403", true, false},
	{"refresh, no Referer", "GET 403", true, false},
}

const (
	preflight = "OPTIONS 405"
	gotIn     = "GET 200 changed"
)

// What a page that is shown through the port can do to its session is what the README says. PROXYMAP_LONG=1 tries all
// settings, else the usual ones are tried.
func TestBrowserRule(t *testing.T) {
	needsChromium(t)
	t.Parallel()
	for i, row := range []struct {
		name, domain string
		require      bool
		opened       string // what comes of an address that the user opens and that redirects to the API
		hidden       string // what comes of attempts that hide where they come from; empty: they are stopped
	}{
		{"domain", "portmapper", false, gotIn, gotIn},
		{"domain, RequireHeader", "portmapper", true, "GET 403", ""},
		{"no domain", "", false, gotIn, ""},
		{"no domain, RequireHeader", "", true, "GET 403", ""},
	} {
		if i > 0 && !longRun {
			break
		}
		t.Run(row.name, func(t *testing.T) {
			a := newAttack(t, row.domain, row.require)
			if got := a.opened(); got != row.opened {
				t.Errorf("opened and redirected: got %q; want %q", got, row.opened)
			}
			a.browse()
			for i, r := range a.rounds {
				if diff := cmp.Diff(r.want(i, row.hidden), a.got[i]); diff != "" {
					t.Errorf("%s calls %s (-want +got):\n%s", r.page, r.target, diff)
				}
			}
		})
	}
}

// A round is a page that makes attempts.
type round struct {
	page, target string // without their paths
	preflight    string // what comes of an attempt with X-Proxymap
}

// want is what must come of each attempt of the round with that number.
func (r round) want(number int, hidden string) map[string]string {
	want := map[string]string{}
	for _, a := range attempts {
		switch {
		case number > 0 && !a.every:
		case a.stopped == preflight:
			want[a.name] = r.preflight
		case a.hides && hidden != "":
			want[a.name] = hidden
		default:
			want[a.name] = a.stopped
		}
	}
	return want
}

// An attack is the relay, a browser that uses its port, and the pages that the browser meets.
type attack struct {
	t      *testing.T
	up     *upstream
	wire   *wire
	api    string
	client http.Client

	mu      sync.Mutex
	session string // after the last attempt
	rounds  []round
	got     []map[string]string // by round: what came of each attempt
	ended   bool
}

func newAttack(t *testing.T, domain string, require bool) *attack {
	a := &attack{t: t, client: http.Client{Timeout: patience}}
	a.up = startUpstream(t, a.pages())
	relay := startRelay(t, domain, require, a.up)
	a.wire = startWire(t, relay)
	a.api = "http://" + relay
	_, wirePort, _ := net.SplitHostPort(a.wire.addr())
	_, pagePort, _ := net.SplitHostPort(a.up.addr())
	page, own := "http://"+shop, "http://"+rebound+":"+pagePort
	switch {
	case domain != "":
		a.api = "http://" + domain
		a.client.Transport = &http.Transport{Proxy: http.ProxyURL(&url.URL{Scheme: "http", Host: relay})}
		a.rounds = []round{{page, a.api, preflight}}
	case require:
		a.rounds = []round{{page, "http://127.0.0.1:" + wirePort, preflight}, {own, own, "GET 403"}}
	default:
		a.rounds = []round{
			{page, "http://127.0.0.1:" + wirePort, preflight},
			{page, "http://localhost:" + wirePort, preflight},
			{page, "http://0.0.0.0:" + wirePort, "OPTIONS 403"},
			{page, "http://[::ffff:127.0.0.1]:" + wirePort, "OPTIONS 403"},
			{page, "http://" + rebound + ":" + wirePort, "OPTIONS 403"},
			{own, own, "GET 403"}, // same origin: the Host alone tells
			{"http://127.0.0.1:" + pagePort, "http://127.0.0.1:" + wirePort, preflight}, // same site
		}
	}
	a.session = a.ask()
	return a
}

// ask asks the API for the session's id.
func (a *attack) ask() string {
	res, err := a.client.Get(a.api + "/session/")
	if err != nil {
		a.t.Errorf("asking the API: %v", err)
		return a.session
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, res.Body)
	return res.Header.Get("X-Session-Id")
}

// chromium opens a page in a browser that uses the port, and returns when done says so.
func (a *attack) chromium(page string, done func() bool) {
	a.t.Helper()
	defer startChromium(a.t, "--proxy-server=http://"+a.wire.addr(), "--host-resolver-rules=MAP "+rebound+" 127.0.0.1",
		"--proxy-bypass-list="+rebound+";0.0.0.0;[::ffff:7f00:1]", page)()
	for end := time.Now().Add(browserPatience); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			a.mu.Lock()
			defer a.mu.Unlock()
			a.t.Fatalf("Chromium has opened %s and does not come to an end; what has been tried: %v", page, a.got)
		}
	}
}

// opened opens an address as a user does, or a driver: no page leads there. It redirects to the API.
func (a *attack) opened() string {
	a.t.Helper()
	to := url.Values{"to": {a.rounds[0].target + "/session/new?by=opened"}}
	a.chromium("http://"+shop+"/redirect?"+to.Encode(), func() bool { return len(a.wire.calls("opened")) > 0 })
	return a.outcome("opened")
}

// browse has all rounds made.
func (a *attack) browse() {
	a.t.Helper()
	a.chromium(a.rounds[0].page+"/attempts", func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		return a.ended
	})
}

// outcome is what has come of an attempt: its calls, their statuses, and whether the session has changed.
func (a *attack) outcome(by string) string {
	outcome := a.wire.calls(by)
	if id := a.ask(); id != a.session {
		a.session = id
		outcome = append(outcome, "changed")
	}
	return strings.Join(outcome, " ")
}

// pages are those that attempt.
func (a *attack) pages() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/attempts", func(w http.ResponseWriter, _ *http.Request) {
		a.mu.Lock()
		defer a.mu.Unlock()
		n := len(a.got)
		if n == len(a.rounds) {
			a.ended = true
			return
		}
		a.got = append(a.got, map[string]string{})
		var names []string
		for _, attempt := range attempts {
			if n == 0 || attempt.every {
				names = append(names, attempt.name)
			}
		}
		next := a.rounds[min(n+1, len(a.rounds)-1)].page + "/attempts"
		showPage(w, attemptsPage, "", map[string]any{"number": n, "names": names, "target": a.rounds[n].target, "next": next})
	})
	mux.HandleFunc("/after", func(_ http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.got[len(a.got)-1][r.FormValue("name")] = a.outcome(r.FormValue("by")) + r.FormValue("fault")
	})
	mux.HandleFunc("/go", func(w http.ResponseWriter, r *http.Request) {
		showPage(w, goPage, r.FormValue("policy"), map[string]any{"how": r.FormValue("how"), "to": r.FormValue("to")})
	})
	mux.HandleFunc("/redirect", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, r.FormValue("to"), http.StatusFound)
	})
	// The rebound name was the page's server a moment ago, and is the port now.
	mux.Handle("/session/", &httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) {
		p.Out.URL.Scheme, p.Out.URL.Host = "http", a.wire.addr()
	}})
	return mux
}

func showPage(w http.ResponseWriter, page, policy string, data any) {
	text, err := json.Marshal(data)
	if err != nil {
		panic(err) // strings and numbers of ours
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = strings.NewReplacer("DATA", string(text), "POLICY", policy).WriteString(w, page)
}

// An upstream is a provider, and behind it a server that is the whole world to the browser. Asked for other hosts, as
// browsers do on their own account, it has nothing.
type upstream struct {
	pages  http.Handler
	server *httptest.Server

	mu      sync.Mutex
	users   map[string]int // requests through the port, by user name
	tunnels int            // those of them that are CONNECTs
}

func startUpstream(t *testing.T, pages http.Handler) *upstream {
	t.Helper()
	u := &upstream{pages: pages, users: map[string]int{}}
	u.server = httptest.NewServer(u)
	t.Cleanup(u.server.Close)
	return u
}

func (u *upstream) addr() string { return u.server.Listener.Addr().String() }

func (u *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	host, _, _ := strings.Cut(r.Host, ":")
	direct := r.URL.Host == "" && r.Method != "CONNECT"
	switch {
	case !direct && host != shop:
		http.NotFound(w, r)
		return
	case !direct:
		as := http.Request{Header: http.Header{"Authorization": r.Header["Proxy-Authorization"]}}
		user, _, _ := as.BasicAuth()
		u.mu.Lock()
		u.users[user]++
		u.mu.Unlock()
	}
	if r.Method == "CONNECT" {
		u.mu.Lock()
		u.tunnels++
		u.mu.Unlock()
		u.tunnel(w)
		return
	}
	u.pages.ServeHTTP(w, r)
}

// tunnel leads to the server itself.
func (u *upstream) tunnel(w http.ResponseWriter) {
	origin, err := net.Dial("tcp", u.addr())
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer origin.Close()
	client, in, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	defer client.Close()
	_, _ = io.WriteString(client, "HTTP/1.1 200 OK\r\n\r\n")
	go func() { _, _ = io.Copy(origin, in); origin.Close() }()
	_, _ = io.Copy(client, origin)
}

// startRelay starts proxymap with one port, and returns its address.
func startRelay(t *testing.T, domain string, require bool, u *upstream) string {
	t.Helper()
	port := freePort(t)
	file := filepath.Join(t.TempDir(), "appsettings.json")
	text := fmt.Sprintf(browserSettings, port, u.server.Listener.Addr().(*net.TCPAddr).Port, domain, require)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, "serve", "--config", file).logged("msg=listening")
	return fmt.Sprintf("127.0.0.1:%d", port)
}

// A wire leads to the port, passes bytes on as they are, and knows what has gone through.
type wire struct {
	listener net.Listener
	to       string

	mu    sync.Mutex
	conns []*heard
}

type heard struct{ sent, answered bytes.Buffer }

func startWire(t *testing.T, to string) *wire {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	w := &wire{listener: l, to: to}
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			go w.carry(client)
		}
	}()
	return w
}

func (w *wire) addr() string { return w.listener.Addr().String() }

func (w *wire) carry(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", w.to)
	if err != nil {
		return
	}
	defer server.Close()
	h := &heard{}
	w.mu.Lock()
	w.conns = append(w.conns, h)
	w.mu.Unlock()
	go func() {
		_, _ = io.Copy(server, io.TeeReader(client, wireWriter{w, &h.sent}))
		server.Close()
	}()
	_, _ = io.Copy(client, io.TeeReader(server, wireWriter{w, &h.answered}))
}

type wireWriter struct {
	w *wire
	b *bytes.Buffer
}

func (w wireWriter) Write(b []byte) (int, error) {
	w.w.mu.Lock()
	defer w.w.mu.Unlock()
	return w.b.Write(b)
}

// calls are those that bear a name and have been answered: method and status of each.
func (w *wire) calls(by string) (calls []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, h := range w.conns {
		sent, answered := bufio.NewReader(bytes.NewReader(h.sent.Bytes())), bufio.NewReader(bytes.NewReader(h.answered.Bytes()))
		for {
			req, err := http.ReadRequest(sent)
			if err != nil {
				break
			}
			_, _ = io.Copy(io.Discard, req.Body)
			res, err := http.ReadResponse(answered, req)
			if err != nil {
				break
			}
			if req.Method != "CONNECT" { // else requests come inside
				_, _ = io.Copy(io.Discard, res.Body)
			}
			if req.URL.Query().Get("by") == by {
				calls = append(calls, fmt.Sprintf("%s %d", req.Method, res.StatusCode))
			}
		}
	}
	return calls
}

// needsChromium skips a test where there is no Chromium, but not where all tests must run.
func needsChromium(t *testing.T) {
	t.Helper()
	if underRace() {
		t.Skip("SKIPPED: a browser takes long, and what it asks for others ask for under the race detector")
	}
	_, err := exec.LookPath("chromium")
	if err != nil && os.Getenv("CI") == "true" {
		t.Fatalf("Chromium is not installed (%v); apt-get install chromium", err)
	}
	if err != nil {
		t.Skip("SKIPPED, BROWSERS ARE NOT TESTED: Chromium is not installed; apt-get install chromium")
	}
}

// startChromium starts a new browser, and returns what ends it. Its own guard of local networks is off, for the port's
// rule must do without.
func startChromium(t *testing.T, args ...string) (end func()) {
	t.Helper()
	dir, err := os.MkdirTemp("", "proxymap-chromium-")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("chromium", append([]string{
		"--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-popup-blocking",
		"--disable-background-timer-throttling", "--disable-renderer-backgrounding", "--disable-backgrounding-occluded-windows",
		"--disable-features=LocalNetworkAccessChecks,HttpsUpgrades", "--user-data-dir=" + dir,
	}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // it has children
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
		_ = os.RemoveAll(dir)
	}
}

// A browser shows a page of many parts through the port, and talks to a WebSocket through a tunnel. The page and some of
// its parts come with odd heads, which browsers take. By SOCKS, which is asked with PROXYMAP_LONG=1, all of it comes in
// tunnels.
func TestBrowserLoads(t *testing.T) {
	needsChromium(t)
	t.Parallel()
	for i, row := range []struct {
		scheme         string
		plain, tunnels int // requests that the provider sees
	}{
		{"http", 38, 1},  // the page, 36 parts, and what the page has; the WebSocket
		{"socks5", 0, 2}, // of connections for all of these there is one at least
	} {
		if i > 0 && !longRun {
			break
		}
		t.Run(row.scheme, func(t *testing.T) {
			has := make(chan string, 1)
			up := startUpstream(t, partsHandler(has))
			port := startRelay(t, "portmapper", false, up)
			defer startChromium(t, "--proxy-server="+row.scheme+"://"+port, "http://"+shop+"/parts")()
			want := `{"scripts":55,"widths":55,"files":[10000,20000,30000,40000,50000,60000,70000,80000,90000,100000],"odd":["LFalone","control","folding","lengths","listing","no-name"],"echo":"through the port"}`
			select {
			case got := <-has:
				if got != want {
					t.Errorf("the page has %s; want %s", got, want)
				}
			case <-time.After(browserPatience):
				t.Fatal("the page does not come to its end")
			}
			up.checkRequests(t, row.plain, row.tunnels)
		})
	}
}

// checkRequests checks that at least so many requests have come, all of them with the session of one port.
func (u *upstream) checkRequests(t *testing.T, plain, tunnels int) {
	t.Helper()
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.users) != 1 {
		t.Errorf("requests came with these user names: %v; want those of one session", u.users)
	}
	for user, n := range u.users {
		if n -= u.tunnels; !strings.HasPrefix(user, "demo-session-") || n < plain || plain == 0 && n > 0 || u.tunnels < tunnels {
			t.Errorf("%d requests and %d CONNECTs came as %q; want %d and %d with the port's session", n, u.tunnels, user, plain, tunnels)
		}
	}
}
