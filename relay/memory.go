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
	burstSize = 256         // connections of one loop whose going is worth it
	burstRest = time.Second // how long they must have been gone
	burstLoad = 200         // permille of load that the loop may have then: collecting is never in the way of work
)

// noteFall is called when a connection has gone.
func (l *loop) noteFall() {
	if n := l.size(); l.trimAt == 0 && l.peak >= burstSize && n <= l.peak/4 {
		l.trimAt = l.now + int64(burstRest)
	}
}

// size is the number of connections.
func (l *loop) size() int { return len(l.conns) - len(l.free) }

// trim lets go what a burst has left, if it is over.
func (l *loop) trim() {
	l.trimAt = 0
	if l.size() > l.peak/4 {
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
	l.spare, l.closing = nil, nil
	l.runnable, l.ran = slices.Clone(l.runnable[l.ran:]), 0
	l.mail.trim()
	l.peak = l.size()
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
