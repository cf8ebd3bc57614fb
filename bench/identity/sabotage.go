//go:build linux

package main

import "sync"

// A saboteur shifts what the model is told, which then has to find a violation: the run can fail. It swaps two ports'
// sessions, forgets an event, or takes calls that keep connections for ones that close them.
type saboteur struct {
	kind string // swap, forget or close; empty: none

	mu    sync.Mutex
	seen  int    // events
	held  *Event // that waits for another port's
	done  bool
	begun bool // all clients have had time to begin
}

// sabotageAfter is how many events are told as they are before something is shifted.
const sabotageAfter = 20

// events are what the model is told in place of an event.
func (s *saboteur) events(e Event) []Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen++; s.seen < sabotageAfter || e.New == "" {
		return []Event{e}
	}
	s.begun = true
	switch {
	case s.done:
	case s.kind == "forget":
		s.done = true
		return nil
	case s.kind == "swap" && s.held == nil:
		s.held = &e
		return nil
	case s.kind == "swap" && s.held.Port == e.Port:
		first := *s.held
		*s.held = e
		return []Event{first}
	case s.kind == "swap":
		s.done = true
		first, second := *s.held, e
		first.New, second.New = second.New, first.New
		return []Event{first, second}
	}
	return []Event{e}
}

// how is what the model is told that a call does to connections.
func (s *saboteur) how(how How) How {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.kind == "close" && s.begun && how == Keep {
		return Close
	}
	return how
}
