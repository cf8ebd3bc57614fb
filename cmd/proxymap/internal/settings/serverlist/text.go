package serverlist

import (
	"iter"
	"strings"
)

// A Line is one of a list.
type Line struct {
	Number int    // from 1
	At     int    // where it begins in the list, in bytes
	Text   string // without spaces around it
}

// Lines are those of a list that say something. A byte-order mark, empty lines and those that begin with # are passed over;
// lines end in LF or CRLF.
func Lines(list string) iter.Seq[Line] {
	return func(yield func(Line) bool) {
		text := strings.TrimPrefix(list, "\ufeff")
		next := Line{At: len(list) - len(text)}
		for line := range strings.Lines(text) {
			next.Number++
			next.Text = strings.TrimSpace(line)
			if next.Text != "" && next.Text[0] != '#' && !yield(next) {
				return
			}
			next.At += len(line)
		}
	}
}
