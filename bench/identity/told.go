//go:build linux

package main

import (
	"slices"
	"time"
)

// An Event is a change of a port's session, as the admin listener tells it.
type Event struct {
	Port     int
	Old, New string // empty: none
	Reason   string
}

// byCall reports whether a call has made the change, or has its connections dealt with before it is answered.
func (e *Event) byCall() bool { return e.Reason == "new" || e.Reason == "reset" }

// Told is called with each event, those of a port in their order. From then on the change is known to have been.
func (m *Model) Told(e Event, at int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p, old, made := m.ports[e.Port], hash(e.Old), hash(e.New)
	p.note(at, "event: %s goes, %s comes, %s", orNone(e.Old), orNone(e.New), e.Reason)
	if old != p.holds {
		m.violate(p, Disordered, e.Old, "an event ends it, but by the events before it is not the port's")
	}
	newer := m.of(old).next()
	if old == 0 {
		newer = Floor{}
	}
	switch {
	case made != 0:
		if !m.place(p, made, e.New, at) {
			return
		}
		p.holds = made
		newer = m.of(made)
		p.newest = p.newest.join(newer)
	case e.Reason != "expired": // the port keeps what has expired until the next one comes
		p.holds = 0
	}
	if made != p.answered {
		p.answered = 0
	}
	p.floor = p.floor.join(newer)
	p.kept.add(at+int64(m.times.Keep), newer)
	if !e.byCall() && old != 0 {
		switch p.OnRotate {
		case Close:
			m.cutLater(p, newer, at)
		case Drain:
			m.cutLater(p, newer, at+int64(m.times.Drain))
		}
	}
	m.settle(p)
}

// place gives a session the port's next number. It reports whether it could.
func (m *Model) place(p *portModel, s uint64, session string, at int64) bool {
	known, is := m.known[s]
	switch {
	case is && known.port != p.index:
		m.violate(p, Shared, session, "an event gives it to the port, but it is one of port "+m.ports[known.port-1].name)
		return false
	case known.number > 0:
		m.violate(p, Returned, session, "an event gives it to the port once more")
		return false
	}
	p.numbers++
	m.known[s] = place{p.index, known.uses, p.numbers}
	p.unplaced = slices.DeleteFunc(p.unplaced, func(u unplaced) bool { return u.session == s })
	p.last, p.ends = s, at+int64(p.Lifetime+m.times.Grace)
	return true
}

// settle puts in what has become known of the port's sessions.
func (m *Model) settle(p *portModel) {
	p.floor, p.newest = p.floor.settled(m.known), p.newest.settled(m.known)
	for _, r := range []*rising{&p.cut, &p.late, &p.kept} {
		r.settle(m.known)
	}
	m.recheck(p)
}

// Passes is called now and then: sessions of which no event comes were never shown.
func (m *Model) Passes(now int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range m.ports {
		p.unplaced = slices.DeleteFunc(p.unplaced, func(u unplaced) bool {
			late := now-u.since > int64(m.times.Grace)
			if late {
				m.violate(p, Unshown, u.name, "no event has come of it for "+time.Duration(now-u.since).String())
			}
			return late
		})
	}
}

// Known is how many sessions there have been.
func (m *Model) Known() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.known)
}

// Waiting is how many sessions are there of which no event has come, and how many checks wait for that.
func (m *Model) Waiting() (sessions, checks int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range m.ports {
		sessions += len(p.unplaced)
	}
	return sessions, m.waiting
}

func orNone(session string) string {
	if session == "" {
		return "none"
	}
	return session
}
