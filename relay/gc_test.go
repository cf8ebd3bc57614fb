package relay

import (
	"context"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"runtime/pprof"
	"slices"
	"testing"
	"time"

	"proxymap/relay/internal/poll"
)

// collectionGuard is far more than any collection takes, on a machine with other things to do too, and far less than for
// ever. A quiet one takes 2 ms for each, with busy loops and the race detector.
const collectionGuard = 20 * time.Second

// Loops keep their P while they wait. That must never keep the collector waiting for good. PROXYMAP_LONG=1 collects 25
// times as often.
func TestCollectorIsNotHeldUp(t *testing.T) {
	t.Run("idle", func(t *testing.T) {
		newRig(t)
		collect(t)
	})
	t.Run("busy", func(t *testing.T) {
		g := newRig(t)
		g.echo()
		for range 16 {
			go hammer(t, g.relay.Ports()[0].String())
		}
		collect(t)
	})
	t.Run("profiled", func(t *testing.T) {
		newRig(t)
		if err := pprof.StartCPUProfile(io.Discard); err != nil {
			t.Fatal(err)
		}
		defer pprof.StopCPUProfile()
		collect(t)
	})
}

// The same in a process that has one processor.
func TestCollectorIsNotHeldUpOnOneProcessor(t *testing.T) {
	collectElsewhere(t, "GOMAXPROCS=1")
}

// The same where nobody gives the relay the processors that it wants: its loops wait in the ordinary way then. A guard
// against a hang is in the parent.
func TestCollectorIsNotHeldUpWithoutProcessors(t *testing.T) {
	collectElsewhere(t, "GOMAXPROCS=1", "PROXYMAP_TEST_PROCS=none")
}

// collectElsewhere runs TestCollectorIsNotHeldUp in a process of its own.
func collectElsewhere(t *testing.T, env ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestCollectorIsNotHeldUp$")
	cmd.Env = append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v:\n%s", err, out)
	}
}

// A relay that is served with as many processors as it has loops does not wait raw, one with more does.
func TestProcessorsDecideHowLoopsWait(t *testing.T) {
	cfg := Config{Loops: 3}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for _, row := range []struct {
		procs int
		raw   bool
	}{{1, false}, {3, false}, {max(cfg.Processors(), 1), cfg.Processors() > 0}} {
		runtime.GOMAXPROCS(row.procs)
		raw, release := poll.Reserve(cfg.Loops)
		release()
		if raw != row.raw {
			t.Errorf("GOMAXPROCS %d for %d loops: raw waits %v; want %v", row.procs, cfg.Loops, raw, row.raw)
		}
	}
}

func collect(t *testing.T) {
	t.Helper()
	n := 40
	if longRun {
		n = 1000
	}
	for range n {
		begin := time.Now()
		runtime.GC()
		if took := time.Since(begin); took > collectionGuard {
			t.Fatalf("a collection took %v", took)
		}
	}
}

// BenchmarkCollection shows how long collections take beside idle and beside busy loops.
func BenchmarkCollection(b *testing.B) {
	for _, busy := range []bool{false, true} {
		name := "idle"
		if busy {
			name = "busy"
		}
		b.Run(name, func(b *testing.B) {
			g := newRig(b)
			if busy {
				g.echo()
				for range 16 {
					go hammer(b, g.relay.Ports()[0].String())
				}
			}
			var took []time.Duration
			for b.Loop() {
				begin := time.Now()
				runtime.GC()
				took = append(took, time.Since(begin))
			}
			slices.Sort(took)
			for _, q := range []struct {
				name string
				of   float64
			}{{"p50-µs", .5}, {"p99-µs", .99}, {"max-µs", 1}} {
				i := min(int(q.of*float64(len(took))), len(took)-1)
				b.ReportMetric(float64(took[i].Nanoseconds())/1e3, q.name)
			}
		})
	}
}

// hammer sends requests one after another until the relay closes.
func hammer(t testing.TB, addr string) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return
	}
	t.Cleanup(func() { conn.Close() })
	buf := make([]byte, len(ok))
	for {
		if _, err := io.WriteString(conn, get); err != nil {
			return
		}
		if _, err := io.ReadFull(conn, buf); err != nil {
			return
		}
	}
}
