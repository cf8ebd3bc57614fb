package e2e

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"proxymap/bench/provider"
)

// A town is a port of the relay's, the stub provider behind it, and two origins behind that, which tell what they got.
type town struct {
	provider      *provider.Provider
	port          string // its address
	plain, secret string // URLs of the origins
}

// newTown starts proxymap itself, with the demo's settings.
func newTown(t *testing.T) *town {
	t.Helper()
	w := &town{provider: startProvider(t)}
	port := freePort(t)
	w.port = fmt.Sprintf("127.0.0.1:%d", port)
	w.plain, w.secret = startOrigins(t)
	start(t, "serve", "--config", settingsFile(t, port, w.provider)).logged("msg=listening")
	return w
}

// newTownWith is newTown with further sections of the settings, and a provider that lets everybody in.
func newTownWith(t *testing.T, sections ...string) *town {
	t.Helper()
	p, err := provider.Start(provider.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return townBehind(t, p, sections...)
}

// townBehind is newTownWith with a provider of the test's own.
func townBehind(t *testing.T, p *provider.Provider, sections ...string) *town {
	t.Helper()
	w := &town{provider: p}
	port := freePort(t)
	w.port = fmt.Sprintf("127.0.0.1:%d", port)
	w.plain, w.secret = startOrigins(t)
	file := write(t, t.TempDir(), "appsettings.json", fmt.Sprintf(`{"Listen": {"Port": %d}, "ProxyServers": {"Items": [{"Host": "127.0.0.1", "Port": %d}]}, %s}`,
		port, p.Addr().Port(), strings.Join(sections, ", ")))
	start(t, "serve", "--config", file).logged("msg=listening")
	return w
}

// startOrigins starts a plain origin and one with TLS, and returns their URLs.
func startOrigins(t *testing.T) (plain, secret string) {
	origin := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Proxy-Authorization") != "" {
			t.Error("credentials have reached the origin")
		}
		n, _ := io.Copy(io.Discard, r.Body)
		fmt.Fprintf(w, "%s %s %d\n", r.Method, r.URL.Path, n)
	})
	a, b := httptest.NewServer(origin), httptest.NewTLSServer(origin)
	t.Cleanup(a.Close)
	t.Cleanup(b.Close)
	return a.URL, b.URL
}

// sameSession checks that the provider has seen one session and no wrong credentials, and returns its id.
func (w *town) sameSession(t *testing.T) string {
	t.Helper()
	ids := map[string]bool{}
	id := ""
	for _, r := range w.provider.Records() {
		id = r.Session
		ids[id] = true
	}
	if len(ids) != 1 || id == "" || w.provider.Refused() > 0 {
		t.Errorf("the provider saw the sessions %v, and refused %d requests; want the port's one session", ids, w.provider.Refused())
	}
	return id
}

// execute runs a program of others. No proxy settings of the environment reach it, and every Node finds what Debian has for
// its own.
func execute(t *testing.T, name string, args ...string) ran {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = []string{"NODE_PATH=" + os.Getenv("NODE_PATH") + ":/usr/share/nodejs"}
	for _, v := range os.Environ() {
		if key, _, _ := strings.Cut(strings.ToLower(v), "="); !strings.HasSuffix(key, "_proxy") && key != "node_path" {
			cmd.Env = append(cmd.Env, v)
		}
	}
	return executes(t, cmd)
}

// curl runs curl.
func curl(t *testing.T, args ...string) ran {
	t.Helper()
	if _, err := exec.LookPath("curl"); err != nil {
		t.Fatal("curl is not installed; these tests need it: apt-get install curl")
	}
	return execute(t, "curl", append([]string{"-sS"}, args...)...)
}

// prints runs curl, which must succeed.
func prints(t *testing.T, args ...string) string {
	t.Helper()
	r := curl(t, args...)
	if r.status != 0 {
		t.Fatalf("curl %s: status %d: %s", strings.Join(args, " "), r.status, r.errOut)
	}
	return r.out
}

// Ways are curl's to use the port. Some look names up themselves, and send addresses.
var ways = []struct {
	name  string
	args  []string
	names bool // sends names
}{
	{"HTTP", []string{"--proxy"}, true},
	{"HTTP, tunnel", []string{"-p", "--proxy"}, true},
	{"HTTP with credentials", []string{"--proxy-user", "me:mine", "--proxy"}, true},
	{"SOCKS4", []string{"--socks4"}, false},
	{"SOCKS4a", []string{"--socks4a"}, true},
	{"SOCKS5", []string{"--socks5"}, false},
	{"SOCKS5, names", []string{"--socks5-hostname"}, true},
	{"SOCKS5 with credentials", []string{"--proxy-user", "me:mine", "--socks5-hostname"}, true},
}

// Whichever protocol curl speaks, it is the same port: the same session, the same exit, the same Session API.
func TestCurlSpeaksAllProtocols(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	exit := prints(t, "-x", w.port, "http://ip.demo/")
	asked := prints(t, "-x", w.port, "http://portmapper/session/")
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			through := append(append([]string{}, way.args...), w.port)
			if got, want := prints(t, append(through, "-d", "text", w.plain+"/a", w.plain+"/b")...), "POST /a 4\nPOST /b 4\n"; got != want {
				t.Errorf("curl prints %q; want %q", got, want)
			}
			if got, want := prints(t, append(through, "-k", w.secret+"/c")...), "GET /c 0\n"; got != want {
				t.Errorf("curl prints %q; want %q", got, want)
			}
			if !way.names {
				return // the two hosts are known behind the port alone
			}
			if got := prints(t, append(through, "http://ip.demo/")...); got != exit {
				t.Errorf("the exit is %s; want that of the others, %s", got, exit)
			}
			if got := prints(t, append(through, "http://portmapper/session/")...); got != asked {
				t.Errorf("the Session API answers %s; want what it answers others, %s", got, asked)
			}
		})
	}
	if id := w.sameSession(t); !strings.Contains(exit, id) || !strings.Contains(asked, id) {
		t.Errorf("the session is %s, but the exit %s, and the Session API's %s", id, exit, asked)
	}
}

// The session is rotated by clients of each protocol.
func TestCurlRotatesByAllProtocols(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	for _, way := range ways {
		if !way.names {
			continue
		}
		t.Run(way.name, func(t *testing.T) {
			through := append(append([]string{}, way.args...), w.port)
			before := prints(t, append(through, "http://ip.demo/")...)
			prints(t, append(through, "--fail", "http://portmapper/session/new")...)
			after := prints(t, append(through, "http://ip.demo/")...)
			if after == before {
				t.Errorf("the exit is the old one: %s", after)
			}
			if got := curl(t, append(through, "--fail", "http://portmapper/no/session")...); !strings.Contains(got.errOut, "404") {
				t.Errorf("another path: status %d, %q; want 404", got.status, got.errOut)
			}
		})
	}
}

// Where clients need credentials, curl is told by each protocol that it has none, or wrong ones.
func TestCurlIsLetIn(t *testing.T) {
	t.Parallel()
	w := newTownWith(t, wantsCredentials)
	const proxyFault, receiveFault = 97, 56 // of curl's statuses
	for _, row := range []struct {
		name   string
		args   []string
		status int
		says   string
	}{
		{"HTTP", []string{"-U", "user:pa:ss", "-x", w.port}, 0, ""},
		{"HTTP, wrong", []string{"-U", "user:pa", "-f", "-x", w.port}, 22, "407"},
		{"HTTP, none", []string{"-f", "-x", w.port}, 22, "407"},
		{"tunnel", []string{"-p", "-U", "user:pa:ss", "-x", w.port}, 0, ""},
		{"tunnel, wrong", []string{"-p", "-U", "user:pa", "-x", w.port}, receiveFault, "407"},
		{"HTTP, asks first", []string{"--proxy-anyauth", "-U", "user:pa:ss", "-x", w.port}, 0, ""},
		{"HTTP, asks first, wrong", []string{"--proxy-anyauth", "-U", "user:pa", "-f", "-x", w.port}, 22, "407"},
		{"tunnel, asks first", []string{"--proxy-anyauth", "-p", "-U", "user:pa:ss", "-x", w.port}, 0, ""},
		{"tunnel, asks first, wrong", []string{"--proxy-anyauth", "-p", "-U", "user:pa", "-x", w.port}, receiveFault, "407"},
		{"SOCKS5", []string{"-U", "user:pa:ss", "--socks5-hostname", w.port}, 0, ""},
		{"SOCKS5, wrong password", []string{"-U", "user:pa", "--socks5-hostname", w.port}, proxyFault, "rejected"},
		{"SOCKS5, wrong user", []string{"-U", "me:pa:ss", "--socks5-hostname", w.port}, proxyFault, "rejected"},
		{"SOCKS5, none", []string{"--socks5-hostname", w.port}, proxyFault, "No authentication method"},
		{"SOCKS4a, no password", []string{"-U", "user:pa:ss", "--socks4a", w.port}, proxyFault, "rejected"},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := curl(t, append(row.args, w.plain+"/a")...)
			if got.status != row.status || !strings.Contains(got.errOut, row.says) {
				t.Errorf("curl ends with %d, %q; want %d and %q", got.status, got.errOut, row.status, row.says)
			}
			if row.status == 0 && got.out != "GET /a 0\n" {
				t.Errorf("curl prints %q", got.out)
			}
		})
	}
}

// Without credentials of the port's, those that curl brings reach the provider, whichever protocol they come by.
func TestCurlPassesCredentials(t *testing.T) {
	t.Parallel()
	w := newTownWith(t)
	for i, args := range [][]string{{"-x"}, {"-p", "-x"}, {"--socks5-hostname"}, {"--socks4a"}} {
		user := fmt.Sprintf("me-session-mine%d", i)
		got := prints(t, append([]string{"-U", user + ":p:w"}, append(args, w.port, "http://ip.demo/")...)...)
		if want := fmt.Sprintf("{\"session\":\"mine%d\"", i); !strings.HasPrefix(got, want) {
			t.Errorf("curl %v prints %q; want %s…", args, got, want)
		}
	}
}

// A host that a rule denies is denied in each protocol's own words.
func TestCurlIsDenied(t *testing.T) {
	t.Parallel()
	w := newTownWith(t, `"HostRules": {"Items": [{"HostName": "denied.example", "Action": "Deny"}]}`)
	for _, row := range []struct {
		proxy  string
		status int
		says   string
	}{
		{"http://", 22, "403"},
		{"socks5h://", 97, "(2)"}, // connection not allowed by ruleset
		{"socks4a://", 97, "(91)"},
	} {
		got := curl(t, "-f", "-x", row.proxy+w.port, "http://denied.example/")
		if got.status != row.status || !strings.Contains(got.errOut, row.says) {
			t.Errorf("%s: curl ends with %d, %q; want %d and %q", row.proxy, got.status, got.errOut, row.status, row.says)
		}
	}
	if n := w.provider.Requests(); n > 0 {
		t.Errorf("%d requests came to the provider; want none", n)
	}
}

// What other clients put into their targets, sent by curl as it stands there: what has one plain meaning reaches the host,
// and https is told what to do.
func TestCurlSendsTargetsOfOthers(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	exit := prints(t, "-x", w.port, "http://ip.demo/")
	for _, row := range []struct{ target, host string }{
		{"http://ip.demo/", "Host:" /* none */}, {"ws://ip.demo/", "Host: ip.demo"}, {"http://me:pw@ip.demo/", "Host: other.demo"},
		{"http://ip.demo/#top", "Host:"}, {"http://ip.demo#top", "Host: ip.demo"}, {"http://ｉｐ。demo/", "Host: ｉｐ。demo"},
	} {
		if got := prints(t, "--request-target", row.target, "-H", row.host, "http://"+w.port); got != exit {
			t.Errorf("%s with %q: curl prints %q; want %q", row.target, row.host, got, exit)
		}
	}
	for _, target := range []string{"https://ip.demo/", "wss://ip.demo/", "ftp://ip.demo/"} {
		if got := prints(t, "--request-target", target, "-H", "Host: ip.demo", "http://"+w.port); !strings.Contains(got, "use CONNECT") {
			t.Errorf("%s: curl prints %q; want it to be told to use CONNECT", target, got)
		}
	}
	for _, url := range []string{"http://me:pw@ip.demo/", "http://ip.demo/#top"} {
		if got := prints(t, "-x", w.port, url); got != exit {
			t.Errorf("%s: curl prints %q; want %q", url, got, exit)
		}
	}
	if got := prints(t, "--proxy-user", ":", "--socks5-hostname", w.port, "http://ip.demo/"); got != exit {
		t.Errorf("curl with empty credentials prints %q; want %q", got, exit)
	}
	w.sameSession(t)
}

// ab speaks HTTP/1.0. With -k it keeps its connections, of which it goes by what each response says.
func TestABKeepsConnections(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("ab"); err != nil {
		t.Skip("SKIPPED, ab IS NOT TESTED: it is not installed; apt-get install apache2-utils")
	}
	w := newTown(t)
	target, err := url.Parse(w.plain)
	if err != nil {
		t.Fatal(err)
	}
	past := newTownWith(t, strings.Replace(bypassRule, "%d", target.Port(), 1))
	for _, row := range []struct {
		way, port, url string
	}{
		{"provider", w.port, w.plain + "/a"},
		{"bypass", past.port, "http://bypassed.example/a"},
	} {
		r := execute(t, "ab", "-k", "-q", "-n", "50", "-c", "2", "-s", "20", "-X", row.port, row.url)
		for _, line := range []string{"Complete requests: +50", "Failed requests: +0", "Keep-Alive requests: +50"} {
			if r.status != 0 || !regexp.MustCompile("(?m)^"+line+"$").MatchString(r.out) {
				t.Errorf("%s: ab ends with %d, %q, and prints %q; want %q", row.way, r.status, r.errOut, r.out, line)
			}
		}
	}
	if n := w.provider.Accepted(); n != 2 {
		t.Errorf("the provider was connected to %d times; want once for each of ab's connections", n)
	}
}

// A client that begins TLS at once learns that this is none, and does not wait for it.
func TestTLSToThePort(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	_, err := tls.DialWithDialer(newDialer(), "tcp", w.port, &tls.Config{InsecureSkipVerify: true})
	var no tls.RecordHeaderError
	if !errors.As(err, &no) || string(no.RecordHeader[:]) != "HTTP/" {
		t.Errorf("got %v; want an answer in HTTP", err)
	}
	if got := curl(t, "--proxy-insecure", "-x", "https://"+w.port, "http://ip.demo/"); got.status != 35 {
		t.Errorf("curl ends with %d, %q; want 35, TLS fails", got.status, got.errOut)
	}
}

// As many SOCKS clients as a busy host has connect at once, and all of them have their tunnels at a time.
func TestManySocksClients(t *testing.T) {
	t.Parallel()
	const clients = 500
	w := newTown(t)
	conns, failed := make([]net.Conn, clients), make(chan error, clients)
	all := func(step func(i int) error) {
		t.Helper()
		for i := range clients {
			go func() { failed <- step(i) }()
		}
		var first error
		for range clients {
			if err := <-failed; first == nil {
				first = err
			}
		}
		if first != nil {
			t.Fatal(first)
		}
	}
	t.Cleanup(func() {
		for _, c := range conns {
			if c != nil {
				c.Close()
			}
		}
	})
	all(func(i int) (err error) {
		conns[i], err = dialSocks5(w.port, "ip.demo", 80)
		return err
	})
	all(func(i int) error {
		fmt.Fprint(conns[i], "GET / HTTP/1.1\r\nHost: ip.demo\r\n\r\n")
		res, err := http.ReadResponse(bufio.NewReader(conns[i]), nil)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, res.Body)
		return err
	})
	w.sameSession(t)
	if n := w.provider.Requests(); n != clients {
		t.Errorf("the provider got %d CONNECTs; want %d", n, clients)
	}
}

func newDialer() *net.Dialer {
	return &net.Dialer{Timeout: patience, Deadline: time.Now().Add(3 * patience)}
}

// dialSocks5 connects to a host by way of a SOCKS5 server.
func dialSocks5(server, host string, port uint16) (net.Conn, error) {
	conn, err := newDialer().Dial("tcp", server)
	if err != nil {
		return nil, err
	}
	_ = conn.SetDeadline(time.Now().Add(3 * patience))
	for _, step := range []struct{ says, hears string }{
		{"\x05\x01\x00", "\x05\x00"},
		{"\x05\x01\x00\x03" + string([]byte{byte(len(host))}) + host + string([]byte{byte(port >> 8), byte(port)}), "\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00"},
	} {
		heard := make([]byte, len(step.hears))
		_, err := io.WriteString(conn, step.says)
		if err == nil {
			_, err = io.ReadFull(conn, heard)
		}
		if err != nil || string(heard) != step.hears {
			conn.Close()
			return nil, fmt.Errorf("said %q, heard %q (%v); want %q", step.says, heard, err, step.hears)
		}
	}
	return conn, nil
}
