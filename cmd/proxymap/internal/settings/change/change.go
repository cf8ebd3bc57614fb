package change

import "net/netip"

// A Change is what a reload has to do.
type Change struct {
	Spans   []Span   // of all ports that were there or are, by address, then port
	Global  []string // keys of all mappings that differ
	Refused []string // keys that cannot change while the relay runs, and differ
}

// A Span is some ports in a row for which the same is to be done.
type Span struct {
	Address     netip.Addr // where they are; of removed ones, where they were
	From        netip.Addr // where they were; of added ones it is invalid
	First, Last uint16
	Old, New    int // the mappings that they had and have, by their indices; -1: they were not there, or are not
	Difference
}

// Added reports whether the ports were not there.
func (s *Span) Added() bool { return s.Old == none }

// Removed reports whether the ports are not there any more.
func (s *Span) Removed() bool { return s.New == none }

// Changed reports whether the ports were there, are still, and something differs for them.
func (s *Span) Changed() bool { return s.Old != none && s.New != none && !s.isNone() }

// Ports is how many ports there are.
func (s *Span) Ports() int { return int(s.Last) - int(s.First) + 1 }

// Between says what a reload has to do for new settings where the old ones are in force.
func Between(old, new *Settings) *Change {
	c := &Change{}
	rules := false
	for i, key := range new.Keys.Global {
		switch {
		case !old.Global[i].differs(new.Global[i]):
		case key.Effect&Refused != 0:
			c.Refused = append(c.Refused, key.Name)
		default:
			c.Global, rules = append(c.Global, key.Name), true
		}
	}
	for _, s := range match(old.Mappings, new.Mappings) {
		if s.old == none || s.new == none {
			c.add(s, s.last, &Difference{})
			continue
		}
		compared := comparison{new.Keys, &old.Mappings[s.old], &new.Mappings[s.new], rules}
		compared.each(s, func(last uint16, d *Difference) {
			c.add(s, last, d)
			s.first = last + 1
		})
	}
	return c
}

// add adds the ports from the first of a stretch up to last.
func (c *Change) add(s stretch, last uint16, d *Difference) {
	c.Spans = append(c.Spans, Span{
		Address: s.address(), From: s.from, First: s.first, Last: last, Old: s.old, New: s.new, Difference: *d,
	})
}

// IsEmpty reports whether nothing is to be done.
func (c *Change) IsEmpty() bool {
	for i := range c.Spans {
		if s := &c.Spans[i]; s.Added() || s.Removed() || s.Changed() {
			return false
		}
	}
	return len(c.Global)+len(c.Refused) == 0
}
