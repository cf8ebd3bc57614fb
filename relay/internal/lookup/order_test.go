package lookup

import (
	"net/netip"
	"testing"
)

// The IP version comes first that RFC 6724 puts first; package net does the same where it asks for both at once.
func TestPrefersIPv6(t *testing.T) {
	for _, row := range []struct {
		name     string
		v4, from string // the empty one: there is no way
		v6, via  string
		want     bool
	}{
		{"both global", "192.0.2.7", "192.0.2.1", "2001:db8::7", "2001:db8::1", true},
		{"no way by IPv6", "192.0.2.7", "192.0.2.1", "2001:db8::7", "", false},
		{"no way by IPv4", "192.0.2.7", "", "2001:db8::7", "2001:db8::1", true},
		{"no way at all", "192.0.2.7", "", "2001:db8::7", "", false},
		{"IPv6 from a link-local address alone", "192.0.2.7", "192.0.2.1", "2001:db8::7", "fe80::1", false},
		{"IPv6 through a private network", "192.0.2.7", "10.0.0.1", "2001:db8::7", "fd00::1", false},
		{"both private", "10.0.0.7", "10.0.0.1", "fd00::7", "fd00::1", false},
		{"Teredo", "192.0.2.7", "192.0.2.1", "2001:db8::7", "2001::1", false},
		{"6to4 on both ends", "192.0.2.7", "192.0.2.1", "2002:c000:207::1", "2002:c000:201::1", false},
		{"loopback", "127.0.0.1", "127.0.0.1", "::1", "::1", true},
		{"IPv4 to a link-local address from another", "169.254.0.7", "192.0.2.1", "2001:db8::7", "2001:db8::1", true},
		{"deprecated site-local", "192.0.2.7", "192.0.2.1", "fec0::7", "fec0::1", false},
		{"IPv4-compatible", "192.0.2.7", "192.0.2.1", "::c000:207", "::c000:201", false},
		{"6bone", "192.0.2.7", "192.0.2.1", "3ffe::7", "3ffe::1", false},
		{"a zone", "192.0.2.7", "192.0.2.1", "fe80::7%eth0", "fe80::1%eth0", true},
	} {
		sources := map[string]string{row.v4: row.from, row.v6: row.via}
		source := func(to netip.Addr) (from netip.Addr) {
			if s := sources[to.String()]; s != "" {
				from = netip.MustParseAddr(s)
			}
			return from
		}
		if got := prefersIPv6(netip.MustParseAddr(row.v4), netip.MustParseAddr(row.v6), source); got != row.want {
			t.Errorf("%s: got %t", row.name, got)
		}
	}
}
