package relay

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"proxymap/session"
)

// BenchmarkCutTunnels measures how long a rotation that closes takes for thousands of tunnels of one port, 9,000 of them if
// the limit of open files has room for as many, and what CPU time the relay takes for each. Who is at the tunnels' ends lives
// in a process of its own, and does nothing when they end: what that costs is not the relay's.
func BenchmarkCutTunnels(b *testing.B) {
	for _, loops := range []int{1, 2} {
		b.Run(fmt.Sprintf("loops=%d", loops), func(b *testing.B) {
			g := newRig(b, quietly, func(cfg *Config) { cfg.Loops = loops })
			tunnels := min(9000, g.relay.admission.budget.Connections)
			g.provider.Close() // the ends have the provider
			ends := tunnelEnds(b, g, tunnels)
			var took, spent []time.Duration
			for b.Loop() {
				ends("open")
				ro := Rotation{Renew: true, OnRotate: session.CloseAll}
				begin, cpu := time.Now(), ownTime(b)
				err := g.relay.Rotate(context.Background(), g.relay.Ports()[:1], &ro)
				took, spent = append(took, time.Since(begin)), append(spent, ownTime(b)-cpu)
				if err != nil || ro.Closed != tunnels {
					b.Fatalf("%d tunnels are closed (%v); want %d", ro.Closed, err, tunnels)
				}
				ends("close")
			}
			slices.Sort(took)
			slices.Sort(spent)
			b.ReportMetric(float64(tunnels), "tunnels")
			b.ReportMetric(float64(took[len(took)/2].Nanoseconds())/1e6, "p50-ms")
			b.ReportMetric(float64(spent[len(spent)/2].Nanoseconds())/1e3/float64(tunnels), "cpu-µs/tunnel")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// ownTime is the CPU time of this process.
func ownTime(b *testing.B) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// tunnelEnds starts the process that has the tunnels' ends. What it returns has that process open or close all of them, and
// waits for it.
func tunnelEnds(b *testing.B, g *rig, tunnels int) func(order string) {
	cmd := exec.Command(os.Args[0], "-test.run=^TestTunnelEnds$")
	cmd.Env = append(os.Environ(), fmt.Sprintf("TUNNEL_ENDS=%d %s %s", tunnels, g.relay.Ports()[0], g.provider.Addr()))
	cmd.Stderr = os.Stderr
	stdin, _ := cmd.StdinPipe()
	stdout, _ := cmd.StdoutPipe()
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { stdin.Close(); _ = cmd.Wait() })
	lines := bufio.NewReader(stdout)
	return func(order string) {
		fmt.Fprintln(stdin, order)
		if line, err := lines.ReadString('\n'); line != order+"\n" {
			b.Fatalf("the tunnels' ends say %q (%v); want %q", line, err, order)
		}
	}
}

// TestTunnelEnds is the process with the tunnels' ends, where BenchmarkCutTunnels starts it, and nothing anywhere else.
func TestTunnelEnds(t *testing.T) {
	var tunnels int
	var port, provider string
	if n, _ := fmt.Sscan(os.Getenv("TUNNEL_ENDS"), &tunnels, &port, &provider); n != 3 {
		return // BenchmarkCutTunnels has not started this process
	}
	l, err := net.Listen("tcp", provider)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var ends []net.Conn
	for orders := bufio.NewScanner(os.Stdin); orders.Scan(); fmt.Println(orders.Text()) {
		for _, c := range ends {
			c.Close()
		}
		for ends = ends[:0]; orders.Text() == "open" && len(ends) < 2*tunnels; {
			ends = append(ends, openTunnel(t, port, l)...)
		}
	}
}

// openTunnel opens a tunnel through a port to a provider at l, and returns both ends.
func openTunnel(t *testing.T, port string, l net.Listener) []net.Conn {
	t.Helper()
	client, err := net.Dial("tcp", port)
	if err != nil {
		t.Fatal(err)
	}
	say := func(c net.Conn, text string) {
		if _, err := io.WriteString(c, text); err != nil {
			t.Fatal(err)
		}
	}
	hear := func(c net.Conn, end string) {
		var b [1 << 10]byte
		for n := 0; !strings.HasSuffix(string(b[:n]), end); {
			m, err := c.Read(b[n:])
			if n += m; err != nil {
				t.Fatalf("got %q (%v); want what ends with %q", b[:n], err, end)
			}
		}
	}
	say(client, connect)
	end, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	hear(end, "\r\n\r\n")
	say(end, granted)
	hear(client, granted)
	return []net.Conn{client, end}
}
