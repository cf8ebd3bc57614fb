package allow

import (
	"net/netip"
	"slices"
)

// A List is a set of addresses. The zero value is empty: nobody may connect.
//
// An IPv4-mapped IPv6 address is the IPv4 address that it stands for, in the list and in who asks. So no IPv6 network,
// ::/0 neither, has an IPv4 address in it. Zones are not looked at.
type List struct {
	ranges []span // sorted, and apart from each other; those of IPv4 first
}

// A span is the addresses from first to last, both included. They are of one version.
type span struct{ first, last netip.Addr }

// Loopback are the networks of this machine's own clients.
func Loopback() []netip.Prefix {
	return []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
}

// Everyone are the networks of all clients.
func Everyone() []netip.Prefix {
	return []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}
}

// NewList makes a list of networks, in any order. They are valid ones, and may overlap.
func NewList(networks []netip.Prefix) List {
	var all []span
	for _, n := range networks {
		n = unmapped(n).Masked()
		all = append(all, span{n.Addr(), lastOf(n)})
	}
	slices.SortFunc(all, func(a, b span) int { return a.first.Compare(b.first) })
	var l List
	for _, s := range all {
		end := len(l.ranges) - 1
		switch {
		case end < 0 || l.ranges[end].last.Less(s.first):
			l.ranges = append(l.ranges, s)
		case l.ranges[end].last.Less(s.last):
			l.ranges[end].last = s.last
		}
	}
	return l
}

// lastOf is the last address of a network.
func lastOf(n netip.Prefix) netip.Addr {
	b := n.Addr().As16()
	bits := n.Bits()
	if n.Addr().Is4() {
		bits += 96
	}
	for i := bits; i < 128; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	last := netip.AddrFrom16(b)
	if n.Addr().Is4() {
		return last.Unmap()
	}
	return last
}

// Has reports whether the address may connect. An invalid one may not.
func (l List) Has(addr netip.Addr) bool {
	addr = addr.Unmap().WithZone("")
	low, high := 0, len(l.ranges) // those that begin after addr are from high on
	for low < high {
		if middle := (low + high) / 2; addr.Less(l.ranges[middle].first) {
			high = middle
		} else {
			low = middle + 1
		}
	}
	return high > 0 && !l.ranges[high-1].last.Less(addr)
}
