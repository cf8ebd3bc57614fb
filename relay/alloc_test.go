//go:build linux && !netpoll

package relay

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"proxymap/bench/drive"
)

// Requests, CONNECTs and tunnels through running loops leave nothing for the collector: the whole process, the load in
// it too, makes at most one allocation in a hundred operations, and a few of the runtime's own. On a busy machine more
// connections than before may be open at a time, which costs memory once: what is left after three tries is steady.
// PROXYMAP_LONG=1 counts for longer.
func TestSteadyStateAllocatesNothing(t *testing.T) {
	const own = 50
	if underRace() {
		t.Skip("SKIPPED: the race detector allocates")
	}
	period := 300 * time.Millisecond
	if longRun {
		period = time.Second
	}
	for _, s := range []drive.Scenario{
		{Kind: drive.Plain},
		{Kind: drive.Plain, Content: 10000},
		{Kind: drive.Tunnel},
		{Kind: drive.Connect},
		{Kind: drive.Socks},
		{Kind: drive.Down, Clients: 8},
		{Kind: drive.Plain, Clients: 8, Response: 4 << 20},
	} {
		t.Run(fmt.Sprintf("%s content=%d response=%d", s.Kind, s.Content, s.Response), func(t *testing.T) {
			_, d := driven(t, 10)
			s.Proxies, s.Provider = d.Proxies, d.Provider
			s.Warm, s.Duration = period, period
			var before, after runtime.MemStats
			s.Began = func() { runtime.ReadMemStats(&before) }
			s.Ended = func() { runtime.ReadMemStats(&after) }
			for range 3 {
				r := load(t, s)
				mallocs := after.Mallocs - before.Mallocs
				t.Logf("%d allocations in %d operations", mallocs, r.Operations)
				if mallocs <= uint64(r.Operations)/100+own {
					return
				}
			}
			t.Error("more than one in a hundred, three times")
		})
	}
}
