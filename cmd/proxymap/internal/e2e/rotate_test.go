//go:build linux

package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"
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
