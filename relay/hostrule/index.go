package hostrule

import (
	"bytes"
	"errors"
	"math"
	"net/netip"
	"slices"
	"unsafe"
)

// An Index finds the rule for a host. It never changes, and may be used from any goroutine. A nil one has no rules.
//
// A look-up costs about the same whether there are ten rules or a hundred thousand. Names and addresses are in maps. A
// pattern is read as a few literals one of which stands in whatever it matches, most often the end of a name (see
// literals.go), and the literals are in hash tables that are asked about each end, each beginning and each part of the
// host. Most patterns are no more than their literals: those are never tried as regular expressions, and not
// even compiled. An automaton of all literals would take as many steps as a host has bytes, each of them a cache miss;
// asking hash tables takes more steps, but nearly all of them end in a small bitmap. What is tried one by one is only
// patterns without a literal (see free.go), those whose only literals many others have too, and of both only those
// that stand before the best rule found so far.
type Index struct {
	rules []Rule // that which wins comes first; a rule's index is its rank

	names     map[hostPort]int32       // the lowest rank for a name in lower case
	addresses map[netip.AddrPort]int32 // the same for an IPv6 address
	ports     map[uint16]int32         // the same for every host
	tails     literals                 // that stand at the end of a host, written backwards
	heads     literals                 // that stand at its beginning
	parts     literals                 // that stand anywhere
	free      []freePattern            // without a literal, by rank
}

// A hostPort is a key of Index.names.
type hostPort struct {
	host string
	port uint16 // 0: any
}

// New makes an Index of rules, of which the first that matches a host wins, or the last. The error joins all faults,
// each a *Fault.
func New(rules []Rule, last bool) (*Index, error) {
	b := builder{
		Index: &Index{
			rules:     slices.Clone(rules),
			names:     map[hostPort]int32{},
			addresses: map[netip.AddrPort]int32{},
			ports:     map[uint16]int32{},
		},
		count: map[string]int32{},
	}
	for i := range b.rules {
		b.read(i, &b.rules[i])
	}
	if len(b.faults) > 0 {
		return nil, errors.Join(b.faults...)
	}
	if last {
		slices.Reverse(b.rules)
		slices.Reverse(b.patterns)
	}
	for rank := len(rules) - 1; rank >= 0; rank-- { // so that what is better comes later and takes the place of the other
		b.add(int32(rank))
	}
	slices.Reverse(b.free)
	b.tails.seal()
	b.heads.seal()
	b.parts.seal()
	return b.Index, nil
}

func withoutDot[T string | []byte](host T) T {
	if n := len(host); n > 1 && host[n-1] == '.' {
		return host[:n-1]
	}
	return host
}

// Match returns the rule for a host, which is a name or an IP address without brackets, and a port: nil if there is
// none. It does not allocate.
func (r *Index) Match(host []byte, port uint16) *Rule {
	if r == nil || len(r.rules) == 0 {
		return nil
	}
	host = withoutDot(host)
	var room [2][maxHost + 2]byte
	cased := append(append(append(room[0][:0], atBegin), host...), atEnd)
	lower := appendLower(room[1][:0], cased)
	best := min(int32(len(r.rules)), r.equal(host, lower[1:len(lower)-1], port))
	if r.tails.lowest < best {
		slices.Reverse(cased)
		slices.Reverse(lower)
		best = r.tails.find(lower, cased, host, port, best)
		slices.Reverse(cased)
		slices.Reverse(lower)
	}
	if r.heads.lowest < best {
		best = r.heads.find(lower, cased, host, port, best)
	}
	for i := 1; i < len(lower) && r.parts.lowest < best; i++ {
		best = r.parts.find(lower[i:], cased[i:], host, port, best)
	}
	for i := 0; i < len(r.free) && r.free[i].rank < best; i++ {
		if r.free[i].matches(cased, host, port) {
			best = r.free[i].rank
		}
	}
	if int(best) == len(r.rules) {
		return nil
	}
	return &r.rules[best]
}

// appendLower appends src in lower case.
func appendLower(dst, src []byte) []byte {
	for _, c := range src {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		dst = append(dst, c)
	}
	return dst
}

// equal returns the lowest rank of the rules for every host and of those whose host is this one, name in lower case.
func (r *Index) equal(host, name []byte, port uint16) int32 {
	best := int32(math.MaxInt32)
	var addr netip.Addr
	if len(r.addresses) > 0 && bytes.IndexByte(host, ':') >= 0 {
		addr, _ = netip.ParseAddr(unsafe.String(&host[0], len(host))) // the string does not outlive the call
	}
	for _, p := range [2]uint16{0, port} {
		if rank, ok := r.ports[p]; ok {
			best = min(best, rank)
		}
		if rank, ok := r.names[hostPort{string(name), p}]; ok {
			best = min(best, rank)
		}
		if !addr.IsValid() {
			continue
		}
		if rank, ok := r.addresses[netip.AddrPortFrom(addr, p)]; ok {
			best = min(best, rank)
		}
	}
	return best
}
