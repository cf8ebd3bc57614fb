package relay

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"proxymap/bench/provider"
	"proxymap/session"
)

// curl runs curl with those arguments and returns what it prints.
func curl(t *testing.T, args ...string) string {
	t.Helper()
	path, err := exec.LookPath("curl")
	if err != nil {
		t.Fatal("curl is not installed; these tests need it: apt-get install curl")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, append([]string{"-sS", "--noproxy", ""}, args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("curl %s: %v: %s", strings.Join(args, " "), err, stderr.Bytes())
	}
	return string(out)
}

// A world is a relay of two ports, the stub provider behind it, and origins behind that.
type world struct {
	*provider.Provider
	relay         *Relay
	plain, secret *httptest.Server
}

func newWorld(t *testing.T) *world {
	t.Helper()
	p, err := provider.Start(provider.Config{User: "user", Password: "pass"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	origin := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Proxy-Authorization") != "" {
			t.Error("credentials have reached the origin")
		}
		if r.URL.Path == "/big" {
			_, _ = io.CopyN(w, zeros{}, 8<<20)
			return
		}
		sum := sha256.New()
		n, _ := io.Copy(sum, r.Body)
		fmt.Fprintf(w, "%s %s %d %x\n", r.Method, r.URL.Path, n, sum.Sum(nil)[:4])
	})
	w := &world{Provider: p, plain: httptest.NewServer(origin), secret: httptest.NewTLSServer(origin)}
	t.Cleanup(w.plain.Close)
	t.Cleanup(w.secret.Close)
	m := Mapping{
		Address: netip.MustParseAddr("127.0.0.1"),
		Plan:    newPlan(t, session.PlanConfig{Lifetime: 10 * time.Minute}),
		Servers: []Server{{Host: p.Addr().Addr().String(), Port: p.Addr().Port()}},
		API:     session.API{Enabled: true, Domain: "portmapper"},
	}
	w.relay = serve(t, Config{loud: true, Mappings: []Mapping{m, m}})
	return w
}

// zeros never ends.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// through is the option that makes curl use the relay's i-th port.
func (w *world) through(i int) string { return "-xhttp://" + w.relay.Ports()[i].String() }

// sessions are the ids that the provider has seen, each once, in their order.
func (w *world) sessions() (ids []string) {
	for _, r := range w.Records() {
		if len(ids) == 0 || ids[len(ids)-1] != r.Session {
			ids = append(ids, r.Session)
		}
	}
	return ids
}

const emptySum = "0 e3b0c442\n"

func TestCurl(t *testing.T) {
	w := newWorld(t)
	insecure := "-k" // the origin's certificate is a test's
	file := filepath.Join(t.TempDir(), "upload")
	content := bytes.Repeat([]byte("0123456789abcdef"), 1<<18)
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	upload := fmt.Sprintf("%d %x\n", len(content), sha256.Sum256(content))
	upload = upload[:strings.Index(upload, " ")+9] + "\n"
	for _, row := range []struct {
		name string
		args []string
		want string
	}{
		{"plain", []string{w.plain.URL + "/a"}, "GET /a " + emptySum},
		{"tunnel", []string{"-p", w.plain.URL + "/a"}, "GET /a " + emptySum},
		{"https", []string{insecure, w.secret.URL + "/a"}, "GET /a " + emptySum},
		{"several on one connection", []string{w.plain.URL + "/a", w.plain.URL + "/b", w.plain.URL + "/c"}, "GET /a " + emptySum + "GET /b " + emptySum + "GET /c " + emptySum},
		{"HTTP/1.0", []string{"-0", w.plain.URL + "/a"}, "GET /a " + emptySum},
		{"HTTP/1.0 for the tunnel", []string{"--proxy1.0", strings.TrimPrefix(w.through(0), "-xhttp://"), insecure, w.secret.URL + "/a"}, "GET /a " + emptySum},
		{"HEAD", []string{"-I", "-o/dev/null", "-w%{http_code}", w.plain.URL + "/a"}, "200"},
		{"upload", []string{"-T", file, w.plain.URL + "/up"}, "PUT /up " + upload},
		{"chunked upload", []string{"-T", file, "-HTransfer-Encoding: chunked", w.plain.URL + "/up"}, "PUT /up " + upload},
		{"upload that expects a 100", []string{"-T", file, "-HExpect: 100-continue", "--expect100-timeout", "60", w.plain.URL + "/up"}, "PUT /up " + upload},
		{"upload through a tunnel", []string{insecure, "-T", file, w.secret.URL + "/up"}, "PUT /up " + upload},
		{"download", []string{"-o/dev/null", "-w%{size_download}", w.plain.URL + "/big"}, "8388608"},
		{"own credentials", []string{"-Ume:mine", w.plain.URL + "/a"}, "GET /a " + emptySum},
	} {
		t.Run(row.name, func(t *testing.T) {
			args := row.args
			if args[0] != "--proxy1.0" {
				args = append([]string{w.through(0)}, args...)
			}
			if got := curl(t, args...); got != row.want {
				t.Errorf("curl prints %q; want %q", got, row.want)
			}
		})
	}
	if got := w.sessions(); len(got) != 1 || got[0] != "id1" {
		t.Errorf("the provider saw sessions %v; want the port's one", got)
	}
	if w.Refused() > 0 {
		t.Errorf("%d requests came with wrong credentials", w.Refused())
	}
}

// The article's lines: one stable session for each port, which curl rotates.
func TestCurlRotates(t *testing.T) {
	w := newWorld(t)
	exit := func(i int) string { t.Helper(); return curl(t, w.through(i), "http://ip.demo/") }
	first, other := exit(0), exit(1)
	if first == other {
		t.Errorf("two ports leave from one address: %s", first)
	}
	if again := exit(0); again != first {
		t.Errorf("the exit has changed by itself, from %s to %s", first, again)
	}
	curl(t, w.through(0), "http://portmapper/session/new")
	second := exit(0)
	if second == first {
		t.Error("the exit is the old one after /session/new")
	}
	if got := curl(t, w.through(0), "-p", "http://portmapper/session/reset"); got != "{\n  \"success\": true\n}\n" {
		t.Errorf("reset through a tunnel prints %q", got)
	}
	if third := exit(0); third == second {
		t.Error("the exit is the old one after /session/reset")
	}
	if again := exit(1); again != other {
		t.Error("another port's session has changed")
	}
}
