package hostrule

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"unsafe"
)

// maxPattern is the longest pattern of a rule, in bytes.
const maxPattern = 4 << 10

// An Action is what happens to a request for some host.
type Action uint8

const (
	Allow  Action = iota // it goes through the upstream
	Bypass               // it goes straight to the target
	Deny                 // it is refused
)

// A Rule says what happens to requests for some hosts. It applies if Port does, and if Host or Pattern does; with neither
// of the two, to every host.
type Rule struct {
	Host    string // equals the target's host, in any case; empty: see Pattern. An IPv6 address with or without brackets
	Port    uint16 // equals the target's port; 0: any
	Pattern string // regular expression, case-sensitive, found anywhere in the target's host; empty: none
	Action  Action

	OverrideHost string // in place of the target's host, an IPv6 address without brackets; empty: as it is
	OverridePort uint16 // in place of the target's port; 0: as it is
	Server       int    // the rule's own upstream, as an index in a list of the caller's; -1: none
}

// A Fault is one thing that is wrong with a rule.
type Fault struct {
	Index  int    // of the rule
	Key    string // of the rule: Host, Pattern, …
	Reason string // what is wrong and what is allowed
}

func (f *Fault) Error() string { return fmt.Sprintf("rule %d: %s: %s", f.Index, f.Key, f.Reason) }

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

// A builder makes an Index, and collects every fault.
type builder struct {
	*Index
	patterns []shapes         // of the rules' patterns
	count    map[string]int32 // how many shapes have a piece
	faults   []error
}

func (b *builder) fault(rule int, key, format string, args ...any) {
	b.faults = append(b.faults, &Fault{rule, key, fmt.Sprintf(format, args...)})
}

// read checks a rule and reads its pattern.
func (b *builder) read(i int, r *Rule) {
	r.Host = b.host(i, "Host", r.Host)
	r.OverrideHost = b.host(i, "OverrideHost", r.OverrideHost)
	if r.Action > Deny {
		b.fault(i, "Action", "%d is none; there are allow (%d), bypass (%d) and deny (%d)", r.Action, Allow, Bypass, Deny)
	}
	b.patterns = append(b.patterns, b.pattern(i, r.Pattern))
}

// host returns a host of a rule without brackets.
func (b *builder) host(i int, key, host string) string {
	if host == "" {
		return ""
	}
	if bare, ok := bareHost(host); ok {
		return bare
	}
	if colon := strings.LastIndexByte(host, ':'); colon >= 0 && strings.Trim(host[colon+1:], "0123456789") == "" {
		if _, ok := bareHost(host[:colon]); ok {
			b.fault(i, key, "%q has a port; that has a key of its own", clip(host))
			return host
		}
	}
	b.fault(i, key, `%q is neither a name nor an IP address; a name is at most 255 letters, digits, "-", ".", "_" `+
		`and "~" (an international one in its xn-- form), an address has no zone and no prefix length`, clip(host))
	return host
}

// bareHost reads a name or an IP address, and takes the brackets from an IPv6 address. What it takes is what
// httpparse.SplitHost takes of a request: no rule may be for a host that no request can name.
func bareHost(host string) (bare string, ok bool) {
	if len(host) > 0 && len(host) <= maxHost && strings.IndexFunc(host, notInName) < 0 {
		return host, true
	}
	bare, closed := strings.CutSuffix(strings.TrimPrefix(host, "["), "]")
	a, err := netip.ParseAddr(bare)
	return bare, err == nil && a.Is6() && a.Zone() == "" && closed == (host[0] == '[')
}

func notInName(c rune) bool {
	return !isLetter(c) && (c < '0' || c > '9') && !strings.ContainsRune("-._~", c)
}

// pattern reads a pattern, and counts the pieces of its shapes.
func (b *builder) pattern(i int, pattern string) shapes {
	if len(pattern) > maxPattern {
		b.fault(i, "Pattern", "%q has %d bytes; at most %d are allowed, so make several rules of it",
			clip(pattern), len(pattern), maxPattern)
		return shapes{}
	}
	if pattern == "" {
		return shapes{}
	}
	re, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		b.fault(i, "Pattern", "%q: %v; the syntax is that of Go (RE2), which has no look-around and no back-references",
			clip(pattern), err)
		return shapes{}
	}
	s := shapesOf(re)
	for _, shape := range s.list {
		for piece := range strings.FieldsFuncSeq(shape, isWild) {
			b.count[piece]++
		}
	}
	return s
}

// clip cuts what a fault quotes.
func clip(s string) string {
	const most = 100
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}

// add puts a rule where Match finds it.
func (b *builder) add(rank int32) {
	r := &b.rules[rank]
	if r.Host == "" && r.Pattern == "" {
		b.ports[r.Port] = rank
	}
	if r.Host != "" {
		if a, err := netip.ParseAddr(r.Host); err == nil && a.Is6() {
			b.addresses[netip.AddrPortFrom(a, r.Port)] = rank
		} else {
			b.names[hostPort{strings.ToLower(withoutDot(r.Host)), r.Port}] = rank
		}
	}
	if r.Pattern != "" {
		b.addPattern(rank, r, &b.patterns[rank])
	}
}

// addPattern puts a pattern under a literal of each of its shapes, or with the free ones if a shape has none.
func (b *builder) addPattern(rank int32, r *Rule, s *shapes) {
	keys := make([]string, len(s.list))
	var re *regexp.Regexp
	for i, shape := range s.list {
		keys[i] = shape
		if s.exact && strings.IndexFunc(shape, isWild) < 0 {
			continue
		}
		if re == nil {
			re = regexp.MustCompile(r.Pattern) // it has been parsed before, and nothing else fails
		}
		if keys[i] = b.rarest(shape); keys[i] == "" {
			b.free = append(b.free, newFreePattern(r.Pattern, re, rank, r.Port))
			return
		}
	}
	for i, key := range keys {
		if slices.Contains(keys[:i], key) {
			continue
		}
		n := needle{rank: rank, port: r.Port, re: re}
		if s.exact && key == s.list[i] {
			n.re = nil
			if !s.folds {
				n.text = key
			}
		}
		b.addNeedle(key, n)
	}
}

// addNeedle puts a needle in the table that its key is for.
func (b *builder) addNeedle(key string, n needle) {
	switch {
	case key[len(key)-1] == atEnd:
		n.text = backwards(n.text)
		b.tails.add(backwards(key), n)
	case key[0] == atBegin:
		b.heads.add(key, n)
	default:
		b.parts.add(key, n)
	}
}

// rarest returns the piece of a shape that the fewest shapes have, and of those the longest. Pieces of two bytes stand in
// too many hosts.
func (b *builder) rarest(shape string) (best string) {
	for piece := range strings.FieldsFuncSeq(shape, isWild) {
		if len(piece) < 3 {
			continue
		}
		n, m := b.count[piece], b.count[best]
		if best == "" || n < m || n == m && len(piece) > len(best) {
			best = piece
		}
	}
	return best
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
