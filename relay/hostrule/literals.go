package hostrule

import (
	"math"
	"math/bits"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
)

// A shape is a string of bytes that a host is made of and of the marks below. A host that a pattern matches has one of
// the pattern's shapes. Hosts hold no such byte, no line break and nothing but ASCII, which makes some things simple:
// any character is one byte, and beginnings and ends of lines are those of the host.
const (
	atBegin = '\x01' // the beginning of the host
	atEnd   = '\x02' // its end
	wildOne = '\x03' // any byte
	wildAny = '\x04' // any bytes, or none

	maxHost       = 255
	maxShapes     = 512      // of a pattern
	maxShapeBytes = 16 << 10 // of all of them
	maxClass      = 8        // characters of a class that is read as so many shapes
)

func isWild(r rune) bool { return r == wildOne || r == wildAny }

// shapes are what a pattern matches.
type shapes struct {
	list  []string
	exact bool // what has one of the shapes matches; else it must be tried
	folds bool // letters match in any case
	cases bool // letters match in their own case. Where both happen, exact is not set
}

// shapesOf reads a pattern.
func shapesOf(re *syntax.Regexp) shapes {
	s := shapes{exact: true}
	list := s.of(re)
	s.exact = s.exact && !(s.folds && s.cases)
	for i, shape := range list {
		list[i] = trimShape(shape)
	}
	slices.Sort(list)
	s.list = slices.Compact(list)
	return s
}

// trimShape drops what says nothing: a pattern is found anywhere.
func trimShape(s string) string {
	for {
		t := strings.TrimPrefix(strings.TrimPrefix(s, "\x01\x04"), "\x04")
		t = strings.TrimSuffix(strings.TrimSuffix(t, "\x04\x02"), "\x04")
		if t == "" {
			return "\x02" // every host has an end
		}
		if t == s {
			return s
		}
		s = t
	}
}

// of returns the shapes of what re matches, perhaps also of what it does not match: then exact is taken back.
func (s *shapes) of(re *syntax.Regexp) []string {
	switch re.Op {
	case syntax.OpEmptyMatch:
		return []string{""}
	case syntax.OpBeginText, syntax.OpBeginLine:
		return []string{string(atBegin)}
	case syntax.OpEndText, syntax.OpEndLine:
		return []string{string(atEnd)}
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return []string{string(wildOne)}
	case syntax.OpLiteral:
		return s.literal(re)
	case syntax.OpCharClass:
		return s.class(re)
	case syntax.OpCapture:
		return s.of(re.Sub[0])
	case syntax.OpQuest:
		return s.either(s.of(re.Sub[0]), []string{""})
	case syntax.OpStar, syntax.OpPlus, syntax.OpRepeat:
		return s.repeat(re)
	case syntax.OpConcat:
		list := []string{""}
		for _, sub := range re.Sub {
			list = s.both(list, s.of(sub))
		}
		return list
	case syntax.OpAlternate:
		list := s.of(re.Sub[0])
		for _, sub := range re.Sub[1:] {
			list = s.either(list, s.of(sub))
		}
		return list
	}
	return s.unknown(wildAny) // a word's boundary, or what matches nothing
}

func (s *shapes) unknown(wild byte) []string {
	s.exact = false
	return []string{string(rune(wild))}
}

func (s *shapes) literal(re *syntax.Regexp) []string {
	for _, c := range re.Rune {
		if c <= ' ' || c > '~' {
			return s.unknown(wildAny)
		}
		if isLetter(c) {
			fold := re.Flags&syntax.FoldCase != 0
			s.folds = s.folds || fold
			s.cases = s.cases || !fold
		}
	}
	return []string{string(re.Rune)}
}

func isLetter(c rune) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

// class reads a small class as the characters that it is made of.
func (s *shapes) class(re *syntax.Regexp) (list []string) {
	for i := 0; i < len(re.Rune); i += 2 {
		for c := re.Rune[i]; c <= re.Rune[i+1]; c++ {
			if c <= ' ' || c > '~' || len(list) == maxClass {
				return s.unknown(wildOne)
			}
			s.cases = s.cases || isLetter(c)
			list = append(list, string(c))
		}
	}
	if list == nil {
		return s.unknown(wildOne)
	}
	return list
}

// repeat reads what is repeated as one of it, if there must be one, and anything.
func (s *shapes) repeat(re *syntax.Regexp) []string {
	sub := re.Sub[0]
	if sub.Op != syntax.OpAnyChar && sub.Op != syntax.OpAnyCharNotNL || re.Op == syntax.OpRepeat {
		s.exact = false
	}
	if re.Op == syntax.OpStar || re.Op == syntax.OpRepeat && re.Min == 0 {
		return []string{string(wildAny)}
	}
	return s.both(s.of(sub), []string{string(wildAny)})
}

// either returns the shapes in a and those in b.
func (s *shapes) either(a, b []string) []string {
	if len(a)+len(b) > maxShapes || size(a)+size(b) > maxShapeBytes {
		return s.unknown(wildAny)
	}
	return append(a, b...)
}

// both returns each shape in a with each in b behind it.
func (s *shapes) both(a, b []string) []string {
	if len(a)*len(b) > maxShapes || size(a)*len(b)+size(b)*len(a) > maxShapeBytes {
		b = s.unknown(wildAny)
	}
	if len(a) == 1 && a[0] == "" {
		return b
	}
	list := make([]string, 0, len(a)*len(b))
	for _, x := range a {
		for _, y := range b {
			if x != "" && y != "" && x[len(x)-1] == y[0] && (y[0] == atBegin || y[0] == atEnd) {
				y = y[1:] // twice the same place
			}
			list = append(list, x+y)
		}
	}
	return list
}

func size(list []string) (n int) {
	for _, s := range list {
		n += len(s)
	}
	return n
}

// A needle is a literal that makes a rule match, or worth trying.
type needle struct {
	text string         // as it must stand in the host; empty: in any case
	re   *regexp.Regexp // that must match then; nil: it does
	rank int32
	next int32  // index of the next needle with the same key, whose rank is higher; -1: none
	port uint16 // 0: any
}

// literals finds those literals that a text begins with. Their keys are in lower case.
//
// The hash of a text's beginning is made of that of a shorter one, so for each length that a key has, asking whether there
// may be a key costs a bit of filter. At the lengths 4, 8, 16, … filter knows the beginnings of all longer keys too: where
// it does not know a text's, none follows.
type literals struct {
	first   map[string]int32 // index of a key's first needle
	needles []needle
	lowest  int32 // rank of all needles; math.MaxInt32: there is none

	filter  []uint64
	shift   uint
	lengths [maxPattern + 3]length
	longest int // key
}

// A length says what is to be done at a length of text.
type length uint8

const (
	noLength   length = iota // nothing
	stopLength               // ask filter whether a longer key can follow
	keyLength                // ask filter whether a key can end here, perhaps also whether a longer one can follow
)

// add adds a needle, whose rank is lower than all before.
func (l *literals) add(key string, n needle) {
	key = strings.ToLower(key)
	if l.first == nil {
		l.first = map[string]int32{}
	}
	n.next = -1
	if first, ok := l.first[key]; ok {
		n.next = first
	}
	l.first[key] = int32(len(l.needles))
	l.needles = append(l.needles, n)
}

func backwards(s string) string {
	b := []byte(s)
	slices.Reverse(b)
	return string(b)
}

// hashFactor is 2 to the 64th by the golden ratio: it spreads what differs over the upper bits.
const hashFactor = 0x9e3779b97f4a7c15

// seal makes filter, when all keys are there: it has 64 bits for each, so that few ask about a key in vain.
func (l *literals) seal() {
	l.lowest = math.MaxInt32
	if len(l.needles) == 0 {
		return
	}
	l.lowest = l.needles[len(l.needles)-1].rank
	words := 1 << bits.Len(uint(len(l.first)))
	l.filter = make([]uint64, words)
	l.shift = uint(64 - bits.Len(uint(words*64-1)))
	for key := range l.first {
		l.longest = max(l.longest, len(key))
		var h uint64
		for i := range len(key) {
			h = (h ^ uint64(key[i])) * hashFactor
			if n := i + 1; n == len(key) || isStop(n) {
				if n == len(key) {
					l.lengths[n] = keyLength
				} else {
					l.lengths[n] = max(l.lengths[n], stopLength)
				}
				l.filter[h>>l.shift/64] |= 1 << (h >> l.shift % 64)
			}
		}
	}
}

// isStop reports whether n is a power of two from 4 on.
func isStop(n int) bool { return n >= 4 && n&(n-1) == 0 }

// find returns the lowest rank of the needles that text begins with and that apply to host and port, or best if that is
// lower. text is in lower case, cased is the same as it came.
func (l *literals) find(text, cased, host []byte, port uint16, best int32) int32 {
	var h uint64
	text = text[:min(len(text), l.longest)]
	for i, c := range text {
		h = (h ^ uint64(c)) * hashFactor
		n := i + 1
		if l.lengths[n] == noLength {
			continue
		}
		if l.filter[h>>l.shift/64]>>(h>>l.shift%64)&1 == 0 {
			if isStop(n) {
				return best
			}
			continue
		}
		if l.lengths[n] == stopLength {
			continue
		}
		first, ok := l.first[string(text[:n])]
		if !ok {
			continue
		}
		for j := first; j >= 0 && l.needles[j].rank < best; j = l.needles[j].next {
			if l.needles[j].matches(cased, host, port) {
				best = l.needles[j].rank
			}
		}
	}
	return best
}

// matches reports whether a needle that text begins with applies.
func (n *needle) matches(cased, host []byte, port uint16) bool {
	return (n.port == 0 || n.port == port) &&
		(n.text == "" || string(cased[:len(n.text)]) == n.text) &&
		(n.re == nil || n.re.Match(host))
}
