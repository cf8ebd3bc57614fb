package settings

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

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
}

func (f *faults) Is(target error) bool { return f.nothing && target == ErrNothing }

// add notes a fault, if it is not known yet: what a rule's server has wrong is found by each mapping.
func (f *faults) add(from layer.Origin, path, text string) {
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
	var out strings.Builder
	fmt.Fprintf(&out, "%s: %d faults; nothing is started", f.file, len(f.list)+f.more)
	if len(f.list) == 1 {
		out.Reset()
		fmt.Fprintf(&out, "%s: 1 fault; nothing is started", f.file)
	}
	for _, one := range f.list {
		out.WriteString("\n" + one.from.String() + ": ")
		if one.path != "" {
			out.WriteString(one.path + ": ")
		}
		out.WriteString(one.text)
	}
	if f.more > 0 {
		fmt.Fprintf(&out, "\nand %d more", f.more)
	}
	return out.String()
}
