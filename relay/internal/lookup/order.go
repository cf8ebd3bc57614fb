package lookup

import (
	"net/netip"
	"slices"
)

// A sourceOf returns the local address that a destination would be reached from, the zero Addr if there is no way there.
type sourceOf func(destination netip.Addr) netip.Addr

// prefersIPv6 reports whether RFC 6724 section 6 puts the IPv6 address before the IPv4 address. Rules about what only the
// system knows are left out, as they are in package net, which has ordered the addresses of each version.
func prefersIPv6(v4, v6 netip.Addr, source sourceOf) bool {
	from4, from6 := source(v4), source(v6)
	if !from4.IsValid() || !from6.IsValid() {
		return from6.IsValid() // rule 1: avoid unusable destinations
	}
	a, b := rank(v6, from6), rank(v4, from4)
	return slices.Compare(a[:], b[:]) > 0
}

// rank is how good a destination is, the weightiest rule of RFC 6724 section 6 first: 2, matching scope; 5, matching label;
// 6, higher precedence. That decides: no prefix of IPv6 has IPv4's.
func rank(to, from netip.Addr) (r [3]int) {
	policy := policyOf(to)
	if scope(to) == scope(from) {
		r[0] = 1
	}
	if policy.label == policyOf(from).label {
		r[1] = 1
	}
	r[2] = policy.precedence
	return r
}

// The scopes of RFC 6724 section 3.1 that addresses of hosts have.
const (
	linkLocal = 0x2
	siteLocal = 0x5
	global    = 0xe
)

func scope(a netip.Addr) int {
	switch {
	case a.IsLoopback() || a.IsLinkLocalUnicast():
		return linkLocal
	case deprecatedSiteLocal.Contains(a.WithZone("")):
		return siteLocal
	}
	return global
}

var deprecatedSiteLocal = netip.MustParsePrefix("fec0::/10")

// A policy is a row of the table of RFC 6724 section 2.1.
type policy struct {
	prefix            netip.Prefix
	precedence, label int
}

// policies are that table, the longest prefixes first. IPv4 is policyIPv4.
var (
	policies = []policy{
		{netip.MustParsePrefix("::1/128"), 50, 0},
		{netip.MustParsePrefix("::/96"), 1, 3},
		{netip.MustParsePrefix("2001::/32"), 5, 5},
		{netip.MustParsePrefix("2002::/16"), 30, 2},
		{netip.MustParsePrefix("3ffe::/16"), 1, 12},
		{deprecatedSiteLocal, 1, 11},
		{netip.MustParsePrefix("fc00::/7"), 3, 13},
		{netip.MustParsePrefix("::/0"), 40, 1},
	}
	policyIPv4 = policy{precedence: 35, label: 4}
)

func policyOf(a netip.Addr) policy {
	a = a.Unmap().WithZone("")
	if a.Is4() {
		return policyIPv4
	}
	i := slices.IndexFunc(policies, func(p policy) bool { return p.prefix.Contains(a) })
	return policies[i]
}
