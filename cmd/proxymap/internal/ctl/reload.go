package ctl

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"proxymap/session/wire"
)

// shownRanges is how many ranges of ports are shown on a line.
const shownRanges = 8

// ShowReload prints for people what a reload has changed, or would.
func ShowReload(to io.Writer, r *wire.Reload) error {
	var out strings.Builder
	switch {
	case len(r.Refused) > 0:
		fmt.Fprintf(&out, "refused: %s cannot change while the relay runs; set it back, or restart. Nothing has changed\n", strings.Join(r.Refused, ", "))
	case len(r.Added)+len(r.Removed)+len(r.Changed)+len(r.Global) == 0:
		fmt.Fprintf(&out, "nothing differs: %s\n", countPorts(r.Unchanged))
		_, err := io.WriteString(to, out.String())
		return err
	case r.DryRun:
		out.WriteString("dry run: nothing has changed; a reload would\n")
	}
	table := newTable(&out)
	line := func(what string, ports int, list string) {
		if ports > 0 {
			fmt.Fprintf(table, "%s\t%s\t%s\n", what, countPorts(ports), list)
		}
	}
	line("added", portsOf(r.Added), shortened(r.Added))
	line("removed", portsOf(r.Removed), shortened(r.Removed))
	for i := range r.Changed {
		c := &r.Changed[i]
		line("changed", wire.CountPorts(c.Ports), shortened(strings.Split(c.Ports, ","))+": "+strings.Join(c.What, ", "))
		if text := effectOf(c); text != "" {
			fmt.Fprintf(table, "\t\t  %s\n", text)
		}
	}
	line("unchanged", r.Unchanged, "")
	table.Flush()
	if len(r.Global) > 0 {
		fmt.Fprintf(&out, "for all ports: %s\n", strings.Join(r.Global, ", "))
	}
	if !r.DryRun && len(r.Refused) == 0 {
		fmt.Fprintf(&out, "done in %.0f ms\n", r.Took)
	}
	_, err := io.WriteString(to, withoutTails(out.String()))
	return err
}

// effectOf says what becomes of sessions and listeners.
func effectOf(c *wire.ChangedPorts) string {
	var parts []string
	switch c.Session {
	case wire.SessionKept:
		parts = append(parts, "sessions stay")
	case wire.SessionChanged:
		parts = append(parts, "sessions keep their ids, under another user name")
	case wire.SessionReplaced:
		parts = append(parts, "new sessions")
	}
	if slices.Contains(c.ReplacedIf, wire.ReplacedIfMisfit) {
		parts = append(parts, "new ones where the id does not fit")
	}
	if slices.Contains(c.ReplacedIf, wire.ReplacedIfChosen) {
		parts = append(parts, "new ones where a client chose the id")
	}
	if slices.Contains(c.ReplacedIf, wire.ReplacedIfOutlives) {
		parts = append(parts, "new ones where the old one would outlive the new lifetime")
	}
	if c.Servers {
		parts = append(parts, "other upstream servers")
	}
	if c.Bind {
		parts = append(parts, "listens anew")
	}
	return strings.Join(parts, "; ")
}

func countPorts(n int) string {
	if n == 1 {
		return "1 port"
	}
	return fmt.Sprintf("%d ports", n)
}

func portsOf(list []string) (n int) {
	for _, item := range list {
		n += wire.CountPorts(item)
	}
	return n
}

// shortened are the first ranges of a list.
func shortened(list []string) string {
	if left := len(list) - shownRanges; left > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(list[:shownRanges], ","), left)
	}
	return strings.Join(list, ",")
}

// withoutTails takes away the spaces that lines end with.
func withoutTails(text string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		out.WriteString(strings.TrimRight(line, " \n") + "\n")
	}
	return out.String()
}
