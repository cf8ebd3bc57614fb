package relay

import (
	"runtime/debug"
	"slices"
	"sync/atomic"
	"time"
)

// After a burst the process gives its memory back. The tables of a loop grow with its connections and would stay as they
// are, and what the collector frees it keeps for long, in a process that then allocates nothing.
const (
	burstSize = 64          // connections, or exchanges, of one loop whose going is worth it
	burstRest = time.Second // how long they must have been gone
	burstLoad = 200         // permille of load that the loop may have then: collecting is never in the way of work
)

// noteFall is called when a connection or an exchange has ended. Thousands of tunnels that were opened at once have been
// as many exchanges before.
func (l *loop) noteFall() {
	if l.trimAt == 0 && (fell(l.size(), l.peak) || fell(l.exchanges, l.peakExchanges)) {
		l.trimAt = l.now + int64(burstRest)
	}
}

func fell(n, peak int) bool { return peak >= burstSize && n <= peak/4 }

// size is the number of connections.
func (l *loop) size() int { return len(l.conns) - len(l.free) }

// trim lets go what a burst has left, if it is over.
func (l *loop) trim() {
	l.trimAt = 0
	if !fell(l.size(), l.peak) && !fell(l.exchanges, l.peakExchanges) {
		return
	}
	if l.load.Load() > burstLoad {
		l.trimAt = l.now + int64(burstRest)
		return
	}
	used := 0
	for i, c := range l.conns {
		switch {
		case c == nil:
		case c.stage == stageClosed:
			l.conns[i] = nil
		default:
			used = i + 1
		}
	}
	l.conns = slices.Clone(l.conns[:used])
	l.free = slices.Clone(slices.DeleteFunc(l.free, func(i uint32) bool { return int(i) >= used }))
	l.timers.heap = slices.Clone(l.timers.heap)
	l.spare = nil
	l.closing = slices.Clone(l.closing) // of this batch: they are still open
	l.runnable, l.ran = slices.Clone(l.runnable[l.ran:]), 0
	l.mail.trim()
	l.peak, l.peakExchanges = l.size(), l.exchanges
	l.relay.memory.giveBack()
}

// A memoryReturn gives the process's unused memory back to the system.
type memoryReturn struct {
	asked atomic.Int32
}

// giveBack returns at once. What is asked for while it is being done is done again behind it.
func (m *memoryReturn) giveBack() {
	if m.asked.Add(1) > 1 {
		return
	}
	go func() {
		for {
			n := m.asked.Load()
			debug.FreeOSMemory()
			debug.FreeOSMemory() // what was in a sync.Pool survives one collection
			if m.asked.CompareAndSwap(n, 0) {
				return
			}
		}
	}()
}
