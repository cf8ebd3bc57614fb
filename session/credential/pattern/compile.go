package pattern

import (
	"errors"
	"fmt"
	"regexp/syntax"
	"slices"
	"unicode"
	"unicode/utf8"
)

// compile makes the node of a tree. before and after say whether something can stand before it and after it, so that an
// anchor would not hold.
func compile(re *syntax.Regexp, before, after bool) (node, error) {
	switch re.Op {
	case syntax.OpEmptyMatch:
		return text(""), nil
	case syntax.OpLiteral:
		return literals(re)
	case syntax.OpCharClass:
		return runes(re.Rune)
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return runes([]rune{0, unicode.MaxRune})
	case syntax.OpBeginText, syntax.OpBeginLine:
		return anchor(re, before, "before")
	case syntax.OpEndText, syntax.OpEndLine:
		return anchor(re, after, "after")
	case syntax.OpCapture:
		return compile(re.Sub[0], before, after)
	case syntax.OpConcat:
		return concatenation(re, before, after)
	case syntax.OpAlternate:
		return alternation(re, before, after)
	case syntax.OpStar:
		return repetition(re, 0, openRepeat, before, after)
	case syntax.OpPlus:
		return repetition(re, 1, openRepeat, before, after)
	case syntax.OpQuest:
		return repetition(re, 0, 1, before, after)
	case syntax.OpRepeat:
		most := re.Max
		if most < 0 {
			most = max(re.Min, openRepeat)
		}
		return repetition(re, re.Min, most, before, after)
	case syntax.OpWordBoundary, syntax.OpNoWordBoundary:
		return node{}, fmt.Errorf("%v is a condition on what stands beside it, which cannot be drawn; leave it out", re)
	}
	return node{}, fmt.Errorf("%v matches nothing", re)
}

func text(s string) node {
	return node{kind: literal, text: s, longest: min(len(s), MaxLength+1), ways: 1}
}

// anchor is nothing where it holds whatever is drawn, and an error anywhere else.
func anchor(re *syntax.Regexp, inTheWay bool, where string) (node, error) {
	if inTheWay {
		return node{}, fmt.Errorf("something can stand %s the anchor %v; a pattern is anchored at both ends anyway: leave it out", where, re)
	}
	return text(""), nil
}

// literals is text, or a row of classes where its letters are in any case.
func literals(re *syntax.Regexp) (node, error) {
	n := node{kind: concat, ways: 1}
	for _, r := range re.Rune {
		orbit := []rune{r, r}
		if re.Flags&syntax.FoldCase != 0 {
			for other := unicode.SimpleFold(r); other != r; other = unicode.SimpleFold(other) {
				orbit = append(orbit, other, other)
			}
		}
		one, err := runes(orbit)
		if err != nil {
			return node{}, err
		}
		if last := len(n.sub) - 1; last >= 0 && one.kind == literal && n.sub[last].kind == literal {
			one = text(n.sub[last].text + one.text)
			n.sub = n.sub[:last]
		}
		n.sub = append(n.sub, one)
	}
	return n.sum(), nil
}

// unusable is what strings of a pattern never hold: control characters, the colon, surrogates, and what stands for bytes
// that are no UTF-8.
var unusable = [][2]rune{{0, ' ' - 1}, {':', ':'}, {0x7f, 0x7f}, {0xd800, 0xdfff}, {utf8.RuneError, utf8.RuneError}}

var errUnusable = errors.New("it makes strings with a colon or a control character, or that are not UTF-8")

// runes is a class of ranges: first, last, first, last, … In most the ASCII characters are all that is meant: a negated
// class has some hundred thousand others, which no provider takes.
func runes(ranges []rune) (node, error) {
	if len(ranges) == 0 {
		return node{}, errors.New("a class without characters matches nothing")
	}
	var printable []byte
	for i := 0; i < len(ranges); i += 2 {
		for r := ranges[i]; r <= min(ranges[i+1], unicode.MaxASCII); r++ {
			if r >= ' ' && r != ':' && r != 0x7f {
				printable = append(printable, byte(r))
			}
		}
	}
	slices.Sort(printable)
	switch chars := string(slices.Compact(printable)); len(chars) {
	case 0:
		return others(ranges)
	case 1:
		return text(chars), nil
	default:
		return node{kind: ascii, text: chars, longest: 1, ways: uint64(len(chars))}, nil
	}
}

// others is a class without printable ASCII characters.
func others(ranges []rune) (node, error) {
	n := node{kind: class}
	for i := 0; i < len(ranges); i += 2 {
		n.ranges = appendUsable(n.ranges, ranges[i], ranges[i+1])
	}
	if len(n.ranges) == 0 {
		return node{}, errUnusable
	}
	for i := 0; i < len(n.ranges); i += 2 {
		n.ways += uint64(n.ranges[i+1] - n.ranges[i] + 1)
		n.longest = max(n.longest, utf8.RuneLen(n.ranges[i+1]))
	}
	if n.ways == 1 {
		return text(string(n.ranges[0])), nil
	}
	return n, nil
}

// appendUsable appends a range without what is unusable in it.
func appendUsable(dst []rune, first, last rune) []rune {
	for _, not := range unusable {
		if last < not[0] || first > not[1] {
			continue
		}
		if first < not[0] {
			dst = append(dst, first, not[0]-1)
		}
		first = not[1] + 1
	}
	if first <= last {
		dst = append(dst, first, last)
	}
	return dst
}

func concatenation(re *syntax.Regexp, before, after bool) (node, error) {
	n := node{kind: concat}
	for i, sub := range re.Sub {
		follows := after || slices.ContainsFunc(re.Sub[i+1:], takesRoom)
		one, err := compile(sub, before, follows)
		if err != nil {
			return node{}, err
		}
		n.sub = append(n.sub, one)
		before = before || takesRoom(sub)
	}
	return n.sum(), nil
}

// sum counts what a concatenation has. That of one is the one.
func (n node) sum() node {
	if len(n.sub) == 1 {
		return n.sub[0]
	}
	n.ways = 1
	for i := range n.sub {
		n.longest = min(n.longest+n.sub[i].longest, MaxLength+1)
		n.ways = product(n.ways, n.sub[i].ways)
	}
	return n
}

func alternation(re *syntax.Regexp, before, after bool) (node, error) {
	n := node{kind: alternate}
	for _, sub := range re.Sub {
		one, err := compile(sub, before, after)
		if err != nil {
			return node{}, err
		}
		n.sub = append(n.sub, one)
		n.longest = max(n.longest, one.longest)
		n.ways += one.ways // of at most some thousand, so the sum has room
	}
	return n, nil
}

// repeat counts each time for a byte at least: drawing nothing a million times takes time too.
func repetition(re *syntax.Regexp, least, most int, before, after bool) (node, error) {
	again := most > 1 && takesRoom(re.Sub[0])
	one, err := compile(re.Sub[0], before || again, after || again)
	if err != nil {
		return node{}, err
	}
	n := node{kind: repeat, min: least, max: most, sub: []node{one}, longest: min(max(one.longest, 1)*most, MaxLength+1)}
	ways := uint64(1) // to draw it so many times
	for times := 0; times <= most; times++ {
		if times >= least {
			n.ways = min(n.ways+ways, manyWays)
		}
		ways = product(ways, one.ways)
	}
	return n, nil
}

// product multiplies two numbers of ways. Neither is more than manyWays times the alternatives that one pattern can have.
func product(a, b uint64) uint64 {
	if b != 0 && a > manyWays/b {
		return manyWays
	}
	return a * b
}

// takesRoom reports whether a tree can match more than nothing.
func takesRoom(re *syntax.Regexp) bool {
	switch re.Op {
	case syntax.OpLiteral, syntax.OpCharClass, syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return true
	case syntax.OpRepeat:
		return re.Max != 0 && takesRoom(re.Sub[0])
	}
	return slices.ContainsFunc(re.Sub, takesRoom)
}
