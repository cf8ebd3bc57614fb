//go:build linux

package main

import (
	"fmt"
	"math"
	"sync"
	"time"
)

// How is what becomes of the connections of a session that has ended.
type How string

const (
	Keep  How = "keep"
	Drain How = "drain"
	Close How = "close"
)

// A Policy is what the settings say of a port.
type Policy struct {
	OnRotate  How           // what becomes of connections when the session ends other than by a call
	Lifetime  time.Duration // of a session
	Most      int           // requests of a session; 0: as many as there are
	CallsOnly bool          // within its lifetime, nothing but a call ends a session
}

// Times are how long the relay may take for what it does of itself.
type Times struct {
	Drain time.Duration // that draining connections are given
	Grace time.Duration // until a rotation that no call waits for has reached all connections, and until an event has come
	Keep  time.Duration // until a session that no call has confirmed is in the state file
}

// A place is where a session stands among those of its port. The zero value is that of a session that nobody has seen.
type place struct {
	port   uint16 // its index + 1
	uses   uint16
	number uint32 // from 1 on; 0: its event has not come
}

// A Model is what is known of the sessions of some ports, and finds what contradicts it. It may be used from any
// goroutine. Moments are nanoseconds of the caller's clock. NewModel makes one.
type Model struct {
	times Times

	mu         sync.Mutex
	known      map[uint64]place // by a hash of the id, of all sessions ever
	ports      []*portModel
	waiting    int // checks that wait for an event
	violations []Violation
	count      int
}

// A portModel is what is known of one port.
type portModel struct {
	Policy
	name    string
	index   uint16
	numbers uint32 // sessions so far, by their events

	newest Floor  // the newest session that anybody has seen
	floor  Floor  // of what is asked from now on; above newest when that is known to be over
	cut    rising // the same for what goes through a tunnel
	late   rising // of whatever is seen, whenever it was asked
	kept   rising // of what the port may have after a crash

	holds    uint64 // the session that the last event has left in the port; 0: none
	last     uint64 // the newest session, by its event
	ends     int64  // moment from which on nothing is asked under that
	unplaced []unplaced
	waiting  []check

	calls    int    // under way that change the session
	overlap  bool   // several of them have been
	answered uint64 // session that the API has confirmed, and nothing has happened since; 0: none

	history history
}

// An unplaced session has been seen, but its event has not come.
type unplaced struct {
	session uint64
	name    string
	since   int64
}

// A check waits until it can be decided.
type check struct {
	kind    Kind
	what    string // has happened with the session
	session uint64
	name    string
	floor   Floor
}

// What happens with sessions.
const (
	providerSees  = "the provider sees"
	tunnelCarries = "a tunnel carries"
	apiShows      = "the API shows"
	apiAnswers    = "the API answers with"
)

// maxWaiting bounds the checks that wait for events.
const maxWaiting = 1 << 20

// NewModel makes a model of ports that have no session yet. Their names stand in histories.
func NewModel(times Times, policies []Policy, names []string) *Model {
	m := &Model{times: times, known: map[uint64]place{}}
	for i, p := range policies {
		m.ports = append(m.ports, &portModel{Policy: p, name: names[i], index: uint16(i + 1), ends: math.MaxInt64})
	}
	return m
}

// hash is FNV-1a of 64 bits; 0 for no session.
func hash(session string) uint64 {
	if session == "" {
		return 0
	}
	h := uint64(14695981039346656037)
	for i := range len(session) {
		h = (h ^ uint64(session[i])) * 1099511628211
	}
	return h
}

// An Ask is what was known of a port when something was asked of it.
type Ask struct {
	at         int64
	floor, cut Floor
	newer      Floor // for calls: of what comes after them
}

// Asked is called before the first byte of a request, a message or a call is written.
func (m *Model) Asked(port int, at int64) Ask {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.ports[port]
	return Ask{at: at, floor: p.floor, cut: p.cut.by(at)}
}

// Saw is called when the provider has seen a request, or a CONNECT, with a session. again says that it has seen the same one
// before, which the relay has sent once more.
func (m *Model) Saw(port int, session string, asked Ask, at int64, again bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p, s := m.ports[port], hash(session)
	if !m.meet(p, s, session, providerSees, at) {
		return
	}
	m.check(p, check{Older, providerSees, s, session, asked.floor})
	m.check(p, check{Late, providerSees, s, session, p.late.by(at)})
	if s == p.last && asked.at > p.ends {
		m.violate(p, Expired, session, fmt.Sprintf("it was asked for %v after the session's end", time.Duration(asked.at-p.ends)+m.times.Grace))
	}
	if !again {
		m.use(p, s, session)
	}
	m.seen(p, s)
}

// use counts a request of a session.
func (m *Model) use(p *portModel, s uint64, session string) {
	if p.Most == 0 {
		return
	}
	at := m.known[s]
	at.uses++
	m.known[s] = at
	if int(at.uses) == p.Most+1 {
		m.violate(p, Overused, session, fmt.Sprintf("more than %d requests", p.Most))
	}
}

// Carried is called when the provider has seen a message in a tunnel whose CONNECT came with that session.
func (m *Model) Carried(port int, session string, asked Ask, at int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p, s := m.ports[port], hash(session)
	if m.meet(p, s, session, tunnelCarries, at) {
		m.check(p, check{Cut, tunnelCarries, s, session, asked.cut})
		m.check(p, check{Late, tunnelCarries, s, session, p.late.by(at)})
	}
}

// Followed is called when one request of a connection was answered under a session, and the one before it, or a call, under
// another one: a connection's requests are served in turn.
func (m *Model) Followed(port int, session, before string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p, s, b := m.ports[port], hash(session), hash(before)
	if b != 0 && b != s {
		m.check(p, check{Older, "a connection goes on with", s, session, Floor{open: []bound{{b, 0}}}.settled(m.known)})
	}
}

// Showed is called when the API has shown a port's session, which changes nothing. kept says that the state file has it.
func (m *Model) Showed(port int, session string, asked Ask, at int64, kept bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p, s := m.ports[port], hash(session)
	if !m.meet(p, s, session, apiShows, at) {
		return
	}
	m.check(p, check{Older, apiShows, s, session, asked.floor})
	m.seen(p, s)
	if kept {
		p.kept.floor = p.kept.floor.join(m.of(s))
	}
}

// Calls is Asked for a call that changes the session.
func (m *Model) Calls(port int, at int64) Ask {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.ports[port]
	p.overlap = p.overlap || p.calls > 0
	p.calls++
	p.answered = 0
	return Ask{at: at, floor: p.floor, newer: p.floor.join(p.newest.next())}
}

// Failed is called for a call that has not been answered: it may have changed the session, or not.
func (m *Model) Failed(port int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ports[port].called(0)
}

// called ends a call, which has confirmed that session.
func (p *portModel) called(session uint64) {
	if p.calls--; p.calls > 0 {
		return
	}
	p.answered = 0
	if !p.overlap {
		p.answered = session
	}
	p.overlap = false
}

// Renewed is called when a call has been answered that puts another session in the place of the port's, and does that to the
// connections of those before it. session is the new one, or a later one that exact denies; empty: it has gone already.
func (m *Model) Renewed(port int, session string, exact bool, how How, asked Ask, at int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p, s := m.ports[port], hash(session)
	p.note(at, "new, %s, is answered with %s", how, session)
	newer := asked.newer
	if s != 0 && m.meet(p, s, session, apiAnswers, at) {
		m.check(p, check{Older, apiAnswers, s, session, newer})
		m.seen(p, s)
		if exact {
			newer = newer.join(m.of(s))
		}
	}
	m.ended(p, newer, how, at)
	if !exact {
		s = 0
	}
	p.called(s)
}

// Reset is called when a call has been answered that removes the port's session.
func (m *Model) Reset(port int, how How, asked Ask, at int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.ports[port]
	p.note(at, "reset, %s, is answered", how)
	m.ended(p, asked.newer, how, at)
	p.called(0)
}

// ended notes that a call has ended all sessions below a floor, durably.
func (m *Model) ended(p *portModel, newer Floor, how How, at int64) {
	p.floor = p.floor.join(newer)
	p.kept.floor = p.kept.floor.join(newer)
	switch how {
	case Close:
		p.cut.floor = p.cut.floor.join(newer)
		p.late.add(at+int64(m.times.Grace), newer)
	case Drain:
		m.cutLater(p, newer, at+int64(m.times.Drain))
	}
}

// cutLater has a floor hold for tunnels from a moment on, with some grace.
func (m *Model) cutLater(p *portModel, newer Floor, at int64) {
	p.cut.add(at+int64(m.times.Grace), newer)
	p.late.add(at+2*int64(m.times.Grace), newer)
}

// of is the floor that a session of the port is.
func (m *Model) of(s uint64) Floor { return Floor{open: []bound{{s, 0}}}.settled(m.known) }

// seen notes that a session has been the port's, at some moment between the asking and now.
func (m *Model) seen(p *portModel, s uint64) {
	if s != p.answered {
		p.answered = 0
	}
	if n := m.known[s].number; n == 0 || n > p.newest.number {
		p.newest = p.newest.join(m.of(s))
		p.floor = p.floor.join(p.newest)
	}
}

// meet looks whether a session is this port's, which it is if nobody has seen it before.
func (m *Model) meet(p *portModel, s uint64, session, what string, at int64) bool {
	known, is := m.known[s]
	switch {
	case s == 0:
		m.violate(p, Unshown, session, what+" no session")
		return false
	case !is:
		p.note(at, "%s %s for the first time", what, session)
		m.known[s] = place{port: p.index}
		p.unplaced = append(p.unplaced, unplaced{s, session, at})
	case known.port != p.index:
		m.violate(p, Shared, session, fmt.Sprintf("%s a session of port %s", what, m.ports[known.port-1].name))
		return false
	}
	return true
}

// check decides a check, now or when the events have come that it needs.
func (m *Model) check(p *portModel, c check) {
	if m.decide(p, &c) {
		return
	}
	if m.waiting++; m.waiting > maxWaiting {
		m.violate(p, Unshown, c.name, "too many checks wait for events")
		m.waiting--
		return
	}
	p.waiting = append(p.waiting, c)
}

// decide reports whether a check could be decided.
func (m *Model) decide(p *portModel, c *check) bool {
	c.floor = c.floor.settled(m.known)
	number := m.known[c.session].number
	if number > 0 && number < c.floor.number {
		m.violate(p, c.kind, c.name, fmt.Sprintf("%s it: it is number %d of the port; %d is the oldest that it could be", c.what, number, c.floor.number))
		return true
	}
	others := false
	for _, b := range c.floor.open {
		if b.session == c.session && b.plus > 0 {
			m.violate(p, c.kind, c.name, c.what+" it, and it has been there before")
			return true
		}
		others = others || b.session != c.session
	}
	return !others && (number > 0 || c.floor.number == 0)
}

// recheck decides the checks of a port that can be now.
func (m *Model) recheck(p *portModel) {
	kept := p.waiting[:0]
	for i := range p.waiting {
		if !m.decide(p, &p.waiting[i]) {
			kept = append(kept, p.waiting[i])
		}
	}
	m.waiting -= len(p.waiting) - len(kept)
	clear(p.waiting[len(kept):])
	p.waiting = kept
}
