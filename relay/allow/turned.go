package allow

import (
	"net/netip"
	"sync"
	"time"
)

// Turned is what has been turned away and not been told of yet: so many connections, and which was the last. It may be
// used by several goroutines. NewTurned makes one.
type Turned struct {
	mu   sync.Mutex
	last Connection
	n    int
	news chan struct{} // has room for one
}

// A Connection that was turned away.
type Connection struct {
	From netip.Addr
	To   netip.AddrPort // the listener
	Why  error          // nil: From may not connect
}

// NewTurned is of nothing.
func NewTurned() *Turned { return &Turned{news: make(chan struct{}, 1)} }

// Add notes a connection.
func (t *Turned) Add(c Connection) {
	t.mu.Lock()
	t.last = c
	t.n++
	t.mu.Unlock()
	select {
	case t.news <- struct{}{}:
	default: // it is known already that there is something
	}
}

// Tell calls say with the last connection, and how many there were: at once when one is turned away, and then with what has
// come meanwhile when pause has passed, until stop is closed. What has not been told by then is told at the end.
func (t *Turned) Tell(stop <-chan struct{}, pause func() <-chan time.Time, say func(last Connection, n int)) {
	tell := func() {
		if last, n := t.take(); n > 0 {
			say(last, n)
		}
	}
	defer tell()
	for {
		select {
		case <-stop:
			return
		case <-t.news:
		}
		tell()
		select {
		case <-stop:
			return
		case <-pause():
		}
	}
}

// take returns what has come since the last call.
func (t *Turned) take() (last Connection, n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	last, n = t.last, t.n
	t.last, t.n = Connection{}, 0
	return last, n
}
