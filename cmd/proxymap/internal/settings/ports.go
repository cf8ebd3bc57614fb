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
	byPort := map[uint16][]*listenSettings{} // those that listen on a port, of the ports of servers
	listening := func(port uint16) []*listenSettings {
		list, known := byPort[port]
		if !known {
			for i := range s.mappings {
				if l := &s.mappings[i].listen; l.holds(int(port)) {
					list = append(list, l)
				}
			}
			byPort[port] = list
		}
		return list
	}
	check := func(servers []serverSettings) {
		for i := range servers {
			r.circle(listening(servers[i].Port), &servers[i])
		}
	}
	for i := range s.mappings {
		check(s.mappings[i].servers)
	}
	check(s.rules.servers)
}

// circle notes a fault if the server is one of those that listen on its port.
func (r *reader) circle(listening []*listenSettings, s *serverSettings) {
	if len(listening) == 0 {
		return
	}
	addr, err := netip.ParseAddr(s.Host)
	addr = addr.Unmap().WithZone("")
	local := err != nil && strings.EqualFold(s.Host, "localhost") || err == nil && addr.IsUnspecified()
	for _, l := range listening {
		if local || err == nil && (addr == l.address || addr.IsLoopback() && l.address.IsUnspecified()) {
			r.fault(s.account.at.get("Port"), "value \"%d\": is a port of this relay itself: requests would go round in circles", s.Port)
			return
		}
	}
}
