package e2e

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// bypassRule leads a host to a port of this machine's, past the provider.
const bypassRule = `"HostRules": {"Items": [{"HostName": "bypassed.example", "Action": "Bypass", "OverrideHostName": "127.0.0.1", "OverrideHostPort": %d}]}`

// startKinds starts a plain origin and one with TLS that answer in the ways that leave a connection open.
func startKinds(t *testing.T) (plain, secret *httptest.Server) {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		fmt.Fprintf(w, "%s %d\n", r.Method, n)
	})
	mux.HandleFunc("/204", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	mux.HandleFunc("/304", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotModified) })
	mux.HandleFunc("/chunks", func(w http.ResponseWriter, _ *http.Request) {
		for _, part := range []string{"in ", "chunks\n"} {
			_, _ = io.WriteString(w, part)
			_ = http.NewResponseController(w).Flush()
		}
	})
	plain, secret = httptest.NewServer(mux), httptest.NewTLSServer(mux)
	t.Cleanup(plain.Close)
	t.Cleanup(secret.Close)
	return plain, secret
}

// What libraries ask for one after the other comes over one connection of theirs, whatever the answers have for content:
// plain requests over one, those in tunnels (all of undici's) over one for each target.
func TestLibrariesKeepConnections(t *testing.T) {
	t.Parallel()
	plain, secret := startKinds(t)
	w := newTownWith(t, fmt.Sprintf(bypassRule, plain.Listener.Addr().(*net.TCPAddr).Port))
	const each = "200 GET 0\n200 POST 50000\n204 \n304 \n200 in chunks\n200 GET 0\n"
	for _, row := range []struct {
		script
		urls  []string
		conns int
	}{
		{script{"python3", "requests", "python3-requests", pythonKeeps}, []string{plain.URL, "http://bypassed.example"}, 1},
		{script{"node", "undici", "node-undici", undiciKeeps}, []string{plain.URL, secret.URL}, 2},
	} {
		t.Run(row.program+" "+row.library, func(t *testing.T) {
			between := startWire(t, w.port)
			r := row.run(t, append([]string{"http://" + between.addr()}, row.urls...)...)
			if want := strings.Repeat(each, len(row.urls)) + "200 \n"; r.out != want || r.status != 0 {
				t.Errorf("the script prints %q, ends with %d, and says %q; want %q", r.out, r.status, r.errOut, want)
			}
			between.mu.Lock()
			defer between.mu.Unlock()
			if n := len(between.conns); n != row.conns {
				t.Errorf("it needs %d connections; want %d", n, row.conns)
			}
		})
	}
}

// Each script is given the port and origins. Its last request is a HEAD, after which undici never keeps a connection.
const pythonKeeps = `
proxy, *origins = sys.argv[1:]
s = requests.Session()
s.trust_env, s.proxies = False, {"http": proxy}
def ask(method, url, **more):
    r = s.request(method, url, timeout=20, **more)
    print(r.status_code, r.text.strip())
for origin in origins:
    ask("GET", origin + "/a")
    ask("POST", origin + "/b", data=iter([b"x" * 10000] * 5))
    ask("GET", origin + "/204")
    ask("GET", origin + "/304")
    ask("GET", origin + "/chunks")
    ask("GET", origin + "/c")
ask("HEAD", origins[0] + "/d")
`

const undiciKeeps = `
const {ProxyAgent, fetch} = require('undici'), [uri, ...origins] = process.argv.slice(1);
const dispatcher = new ProxyAgent({uri, connections: 1, requestTls: {rejectUnauthorized: false}});
const ask = async (method, url, more) => {
  const res = await fetch(url, {dispatcher, method, ...more});
  console.log(res.status, (await res.text()).trim());
};
const parts = async function* () { for (let i = 0; i < 5; i++) yield Buffer.alloc(10000); };
(async () => {
  for (const origin of origins) {
    await ask('GET', origin + '/a');
    await ask('POST', origin + '/b', {body: parts(), duplex: 'half'});
    await ask('GET', origin + '/204');
    await ask('GET', origin + '/304');
    await ask('GET', origin + '/chunks');
    await ask('GET', origin + '/c');
  }
  await ask('HEAD', origins[0] + '/d');
  await dispatcher.close();
})();`
