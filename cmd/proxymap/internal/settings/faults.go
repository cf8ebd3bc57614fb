package settings

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"proxymap/cmd/proxymap/internal/settings/layer"
)

// maxFaults is how many faults are told.
const maxFaults = 1000

// A fault is one thing that is wrong with a settings file.
type fault struct {
	from layer.Origin
	path string // of the key: ProxyMappings[0].Listen.Port; empty for the file as a whole
	text string // what is wrong, with the value unless it is a secret, and what is allowed
}

// faults are all that is wrong with a file. It is an error with a line for each.
type faults struct {
	file string // of the settings; others may be named in it
	list []fault
	more int // that are not in the list

	nothing bool // no layer has anything
	again   bool // a process runs with other settings

	// lists are sources with a server a line, and how many faults each has. Those after the first shownOfList are not in list.
	lists map[*layer.Source]int
}

func (f *faults) Is(target error) bool { return f.nothing && target == ErrNothing }

// shownOfList is how many faults of a list in plain text are told.
const shownOfList = 20

// isList says that a source is a list in plain text.
func (f *faults) isList(in *layer.Source) {
	if f.lists == nil {
		f.lists = map[*layer.Source]int{}
	}
	f.lists[in] = 0
}

// hidden is how many faults of a source are not in the list.
func (f *faults) hidden(in *layer.Source) int { return max(f.lists[in]-shownOfList, 0) }

// add notes a fault, if it is not known yet: what a rule's server has wrong is found by each mapping.
func (f *faults) add(from layer.Origin, path, text string) {
	if n, found := f.lists[from.Source]; found {
		if f.lists[from.Source]++; n >= shownOfList {
			return
		}
	}
	if len(f.list) >= maxFaults {
		f.more++
		return
	}
	if one := (fault{from, path, text}); !slices.Contains(f.list, one) {
		f.list = append(f.list, one)
	}
}

func (f *faults) Error() string {
	slices.SortStableFunc(f.list, func(a, b fault) int {
		return cmp.Or(cmp.Compare(a.from.Source.Order, b.from.Source.Order), cmp.Compare(a.from.At, b.from.At))
	})
	n := len(f.list) + f.more
	for in := range f.lists {
		n += f.hidden(in)
	}
	var out strings.Builder
	outcome := "nothing is started"
	if f.again {
		outcome = "nothing has changed"
	}
	fmt.Fprintf(&out, "%s: %s; %s", f.subject(), count(n, "fault"), outcome)
	for i, one := range f.list {
		out.WriteString("\n" + printable(one.from.String()) + ": ")
		if one.path != "" {
			out.WriteString(printable(one.path) + ": ")
		}
		out.WriteString(one.text + flagHint(one.from.Source.Name, one.text))
		in := one.from.Source
		if hidden := f.hidden(in); hidden > 0 && (i == len(f.list)-1 || f.list[i+1].from.Source != in) {
			fmt.Fprintf(&out, "\n%s: and %s of this list", in.Name, count(hidden, "more fault"))
		}
	}
	if f.more > 0 {
		fmt.Fprintf(&out, "\nand %d more", f.more)
	}
	return out.String()
}

// subject is what has the faults: the settings file, or settings of which some are elsewhere.
func (f *faults) subject() string {
	for _, one := range f.list {
		if one.from.Source.Name != f.file && !one.from.Source.Included {
			return "settings"
		}
	}
	return f.file
}

// keyFlags are the flags, and their variables, for keys that texts name as a remedy.
var keyFlags = []struct{ key, flag, variable string }{
	{"AllowFrom", "--allow-from", "PROXYMAP_ALLOW_FROM"}, {"PortRange", "--ports", "PROXYMAP_PORTS"},
}

// flagHint adds to a fault of a flag, or of its variable, which of them there are for the keys that its text names: who has no
// file needs no key.
func flagHint(from, text string) (hint string) {
	if !strings.HasPrefix(from, "flag --") && !strings.HasPrefix(from, "environment PROXYMAP_") {
		return ""
	}
	for _, k := range keyFlags {
		if strings.Contains(text, k.key) {
			hint += fmt.Sprintf("; %s is %s or %s", k.key, k.flag, k.variable)
		}
	}
	return hint
}

// printable is text with ? for what a terminal might act upon: names of keys and variables are what somebody has written.
func printable(text string) string {
	return strings.Map(func(c rune) rune {
		if unicode.IsPrint(c) {
			return c
		}
		return '?'
	}, text)
}
