//go:build linux

package e2e

import (
	"bufio"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// A client that vanishes without a FIN, and a provider that does, are noticed when they have given no sign of life for a
// minute, and the other side of their tunnel hears of it.
func TestVanishedPeers(t *testing.T) {
	needsLong(t)
	if _, err := exec.LookPath("ip"); err != nil || os.Geteuid() != 0 {
		t.Skip("SKIPPED: needs root and ip(8), to make network namespaces")
	}
	far, home := newNamespace(t), newNamespace(t)
	far.in(t, func() error { return ip("link set lo up") })
	home.in(t, func() error {
		return errors.Join(ip("link set lo up"), ip("link add veth0 type veth peer name veth0 netns /proc/self/fd/3", far.file),
			ip("addr add "+relayAddr+"/24 dev veth0"), ip("link set veth0 up"))
	})
	far.in(t, func() error {
		return errors.Join(ip("addr add "+providerAddr+"/24 dev veth0"), ip("link set veth0 up"))
	})
	far.in(t, func() error { return serveProvider(t, firstUp) })
	if err := home.enter(); err != nil {
		t.Fatal(err)
	}
	near, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer near.Close()
	file := write(t, t.TempDir(), "appsettings.json", fmt.Sprintf(`{"Limits": {"KeepAliveTime": "1s"}, "ProxyMappings": [
		{"Listen": {"Port": 10201, "Address": %q}, "Authentication": {"Required": true, "Verify": true, "RemoveAuthentication": true,
			"Username": "me", "Password": "pw"}, "ProxyServers": [{"Host": "127.0.0.1", "Port": %d}]},
		{"Listen": {"Port": 10202}, "ProxyServers": [{"Host": %q, "Port": %d}]}]}`,
		relayAddr, near.Addr().(*net.TCPAddr).Port, providerAddr, firstUp))
	start(t, "serve", "--config", file).logged("msg=listening")

	ask := func(addr string) (net.Conn, error) {
		c, err := net.DialTimeout("tcp4", addr, patience)
		if err != nil {
			return nil, err
		}
		t.Cleanup(func() { c.Close() })
		_, err = fmt.Fprint(c, "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\nProxy-Authorization: Basic ",
			base64.StdEncoding.EncodeToString([]byte("me:pw")), "\r\n\r\n")
		return c, err
	}
	granted := func(c net.Conn) error {
		_ = c.SetDeadline(time.Now().Add(patience))
		if line, err := bufio.NewReader(c).ReadString('\n'); !strings.HasPrefix(line, "HTTP/1.1 200 ") {
			return fmt.Errorf("got %q, %v; want 200", line, err)
		}
		return nil
	}
	var client net.Conn // in the other namespace
	far.in(t, func() (err error) { client, err = ask(relayAddr + ":10201"); return err })
	provider, err := near.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer provider.Close()
	if _, err := io.WriteString(provider, "HTTP/1.1 200 OK\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	other, err := ask("127.0.0.1:10202") // whose provider is in the other namespace
	if err = errors.Join(err, granted(other), granted(client)); err != nil {
		t.Fatal(err)
	}
	time.Sleep(2 * time.Second) // for the upstream connection to be old enough: nothing says so
	far.in(t, func() error { return ip("link set veth0 down") })
	began := time.Now()
	for name, c := range map[string]net.Conn{"the provider of the client": provider, "the client of the provider": other} {
		_ = c.SetDeadline(began.Add(2 * time.Minute))
		if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s that has vanished hears nothing of it in 2 min", name)
		}
		t.Logf("%s that has vanished hears of it after %.0f s", name, time.Since(began).Seconds())
	}
}
