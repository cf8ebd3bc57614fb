//go:build linux

package main

import "slices"

// A Floor is the oldest session of a port that something may be seen under. The zero value excludes none.
type Floor struct {
	number uint32  // of that session
	open   []bound // more such floors, whose numbers are not known yet. It is never changed in place, so a Floor may be copied
}

// A bound is a floor by a session whose event has not come: that session's number, and plus.
type bound struct {
	session uint64
	plus    uint32
}

// join is the floor that excludes what either does.
func (f Floor) join(g Floor) Floor {
	joined := Floor{max(f.number, g.number), f.open}
	for _, b := range g.open {
		if !slices.Contains(joined.open, b) {
			joined.open = append(slices.Clip(joined.open), b)
		}
	}
	return joined
}

// next is the floor that excludes the floor's own session too.
func (f Floor) next() Floor {
	above := Floor{number: f.number + 1}
	for _, b := range f.open {
		above.open = append(above.open, bound{b.session, b.plus + 1})
	}
	return above
}

// settled is the floor with those numbers put in that are known by now.
func (f Floor) settled(known map[uint64]place) Floor {
	if len(f.open) == 0 {
		return f
	}
	s := Floor{number: f.number}
	for _, b := range f.open {
		if n := known[b.session].number; n > 0 {
			s.number = max(s.number, n+b.plus)
		} else {
			s.open = append(s.open, b)
		}
	}
	return s
}

// A rising floor rises at moments that are known before.
type rising struct {
	floor Floor
	due   []rise
}

type rise struct {
	at    int64
	floor Floor
}

func (r *rising) add(at int64, f Floor) { r.due = append(r.due, rise{at, f}) }

// by is the floor at that moment.
func (r *rising) by(now int64) Floor {
	if len(r.due) > 0 {
		r.due = slices.DeleteFunc(r.due, func(d rise) bool {
			if d.at <= now {
				r.floor = r.floor.join(d.floor)
			}
			return d.at <= now
		})
	}
	return r.floor
}

func (r *rising) settle(known map[uint64]place) {
	r.floor = r.floor.settled(known)
	for i := range r.due {
		r.due[i].floor = r.due[i].floor.settled(known)
	}
}
