package relay

import (
	"slices"
	"testing"
	"time"
)

// inOrder is proxies that come one after the other, with the times until which they are in quarantine.
func inOrder(restUntil ...int64) *proxies {
	m := &proxies{listed: len(restUntil)}
	m.shuffle(len(restUntil), true)
	for _, until := range restUntil {
		s := &server{}
		s.restUntil.Store(until)
		m.servers = append(m.servers, s)
	}
	m.servers = append(m.servers, &server{}) // of a rule
	return m
}

// tries is the servers that are tried, as they fail one after the other, at a time.
func (k *candidates) tries(now int64) []int {
	for list := []int{}; ; {
		list = append(list, k.at)
		if s := k.server(); s != nil {
			s.restUntil.Store(now + int64(quarantine))
		}
		if !k.giveUp(now) {
			return list
		}
	}
}

func TestCandidates(t *testing.T) {
	now := int64(time.Hour)
	soon := now + int64(quarantine)/2 // the end of a quarantine that had begun before the request
	for _, row := range []struct {
		name  string
		rest  []int64
		first int
		only  bool
		want  []int
	}{
		{"one after the other, from the first", []int64{0, 0, 0}, 1, false, []int{1, 2, 0}},
		{"one alone", []int64{0}, 0, false, []int{0}},
		{"no other than the first", []int64{0, 0, 0}, 1, true, []int{1}},
		{"no other than the first, in quarantine", []int64{0, soon, 0}, 1, true, []int{1}},
		{"the target itself", []int64{0, 0}, -1, false, []int{-1}},
		{"a rule's own server, which stands after those listed", []int64{0, 0}, 2, false, []int{2}},
		{"as many as may be", make([]int64, maxServersTried+2), 0, false, []int{0, 1, 2, 3, 4, 5, 6, 7}},
		{"the first is in quarantine", []int64{soon, 0, 0}, 0, false, []int{1, 2, 0}},
		{"one after the first is in quarantine, and comes last", []int64{0, soon, 0}, 0, false, []int{0, 2, 1}},
		{"a quarantine that is over", []int64{now, now, 0}, 0, false, []int{0, 1, 2}},
		{"all are in quarantine", []int64{soon, soon, soon}, 0, false, []int{0, 1, 2}},
	} {
		k := newCandidates(inOrder(row.rest...), row.first, row.only, now)
		if got := k.tries(now); !slices.Equal(got, row.want) {
			t.Errorf("%s: tried %v; want %v", row.name, got, row.want)
		}
		if k.moved() != (k.at != row.first) {
			t.Errorf("%s: moved from %d to %d: %t", row.name, row.first, k.at, k.moved())
		}
	}
}

// A server that another request has put into quarantine since this one began is not tried: it has just failed.
func TestCandidatesFailedMeanwhile(t *testing.T) {
	now := int64(time.Hour)
	k := newCandidates(inOrder(0, 0, 0), 0, false, now)
	later := now + int64(time.Second)
	for _, failed := range []int{0, 1} {
		k.m.servers[failed].restUntil.Store(later + int64(quarantine))
	}
	if got, want := k.tries(later), []int{0, 2}; !slices.Equal(got, want) {
		t.Errorf("tried %v; want %v", got, want)
	}
}

// How many may still be tried is what a server's share of the time goes by.
func TestCandidatesLeft(t *testing.T) {
	k := newCandidates(inOrder(0, 0, 0), 0, false, 1)
	for want := 2; want >= 0; want-- {
		if got := k.left(); got != want {
			t.Errorf("%d servers are left; want %d", got, want)
		}
		k.giveUp(1)
	}
}
