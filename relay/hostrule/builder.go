package hostrule

import (
	"fmt"
	"net/netip"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
)

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
