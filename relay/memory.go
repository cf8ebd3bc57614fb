package relay

import (
	"slices"
	"time"
)

// After a burst the tables of a loop, which grow with its connections, are made small again. What becomes of the memory is
// the process's affair, which is told (Config.BurstEnded).
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
	if ended := l.relay.burstEnded; ended != nil {
		ended()
	}
}
