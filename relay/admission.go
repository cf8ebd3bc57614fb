package relay

import (
	"fmt"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"proxymap/relay/refusal"
)

// Connections are admitted up to a budget that leaves room for what each of them will need, so that one that has been
// let in can be served: running out happens at the door. Above it a small reserve is still let in, to be told so, and to
// call the Session API, which needs no upstream connection. Who has got an answer, or is silent, leaves its place in the
// reserve to the next. When there is no place nevertheless, ports rest, and the backlog holds what comes.
const (
	// reserveMost is the most connections that are let in above the budget, a tenth of it at most.
	reserveMost = 64

	// reserveTime is how long such a connection may take for its one request, and reserveGrace how long before it has to
	// make place for another that comes.
	reserveTime  = 5 * time.Second
	reserveGrace = 500 * time.Millisecond

	// acceptPause is how long a port rests when there is no room at all, and reserveRate how many are let into the reserve
	// in that time at most: refusing thousands that come again at once must not take a processor.
	acceptPause = 100 * time.Millisecond
	reserveRate = 64

	// sparedDescriptors are kept for files and what the runtime opens.
	sparedDescriptors = 16

	// pipeShare is the part of all descriptors that pipes may take: a sixteenth, two for each pipe.
	pipeShare = 32

	// lookupShare is the part of all descriptors that look-ups of names may take: a 64th, two for each look-up, one for each
	// IP version. They are at least minLookups and at most maxLookups.
	lookupShare = 128
	minLookups  = 4
	maxLookups  = 128

	// rivalShare is the part of all descriptors that connection attempts beside the first of a request may take: a 32nd.
	rivalShare = 32

	// maxAcceptFaults is how many accepts of a port may fail in a row before it rests, too.
	maxAcceptFaults = 16

	warnPause = time.Minute // between two warnings of the same kind
)

// A Budget is what the limit of open files allows.
type Budget struct {
	Descriptors int // the limit of open files
	Fixed       int // descriptors of ports, loops, pipes, look-ups, further connection attempts and files
	Connections int // clients' connections that are served at once, two descriptors each
	Reserve     int // further ones that are answered by the Session API or a 503, one descriptor each
	pipes       int // open at once
	lookups     int // of names, at once
	rivals      int // connection attempts beside the first of a request, at once
}

// Budget tells how a relay with that configuration would spend the limit of open files of this process. The error says
// that there is no room for a connection.
func (cfg *Config) Budget() (Budget, error) {
	ports := 0
	for _, m := range cfg.Mappings {
		ports += int(m.Last) - int(m.First) + 1
	}
	return newBudget(openFiles(), ports, cfg.loops(), cfg.Limits.Connections)
}

func newBudget(descriptors, ports, loops, most int) (Budget, error) {
	b := Budget{Descriptors: descriptors, pipes: min(maxPipes, descriptors/pipeShare), rivals: descriptors / rivalShare}
	b.lookups = min(max(descriptors/lookupShare, minLookups), maxLookups)
	b.Fixed = ports + 2*loops + 2*b.pipes + 2*b.lookups + b.rivals + sparedDescriptors
	room := b.Descriptors - b.Fixed
	// The reserve is a tenth of them, or less, and for a moment there may be twice as many: a place is taken over before
	// the descriptor of who had it is closed.
	b.Connections = max((room-2)*10/22, (room-2*reserveMost)/2)
	if b.Connections < 1 {
		return b, fmt.Errorf("the limit of %d open files has no room for connections beside %d ports; raise it (ulimit -n) to %d or more",
			b.Descriptors, ports, b.Fixed+1000)
	}
	if most > 0 {
		b.Connections = min(b.Connections, most)
	}
	b.Reserve = max(min(reserveMost, b.Connections/10), 1)
	return b, nil
}

// openFiles is how many files this process can have open: the soft limit, which a program may raise to the hard one.
func openFiles() int {
	var lim unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &lim); err != nil {
		return 1024
	}
	return int(min(uint64(lim.Cur), 1<<20)) // where there is no limit, as on macOS, this one will do
}

// admission counts the connections of all loops.
type admission struct {
	budget   Budget
	served   atomic.Int32
	reserved atomic.Int32

	exhaustedUntil atomic.Int64 // the loops' time until which the kernel has no more descriptors for us than are open
	warned         warned       // that it is full
	acceptWarned   warned       // that a port cannot accept
}

// warned is the loops' time of the last warning of a kind; zero: there was none.
type warned struct{ at atomic.Int64 }

// due reports whether it is time for the next one, which is the caller's to give.
func (w *warned) due(now int64) bool {
	last := w.at.Load()
	return (last == 0 || now-last >= int64(warnPause)) && w.at.CompareAndSwap(last, now)
}

// hasRoom reports whether one more connection can be served.
func (a *admission) hasRoom(now int64) bool {
	return int(a.served.Load()) < a.budget.Connections && now >= a.exhaustedUntil.Load()
}

// A place is what a connection is admitted to.
type place uint8

const (
	noPlace  place = iota
	served         // it may have all
	reserved       // it may have one answer of ours
)

// takePlace ends a connection of the reserve that has got its answer, or is silent, so that another can have its place.
// At most as many as there are places end so in a turn, for their descriptors are open until then.
func (l *loop) takePlace() bool {
	if l.evicted >= l.relay.admission.budget.Reserve {
		return false
	}
	for i, r := range l.reserve {
		c := l.connection(r)
		if c == nil || c.place != reserved {
			continue
		}
		answered := c.stage == stageLinger && c.finSent
		silent := c.stage != stageAPI && c.deadline-l.now < int64(reserveTime-reserveGrace)
		if answered || silent {
			l.reserve = slices.Delete(l.reserve, 0, i+1)
			l.evicted++
			c.close()
			return true
		}
	}
	return false
}

// joinReserve notes a connection that has been let into the reserve, behind those before it.
func (l *loop) joinReserve(c *conn) {
	if len(l.reserve) >= 2*l.relay.admission.budget.Reserve {
		l.reserve = slices.DeleteFunc(l.reserve, func(r ref) bool { return l.connection(r) == nil })
	}
	l.reserve = append(l.reserve, c.ref())
}

// leave gives a place back.
func (l *loop) leave(p place) {
	a := &l.relay.admission
	switch p {
	case served:
		a.served.Add(-1)
		if len(l.paused) > 0 && a.hasRoom(l.now) {
			l.resumeAt = l.now
		}
	case reserved:
		a.reserved.Add(-1)
	}
}

// outOfDescriptors is called when the kernel has refused one: what the budget counts is not all there is. For a moment
// nobody is served who is not already.
func (l *loop) outOfDescriptors() {
	l.relay.admission.exhaustedUntil.Store(l.now + int64(acceptPause))
	l.warnFull()
}

func (l *loop) warnFull() {
	a := &l.relay.admission
	if !a.warned.due(l.now) {
		return
	}
	l.relay.warn(l.relay.fullCode(), "no more connections are admitted until some have closed; raise the limit of open files (ulimit -n) if this recurs",
		"connections", a.served.Load(), "admitted", a.budget.Connections, "descriptors", a.budget.Descriptors)
}

// refuseAboveBudget answers a request for which there is no room.
func (x *exchange) refuseAboveBudget() {
	c := x.c
	r := c.l.relay
	most := refusal.Subject{Side: refusal.Relay, Name: strconv.Itoa(r.admission.budget.Connections) + " connections"}
	c.refuseWith(refusal.Refusal{Code: r.fullCode(), Subject: most})
}

// fullCode is why there is no room for more connections: a limit that somebody has set, or that of open files.
func (r *Relay) fullCode() refusal.Code {
	if r.setup().limits.Connections == r.admission.budget.Connections {
		return refusal.ConnectionsLimited
	}
	return refusal.ConnectionsFull
}
