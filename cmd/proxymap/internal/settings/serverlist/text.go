package serverlist

import (
	"iter"
	"strings"
)

// Lines are those of a list that say something, each with its number, from 1, and without spaces around it. A byte-order
// mark, empty lines and those that begin with # are passed over; lines end in LF or CRLF.
func Lines(text string) iter.Seq2[int, string] {
	return func(yield func(int, string) bool) {
		n := 0
		for line := range strings.Lines(strings.TrimPrefix(text, "\ufeff")) {
			n++
			line = strings.TrimSpace(line)
			if line != "" && line[0] != '#' && !yield(n, line) {
				return
			}
		}
	}
}
