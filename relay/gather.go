package relay

import (
	"time"
)

// Fewer loops awake cost less: below saturation one loop does the same work for half of what two take, for it sleeps and
// wakes half as often. So connections gather on as few loops as keep up. New ones stay where they were accepted until
// that loop is busy, and then go to the loop that is least so. A loop that stays busy beside one that is not gives
// connections away, and a loop with little to do gives all it has to one that can take it too.
//
// What is given away is a connection between two messages: a tunnel that holds no byte, or a client between two requests.
// It is given behind an event of its own, so it is one that works; which thousand sleep somewhere makes no difference.
const (
	// gatherWindow is how long a loop's load is measured before it is acted upon.
	gatherWindow = 20 * time.Millisecond

	busyLoad   = 700 // permille of its time that a loop does not wait: it keeps up no more, or hardly
	uneven     = 150 // permille between two loops' loads from which on they are worth levelling
	gatherLoad = 400 // permille that two loops may have together, to be made one

	// gatherPause is how many windows a loop leaves between two decisions: what it has given away has to show first.
	gatherPause = 4
)

// gathering is a loop's part in that.
type gathering struct {
	from   int64 // when the window began
	waits  int64 // when the wait that is under way began, 0: none is
	waited int64 // nanoseconds of the window that the loop has waited for events
	window uint32
	active int32 // connections that had an event in the window
	pause  int   // windows to go until the next decision
	steady int   // windows in a row that the loop was busy

	give   int32 // connections to give away
	giveTo *loop
}

// Waits takes note of a wait that begins.
func (l *loop) Waits() { l.gather.waits = l.clock() }

// account takes note of the end of a wait, which is now.
func (l *loop) account() {
	g := &l.gather
	if g.waits == 0 {
		return
	}
	g.waited += l.now - g.waits
	g.waits = 0
	if took := l.now - g.from; took >= int64(gatherWindow) {
		load := int32(1000 - g.waited*1000/took)
		l.load.Store(load)
		l.active.Store(g.active)
		l.decide(load)
		g.from, g.waited, g.active = l.now, 0, 0
		g.window++
	}
}

// Rests is called before a long wait: a loop without events has no load, and cannot say so while it waits.
func (l *loop) Rests() {
	l.load.Store(0)
	l.active.Store(0)
}

// sawEvent counts the connections that do something in a window.
func (l *loop) sawEvent(c *conn) {
	if c.window != l.gather.window {
		c.window = l.gather.window
		l.gather.active++
	}
}

// decide looks whether connections should be given to another loop.
func (l *loop) decide(load int32) {
	g := &l.gather
	g.give = 0
	if load >= busyLoad {
		g.steady++
	} else {
		g.steady = 0
	}
	if g.pause > 0 {
		g.pause--
		return
	}
	if g.active == 0 || l.draining || len(l.relay.loops) == 1 || l.relay.spread {
		return
	}
	switch to := l.relay.idlest(l); {
	case g.steady > 1:
		others := to.load.Load()
		if load-others >= uneven {
			g.give = g.active * (load - others) / (2 * load)
		} else {
			g.give = (g.active - to.active.Load()) / 2
			if g.give*8 < g.active {
				g.give = 0 // even enough
			}
		}
		g.giveTo = to
	case load < gatherLoad:
		for _, to := range l.relay.loops {
			if to == l {
				break // those before it have no room
			}
			if to.load.Load()+load < gatherLoad {
				g.give, g.giveTo = g.active, to
				break
			}
		}
	}
	if g.give > 0 {
		g.pause = gatherPause
	}
}

// idlest is the loop other than l with the least load, and among those with about the same the one with the fewest
// connections.
func (r *Relay) idlest(l *loop) *loop {
	var best *loop
	for _, o := range r.loops {
		if o != l && (best == nil || o.lighter(best)) {
			best = o
		}
	}
	return best
}

func (l *loop) lighter(o *loop) bool {
	if d := l.load.Load() - o.load.Load(); d < -uneven || d > uneven {
		return d < 0
	}
	return l.open.Load() < o.open.Load()
}

// quiet reports whether the connection is between two messages and holds nothing that belongs to its loop.
func (c *conn) quiet() bool {
	return (c.stage == stageTunnel || c.stage == stageIdle) && !c.scheduled &&
		c.in.empty() && c.toUpstream.empty() && c.toClient.empty()
}

// giveAway sends a quiet connection to another loop.
func (l *loop) giveAway(c *conn) {
	g := &l.gather
	for _, s := range [...]*socket{&c.client, &c.upstream} {
		if s.fd >= 0 {
			if err := l.poll.Remove(s.fd); err != nil {
				l.relay.log.Warn("cannot give a connection to another loop", "err", err)
				c.reset()
				return
			}
		}
	}
	g.give--
	l.timers.remove(c)
	c.seat.leave(l)
	l.conns[c.index] = nil
	l.free = append(l.free, c.index)
	l.open.Add(-1)
	l.noteFall()
	g.giveTo.open.Add(1)
	c.l = nil
	g.giveTo.send(parcel{conn: c})
}

// takeOver makes another loop's connection one of l's. The poller tells of what its sockets have to say, as it does of
// new ones.
func (l *loop) takeOver(c *conn) {
	c.l, c.index = l, l.slot()
	c.recount()
	l.conns[c.index] = c
	c.scheduled = false
	l.timers.set(c)
	if l.draining && c.row().empty || l.ended {
		c.close()
		return
	}
	if !c.port.marks.catchUp(c) {
		return
	}
	if c.sess != nil {
		c.port.rosters.enlist(c)
	}
	if l.draining && l.drainAt == 0 {
		l.drainAt = l.now // its time has passed with that of the loop's others
	}
	err := l.watch(c, &c.client, 0)
	if err == nil && c.upstream.fd >= 0 {
		err = l.watch(c, &c.upstream, tokenUpstream)
	}
	if err != nil {
		l.relay.log.Warn("cannot take a connection from another loop", "err", err)
		c.reset()
	}
}
