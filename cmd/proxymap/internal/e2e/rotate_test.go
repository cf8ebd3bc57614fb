//go:build linux

package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// rotateGuard is how long cutting thousands of tunnels may take before the test says that it hangs; how long it does take
// is logged.
const rotateGuard = 10 * time.Second

// On the admin listener one call closes the tunnels of many ports.
func TestRotationOfManyPorts(t *testing.T) {
	needsScale(t, uint64(2*mostTunnels))
	ports := mostTunnels / 20 // each takes a descriptor that is none for tunnels
	admin := freePort(t)
	f, p := startFarmOf(t, ports, 10, fmt.Sprintf(`"Admin": {"Address": "127.0.0.1:%d"}`, admin))
	fds := p.descriptors()
	for i := range mostTunnels / tunnelBatch {
		f.relay = p.ports(i * ports / (mostTunnels / tunnelBatch))
		f.open(tunnelBatch, nil)
	}
	client := &http.Client{Timeout: rotateGuard}
	defer client.CloseIdleConnections()
	began, cpu := time.Now(), p.cpu()
	res, err := client.Post(fmt.Sprintf("http://127.0.0.1:%d/sessions/new?ports=all&on_rotate=close", admin), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	took, used := time.Since(began), p.cpu()-cpu
	if want := fmt.Appendf(nil, `"closed":%d`, mostTunnels); err != nil || !bytes.Contains(answer, want) || bytes.Count(answer, []byte(`"session_id":"`)) != ports {
		t.Fatalf("got %.200q … (%v); want it to hold %q and %d sessions", answer, err, want, ports)
	}
	t.Logf("rotation: %d tunnels over %d ports are closed after %d ms, with %d ms of CPU time", mostTunnels, ports, took.Milliseconds(), used.Milliseconds())
	client.CloseIdleConnections()
	p.descriptorsAre(fds)
}

// One call closes thousands of tunnels, and says how many.
func TestRotationClosesThousands(t *testing.T) {
	needsScale(t, uint64(2*mostTunnels))
	f, p := startFarm(t, 10)
	fds := p.descriptors()
	f.openUntil(mostTunnels)

	conn, err := net.Dial("tcp", p.ports(0).String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(rotateGuard))
	began, cpu := time.Now(), p.cpu()
	fmt.Fprint(conn, "GET http://portmapper/session/new?on_rotate=close HTTP/1.1\r\nHost: portmapper\r\nConnection: close\r\n\r\n")
	answer, err := io.ReadAll(conn)
	took, used := time.Since(began), p.cpu()-cpu
	if want := fmt.Appendf(nil, `"closed": %d`, mostTunnels); err != nil || !bytes.Contains(answer, want) {
		t.Fatalf("got %q (%v); want it to hold %q", answer, err, want)
	}
	t.Logf("rotation: %d tunnels are closed after %d ms, with %d ms of CPU time", mostTunnels, took.Milliseconds(), used.Milliseconds())
	p.descriptorsAre(fds)
}

// Two mappings of a port each, of which the first has a session for each 5 requests.
const fewRequestsSettings = `{"ProxyMappings": [
  {"Listen": {"Address": "%[1]s", "Port": %[2]d, "StickyProxyLifetime": 10, "MaxRequests": 5, "OnRotate": "Close"}, %[4]s},
  {"Listen": {"Address": "%[1]s", "Port": %[3]d, "StickyProxyLifetime": 10}, %[4]s},
]}`

// What a port pays that has another session every 5 requests, and closes the connections of the last, is the same beside
// thousands of idle tunnels of another port. Both are logged.
func TestMaxRequestsBesideTunnels(t *testing.T) {
	tunnels, rounds := shortOr(2_000, 8_000), shortOr(100, 1_000)
	needsScale(t, uint64(2*tunnels))
	f := newFarm(t)
	first := freeRange(t, 2)
	mapping := fmt.Sprintf(`"Authentication": {
		"SetAuthentication": true, "Username": "demo", "Password": "demo",
		"UsernameParameters": [{"Name": "session", "Value": "^[A-Za-z]{8}", "SessionId": true}],
	}, "ProxyServers": {"Items": [{"Host": "%s", "Port": %d}]}`, f.addr().Addr(), f.addr().Port())
	file := filepath.Join(t.TempDir(), "appsettings.json")
	f.must(os.WriteFile(file, fmt.Appendf(nil, fewRequestsSettings, first.Addr(), first.Port(), first.Port()+1, mapping), 0o600))
	began := time.Now()
	serving := start(t, "serve", "--config", file)
	serving.logged("msg=listening")
	p := &scaleProcess{serving, serving.cmd.Process.Pid, began, first}
	f.relay = p.ports(1)
	f.requests(p.ports(0), 20) // what is made once is made
	for _, n := range []int{0, tunnels} {
		f.openUntil(n)
		began, cpu := time.Now(), p.cpu()
		f.requests(p.ports(0), rounds)
		took, used := time.Since(began), p.cpu()-cpu
		t.Logf("rotation: beside %d idle tunnels, %d sessions of 5 requests each take %d ms, with %d ms of CPU time", n, rounds, took.Milliseconds(), used.Milliseconds())
	}
	for _, tunnel := range f.tunnels { // none of them has been reached
		f.send(tunnel[0], []byte("x"))
	}
	for _, tunnel := range f.tunnels {
		f.receiveAll(tunnel[1], 1)
	}
}

// requests has a client send so many times 5 requests one after the other, and the provider, which gets each 5 over another
// connection, answer them.
func (f *farm) requests(port netip.AddrPort, rounds int) {
	f.t.Helper()
	const answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
	client := f.socket()
	defer unix.Close(client)
	f.must(unix.Connect(client, &unix.SockaddrInet4{Port: int(port.Port()), Addr: port.Addr().As4()}))
	for range rounds {
		upstream := -1
		for range 5 {
			f.send(client, []byte("GET http://example.com/ HTTP/1.1\r\nHost: example.com\r\n\r\n"))
			if upstream < 0 {
				upstream = f.accept()
			} else {
				f.head(upstream)
			}
			f.send(upstream, []byte(answer))
			f.receiveAll(client, len(answer))
		}
		unix.Close(upstream)
	}
}
