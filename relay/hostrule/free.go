package hostrule

import (
	"regexp"
	"regexp/syntax"
	"slices"
)

// A freePattern is to be tried with every host: no literal stands in all that it matches. Such patterns are of classes,
// and most are anchored, like ^[0-9.]+$. So the first and the last byte of a host tell most that do not match, which costs
// a hundredth of an attempt.
type freePattern struct {
	re          *regexp.Regexp
	first, last byteSet // with which a host that it matches may begin, and end
	rank        int32
	port        uint16 // 0: any
}

// A byteSet is a set of ASCII characters.
type byteSet [2]uint64

func (s *byteSet) has(c byte) bool { return c < 128 && s[c/64]>>(c%64)&1 != 0 }

func newFreePattern(pattern string, re *regexp.Regexp, rank int32, port uint16) freePattern {
	p := freePattern{re: re, rank: rank, port: port, first: byteSet{^uint64(0), ^uint64(0)}}
	p.last = p.first
	if tree, err := syntax.Parse(pattern, syntax.Perl); err == nil { // as it is: it has been parsed before
		p.first, p.last = firstOf(tree), firstOf(mirror(tree))
	}
	return p
}

// matches reports whether the pattern matches host, which stands in framed between its marks.
func (p *freePattern) matches(framed, host []byte, port uint16) bool {
	return (p.port == 0 || p.port == port) && p.first.has(framed[1]) && p.last.has(framed[len(framed)-2]) &&
		p.re.Match(host)
}

// firstOf returns the characters with which a host that re matches may begin: all if re is not anchored there.
func firstOf(re *syntax.Regexp) (set byteSet) {
	every := byteSet{^uint64(0), ^uint64(0)}
	prog, err := syntax.Compile(re.Simplify())
	if err != nil || prog.StartCond()&syntax.EmptyBeginText == 0 {
		return every
	}
	seen := make([]bool, len(prog.Inst))
	todo := []uint32{uint32(prog.Start)}
	for i := 0; i < len(todo); i++ {
		if seen[todo[i]] {
			continue
		}
		seen[todo[i]] = true
		in := &prog.Inst[todo[i]]
		switch in.Op {
		case syntax.InstMatch:
			return every // without looking at any character
		case syntax.InstFail:
		case syntax.InstAlt, syntax.InstAltMatch:
			todo = append(todo, in.Out, in.Arg)
		case syntax.InstRune, syntax.InstRune1, syntax.InstRuneAny, syntax.InstRuneAnyNotNL:
			for c := range rune(128) {
				if in.MatchRune(c) {
					set[c/64] |= 1 << (c % 64)
				}
			}
		default: // an assertion, which may hold
			todo = append(todo, in.Out)
		}
	}
	return set
}

// mirror returns what matches backwards what re matches.
func mirror(re *syntax.Regexp) *syntax.Regexp {
	m := *re
	m.Sub = nil
	for _, sub := range re.Sub {
		m.Sub = append(m.Sub, mirror(sub))
	}
	switch re.Op {
	case syntax.OpConcat:
		slices.Reverse(m.Sub)
	case syntax.OpLiteral:
		m.Rune = slices.Clone(re.Rune)
		slices.Reverse(m.Rune)
	case syntax.OpBeginText:
		m.Op = syntax.OpEndText
	case syntax.OpEndText:
		m.Op = syntax.OpBeginText
	case syntax.OpBeginLine:
		m.Op = syntax.OpEndLine
	case syntax.OpEndLine:
		m.Op = syntax.OpBeginLine
	}
	return &m
}
