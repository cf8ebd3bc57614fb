package change

import (
	"cmp"
	"net/netip"
	"slices"
)

// none stands for a mapping that is not there.
const none = -1

// A stretch is some ports in a row which had one mapping and have one now, each by its index.
type stretch struct {
	from, to    netip.Addr // where they were, and where they are; one is invalid if they were not there, or are not
	first, last uint16
	old, new    int // none: they were not there, or are not
}

// match finds what had which mapping, and has which now: by address and port first. What is left, and was a port of one
// address alone and now is of another one alone, has moved.
func match(old, new []Mapping) []stretch {
	a, b := byAddress(old), byAddress(new)
	var both, left []stretch
	for len(a) > 0 || len(b) > 0 {
		s := next(&a, &b)
		if s.old != none && s.new != none {
			both = append(both, s)
		} else {
			left = append(left, s)
		}
	}
	return inOrder(append(both, moved(left)...))
}

// A claim is a mapping's ports, or what of them is left.
type claim struct {
	address     netip.Addr
	first, last uint16
	mapping     int
}

// byAddress are the mappings' ports by address, then port. They do not overlap.
func byAddress(mappings []Mapping) []claim {
	list := make([]claim, len(mappings))
	for i := range mappings {
		m := &mappings[i]
		list[i] = claim{m.Address, m.First, m.Last, i}
	}
	slices.SortFunc(list, func(x, y claim) int { return cmp.Or(x.address.Compare(y.address), cmp.Compare(x.first, y.first)) })
	return list
}

// next takes the first ports of both lists that have one mapping in each, or none in one.
func next(a, b *[]claim) stretch {
	if len(*a) == 0 || len(*b) > 0 && before((*b)[0], (*a)[0]) {
		c := (*b)[0]
		last := upTo(c, *a)
		take(b, last)
		return stretch{to: c.address, first: c.first, last: last, old: none, new: c.mapping}
	}
	c := (*a)[0]
	if len(*b) == 0 || before(c, (*b)[0]) {
		last := upTo(c, *b)
		take(a, last)
		return stretch{from: c.address, first: c.first, last: last, old: c.mapping, new: none}
	}
	d := (*b)[0]
	last := min(c.last, d.last)
	take(a, last)
	take(b, last)
	return stretch{c.address, d.address, c.first, last, c.mapping, d.mapping}
}

// before reports whether the first port of x comes before that of y.
func before(x, y claim) bool {
	return cmp.Or(x.address.Compare(y.address), cmp.Compare(x.first, y.first)) < 0
}

// upTo is the last port of c that comes before those of a list, whose first one begins after c does.
func upTo(c claim, list []claim) uint16 {
	if len(list) > 0 && list[0].address == c.address && list[0].first <= c.last {
		return list[0].first - 1
	}
	return c.last
}

// take takes the ports up to last from the first claim.
func take(list *[]claim, last uint16) {
	if first := &(*list)[0]; first.last > last {
		first.first = last + 1
	} else {
		*list = (*list)[1:]
	}
}

// moved joins what was a port of one address alone with what is one of another address alone.
func moved(left []stretch) []stretch {
	was, is := sighting(left, func(s *stretch) bool { return s.old != none }), sighting(left, func(s *stretch) bool { return s.new != none })
	if was == nil || is == nil {
		return left
	}
	var out []stretch
	for _, s := range left {
		for p := int(s.first); p <= int(s.last); p++ {
			one := s
			if was.once(p) && is.once(p) {
				if s.new == none {
					continue // it comes with where it is now
				}
				before := &left[was.at[p-was.first]]
				one.from, one.old = before.from, before.old
			}
			one.first, one.last = uint16(p), uint16(p)
			out = extend(out, one)
		}
	}
	return out
}

// sightings are which stretch of a list has each port.
type sightings struct {
	first int     // port that at and times begin with
	at    []int32 // the last stretch that has it
	times []uint8 // how many have it; 2 are several
}

// sighting is about those stretches of a list that count; nil: none does.
func sighting(list []stretch, counts func(*stretch) bool) *sightings {
	first, last := 1<<16, -1
	for i := range list {
		if s := &list[i]; counts(s) {
			first, last = min(first, int(s.first)), max(last, int(s.last))
		}
	}
	if last < 0 {
		return nil
	}
	out := &sightings{first, make([]int32, last-first+1), make([]uint8, last-first+1)}
	for i := range list {
		if s := &list[i]; counts(s) {
			for p := int(s.first) - first; p <= int(s.last)-first; p++ {
				out.at[p], out.times[p] = int32(i), min(out.times[p]+1, 2)
			}
		}
	}
	return out
}

// once reports whether one stretch has a port.
func (s *sightings) once(port int) bool {
	i := port - s.first
	return 0 <= i && i < len(s.times) && s.times[i] == 1
}

// extend adds a port to the last stretch if it comes next in the same mappings, else as another one.
func extend(list []stretch, one stretch) []stretch {
	if n := len(list); n > 0 {
		last := &list[n-1]
		if last.from == one.from && last.to == one.to && last.old == one.old && last.new == one.new && int(last.last)+1 == int(one.first) {
			last.last = one.last
			return list
		}
	}
	return append(list, one)
}

// inOrder sorts stretches by address, then port.
func inOrder(list []stretch) []stretch {
	slices.SortFunc(list, func(x, y stretch) int {
		return cmp.Or(x.address().Compare(y.address()), cmp.Compare(x.first, y.first))
	})
	return list
}

// address is where the ports are, or were.
func (s *stretch) address() netip.Addr {
	if s.new == none {
		return s.from
	}
	return s.to
}
