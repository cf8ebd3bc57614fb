package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// behindSettings are two ports behind a load balancer that comes from 127.0.0.2. The provider does not take the second's
// credentials.
const behindSettings = `{
  "ProxyMappings": [
    {
      "Listen": {"Port": %[1]d, "StickyProxyLifetime": 10, "AllowFrom": ["127.0.0.2"], "ProxyProtocol": true},
      "Authentication": {"SetAuthentication": true, "Username": "demo", "Password": "demo"},
      "ProxyServers": [{"Host": "127.0.0.1", "Port": %[3]d}],
    },
    {
      "Listen": {"Port": %[2]d, "StickyProxyLifetime": 10, "AllowFrom": ["127.0.0.2"], "ProxyProtocol": true},
      "Authentication": {"SetAuthentication": true, "Username": "demo", "Password": "wrong"},
      "ProxyServers": [{"Host": "127.0.0.1", "Port": %[3]d}],
    },
  ],
  "SessionAPI": {"Enabled": true, "Domain": "portmapper"},
  "Admin": {"Address": "127.0.0.1:%[4]d"},
}`

// haproxySettings have two listeners before them, which also look whether the ports are there.
const haproxySettings = `
defaults
    mode tcp
    timeout connect 5s
    timeout client 30s
    timeout server 30s
    source 127.0.0.2
listen good
    bind 127.0.0.1:%[3]d
    server relay 127.0.0.1:%[1]d %[5]s check check-send-proxy inter 50ms
listen bad
    bind 127.0.0.1:%[4]d
    server relay 127.0.0.1:%[2]d %[5]s check inter 50ms
`

// startHAProxy runs HAProxy until the test ends.
func startHAProxy(t *testing.T, settings string, port int) {
	t.Helper()
	program, err := exec.LookPath("haproxy")
	if err != nil {
		program = "/usr/sbin/haproxy"
	}
	if _, err := os.Stat(program); err != nil {
		t.Skip("SKIPPED: HAProxy is not installed; apt-get install haproxy has the test run")
	}
	cmd := exec.Command(program, "-db", "-f", write(t, t.TempDir(), "haproxy.cfg", settings))
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("haproxy: %s", said.String())
		}
	})
	awaitThat(t, "HAProxy listens", func() bool {
		conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
}

// dialFrom connects to a port of this machine from one of its addresses.
func dialFrom(t *testing.T, from string, port int) net.Conn {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	conn, err := d.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	return conn
}

// exchange sends a request over a new connection, and returns the status line of the answer, or nothing where there is
// none.
func exchange(t *testing.T, from string, port int, request string) string {
	t.Helper()
	conn := dialFrom(t, from, port)
	_, _ = io.WriteString(conn, request) // who is not let in may be cut off by now
	line, _ := bufio.NewReader(conn).ReadString('\n')
	return line
}

// metric is the value of a line of the metrics.
func metric(t *testing.T, admin int, name string) string {
	t.Helper()
	res, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/metrics", admin))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	_, value, _ := strings.Cut(string(text), "\n"+name+" ")
	value, _, _ = strings.Cut(value, "\n")
	return value
}

// HAProxy stands before the ports, and says with either version of its header whose a connection is.
func TestBehindHAProxy(t *testing.T) {
	t.Parallel()
	const plain = "GET http://ip.demo/ HTTP/1.1\r\nHost: ip.demo\r\n\r\n"
	for _, sends := range []string{"send-proxy", "send-proxy-v2"} {
		t.Run(sends, func(t *testing.T) {
			good, bad, admin := freePort(t), freePort(t), freePort(t)
			frontGood, frontBad := freePort(t), freePort(t)
			file := write(t, t.TempDir(), "appsettings.json", fmt.Sprintf(behindSettings, good, bad, startProvider(t).Addr().Port(), admin))
			p := start(t, "serve", "--config", file)
			p.logged("msg=listening")
			startHAProxy(t, fmt.Sprintf(haproxySettings, good, bad, frontGood, frontBad, sends), frontGood)

			for _, request := range []string{
				plain, "CONNECT ip.demo:80 HTTP/1.1\r\nHost: ip.demo:80\r\n\r\n", "GET http://portmapper/session/ HTTP/1.1\r\nHost: portmapper\r\n\r\n",
			} {
				if line := exchange(t, "127.0.0.9", frontGood, request); line != "HTTP/1.1 200 OK\r\n" {
					t.Errorf("%q is answered %q", request, line)
				}
			}
			socks := dialFrom(t, "127.0.0.9", frontGood)
			got := make([]byte, 12)
			_, _ = io.WriteString(socks, "\x05\x01\x00\x05\x01\x00\x03\x07ip.demo\x00\x50")
			if _, err := io.ReadFull(socks, got); err != nil || string(got[:4]) != "\x05\x00\x05\x00" {
				t.Errorf("SOCKS is answered %q, %v", got, err)
			}
			if line := exchange(t, "127.0.0.9", frontBad, plain); !strings.HasPrefix(line, "HTTP/1.1 502 ") {
				t.Errorf("with wrong credentials the answer is %q", line)
			}
			p.logged("client=127.0.0.9")

			awaitThat(t, "HAProxy has looked whether the port is there", func() bool {
				n, err := strconv.Atoi(metric(t, admin, fmt.Sprintf(`proxymap_connections_total{address="127.0.0.1",ports="%d-%d"}`, good, good)))
				return err == nil && n > 5 // 4 are ours
			})
			for _, reason := range []string{"address", "proxy-header"} {
				if n := metric(t, admin, `proxymap_rejected_total{reason="`+reason+`"}`); n != "0" {
					t.Errorf("%s connections are rejected for their %s", n, reason)
				}
			}
			if line := exchange(t, "127.0.0.2", good, plain); line != "" {
				t.Errorf("without a header the answer is %q", line)
			}
			if line := exchange(t, "127.0.0.3", good, "PROXY TCP4 127.0.0.2 127.0.0.1 1 2\r\n"+plain); line != "" {
				t.Errorf("another than the balancer is answered %q", line)
			}
			for _, reason := range []string{"address", "proxy-header"} {
				if n := metric(t, admin, `proxymap_rejected_total{reason="`+reason+`"}`); n != "1" {
					t.Errorf("%s connections are rejected for their %s; want 1", n, reason)
				}
			}
			out, _ := ask(t, exitFailure, "get", fmt.Sprint("--port=", good), "--config", file)
			if out != "" {
				t.Errorf("a session is shown to who may not connect: %q", out)
			}
		})
	}
}

// The session command sends a port behind a balancer the header that it wants.
func TestSessionOfPortBehindBalancer(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	file := filepath.Join(t.TempDir(), "appsettings.json")
	text := strings.Replace(fmt.Sprintf(onePortSettings, port, startProvider(t).Addr().Port()), `"StickyProxyLifetime"`, `"ProxyProtocol": true, "StickyProxyLifetime"`, 1)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, "serve", "--config", file).logged("msg=listening")
	to := fmt.Sprint("--port=", port)
	if first := idOf(t, to, "--config", file); idOf(t, to, "--config", file) != first {
		t.Error("the session is another one each time")
	}
	ask(t, exitFailure, "get", to, "--domain=portmapper") // which knows of no header
}
