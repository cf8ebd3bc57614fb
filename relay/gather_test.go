//go:build linux && !netpoll

package relay

import (
	"bufio"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"proxymap/bench/drive"
	"proxymap/session"
)

// handled is how many events each loop has handled.
func handled(r *Relay) (n []int64) {
	for _, l := range r.loops {
		c := make(chan int64, 1)
		l.do(func() { c <- l.handled })
		n = append(n, <-c)
	}
	return n
}

// With little to do all work stays on one loop. PROXYMAP_LONG=1 tries each kind of work, else it is tunnels.
func TestOneLoopDoesForLittle(t *testing.T) {
	if underRace() {
		t.Skip("SKIPPED: under the race detector loops are busy with little")
	}
	for _, kind := range []drive.Kind{drive.Plain, drive.Tunnel, drive.Connect} {
		if kind != drive.Tunnel && !longRun {
			continue
		}
		t.Run(string(kind), func(t *testing.T) {
			r, s := driven(t, 100)
			s.Kind, s.Rate, s.Threads, s.Duration = kind, 2000, 1, 500*time.Millisecond
			load(t, s)
			// All clients connect at once in the beginning, which may keep a loop busy for a moment.
			if n := handled(r); n[1] > n[0]/20 {
				t.Errorf("the loops have handled %v events; want nearly all on the first", n)
			}
		})
	}
}

// What was spread by a busy time gathers again when it is over.
func TestLoopsGatherAgain(t *testing.T) {
	if underRace() {
		t.Skip("SKIPPED: under the race detector loops are busy with little")
	}
	r, s := driven(t, 1)
	busy := s
	busy.Kind, busy.Threads, busy.Duration = drive.Plain, 2, 300*time.Millisecond
	for range 5 { // other work on the machine can keep the load from making a loop busy
		if load(t, busy); handled(r)[1] > 0 {
			break
		}
	}
	if n := handled(r); n[1] == 0 {
		t.Fatalf("the loops have handled %v events; want work for both", n)
	}
	quiet := s
	quiet.Kind, quiet.Rate, quiet.Threads, quiet.Duration = drive.Tunnel, 1000, 1, 300*time.Millisecond
	quiet.Warm = time.Second // what works is given away, a few at a time
	var from []int64
	quiet.Began = func() { from = handled(r) }
	var first, second int64
	for range 3 { // other work on the machine can make a loop look busy
		load(t, quiet)
		n := handled(r)
		first, second = n[0]-from[0], n[1]-from[1]
		if min(first, second) <= max(first, second)/10 {
			return
		}
	}
	t.Errorf("the loops have handled %d and %d events; want nearly all on one", first, second)
}

// Loops that are busy share the work, however many ports it comes through. PROXYMAP_LONG=1 tries each kind of work with
// each number of ports, else it is tunnels through a hundred.
func TestBusyLoopsShare(t *testing.T) {
	if underRace() {
		t.Skip("SKIPPED: under the race detector the load costs more than the loops")
	}
	for i, ports := range []int{1, 100, 10000} {
		for j, kind := range []drive.Kind{drive.Plain, drive.Tunnel, drive.Connect} {
			if (i != 1 || j != 1) && !longRun {
				continue
			}
			t.Run(fmt.Sprintf("%s through %d ports", kind, ports), func(t *testing.T) {
				r, s := driven(t, ports)
				s.Kind, s.Warm, s.Duration = kind, 500*time.Millisecond, 500*time.Millisecond
				var from []int64
				s.Began = func() { from = handled(r) }
				var first, second int64
				for range 3 { // other work on the machine can keep a loop's thread waiting
					load(t, s)
					n := handled(r)
					first, second = n[0]-from[0], n[1]-from[1]
					if max(first, second)*100 <= (first+second)*65 {
						return
					}
				}
				t.Errorf("the loops have handled %d and %d events; want no more than 65 %% on one", first, second)
			})
		}
	}
}

// Streams that are given to and fro while they run lose nothing.
func TestStreamsMoveBetweenLoops(t *testing.T) {
	t.Parallel()
	g := newRig(t, func(cfg *Config) { cfg.Loops = 2 })
	c, u := g.tunnel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; i < 1000; i++ {
			from, to := g.relay.loops[i%2], g.relay.loops[(i+1)%2]
			moved := make(chan struct{})
			from.do(func() { from.gather.give, from.gather.giveTo = 1, to; close(moved) })
			<-moved
			time.Sleep(time.Millisecond)
		}
	}()
	exchangeBodies(t, c, u, 64<<20) // compares checksums
	if n := spliced(g.relay); n[0] == 0 || n[1] == 0 {
		t.Errorf("the loops have spliced %v bytes; want some on each", n)
	}
	<-done
}

// spliced is how many bytes each loop has spliced.
func spliced(r *Relay) (n []int64) {
	for _, l := range r.loops {
		c := make(chan int64, 1)
		l.do(func() { c <- l.pipes.spliced })
		n = append(n, <-c)
	}
	return n
}

// 64 tunnels that were opened while nothing went on are all on one loop. Driven to saturation they are as fast as ones
// that were spread evenly, a second later.
func TestGatheredTunnelsSpread(t *testing.T) {
	needsLong(t)
	if underRace() {
		t.Skip("SKIPPED: under the race detector the load costs more than the loops")
	}
	var ratios []float64
	for range 7 {
		var rate [2]float64
		for i, spread := range []bool{false, true} {
			r, s := driven(t, 1, func(cfg *Config) { cfg.spread = spread })
			s.Kind, s.Warm, s.Duration = drive.Tunnel, time.Second, time.Second
			rate[i] = load(t, s).Rate()
			r.Shutdown(0)
		}
		ratios = append(ratios, rate[0]/rate[1])
		slices.Sort(ratios)
		if len(ratios) >= 3 && ratios[len(ratios)/2] >= 0.9 {
			break
		}
	}
	t.Logf("throughput as ratios to that of an even spread: %.2f", ratios)
	if median := ratios[len(ratios)/2]; median < 0.9 {
		t.Errorf("the median is %.2f; want 0.9 at least", median)
	}
}

// BenchmarkLoops measures the CPU time that a relay in a process of its own takes for a request in a tunnel: with one
// loop, with two and an even spread, and with two that gather.
func BenchmarkLoops(b *testing.B) {
	for _, rate := range []float64{2000, 20000, 0} {
		for _, loops := range []string{"one", "even", "gathering"} {
			name := fmt.Sprintf("rate=%g/%s", rate, loops)
			if rate == 0 {
				name = "saturated/" + loops
			}
			b.Run(name, func(b *testing.B) {
				provider := freeAddr(b)
				cmd := exec.Command(os.Args[0], "-test.run=^TestRelayProcess$")
				cmd.Env = append(os.Environ(), "RELAY_PROCESS="+loops+" "+provider.String())
				stdin, _ := cmd.StdinPipe()
				stdout, _ := cmd.StdoutPipe()
				if err := cmd.Start(); err != nil {
					b.Fatal(err)
				}
				defer func() { stdin.Close(); _ = cmd.Wait() }()
				line, err := bufio.NewReader(stdout).ReadString('\n')
				if err != nil {
					b.Fatal(err)
				}
				s := drive.Scenario{Kind: drive.Tunnel, Rate: rate, Provider: provider}
				s.Proxies = []netip.AddrPort{netip.MustParseAddrPort(strings.TrimSpace(line))}
				var cpu [2]time.Duration
				s.Began = func() { cpu[0] = processTime(b, cmd.Process.Pid) }
				s.Ended = func() { cpu[1] = processTime(b, cmd.Process.Pid) }
				for b.Loop() {
					r := load(b, s)
					b.ReportMetric(float64((cpu[1]-cpu[0]).Nanoseconds())/1e3/float64(r.Operations), "cpu-µs/request")
					b.ReportMetric(r.Rate(), "requests/s")
					b.ReportMetric(0, "ns/op")
				}
			})
		}
	}
}

func processTime(b *testing.B, pid int) time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|2), &ts); err != nil { // the process's CPU clock
		b.Fatal(err)
	}
	return time.Duration(ts.Nano())
}

// TestRelayProcess is the relay of BenchmarkLoops.
func TestRelayProcess(t *testing.T) {
	var loops, provider string
	if n, _ := fmt.Sscan(os.Getenv("RELAY_PROCESS"), &loops, &provider); n != 2 {
		t.Skip("this is a process that BenchmarkLoops starts")
	}
	upstream := netip.MustParseAddrPort(provider)
	cfg := Config{Loops: 2, spread: loops == "even", Mappings: []Mapping{{
		Address: netip.MustParseAddr("127.0.0.1"),
		Plan:    newPlan(t, session.PlanConfig{Lifetime: time.Hour}),
		Servers: []Server{{Host: upstream.Addr().String(), Port: upstream.Port()}},
	}}}
	if loops == "one" {
		cfg.Loops = 1
	}
	fmt.Println(serve(t, cfg).Ports()[0])
	_, _ = io.Copy(io.Discard, os.Stdin)
}
