package relay

import (
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"proxymap/httpparse"
	"proxymap/relay/internal/kernel"
)

// A panic in what one connection does ends that connection and no other: both its peers see a reset. Whatever it had may
// be in a state that nobody has thought of, so nothing of it goes to a pool, and what the loop uses for all of its
// connections in turn is cleared. Bytes that reach another customer are worse than a restart: a panic that is not one
// connection's, or a second one soon after, ends the process.
//
// The loop notes whose turn it is, and each turn ends in contain, deferred. That costs 4 to 5 ns (BenchmarkEvent) for an
// event whose system calls take microseconds, so there is no need to defer once for a batch and to go on in its middle.

// panicPause is how soon a second panic ends the process.
const panicPause = time.Minute

// onEvent, onDeadline and run do for a connection what its methods of the same names do.

func (l *loop) onDeadline(c *conn) {
	l.current = c
	defer l.contain()
	c.onDeadline()
	l.current = nil
}

func (l *loop) run(c *conn) {
	l.current = c
	defer l.contain()
	c.run()
	l.current = nil
}

// reach has c.reach do what a rotation wants.
func (l *loop) reach(c *conn, w *want) (cut bool) {
	l.current = c
	defer l.contain()
	cut = c.reach(w)
	l.current = nil
	return cut
}

// doFor has f run on the loop for a connection, soon, if that is still there. It may be called from any goroutine.
func (l *loop) doFor(r ref, f func(c *conn)) {
	l.do(func() {
		c := l.connection(r)
		if c == nil {
			return
		}
		l.current = c
		defer l.contain()
		f(c)
		l.current = nil
	})
}

// contain ends what began with setting l.current. It is to be deferred.
func (l *loop) contain() {
	c := l.current
	if c == nil {
		return // it has ended well
	}
	l.current = nil
	why := recover()
	if why == nil {
		return // the goroutine ends, as tests do
	}
	l.count(panics)
	last := l.relay.panickedAt.Swap(l.now)
	again := last != 0 && l.now-last < int64(panicPause)
	// Of one that has closed nobody can say what has been given back already, and whose that is now.
	if again || l.relay.loud || c.stage == stageClosed || l.conns[c.index] != c {
		panic(why)
	}
	l.relay.log.Error("a panic has ended a connection; please report it", "panic", fmt.Sprint(why), "port", c.port.addr, "client", c.from,
		"stage", int(c.stage), "stack", string(debug.Stack()))
	l.discard(c)
	l.clearScratch()
}

// discard resets a connection on both sides, and leaves all that it had to the collector.
func (l *loop) discard(c *conn) {
	for _, s := range [...]*socket{&c.client, &c.upstream} {
		if s.fd >= 0 && !slices.Contains(l.closing, s.fd) {
			kernel.ResetOnClose(s.fd)
			l.closeLater(s.fd)
		}
		*s = noSocket
	}
	for _, d := range [...]*direction{&c.toUpstream, &c.toClient} {
		d.forgetReadOut()
		if p := d.pipe; p != nil {
			d.pipe = nil
			p.unblock()
			p.close()
		}
	}
	if c.x != nil {
		c.x.out.attempts.endRivals(l)
		l.exchanges--
	}
	c.stage, c.scheduled = stageClosed, false
	c.port.open.Add(-1)
	c.seat.leave(l)
	l.conns[c.index] = nil
	l.timers.remove(c)
	l.free = append(l.free, c.index)
	l.open.Add(-1)
	l.leave(c.place)
	l.noteFall()
}

// clearScratch makes anew what one event leaves for the next. The idle pipes go too: a deferred settle may have given one
// back on the way here.
func (l *loop) clearScratch() {
	clear(l.buf[:])
	clear(l.plain[:])
	l.dialer = kernel.Dialer{}
	l.makeHeads()
	l.closePipes()
	l.spare = nil
}

// makeHeads makes what heads are parsed into.
func (l *loop) makeHeads() {
	l.req, l.res = httpparse.Request{}, httpparse.Response{}
	l.req.Names = callerFields
	l.req.Fields = make([]httpparse.Field, 0, l.relay.setup().headLimits.Fields)
	l.res.Fields = make([]httpparse.Field, 0, l.relay.setup().headLimits.Fields)
}
