package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	neturl "net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"proxymap/bench/provider"
)

// emptyFolder has the test work in a folder of its own, without variables that settings are read from.
func emptyFolder(t *testing.T, environ ...string) {
	t.Helper()
	t.Chdir(t.TempDir())
	for _, variable := range os.Environ() {
		name, _, _ := strings.Cut(variable, "=")
		if strings.HasPrefix(name, "PROXYMAP_") || strings.Contains(name, "__") || strings.HasSuffix(name, "_ENVIRONMENT") {
			t.Setenv(name, "") // which brings it back in the end
			_ = os.Unsetenv(name)
		}
	}
	for _, variable := range environ {
		name, value, _ := strings.Cut(variable, "=")
		t.Setenv(name, value)
	}
}

// runs carries out a command line, and returns what it writes.
func runs(t *testing.T, want int, args ...string) (out, errOut string) {
	t.Helper()
	var o, e bytes.Buffer
	if status := run(args, &o, &e); status != want {
		t.Errorf("%v: status %d; want %d\n%s%s", args, status, want, o.String(), e.String())
	}
	return o.String(), e.String()
}

// What is wrong is told whole, with the flag or the variable that it came from.
func TestStartFaults(t *testing.T) {
	const (
		one   = "proxymap: settings: 1 fault; nothing is started\n"
		two   = "proxymap: settings: 2 faults; nothing is started\n"
		upIs  = "--upstream=http://customer:secret@gate.example.com:7000"
		ports = "--ports=10201-10300"
	)
	for _, row := range []struct {
		name    string
		file    string // appsettings.json, if there is one
		environ []string
		args    string
		want    string
	}{
		{"no upstream that can be", "", nil, ports + " --upstream=gate.example.com", one +
			"flag --upstream: not an upstream proxy: must be host:port, host:port:user:pass, user:pass@host:port, or a URL such as socks5://user:pass@host:port\n"},
		{"faults of flags and of settings at once", "", []string{"PROXYMAP_LIFETIME=soon"}, "--ports=5-4 " + upIs, two +
			"flag --ports: value \"5-4\": the first port must not be above the last: did you mean 4-5?\n" +
			"environment PROXYMAP_LIFETIME: Listen.StickyProxyLifetime: value \"soon\": must be a whole number from 0 to 525600, of minutes, or a duration such as 90s, 10m or 12h, of at least 1s\n"},
		{"a lifetime", "", nil, ports + " --lifetime=10x " + upIs, one +
			"flag --lifetime: Listen.StickyProxyLifetime: value \"10x\": must be a whole number from 0 to 525600, of minutes, or a duration such as 90s, 10m or 12h, of at least 1s\n"},
		{"an address", "", nil, ports + " --address=localhost " + upIs, one +
			"flag --address: Listen.Address: value \"localhost\": must be an IP address, such as 127.0.0.1 or ::1\n"},
		{"an unknown provider", "", nil, ports + " --provider=iproyl " + upIs, one +
			"flag --provider: Authentication.Provider: value \"iproyl\": no such provider; did you mean \"iproyal\"?\n"},
		{"a domain", "", nil, ports + " --session-api=port_mapper:80 " + upIs, one +
			"flag --session-api: SessionAPI.Domain: value \"port_mapper:80\": must be a host name without a port, or empty for the ports themselves\n"},
		{"a spread", "", nil, ports + " --spread=Port " + upIs, one +
			"flag --spread: ProxyServers.Spread: value \"Port\": must be Turn or PerPort\n"},
		{"a network with host bits", "", []string{"PROXYMAP_ALLOW_FROM=10.0.0.1/8"}, ports + " --address=0.0.0.0 " + upIs, one +
			"environment PROXYMAP_ALLOW_FROM: Listen.AllowFrom[0]: value \"10.0.0.1/8\": names an address inside of a network: " +
			"write 10.0.0.0/8 for the network, or 10.0.0.1 for the one address\n"},
		{"open to everybody", "", nil, ports + " --address=0.0.0.0 " + upIs, one +
			"flag --address: Listen.Address: value \"0.0.0.0\": anything but a loopback address needs Listen.AllowFrom, which names who may connect, " +
			"such as [\"172.16.0.0/12\"], or Authentication.Required and Verify with a Username and a Password, or anybody could use the ports; AllowFrom is --allow-from or PROXYMAP_ALLOW_FROM\n"},
		{"a file of upstreams that is not there", "", nil, ports + " --upstream-file=none.txt", one +
			"flag --upstream-file: ProxyServers.Files[0].Path: value \"DIR/none.txt\": stat DIR/none.txt: no such file or directory; must be a list of servers, its path relative to the settings file's folder\n"},
		{"no ports", "", nil, upIs, one + "settings: Listen: is missing: it says on which Port or PortRange to listen, as --ports does\n"},
		{"an empty variable", "", []string{"PROXYMAP_PORTS="}, upIs, one + "environment PROXYMAP_PORTS: is empty: give it a value, or leave it out\n"},
		{"beside mappings", "{\n\"ProxyMappings\": [{\"Listen\": {\"Port\": 1, \"Action\": \"Deny\"}}]}", nil, upIs,
			"proxymap: appsettings.json: 1 fault; nothing is started\n" +
				"appsettings.json:2: ProxyMappings: stands beside a top-level ProxyServers (flag --upstream): use one of the two forms\n"},
		{"beside mappings of a variable", "", []string{"ProxyMappings__0__Listen__Port=1"}, ports, one +
			"environment ProxyMappings__0__Listen__Port: ProxyMappings: stands beside a top-level Listen (flag --ports): use one of the two forms\n"},
		{"a named file that is missing", "", []string{"PROXYMAP_CONFIG=my.json"}, ports + " " + upIs, "proxymap: settings: open my.json: no such file or directory\n"},
		{"a file without a name", "", nil, "--config= " + ports, "proxymap: flag --config: is empty: give it a value, or leave it out\n"},
		{"a port of the relay itself", "", nil, ports + " --upstream=127.0.0.1:10250", one +
			"flag --upstream: ProxyServers.Items[0].Port: value \"10250\": is a port of this relay itself: requests would go round in circles\n"},
		{"a user name that no SOCKS message has room for", "", nil, ports + " --upstream=socks5://" + strings.Repeat("u", 256) + "@a:1", one +
			"flag --upstream: ProxyServers.Items[0].Username: has 256 bytes with its parameters; a SOCKS server (a:1) takes at most 255: shorten it, or use ProxyType Http\n"},
		{"a value with a space before it", "", nil, ports + " " + upIs + " customer", "proxymap: unexpected argument customer; see proxymap --help\n"},
		{"an upstream that is no flag's", "", nil, ports + " http://customer:secret@gate.example.com:7000",
			"proxymap: unexpected argument http://***@gate.example.com:7000; see proxymap --help\n"},
		{"a flag without its value", "", nil, ports + " --upstream", "proxymap: --upstream: expected value value but got \"EOL\" (<EOL>); see proxymap --help\n"},
		{"ports of a file's are replaced", `{"Listen": {"Port": 0}}`, nil, "--ports=1-65536 " + upIs, "proxymap: settings: 1 fault; nothing is started\n" +
			"flag --ports: value \"1-65536\": must be a port such as 10201, or the first and the last such as 10201-10300, of 1 to 65535\n"},
	} {
		t.Run(row.name, func(t *testing.T) {
			emptyFolder(t, row.environ...)
			if row.file != "" {
				write(t, ".", defaultConfig, row.file)
			}
			dir, err := os.Getwd()
			if err != nil {
				t.Fatal(err)
			}
			for _, command := range []string{"check", "serve"} {
				status := exitFailure
				if strings.Contains(row.want, "see proxymap --help") {
					status = exitUsage
				}
				if t.Failed() {
					break // serve might serve
				}
				_, got := runs(t, status, append([]string{command}, strings.Fields(row.args)...)...)
				if diff := cmp.Diff(row.want, strings.ReplaceAll(got, dir, "DIR")); diff != "" {
					t.Errorf("%s (-want +got):\n%s", command, diff)
				}
				if strings.Contains(got, "secret") {
					t.Errorf("%s shows a password: %s", command, got)
				}
			}
		})
	}
}

// Somebody who starts with nothing reads what to do.
func TestStartWithNothing(t *testing.T) {
	emptyFolder(t)
	for _, command := range []string{"serve", "check"} {
		if _, got := runs(t, exitFailure, command); !strings.Contains(got, "\n  PROXYMAP_UPSTREAM=http://USER:PASSWORD@HOST:PORT proxymap serve --ports 10201-10300 --lifetime 10m\n") ||
			!strings.Contains(got, "proxymap init") {
			t.Errorf("%s: %s", command, got)
		}
	}
}

// serves runs serve until get has been done, and returns what the provider has seen and what was logged.
func serves(t *testing.T, p *provider.Provider, port int, args ...string) (r provider.Record, log string) {
	t.Helper()
	var out bytes.Buffer
	ended := make(chan int, 1)
	go func() { ended <- run(append([]string{"serve"}, args...), io.Discard, &out) }()
	client := http.Client{Timeout: patience, Transport: &http.Transport{
		DisableKeepAlives: true, Proxy: http.ProxyURL(&neturl.URL{Scheme: "http", Host: fmt.Sprintf("127.0.0.1:%d", port)}),
	}}
	var err error
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		var res *http.Response
		if res, err = client.Get("http://ip.demo/"); err == nil {
			res.Body.Close()
			break
		}
		select {
		case status := <-ended:
			t.Fatalf("serve ended with %d: %s", status, out.String())
		default:
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(syscall.Getpid(), syscall.SIGTERM); err != nil { // serve has it
		t.Fatal(err)
	}
	if status := <-ended; status != exitOK {
		t.Errorf("serve ended with %d: %s", status, out.String())
	}
	records := p.Records()
	return records[len(records)-1], out.String()
}

// Three variables are enough to serve.
func TestServeWithVariables(t *testing.T) {
	p, port := startProvider(t), freePort(t)
	emptyFolder(t, "PROXYMAP_UPSTREAM=http://demo:demo@"+p.Addr().String(), "PROXYMAP_PORTS="+strconv.Itoa(port), "PROXYMAP_LIFETIME=10m", "PROXYMAP_PORT=1")
	r, log := serves(t, p, port)
	if !regexp.MustCompile(`^demo-session-[A-Za-z0-9]{8}$`).MatchString(r.User) {
		t.Errorf("the provider sees the user name %q", r.User)
	}
	if !strings.Contains(log, "PROXYMAP_PORT is not known and has no effect; did you mean PROXYMAP_PORTS?") {
		t.Errorf("no warning of a variable that is not known: %s", log)
	}
}

// init writes a file, check takes it, and serve goes by it.
func TestInit(t *testing.T) {
	p, port := startProvider(t), freePort(t)
	emptyFolder(t, "PROXYMAP_UPSTREAM=http://demo:demo@"+p.Addr().String())
	out, _ := runs(t, exitOK, "init", "--ports", strconv.Itoa(port), "--lifetime", "10m", "--session-api")
	if want := "wrote appsettings.json, which you alone may read\nproxymap check shows how it is understood, proxymap serve starts\n"; out != want {
		t.Errorf("init says %q; want %q", out, want)
	}
	if info, err := os.Stat(defaultConfig); err != nil || info.Mode() != 0o600 {
		t.Fatalf("the file: %+v, %v; want mode 0600", info, err)
	}
	before, err := os.ReadFile(defaultConfig)
	if err != nil {
		t.Fatal(err)
	}
	_, errOut := runs(t, exitFailure, "init", "--ports", "1")
	if want := "proxymap: appsettings.json is there already, and is left as it is: remove it, or name another with --output\n"; errOut != want {
		t.Errorf("init again says %q; want %q", errOut, want)
	}
	if after, err := os.ReadFile(defaultConfig); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the file is now %s, %v", after, err)
	}
	if err := os.Unsetenv("PROXYMAP_UPSTREAM"); err != nil { // the file has it
		t.Fatal(err)
	}
	if out, _ := runs(t, exitOK, "check"); !strings.Contains(out, "user name like") || !strings.Contains(out, "http://portmapper/session/") {
		t.Errorf("check prints %s", out)
	}
	if r, _ := serves(t, p, port); r.Session == "" || !strings.HasPrefix(r.User, "demo-session-") {
		t.Errorf("the provider sees the user name %q", r.User)
	}
}

// A file of another folder names the list of upstreams from there; without an upstream it has an example.
func TestInitElsewhere(t *testing.T) {
	emptyFolder(t)
	write(t, ".", "proxies", "a:1\n")
	if err := os.Mkdir("etc", 0o700); err != nil {
		t.Fatal(err)
	}
	for _, output := range []string{"etc/my.json", filepath.Join(t.TempDir(), "my.json")} {
		out, _ := runs(t, exitOK, "init", "--output", output, "--upstream-file", "proxies", "--ports", "1")
		if !strings.Contains(out, "proxymap check --config "+output) {
			t.Errorf("init says %s", out)
		}
		if out, _ := runs(t, exitOK, "check", "--config", output); !strings.Contains(out, "upstream 1   http a:1") {
			t.Errorf("check prints %s", out)
		}
	}
	out, _ := runs(t, exitOK, "init")
	if !strings.Contains(out, "put your provider's host, port, user name and password into ProxyServers") {
		t.Errorf("init says %s", out)
	}
	runs(t, exitOK, "check")
}

// Nothing is written where the flags are faulty, or the folder is not there.
func TestInitFaults(t *testing.T) {
	emptyFolder(t)
	_, got := runs(t, exitFailure, "init", "--ports", "0", "--upstream", "https://a:1", "--lifetime", "x")
	want := `proxymap: settings: 3 faults; nothing is started
flag --upstream: not an upstream proxy: https://: TLS to the provider is not supported; use http:// with a port of the provider's that takes it
flag --ports: value "0": must be a port such as 10201, or the first and the last such as 10201-10300, of 1 to 65535
flag --lifetime: Listen.StickyProxyLifetime: value "x": must be a whole number from 0 to 525600, of minutes, or a duration such as 90s, 10m or 12h, of at least 1s
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, err := os.Stat(defaultConfig); err == nil {
		t.Error("a file is written")
	}
	if _, got := runs(t, exitFailure, "init", "--output", "none/my.json"); got != "proxymap: open none/my.json: no such file or directory\n" {
		t.Errorf("got %q", got)
	}
}

// What serve alone takes is told with all other faults, and is nobody else's.
func TestServeFlagFaults(t *testing.T) {
	for _, row := range []struct{ environ, args, want string }{
		{"PROXYMAP_GRACE=soon", "", `environment PROXYMAP_GRACE: value "soon": must be a duration such as 500ms, 10s or 5m, of at most 720h`},
		{"PROXYMAP_GRACE=", "", "environment PROXYMAP_GRACE: is empty: give it a value, or leave it out"},
		{"PROXYMAP_LOG_LEVEL=loud", "", `environment PROXYMAP_LOG_LEVEL: value "loud": must be debug, info, warn or error`},
		{"PROXYMAP_GRACE=1s", "--grace=-1s", `flag --grace: value "-1s": must be a duration such as 500ms, 10s or 5m, of at most 720h`},
		{"PROXYMAP_LOG_LEVEL=info", "--log-level=Info", `flag --log-level: value "Info": must be debug, info, warn or error`},
	} {
		emptyFolder(t, row.environ)
		_, got := runs(t, exitFailure, append([]string{"serve", "--ports=0"}, strings.Fields(row.args)...)...)
		if !strings.HasPrefix(got, "proxymap: settings: 2 faults; nothing is started\n") || !strings.Contains(got, "\n"+row.want+"\n") || !strings.Contains(got, "\nflag --ports: ") {
			t.Errorf("%s %s: got %s", row.environ, row.args, got)
		}
		if out, _ := runs(t, exitOK, "ports", "--ports=10201"); out != "127.0.0.1:10201\n" {
			t.Errorf("%s: ports prints %q", row.environ, out)
		}
	}
}
