package change

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"proxymap/session/wire"
)

// Answer is the change as a reload is answered with.
func (c *Change) Answer() wire.Reload {
	out := wire.Reload{Added: []string{}, Removed: []string{}, Changed: []wire.ChangedPorts{}, Global: c.Global, Refused: c.Refused}
	n := naming{shared: c.shared()}
	var added, removed []*Span
	var kinds []kind
	known := map[string]int{} // indices in kinds
	for i := range c.Spans {
		switch s := &c.Spans[i]; {
		case s.Added():
			added = append(added, s)
		case s.Removed():
			removed = append(removed, s)
		case !s.Changed():
			out.Unchanged += s.Ports()
		default:
			name := fmt.Sprint(s.Difference)
			at, found := known[name]
			if !found {
				at = len(kinds)
				known[name], kinds = at, append(kinds, kind{Difference: &s.Difference})
			}
			kinds[at].spans = append(kinds[at].spans, s)
		}
	}
	out.Added, out.Removed = append(out.Added, n.list(added)...), append(out.Removed, n.list(removed)...)
	for _, k := range kinds {
		out.Changed = append(out.Changed, k.answer(&n))
	}
	return out
}

// A kind is the ports that differ in one way.
type kind struct {
	*Difference
	spans []*Span
}

func (k *kind) answer(n *naming) wire.ChangedPorts {
	out := wire.ChangedPorts{
		Ports: strings.Join(n.list(k.spans), ","), What: k.What, Servers: k.Servers, Bind: k.Bind,
		Session: [...]string{"", wire.SessionKept, wire.SessionChanged, wire.SessionReplaced}[k.Fate.Session],
	}
	if k.Fate.IfMisfit {
		out.ReplacedIf = append(out.ReplacedIf, wire.ReplacedIfMisfit)
	}
	if k.Fate.IfChosen {
		out.ReplacedIf = append(out.ReplacedIf, wire.ReplacedIfChosen)
	}
	if k.Fate.IfOutlives {
		out.ReplacedIf = append(out.ReplacedIf, wire.ReplacedIfOutlives)
	}
	return out
}

// A naming writes ports as people and /sessions take them: 10201-10300. Ports that several addresses have are written
// with theirs.
type naming struct{ shared []bool } // by port; nil: no port is

// shared are the ports that stay, come or go at several addresses.
func (c *Change) shared() []bool {
	if !slices.ContainsFunc(c.Spans, func(s Span) bool { return s.Address != c.Spans[0].Address }) {
		return nil
	}
	const ports = 1 << 16
	seen, shared := make([]bool, ports), make([]bool, ports)
	for i := range c.Spans {
		for p := int(c.Spans[i].First); p <= int(c.Spans[i].Last); p++ {
			shared[p] = seen[p]
			seen[p] = true
		}
	}
	return shared
}

// list writes spans, which come by address, then port, as few ranges.
func (n *naming) list(spans []*Span) (out []string) {
	var runs []run
	for _, s := range spans {
		for p := int(s.First); p <= int(s.Last); p++ {
			one := run{first: p, last: p}
			switch {
			case n.shared == nil:
				one.last, p = int(s.Last), int(s.Last)
			case n.shared[p]:
				one.address = s.Address
			}
			runs = append(runs, one)
		}
	}
	slices.SortFunc(runs, func(a, b run) int { return a.compare(b) })
	for i := 0; i < len(runs); {
		r := runs[i]
		for i++; i < len(runs) && runs[i].address == r.address && runs[i].first == r.last+1; i++ {
			r.last = runs[i].last
		}
		out = append(out, r.String())
	}
	return out
}

// A run is ports in a row.
type run struct {
	address     netip.Addr // invalid: it need not be said
	first, last int
}

func (r run) compare(other run) int {
	if c := r.address.Compare(other.address); c != 0 {
		return c
	}
	return r.first - other.first
}

func (r run) String() string {
	text := fmt.Sprint(r.first)
	if r.address.IsValid() {
		text = netip.AddrPortFrom(r.address, uint16(r.first)).String()
	}
	if r.last > r.first {
		text += fmt.Sprintf("-%d", r.last)
	}
	return text
}
