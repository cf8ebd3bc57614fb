package settings

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
)

// sameSocket reports whether listening on both addresses, with one port, cannot be.
func sameSocket(a, b netip.Addr) bool {
	return a == b || a.IsUnspecified() && (a.Is6() || b.Is4()) || b.IsUnspecified() && (b.Is6() || a.Is4())
}

// overlaps finds ports that two mappings claim.
func (r *reader) overlaps(mappings []mappingSettings) {
	sorted := slices.Clone(mappings)
	slices.SortStableFunc(sorted, func(a, b mappingSettings) int { return cmp.Compare(a.listen.first, b.listen.first) })
	told := map[string]bool{}
	for i := range sorted {
		a := &sorted[i]
		for j := i + 1; j < len(sorted) && sorted[j].listen.first <= a.listen.last; j++ {
			b := &sorted[j]
			if b.listen.first > 0 && sameSocket(a.listen.address, b.listen.address) && !told[b.at.path()] {
				r.fault(b.at, "port %d belongs to %s already: ports must not overlap", b.listen.first, a.name())
				told[b.at.path()] = true
			}
		}
	}
}

// circles finds upstream servers that are ports of the relay itself: one request would dial until nothing is left to
// dial with.
func (r *reader) circles(s *Settings) {
	for i := range s.mappings {
		for j := range s.mappings[i].servers {
			r.circle(s.mappings, &s.mappings[i].servers[j])
		}
	}
	for i := range s.rules.servers {
		r.circle(s.mappings, &s.rules.servers[i])
	}
}

func (r *reader) circle(mappings []mappingSettings, s *serverSettings) {
	addr, err := netip.ParseAddr(s.Host)
	addr = addr.Unmap().WithZone("")
	local := err != nil && strings.EqualFold(s.Host, "localhost") || err == nil && addr.IsUnspecified()
	for i := range mappings {
		l := &mappings[i].listen
		if !l.holds(int(s.Port)) {
			continue
		}
		if local || err == nil && (addr == l.address || addr.IsLoopback() && l.address.IsUnspecified()) {
			r.fault(s.account.at.get("Port"), "value \"%d\": is a port of this relay itself: requests would go round in circles", s.Port)
			return
		}
	}
}
