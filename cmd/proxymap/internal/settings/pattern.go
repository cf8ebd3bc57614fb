package settings

import (
	"fmt"
	"regexp/syntax"
	"sync"

	regen "github.com/AnatolyRugalev/goregen"
)

const (
	maxGenerated = 256 // bytes of the longest string that a pattern may make
	openRepeat   = 32  // how often a repeat without an end repeats at most
)

// compilePattern makes a generator of strings that match a regular expression. The library's generators share a source
// of randomness that is not for several goroutines.
func compilePattern(pattern string) (func() string, error) {
	tree, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return nil, err
	}
	if n := longest(tree); n > maxGenerated {
		return nil, fmt.Errorf("its strings could be longer than %d bytes; use smaller repeats, such as {8}", maxGenerated)
	}
	g, err := regen.NewGenerator(pattern, &regen.GeneratorArgs{Flags: syntax.Perl, MaxUnboundedRepeatCount: openRepeat})
	if err != nil {
		return nil, err
	}
	var mu sync.Mutex
	return func() string {
		mu.Lock()
		defer mu.Unlock()
		return g.Generate()
	}, nil
}

// longest is how many bytes a string can have that is made of a pattern; more than maxGenerated stands for too many.
func longest(re *syntax.Regexp) int {
	n := 0
	for _, sub := range re.Sub {
		if m := longest(sub); re.Op == syntax.OpAlternate {
			n = max(n, m)
		} else {
			n += m
		}
	}
	switch re.Op {
	case syntax.OpLiteral:
		n = len(string(re.Rune))
	case syntax.OpCharClass, syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		n = 4
		if last := len(re.Rune); last > 0 && re.Rune[last-1] < 0x80 {
			n = 1
		}
	case syntax.OpStar, syntax.OpPlus:
		n = max(n, 1) * openRepeat
	case syntax.OpRepeat:
		times := re.Max
		if times < 0 {
			times = max(re.Min, openRepeat)
		}
		n = max(n, 1) * times
	}
	return min(n, maxGenerated+1)
}
