package relay

import (
	"sync/atomic"
	"time"

	"proxymap/httpparse"
	"proxymap/relay/internal/kernel"
	"proxymap/relay/internal/poll"
)

const (
	// readSize is the size of a loop's one read buffer. 64 KiB is what a socket gives at once on loopback; more made no
	// difference in the prototypes.
	readSize = 64 << 10

	// turnBudget is how many bytes bulk may move between two looks at what else has come: a few hundred microseconds, so
	// that a small request never waits long, however many streams there are. They take turns, one direction after the
	// other. A smaller budget would cost more calls for each MiB.
	turnBudget = 1 << 20

	// wallAge is how long a step of the wall clock may go unseen. Asking for it costs as much as the other clock, at
	// each turn.
	wallAge = 100 * time.Millisecond
)

// maxFree is how many structs of closed connections a loop keeps for the next ones. More is the rest of a burst, and the
// collector's.
const maxFree = 256

// The lower half of a token says which descriptor of a loop an event is for.
//
//	31 listener   30..1 index in the loop's table   0 side of a connection
const (
	tokenListener = 1 << 31
	tokenUpstream = 1 << 0
)

// A loop is one event loop: its poller, its listeners and its connections. Everything in it belongs to the one
// goroutine that runs it, but mail, which brings work from elsewhere, and the atomic numbers.
type loop struct {
	relay *Relay
	poll  *poll.Poller
	now   int64     // nanoseconds since the relay's start, monotonic; of this batch of events
	wall  int64     // the same moment in nanoseconds since the Unix epoch, true to wallAge
	start time.Time // of the relay

	wallOffset int64 // wall - now
	wallAt     int64 // when wallOffset is to be looked at again

	conns   []*conn  // by index; nil or closed at the indexes in free
	free    []uint32 // indexes without a connection
	lastGen uint32
	peak    int         // most connections since the last trim
	trimAt  int64       // when to look whether a burst is over, 0: there was none
	spare   []*exchange // ended ones, for the next request

	exchanges     int // under way
	peakExchanges int // most of them since the last trim

	timers timers

	runnable []ref // a queue: bulk, and those with a request waiting in memory
	ran      int   // entries at the beginning of runnable that are done with
	moved    int   // bytes that the queue has moved in this turn
	closing  []int // descriptors to close at the turn
	vacated  int   // places of rivals among them

	listeners []*port
	paused    []*port // those with clients for whom there is no room: to be listened on again at resumeAt
	resumeAt  int64

	reserve     []ref // connections let in above the budget, in their order; some may have gone
	evicted     int   // of them, in this turn
	reserveLeft int   // connections that may be let in above the budget until refillAt
	refillAt    int64

	draining bool
	ended    bool
	drainAt  int64 // when what is left is cut off

	walk   walk   // of a rotation's connections
	helper helper // of loops that have cut many
	pipes  pipes
	mail   mailbox // from other loops and goroutines
	pulse  pulse   // asks whether it turns
	gather gathering

	verdicts allowance // to look through providers' words

	current *conn // whose event it is, or deadline, or turn: who a panic ends

	// Scratch space, in use within one event only.
	buf    [readSize]byte
	plain  [len("255.255.255.255")]byte // an IPv4 address for the rules
	req    httpparse.Request
	res    httpparse.Response
	dialer kernel.Dialer

	handled int64 // events of connections, since the start
	looked  int64 // connections that rotations have looked at, since the start

	hosts  hosts
	counts [numCounts]atomic.Int64
	odd    oddCounts
	open   atomic.Int64 // connections, those on their way to the loop included
	load   atomic.Int32 // permille of the last window that the loop did not wait
	active atomic.Int32 // connections that had an event in it
}

func newLoop(r *Relay) (*loop, error) {
	poller, err := poll.New()
	if err != nil {
		return nil, err
	}
	l := &loop{relay: r, poll: poller, start: r.start, reserveLeft: reserveRate}
	l.makeHeads()
	l.tick()
	return l, nil
}

// Tick reads the clock. It is the poller's to call, as Event, Turn, Deadline, Waits and Rests are.
func (l *loop) Tick() int64 {
	l.tick()
	l.account()
	return l.now
}

// tick reads the clock. The wall clock follows from it, so a step of that one moves no deadline.
func (l *loop) tick() {
	l.now = l.clock()
	if l.now >= l.wallAt {
		l.wallAt = l.now + int64(wallAge)
		l.wallOffset = time.Now().UnixNano() - l.now
	}
	l.wall = l.now + l.wallOffset
}

// clock is the loop's time of this moment. It is never 0, which means never.
func (l *loop) clock() int64 { return l.relay.clock() }

// Event is one event of the poller. One for a descriptor that is no longer there is dropped.
func (l *loop) Event(token poll.Token, ev poll.Events) {
	low, gen := token.Low(), token.Generation()
	if low&tokenListener != 0 {
		if i := low &^ tokenListener; int(i) < len(l.listeners) {
			l.accept(l.listeners[i])
		}
		return
	}
	i := low >> 1
	if int(i) >= len(l.conns) || l.conns[i] == nil {
		return
	}
	c := l.conns[i]
	s := &c.client
	if low&tokenUpstream != 0 {
		s = &c.upstream
	}
	if s.fd < 0 || s.gen != gen {
		if s = c.x.rivalOf(gen); s == nil {
			return
		}
	}
	s.note(ev)
	l.handled++
	l.sawEvent(c)
	l.onEvent(c, s, ev)
	if l.gather.give > 0 && c.quiet() {
		l.giveAway(c)
	}
}

// A ref names a connection of a loop, and outlives it.
type ref struct {
	index uint32
	gen   uint32 // under which its client is watched
}

func (c *conn) ref() ref { return ref{c.index, c.client.gen} }

// connection is the one that r names, nil if it has gone.
func (l *loop) connection(r ref) *conn {
	if int(r.index) >= len(l.conns) {
		return nil
	}
	if c := l.conns[r.index]; c != nil && c.client.fd >= 0 && c.client.gen == r.gen {
		return c
	}
	return nil
}

// wantsTurn reports whether there is something that only a turn does.
func (l *loop) wantsTurn() bool {
	return len(l.closing) > 0 || len(l.runnable) > l.ran || l.walk.errand != nil
}

// Deadline is the loop's time at which it must take a turn, 0 for never.
func (l *loop) Deadline() int64 {
	if l.wantsTurn() {
		return l.now
	}
	next := l.timers.next()
	for _, at := range [...]int64{l.resumeAt, l.drainAt, l.pipes.checkAt, l.trimAt} {
		if at != 0 && (next == 0 || at < next) {
			next = at
		}
	}
	return next
}

// Turn does what waits for the end of a batch of events. It reports whether the loop has ended.
func (l *loop) Turn() (ended bool) {
	for _, p := range l.mail.take() {
		l.unpack(p)
	}
	for c := l.timers.due(l.now); c != nil; c = l.timers.due(l.now) {
		c.upstream.keepAlive(l.now, c.m.limits.KeepAlive)
		if c.deadline <= l.now {
			l.onDeadline(c)
		}
	}
	if l.resumeAt != 0 && l.now >= l.resumeAt {
		l.resumeListening()
	}
	if l.pipes.checkAt != 0 && l.now >= l.pipes.checkAt {
		l.checkPipes()
	}
	if l.trimAt != 0 && l.now >= l.trimAt {
		l.trim()
	}
	if l.drainAt != 0 && l.now >= l.drainAt {
		l.cutOff()
	}
	if l.walk.errand != nil {
		l.walk.goOn(l)
	}
	l.runScheduled()
	l.closeDescriptors()
	l.ended = l.draining && len(l.free) == len(l.conns) && l.walk.errand == nil && l.mail.end()
	return l.ended
}

// schedule has c.run called at a turn soon, when those before it have had theirs.
func (l *loop) schedule(c *conn) {
	if !c.scheduled {
		c.scheduled = true
		l.runnable = append(l.runnable, c.ref())
	}
}

// runScheduled runs what is in the queue, as far as the turn's budget goes. What is scheduled meanwhile waits.
func (l *loop) runScheduled() {
	l.moved = 0
	for end := len(l.runnable); l.ran < end && l.moved < turnBudget; {
		r := l.runnable[l.ran]
		l.ran++
		c := l.connection(r)
		if c == nil || !c.scheduled {
			continue
		}
		c.scheduled = false
		if l.gather.give > 0 && c.quiet() {
			l.giveAway(c) // what it was to do, it does there
			continue
		}
		l.run(c)
	}
	if l.ran*2 >= len(l.runnable) {
		l.runnable, l.ran = l.runnable[:copy(l.runnable, l.runnable[l.ran:])], 0
	}
}

// closeLater closes fd at the turn: an event of this batch may still name it, so its number must not be given out anew.
func (l *loop) closeLater(fd int) { l.closing = append(l.closing, fd) }

func (l *loop) closeDescriptors() {
	closeAll(l.walk.share(l, l.closing))
	l.closing, l.evicted = l.closing[:0], 0
	if l.vacated > 0 {
		l.relay.rivals.Add(int32(-l.vacated))
		l.vacated = 0
	}
	l.walk.end(l)
}

// watch gives the poller a connection's socket, under a new generation.
func (l *loop) watch(c *conn, s *socket, side uint32) error {
	l.lastGen++
	s.gen = l.lastGen
	return l.poll.Add(s.fd, poll.NewToken(s.gen, c.index<<1|side))
}

// adopt makes a connection of a client's socket, which it owns from here on.
func (l *loop) adopt(p *port, a arrival) {
	i := l.slot()
	c := l.conns[i]
	if c == nil {
		c = &conn{l: l, index: i}
		l.conns[i] = c
	}
	l.open.Add(1)
	if c.open(p, a) && a.place == reserved {
		l.joinReserve(c)
	}
}

// slot takes an index for a connection.
func (l *loop) slot() uint32 {
	l.peak = max(l.peak, l.size()+1)
	if n := len(l.free); n > 0 {
		i := l.free[n-1]
		l.free = l.free[:n-1]
		return i
	}
	l.conns = append(l.conns, nil)
	return uint32(len(l.conns) - 1)
}

// release takes back a connection that has closed. Its struct will be another one's.
func (l *loop) release(c *conn) {
	l.timers.remove(c)
	if len(l.free) >= maxFree {
		l.conns[c.index] = nil
	}
	l.free = append(l.free, c.index)
	l.open.Add(-1)
	l.leave(c.place)
	l.noteFall()
}

// drain stops accepting, closes the connections that carry nothing, and gives the others until that time: one for all
// loops, for a connection may go to another.
func (l *loop) drain(at int64) {
	if !l.draining {
		l.draining = true
		l.closeListeners()
		for _, c := range l.conns {
			if c != nil && c.row().empty {
				c.close()
			}
		}
	}
	if l.drainAt == 0 || at < l.drainAt {
		l.drainAt = at
	}
}

// cutOff closes what is left when the grace has passed.
func (l *loop) cutOff() {
	l.drainAt = 0
	for _, c := range l.conns {
		if c != nil && c.stage != stageClosed {
			c.reset()
		}
	}
}

func (l *loop) onEvent(c *conn, s *socket, ev poll.Events) {
	l.current = c
	defer l.contain()
	c.onEvent(s, ev)
	l.current = nil
}
