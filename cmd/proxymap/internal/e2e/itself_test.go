//go:build linux

package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// Where connections are given one port alone, one that leads to that port of this machine meets itself, always. That
// is refused, and the next server is tried.
func TestDiallingItself(t *testing.T) {
	if _, err := exec.LookPath("ip"); err != nil || os.Geteuid() != 0 {
		t.Skip("SKIPPED: needs root and ip(8), to make a network namespace")
	}
	const own = 40000 // the port that connections are given
	n := newNamespace(t)
	if err := n.enter(); err != nil {
		t.Fatal(err)
	}
	for _, args := range []string{"link set lo up", "addr add " + providerAddr + "/32 dev lo"} {
		if err := ip(args); err != nil {
			t.Fatal(err)
		}
	}
	sysctl(t, "ip_local_port_range", fmt.Sprintf("%d %d", own, own))
	if err := serveProvider(t, firstUp); err != nil {
		t.Fatal(err)
	}
	mapping := func(ports, servers string) string {
		return `{"Listen": {"PortRange": ` + ports + `}, "ProxyServers": {"Items": [` + servers + `]}}`
	}
	server := func(addr string, port int) string { return fmt.Sprintf(`{"Host": %q, "Port": %d}`, addr, port) }
	file := write(t, t.TempDir(), "appsettings.json", `{"ProxyMappings": [`+strings.Join([]string{
		// The servers are given out in turn, so one of two ports begins with the first.
		mapping(`{"Start": 10201, "End": 10202}`, server("127.0.0.1", own)+","+server(providerAddr, firstUp)),
		mapping(`{"Start": 10203, "End": 10203}`, server("127.0.0.1", own)),
		mapping(`{"Start": 10204, "End": 10204}`, server(providerAddr, own)),
		mapping(`{"Start": 10205, "End": 10205}`, server("127.0.0.2", own)), // which is dialled from 127.0.0.1, and so just refused
	}, ",")+`]}`)
	p := start(t, "serve", "--config", file)
	p.logged("msg=listening")
	asked := 0
	ask := func(port int) (*http.Response, string) {
		t.Helper()
		asked++
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 50_000 + asked}}
		c, err := d.Dial("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.(*net.TCPConn).SetLinger(0)
		_ = c.SetDeadline(time.Now().Add(patience))
		fmt.Fprint(c, "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n")
		res, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: "CONNECT"})
		if err != nil {
			t.Fatal(err)
		}
		if res.StatusCode == 200 {
			return res, ""
		}
		text, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res, string(text)
	}
	for _, port := range []int{10201, 10202} {
		// The only port that there is to dial from may still be the tunnel's before.
		awaitThat(t, "the next server's 200", func() bool {
			res, _ := ask(port)
			return res.StatusCode == 200
		})
	}
	for _, port := range []int{10203, 10204, 10205} {
		res, text := ask(port)
		if class := res.Header.Get("X-Proxymap-Error"); res.StatusCode != 502 || class != "upstream-refused" || !strings.Contains(text, "connection refused") {
			t.Errorf("port %d: %s, %q, %q; want 502 for a refused connection", port, res.Status, class, text)
		}
	}
}
