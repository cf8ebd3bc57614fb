package allow

import (
	"errors"
	"fmt"
	"net/netip"
)

// errForm is said of what is neither an address nor a network.
var errForm = errors.New("must be an IP address or a network, such as 192.0.2.7, 10.0.0.0/8 or 2001:db8::/32")

// Parse reads an address, which is a network of its own, or a network in the notation of CIDR (RFC 4632 section 3.1), whose
// bits behind the prefix must be 0. IPv4-mapped ones are returned as those of IPv4 that they stand for. The error says what
// is allowed, or which network may be meant, and does not repeat text.
func Parse(text string) (netip.Prefix, error) {
	addr, err := netip.ParseAddr(text)
	if err == nil && addr.Zone() == "" {
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	n, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, errForm
	}
	n = unmapped(n)
	if right := n.Masked(); right != n {
		return netip.Prefix{}, fmt.Errorf("names an address inside of a network: write %s for the network, or %s for the one address", right, n.Addr().Unmap())
	}
	return n, nil
}

// mappedBits are the bits before an IPv4 address that is mapped into IPv6 (RFC 4291 section 2.5.5.2).
const mappedBits = 96

// unmapped is the network of IPv4 that one of IPv4-mapped addresses alone stands for, or n.
func unmapped(n netip.Prefix) netip.Prefix {
	if n.Addr().Is4In6() && n.Bits() >= mappedBits {
		return netip.PrefixFrom(n.Addr().Unmap(), n.Bits()-mappedBits)
	}
	return n
}
