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
// it too, makes at most one allocation in a hundred operations, and a few of the runtime's own.
func TestSteadyStateAllocatesNothing(t *testing.T) {
	const own = 50
	if underRace() {
		t.Skip("SKIPPED: the race detector allocates")
	}
	for _, s := range []drive.Scenario{
		{Kind: drive.Plain},
		{Kind: drive.Plain, Content: 10000},
		{Kind: drive.Tunnel},
		{Kind: drive.Connect},
		{Kind: drive.Down, Clients: 8},
		{Kind: drive.Plain, Clients: 8, Response: 4 << 20},
	} {
		t.Run(fmt.Sprintf("%s content=%d response=%d", s.Kind, s.Content, s.Response), func(t *testing.T) {
			_, d := driven(t, 10)
			s.Proxies, s.Provider = d.Proxies, d.Provider
			s.Warm, s.Duration = time.Second, time.Second
			var before, after runtime.MemStats
			s.Began = func() { runtime.ReadMemStats(&before) }
			s.Ended = func() { runtime.ReadMemStats(&after) }
			r := load(t, s)
			mallocs := after.Mallocs - before.Mallocs
			t.Logf("%d allocations in %d operations", mallocs, r.Operations)
			if mallocs > uint64(r.Operations)/100+own {
				t.Errorf("%.3f allocations for each operation", float64(mallocs)/float64(r.Operations))
			}
		})
	}
}
