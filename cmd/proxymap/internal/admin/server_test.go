package admin

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"proxymap/bench/provider"
	"proxymap/cmd/proxymap/internal/settings"
	"proxymap/relay"
)

const patience = 10 * time.Second // for what must come

// An adminRig is a relay with two ports, each a mapping, a stub provider behind it, and an admin listener.
type adminRig struct {
	t     *testing.T
	relay *relay.Relay
	url   string
}

// adminRelay is the configuration of a relay, as the settings make it, but on ports that are free.
func adminRelay(t *testing.T) relay.Config {
	t.Helper()
	p, err := provider.Start(provider.Config{User: "user", Password: "pass", Records: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	set, err := settings.Parse("settings", fmt.Appendf(nil, `{
		"Listen": {"Port": 10201, "StickyProxyLifetime": 10},
		"Authentication": {"SetAuthentication": true, "Username": "user", "Password": "pass",
			"UsernameParameters": [{"Name": "session", "Value": "^[A-Za-z]{8}", "SessionId": true}]},
		"ProxyServers": {"Items": [{"Host": "127.0.0.1", "Port": %d}]}
	}`, p.Addr().Port()))
	if err != nil {
		t.Fatal(err)
	}
	cfg := set.Config
	m := cfg.Mappings[0]
	m.First, m.Last = 0, 0
	cfg.Mappings = []relay.Mapping{m, m}
	cfg.HostStats = true
	return cfg
}

func newAdminRig(t *testing.T, token string, change ...func(*relay.Config)) *adminRig {
	t.Helper()
	return newAdminRigFor(t, token, nil, change...)
}

// newAdminRigFor has the admin listener be for some networks alone.
func newAdminRigFor(t *testing.T, token string, networks []netip.Prefix, change ...func(*relay.Config)) *adminRig {
	t.Helper()
	return newAdminRigOf(t, Config{Token: token, AllowFrom: networks}, change...)
}

// newAdminRigOf has an admin listener at a port that is free.
func newAdminRigOf(t *testing.T, listener Config, change ...func(*relay.Config)) *adminRig {
	t.Helper()
	listener.Address = netip.MustParseAddrPort("127.0.0.1:0")
	cfg := adminRelay(t)
	for _, f := range change {
		f(&cfg)
	}
	r, err := relay.Listen(cfg)
	if err != nil {
		t.Fatal(err)
	}
	log, lines := collectLog()
	stop, err := Start(listener, r, log)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- r.Serve() }()
	t.Cleanup(func() {
		stop()
		r.Shutdown(0)
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return &adminRig{t, r, "http://" + lines.address(t)}
}

// A logText collects a log.
type logText struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func collectLog() (*slog.Logger, *logText) {
	l := &logText{}
	return slog.New(slog.NewTextHandler(l, nil)), l
}

func (l *logText) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// address is where the admin listener says that it is.
func (l *logText) address(t *testing.T) string {
	t.Helper()
	m := regexp.MustCompile(`msg="admin listening" address=(\S+)`).FindStringSubmatch(l.String())
	if m == nil {
		t.Fatalf("the log does not tell the admin listener's address: %s", l)
	}
	return m[1]
}

// request makes a request with fields that are given as name, value, name, value. Host may be one of them.
func (g *adminRig) request(method, path string, fields ...string) *http.Request {
	g.t.Helper()
	req, err := http.NewRequest(method, g.url+path, nil)
	if err != nil {
		g.t.Fatal(err)
	}
	for i := 0; i < len(fields); i += 2 {
		if fields[i] == "Host" {
			req.Host = fields[i+1]
		}
		req.Header.Add(fields[i], fields[i+1])
	}
	return req
}

// do returns an answer with its content, which has been read.
func (g *adminRig) do(method, path string, fields ...string) (*http.Response, string) {
	g.t.Helper()
	client := http.Client{Timeout: patience, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	defer client.CloseIdleConnections()
	res, err := client.Do(g.request(method, path, fields...))
	if err != nil {
		g.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	return res, string(text)
}

// asked sends a request through the i-th port and returns the answer's status line.
func asked(t *testing.T, port netip.AddrPort, request string) string {
	t.Helper()
	c, err := net.Dial("tcp", port.String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	fmt.Fprint(c, request)
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(line)
}

const (
	askIP     = "GET http://ip.demo/ HTTP/1.1\r\nHost: ip.demo\r\nConnection: close\r\n\r\n"
	malformed = "GET\r\n\r\n"
)

// traffic is two requests, one of them malformed, and waits until their connections have gone.
func (g *adminRig) traffic() {
	g.t.Helper()
	if got := asked(g.t, g.relay.Ports()[0], askIP); got != "HTTP/1.1 200 OK" {
		g.t.Fatalf("the provider answers %q", got)
	}
	asked(g.t, g.relay.Ports()[1], malformed)
	for end := time.Now().Add(patience); g.relay.Connections() > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			g.t.Fatal("the connections stay open")
		}
	}
}

// The statistics have ProxyMapService's names, all of them and no others, and a reset sets them to 0.
func TestProxyStats(t *testing.T) {
	g := newAdminRig(t, "")
	g.traffic()
	s := g.relay.Stats()
	ports := g.relay.Ports()
	want := map[string]any{}
	for _, name := range strings.Fields(`authenticationRequired authenticated authenticationInvalid httpRejected noHost
		hostRejected hostBypassed proxyFailed bypassConnected bypassFailed bypassBytesRead bypassBytesSent`) {
		want[name] = 0.
	}
	want["sessionsCount"] = 2.
	want["authenticationNotRequired"], want["hostProxified"], want["proxyConnected"], want["headerFailed"] = 1., 1., 1., 1.
	want["totalBytesRead"], want["proxyBytesRead"] = float64(s.ProxyRead), float64(s.ProxyRead)
	want["totalBytesSent"], want["proxyBytesSent"] = float64(s.ProxySent), float64(s.ProxySent)
	want["listenPorts"] = []any{float64(ports[0].Port()), float64(ports[1].Port())}
	if s.ProxyRead == 0 || s.ProxySent == 0 {
		t.Errorf("the relay has counted %+v", s.Traffic)
	}
	expect := func(path string, want any) {
		t.Helper()
		res, text := g.do("GET", path)
		var got any
		if err := json.Unmarshal([]byte(text), &got); err != nil || res.StatusCode != 200 || res.Header.Get("Content-Type") != "application/json; charset=utf-8" {
			t.Fatalf("%s: %s, %v: %s", path, res.Status, err, text)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
	}
	expect("/ProxyStats", want)
	expect("/ProxyStats/Hosts", map[string]any{"hosts": []any{map[string]any{
		"hostName": "ip.demo", "requestsCount": 1., "proxified": 1., "bypassed": 0.,
		"bytesRead": float64(s.ProxyRead), "bytesSent": float64(s.ProxySent)}}})
	if res, text := g.do("POST", "/ProxyStats/reset"); res.StatusCode != 200 || !strings.Contains(text, `"success": true`) {
		t.Errorf("reset: %s: %s", res.Status, text)
	}
	for name := range want {
		if name != "listenPorts" {
			want[name] = 0.
		}
	}
	expect("/ProxyStats", want)
	expect("/ProxyStats/Hosts", map[string]any{"hosts": []any{}})
}

// Hosts that are not counted each by itself are the last.
func TestHostsStatsOther(t *testing.T) {
	got := newHostsStats([]relay.HostStats{{Host: "a", Proxified: 2, Bypassed: 1}}, relay.HostStats{Read: 3})
	want := hostsStats{[]hostStats{{HostName: "a", RequestsCount: 3, Proxified: 2, Bypassed: 1}, {HostName: "other", BytesRead: 3}}}
	if !cmp.Equal(got, want, cmp.AllowUnexported(hostsStats{})) {
		t.Errorf("got %+v; want %+v", got, want)
	}
}

// The metrics are those of the relay, by mapping, port and class, and the process's.
func TestMetrics(t *testing.T) {
	g := newAdminRig(t, "")
	g.traffic()
	s := g.relay.Stats()
	var by, of [2]string // by mapping: the labels of it, and of its port
	for i, p := range g.relay.Ports() {
		by[i] = fmt.Sprintf(`address="127.0.0.1",ports="%d-%[1]d"`, p.Port())
		of[i] = fmt.Sprintf(`address="127.0.0.1",port="%d"`, p.Port())
	}
	_, text := g.do("GET", "/metrics")
	for _, line := range []string{
		"proxymap_ports 2",
		`proxymap_events_total{event="hostProxified"} 1`,
		`proxymap_events_total{event="headerFailed"} 1`,
		`proxymap_connections_total{` + by[1] + `} 1`,
		`proxymap_connections_open{` + by[0] + `} 0`,
		`proxymap_requests_total{` + by[0] + `} 1`,
		fmt.Sprintf(`proxymap_upstream_read_bytes_total{%s,way="proxy"} %d`, by[0], s.ProxyRead),
		`proxymap_upstream_sent_bytes_total{` + by[0] + `,way="bypass"} 0`,
		`proxymap_answers_total{address="127.0.0.1",class="bad-request",` + strings.TrimPrefix(by[1], `address="127.0.0.1",`) + `} 1`,
		`proxymap_port_requests_total{` + of[0] + `} 1`,
		fmt.Sprintf(`proxymap_port_upstream_sent_bytes_total{%s} %d`, of[0], s.ProxySent),
	} {
		if !strings.Contains(text, "\n"+line+"\n") {
			t.Errorf("the metrics have no line %s", line)
		}
	}
	for _, name := range []string{"go_goroutines", "process_start_time_seconds"} {
		if !strings.Contains(text, "\n"+name+" ") {
			t.Errorf("the metrics have no %s", name)
		}
	}
	if t.Failed() {
		t.Log(text)
	}
}

// Many ports have no metrics of their own: there would be too many.
func TestMetricsOfManyPorts(t *testing.T) {
	cfg := adminRelay(t)
	m := cfg.Mappings[0]
	for len(cfg.Mappings) <= maxPortMetrics {
		cfg.Mappings = append(cfg.Mappings, m)
	}
	r, err := relay.Listen(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { r.Shutdown(0); _ = r.Serve() }()
	found, err := newMetrics(r, new(atomic.Int64)).Gather()
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, f := range found {
		names[f.GetName()] = true
	}
	if names["proxymap_port_requests_total"] || !names["proxymap_requests_total"] {
		t.Errorf("%d ports have the metrics %v", len(cfg.Mappings), names)
	}
}

// Who has not the token is not let in, whatever for, and who has it may come by any name.
func TestAdminToken(t *testing.T) {
	g := newAdminRig(t, "top-secret")
	for _, row := range []struct {
		authorization string
		status        int
	}{
		{"", 401}, {"top-secret", 401}, {"Bearer", 401}, {"Bearer top-secre", 401}, {"Bearer top-secret2", 401},
		{"Basic top-secret", 401}, {"Bearer top-secret", 200}, {"bearer top-secret", 200},
	} {
		for _, path := range []string{"/ProxyStats", "/ProxyStats/Hosts", "/ProxyMapService/ProxyStats", "/metrics", "/healthz", "/readyz"} {
			res, text := g.do("GET", path, "Authorization", row.authorization, "Host", "admin.example")
			if res.StatusCode != row.status || (row.status == 401) != (res.Header.Get("WWW-Authenticate") == `Bearer realm="proxymap"`) {
				t.Errorf("%s with %q: %s, %v", path, row.authorization, res.Status, res.Header)
			}
			if strings.Contains(text, "top-secret") {
				t.Errorf("%s with %q tells the token", path, row.authorization)
			}
		}
	}
	for _, path := range []string{"/ProxyStats/reset", "/ProxyMapService/ProxyStats/reset", "/proxymapservice/proxystats/reset/"} {
		if res, _ := g.do("POST", path); res.StatusCode != 401 {
			t.Errorf("%s without the token: %s", path, res.Status)
		}
	}
	if res, _ := g.do("GET", "/nothing"); res.StatusCode != 401 {
		t.Errorf("an unknown path without the token: %s", res.Status)
	}
}

// What a web page of another site has a browser send is refused, also with the token; what curl and a browser's user
// send is not.
func TestAdminCrossSite(t *testing.T) {
	for _, token := range []string{"", "secret"} {
		g := newAdminRig(t, token)
		for _, row := range []struct {
			fields []string
			status int
		}{
			{nil, 200},
			{[]string{"Sec-Fetch-Site", "none"}, 200},
			{[]string{"Sec-Fetch-Site", "same-origin", "Origin", g.url, "Referer", g.url + "/metrics"}, 200},
			{[]string{"Sec-Fetch-Site", "cross-site"}, 403},
			{[]string{"Sec-Fetch-Site", "same-site"}, 403},
			{[]string{"Sec-Fetch-Site", "none", "Sec-Fetch-Site", "cross-site"}, 403},
			{[]string{"Origin", "null"}, 403},
			{[]string{"Origin", ""}, 403},
			{[]string{"Origin", "http://evil.example"}, 403},
			{[]string{"Referer", "http://evil.example/" + g.url}, 403},
		} {
			fields := append([]string{"Authorization", "Bearer " + token}, row.fields...)
			for _, call := range [][2]string{{"GET", "/ProxyStats"}, {"POST", "/ProxyStats/reset"}, {"POST", "/proxymapservice/ProxyStats/reset/"}} {
				if res, text := g.do(call[0], call[1], fields...); res.StatusCode != row.status {
					t.Errorf("%v with %q and token %q: %s: %s", call, row.fields, token, res.Status, text)
				}
			}
		}
	}
}

// Without a token a name that somebody else's resolver could have made up does not lead here.
func TestAdminHost(t *testing.T) {
	g := newAdminRig(t, "")
	for host, status := range map[string]int{
		"localhost": 200, "localhost:10200": 200, "127.0.0.1": 200, "[::1]:10200": 200, "192.0.2.1": 200,
		"evil.example": 403, "evil.example:10200": 403, "localhost.evil.example": 403, "0.0.0.0:10200": 403, "[::]": 403,
	} {
		if res, text := g.do("GET", "/healthz", "Host", host); res.StatusCode != status {
			t.Errorf("Host %s: %s: %s", host, res.Status, text)
		}
	}
}

// Paths that there are not, and methods that they do not have, are told.
func TestAdminPaths(t *testing.T) {
	g := newAdminRig(t, "")
	for _, row := range []struct {
		method, path string
		status       int
		allow        string
	}{
		{"GET", "/", 404, ""}, {"GET", "/proxystats/x", 404, ""}, {"POST", "/nothing", 404, ""},
		{"POST", "/ProxyStats", 405, "GET, HEAD"}, {"DELETE", "/ProxyStats/Hosts", 405, "GET, HEAD"},
		{"GET", "/ProxyStats/reset", 405, "POST"}, {"POST", "/ProxyMapService/ProxyStats", 405, "GET, HEAD"},
		{"POST", "/proxymapservice/proxystats/", 405, "GET, HEAD"}, {"GET", "/ProxyMapService/proxystats/Reset/", 405, "POST"},
		{"POST", "/ProxyMapService/ProxyService/stop", 404, ""}, {"GET", "/ProxyMapService/", 404, ""},
		{"PUT", "/metrics", 405, "GET, HEAD"}, {"OPTIONS", "/healthz", 405, "GET, HEAD"},
		{"HEAD", "/ProxyStats", 200, ""}, {"GET", "/healthz", 200, ""}, {"GET", "/readyz", 200, ""},
		{"POST", "/readyz", 405, "GET, HEAD"},
	} {
		res, _ := g.do(row.method, row.path)
		if res.StatusCode != row.status || res.Header.Get("Allow") != row.allow {
			t.Errorf("%s %s: %s, Allow %q; want %d, %q", row.method, row.path, res.Status, res.Header.Get("Allow"), row.status, row.allow)
		}
	}
}

// hold has a connection to a port open until the test ends.
func hold(t *testing.T, port netip.AddrPort) {
	t.Helper()
	c, err := net.Dial("tcp", port.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
}
