package main

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"time"

	"proxymap/cmd/proxymap/internal/admin"
	"proxymap/session/wire"
)

const (
	worthGiving = 16 << 20    // bytes over what was needed last: less is not worth two collections
	givePause   = time.Minute // between two times
)

// A memoryReturn gives the process's unused memory back to the system when bursts of connections have ended. What the
// collector frees it keeps for long, in a process that then allocates nothing.
type memoryReturn struct {
	mu     sync.Mutex
	needed uint64    // bytes of the heap when memory was last given back
	last   time.Time // when that was
	later  bool      // it is to be looked at again when the pause is over

	heap func() uint64               // bytes of the heap that the system has given and not got back
	free func()                      // gives back what can be
	wait func(time.Duration, func()) // calls a function later
}

func newMemoryReturn() *memoryReturn {
	m := &memoryReturn{heap: heapBytes, free: freeMemory, wait: func(d time.Duration, f func()) { time.AfterFunc(d, f) }}
	m.needed = m.heap()
	return m
}

// burstEnded returns at once.
func (m *memoryReturn) burstEnded() { go m.look(time.Now()) }

// after gives back what a dry run has left: it reads all settings, of which there may be many MiB.
func (m *memoryReturn) after(dryRun admin.DryRun) admin.DryRun {
	return func(ctx context.Context) (*wire.Reload, error) {
		defer m.burstEnded()
		return dryRun(ctx)
	}
}

// look gives memory back if there is some, and if it has not just been done: else it looks again later.
func (m *memoryReturn) look(now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.heap() < m.needed+worthGiving {
		return
	}
	if left := givePause - now.Sub(m.last); left > 0 {
		if !m.later {
			m.later = true
			m.wait(left, func() {
				m.mu.Lock()
				m.later = false
				m.mu.Unlock()
				m.look(time.Now())
			})
		}
		return
	}
	m.free()
	m.last, m.needed = now, m.heap()
}

// freeMemory collects twice: what was in a sync.Pool survives one collection.
func freeMemory() {
	debug.FreeOSMemory()
	debug.FreeOSMemory()
}

// heapBytes stops nothing: it reads sums that the runtime keeps.
func heapBytes() (sum uint64) {
	samples := [...]metrics.Sample{
		{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/unused:bytes"}, {Name: "/memory/classes/heap/free:bytes"},
	}
	metrics.Read(samples[:])
	for _, s := range samples {
		sum += s.Value.Uint64()
	}
	return sum
}
