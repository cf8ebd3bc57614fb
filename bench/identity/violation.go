//go:build linux

package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// A Kind is one of the ways in which a port's identity can be wrong.
type Kind string

const (
	Older      Kind = "older"      // something was asked when a newer session was known, and is seen under an older one
	Expired    Kind = "expired"    // something was asked behind a session's end, and is seen under it
	Overused   Kind = "overused"   // more requests than MaxRequests
	Cut        Kind = "cut"        // a message passes a tunnel that was to be closed before it was sent
	Late       Kind = "late"       // something comes under a session long after its connections were to be closed
	Shared     Kind = "shared"     // a session of one port is seen at another
	Returned   Kind = "returned"   // an id comes again
	Unshown    Kind = "unshown"    // a session that the API and the events do not show
	Disordered Kind = "disordered" // an event that does not go on from the one before
	Lost       Kind = "lost"       // what a port has after a crash is not what was confirmed
	Crossed    Kind = "crossed"    // an answer or a message is another request's or tunnel's
	Mixed      Kind = "mixed"      // one upstream connection carries two sessions
)

// A Violation is something that contradicts what is known.
type Violation struct {
	Kind    Kind
	Port    string
	Session string
	Text    string
	History []string // of the port
}

func (v Violation) String() string {
	return fmt.Sprintf("%s: port %s, session %q: %s\n\t%s", v.Kind, v.Port, v.Session, v.Text, strings.Join(v.History, "\n\t"))
}

// maxViolations is how many are kept; further ones are counted.
const maxViolations = 20

// violate notes a violation. m.mu is held.
func (m *Model) violate(p *portModel, kind Kind, session, text string) {
	if m.count++; len(m.violations) < maxViolations {
		m.violations = append(m.violations, Violation{kind, p.name, session, text, p.history.lines()})
	}
}

// Violate notes a violation that somebody else has found.
func (m *Model) Violate(port int, kind Kind, session, text string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.violate(m.ports[port], kind, session, text)
}

// Violations are the first ones, and how many there are in all.
func (m *Model) Violations() (first []Violation, count int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.violations), m.count
}

// A history is the last that has happened to a port's sessions.
type history struct {
	facts []fact
	next  int
}

type fact struct {
	at   int64
	text string
}

// maxFacts is how many a history has.
const maxFacts = 200

func (p *portModel) note(at int64, format string, args ...any) {
	h := &p.history
	f := fact{at, fmt.Sprintf(format, args...)}
	if len(h.facts) < maxFacts {
		h.facts = append(h.facts, f)
		return
	}
	h.facts[h.next] = f
	h.next = (h.next + 1) % maxFacts
}

// lines are the facts, the oldest first.
func (h *history) lines() (lines []string) {
	for i := range h.facts {
		f := h.facts[(h.next+i)%len(h.facts)]
		lines = append(lines, fmt.Sprintf("%v %s", time.Duration(f.at).Round(time.Microsecond), f.text))
	}
	return lines
}
