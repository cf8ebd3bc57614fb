//go:build linux

package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"proxymap/bench/provider"
)

// keptSettings keep sessions. Of the two upstream servers the first takes no connection.
const keptSettings = `{
  "Listen": {"Address": "%s", "PortRange": {"Start": %d, "End": %d}, "StickyProxyLifetime": 10},
  "Authentication": {
    "SetAuthentication": true, "Username": "demo", "Password": "demo",
    "UsernameParameters": [
      {"Name": "country", "Value": "$country", "Default": "us"},
      {"Name": "session", "Value": "^[A-Za-z]{8}", "SessionId": true},
    ],
  },
  "ProxyServers": {"Items": [{"Host": "%s", "Port": %d}, {"Host": "127.0.0.1", "Port": %d}]},
  "SessionAPI": {"Enabled": true, "Domain": "portmapper"},
  "State": {"File": "proxymap.state"},
}`

// A keptRelay is proxymap with a state file, of which there may be one process after the other.
type keptRelay struct {
	t        *testing.T
	provider *provider.Provider
	settings string
	file     string
	first    netip.AddrPort
	*process
}

// newKeptRelay makes the settings for n ports. The state file is in dir.
func newKeptRelay(t *testing.T, dir string, n int) *keptRelay {
	t.Helper()
	r := &keptRelay{t: t, provider: startProvider(t), file: filepath.Join(dir, "proxymap.state"), first: freeRange(t, n+1)}
	behind := int(r.first.Port()) + n // nobody listens there
	text := fmt.Sprintf(keptSettings, r.first.Addr(), r.first.Port(), behind-1, r.first.Addr(), behind, r.provider.Addr().Port())
	r.settings = write(t, dir, fmt.Sprintf("settings-%d.json", r.first.Port()), text)
	return r
}

func (r *keptRelay) start() {
	r.t.Helper()
	r.process = start(r.t, "serve", "--config", r.settings)
	r.logged("msg=listening")
}

// stop has it end as operators do.
func (r *keptRelay) stop() {
	r.t.Helper()
	r.signal(syscall.SIGTERM)
	r.exits(0)
}

// get asks the i-th port for an address.
func (r *keptRelay) get(i int, url string) (res *http.Response, body []byte, err error) {
	conn, err := net.Dial("tcp", netip.AddrPortFrom(r.first.Addr(), r.first.Port()+uint16(i)).String())
	if err != nil {
		return nil, nil, err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	host, _, _ := strings.Cut(strings.TrimPrefix(url, "http://"), "/")
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", url, host)
	if res, err = http.ReadResponse(bufio.NewReader(conn), nil); err != nil {
		return nil, nil, err
	}
	body, err = io.ReadAll(res.Body)
	return res, body, err
}

// call calls the i-th port's Session API.
func (r *keptRelay) call(i int, path string) *http.Response {
	r.t.Helper()
	res, body, err := r.get(i, "http://portmapper/session/"+path)
	if err != nil || res.StatusCode != 200 {
		r.t.Fatalf("/session/%s of port %d: %v, %v, %s", path, i, err, res, body)
	}
	return res
}

// traffic is a request through the i-th port, and tells the session that it went with.
func (r *keptRelay) traffic(i int) (session string, err error) {
	res, body, err := r.get(i, "http://ip.demo/")
	var answer struct{ Session string }
	if err == nil && res.StatusCode != 200 {
		err = fmt.Errorf("status %d: %s", res.StatusCode, body)
	}
	if err == nil {
		err = json.Unmarshal(body, &answer)
	}
	return answer.Session, err
}

func (r *keptRelay) mustTraffic(i int) string {
	r.t.Helper()
	s, err := r.traffic(i)
	if err != nil {
		r.t.Fatal(err)
	}
	return s
}

// A record is what the state file holds of a port's session, as far as these tests ask.
type record struct {
	Port    netip.AddrPort
	Expires int64
	Server  string
}

// records are what the state file holds, by port: a line for each change, with its checksum before it.
func (r *keptRelay) records() map[netip.AddrPort]record {
	r.t.Helper()
	text, err := os.ReadFile(r.file)
	if err != nil {
		r.t.Fatal(err)
	}
	newest := map[netip.AddrPort]record{}
	for line := range strings.Lines(string(text)) {
		var rec record
		if _, object, _ := strings.Cut(line, " "); strings.HasPrefix(object, "{") {
			if err := json.Unmarshal([]byte(object), &rec); err != nil {
				r.t.Fatalf("%q: %v", line, err)
			}
			newest[rec.Port] = rec
		}
	}
	return newest
}

// A stop and a start keep sessions, whoever has made them, with parameters, expiry and upstream server. A session that
// was reset is gone.
func TestStateOverARestart(t *testing.T) {
	t.Parallel()
	r := newKeptRelay(t, t.TempDir(), 3)
	r.start()
	given := r.call(0, "new?country=de")
	plain := r.mustTraffic(1)
	r.call(2, "new")
	gone := r.call(2, "").Header.Get("X-Session-Id")
	r.call(2, "reset")
	r.mustTraffic(0) // fails over
	r.stop()
	before := r.records()

	r.start()
	r.logged("restored=2")
	again := r.call(0, "")
	for _, field := range []string{"X-Session-Id", "X-Expires-At", "X-Session-Time"} {
		if got, want := again.Header.Get(field), given.Header.Get(field); got != want || got == "" {
			t.Errorf("%s is %q; want %q", field, got, want)
		}
	}
	if s := r.mustTraffic(0); s != given.Header.Get("X-Session-Id") {
		t.Errorf("the first request goes with session %s; want %s", s, given.Header.Get("X-Session-Id"))
	}
	list := r.provider.Records()
	if user, want := list[len(list)-1].User, "demo-country-de-session-"+given.Header.Get("X-Session-Id"); user != want {
		t.Errorf("the provider gets the user name %q; want %q", user, want)
	}
	if s := r.mustTraffic(1); s != plain {
		t.Errorf("what traffic made was %s and is %s", plain, s)
	}
	if s := r.call(2, "").Header.Get("X-Session-Id"); s == gone {
		t.Error("the session that was reset is back")
	}
	r.stop()
	for i, after := 0, r.records(); i < 2; i++ {
		port := netip.AddrPortFrom(r.first.Addr(), r.first.Port()+uint16(i))
		if after[port].Expires != before[port].Expires || after[port].Server != r.provider.Addr().String() {
			t.Errorf("port %d: kept was %+v, and is %+v; the server that works is %s", i, before[port], after[port], r.provider.Addr())
		}
	}
}

// A file belongs to one relay at a time. Looking at the settings does not need it, and does not make it.
func TestStateOfTwoRelays(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a := newKeptRelay(t, dir, 1)
	check := func() {
		t.Helper()
		got := runs(t, "check", "--config", a.settings)
		if want := "state: sessions are kept in " + a.file + "\n"; got.status != exitOK || !strings.Contains(got.out, want) {
			t.Errorf("check: got %+v; want %q", got, want)
		}
	}
	check()
	if files, err := filepath.Glob(a.file + "*"); err != nil || len(files) > 0 {
		t.Errorf("check has made %q, %v", files, err)
	}
	a.start()
	check()
	b := newKeptRelay(t, dir, 1)
	b.process = start(t, "serve", "--config", b.settings)
	b.exits(1)
	b.logged("the state file " + b.file + " is locked by another running proxymap; stop it, or name another file")
	a.stop()
	b.start()
	b.stop()
}

// A file that is damaged is set aside, and what can be read of it is in force.
func TestStateDamaged(t *testing.T) {
	t.Parallel()
	r := newKeptRelay(t, t.TempDir(), 1)
	r.start()
	kept := r.call(0, "new").Header.Get("X-Session-Id")
	r.stop()
	text, err := os.ReadFile(r.file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(r.file, append([]byte("\x00 no journal\n"), text...), 0o600); err != nil {
		t.Fatal(err)
	}
	r.start()
	r.logged("the state file is damaged and is set aside")
	if list, err := filepath.Glob(r.file + ".damaged-*"); err != nil || len(list) != 1 {
		t.Errorf("set aside: %q, %v", list, err)
	}
	if s := r.call(0, "").Header.Get("X-Session-Id"); s != kept {
		t.Errorf("the session was %s and is %s", kept, s)
	}
	r.stop()
}

// Where the file cannot grow, new sessions are in force but not confirmed; when it can again, they are.
func TestStateOnAFullDisk(t *testing.T) {
	t.Parallel()
	r := newKeptRelay(t, t.TempDir(), 1)
	r.start()
	old := r.call(0, "new").Header.Get("X-Session-Id")
	limit := func(set, was *unix.Rlimit) {
		t.Helper()
		if err := unix.Prlimit(r.cmd.Process.Pid, unix.RLIMIT_FSIZE, set, was); err != nil {
			t.Fatal(err)
		}
	}
	var was unix.Rlimit
	limit(nil, &was)
	limit(&unix.Rlimit{Cur: 1, Max: was.Max}, nil)
	for _, path := range []string{"new", ""} {
		res, body, err := r.get(0, "http://portmapper/session/"+path)
		if err != nil || res.StatusCode != 503 || res.Header.Get("X-Proxymap-Error") != "session-not-confirmed" ||
			!bytes.Contains(body, []byte("the state file could not be written")) {
			t.Fatalf("/session/%s: got %v, %v, %s", path, err, res, body)
		}
	}
	fresh := r.mustTraffic(0)
	if fresh == old {
		t.Error("the new session is not in force")
	}
	limit(&was, nil)
	if s := r.call(0, "").Header.Get("X-Session-Id"); s != fresh {
		t.Errorf("when the disk has room the session is %s; want %s", s, fresh)
	}
	r.logged("the state file is written again")
	_ = r.cmd.Process.Kill()
	<-r.ended
	r.start()
	if s := r.call(0, "").Header.Get("X-Session-Id"); s != fresh {
		t.Errorf("behind a restart the session is %s; want %s", s, fresh)
	}
}
