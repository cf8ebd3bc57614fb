package pattern

import (
	"fmt"
	"math/bits"
	"math/rand/v2"
	"regexp"
	"regexp/syntax"
	"sync"
	"unicode/utf8"
)

const (
	MaxLength  = 256     // bytes of the longest string that a pattern may make
	openRepeat = 32      // how often a repeat without an end repeats at most
	manyWays   = 1 << 40 // ways beyond which alternatives are no longer told apart by how many they have
)

// A Pattern draws strings that match a regular expression. It never changes, and may be used from any goroutine. Compile
// makes one.
type Pattern struct {
	root    node
	expr    string
	matches func() *regexp.Regexp // compiled when it is asked for first
}

// Compile makes a pattern of a regular expression in the syntax of package regexp. The error says what of it cannot be
// drawn, or is that of regexp/syntax.
//
// A character class is drawn from its printable ASCII characters alone, if it has any. A repeat that has no end repeats
// at most 32 times, or as often as it must; each number of times is as likely as any other. An alternative is as likely
// as it has strings, so each of de|dk|fr is as likely as any other.
func Compile(expr string) (*Pattern, error) {
	tree, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		return nil, err
	}
	root, err := compile(tree, false, false)
	if err != nil {
		return nil, err
	}
	if root.longest > MaxLength {
		return nil, fmt.Errorf("its strings could be longer than %d bytes; use smaller repeats, such as {8}", MaxLength)
	}
	return &Pattern{root, expr, sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`\A(?:` + expr + `)\z`) })}, nil
}

// Matches reports whether the pattern's expression matches all of text. It may match more than is drawn: longer repeats, and
// characters that are not ASCII.
func (p *Pattern) Matches(text string) bool { return p.matches().MatchString(text) }

// String is the expression that the pattern was made of.
func (p *Pattern) String() string { return p.expr }

// Append draws a string and appends it.
func (p *Pattern) Append(dst []byte, src rand.Source) []byte { return p.root.append(dst, src) }

// Count is about how many strings there are to draw; beyond 2^40 it says 2^40. One that can be drawn in several ways, as
// a of a?a?, counts for each of them.
func (p *Pattern) Count() float64 { return float64(p.root.ways) }

// A node is a part of a pattern.
type node struct {
	kind    kind
	longest int    // bytes; more than MaxLength stands for too many
	ways    uint64 // to draw it; at most manyWays

	text     string // of a literal, or the characters of an ASCII class
	ranges   []rune // of any other class: first, last, first, last, …
	min, max int    // of a repeat
	sub      []node
}

type kind uint8

const (
	literal kind = iota // the empty string too
	ascii
	class
	concat
	alternate
	repeat
)

func (n *node) append(dst []byte, src rand.Source) []byte {
	switch n.kind {
	case literal:
		return append(dst, n.text...)
	case ascii:
		return append(dst, n.text[below(src, uint64(len(n.text)))])
	case class:
		return utf8.AppendRune(dst, n.rune(below(src, n.ways)))
	case concat:
		for i := range n.sub {
			dst = n.sub[i].append(dst, src)
		}
		return dst
	case alternate:
		return n.alternative(below(src, n.ways)).append(dst, src)
	}
	for range n.min + int(below(src, uint64(n.max-n.min+1))) {
		dst = n.sub[0].append(dst, src)
	}
	return dst
}

// rune is the class's i-th character.
func (n *node) rune(i uint64) rune {
	for r := n.ranges; ; r = r[2:] {
		size := uint64(r[1] - r[0] + 1)
		if i < size {
			return r[0] + rune(i)
		}
		i -= size
	}
}

// alternative is the one that has the i-th way.
func (n *node) alternative(i uint64) *node {
	for k := range n.sub {
		if i < n.sub[k].ways {
			return &n.sub[k]
		}
		i -= n.sub[k].ways
	}
	return &n.sub[len(n.sub)-1]
}

// below draws a number from 0 to n-1. It is done here and not by rand.Rand so that a source gives the same strings
// whatever the version of Go. The error of not drawing again, at most n/2^64, is beyond notice.
func below(src rand.Source, n uint64) uint64 {
	if n <= 1 {
		return 0
	}
	high, _ := bits.Mul64(src.Uint64(), n)
	return high
}
