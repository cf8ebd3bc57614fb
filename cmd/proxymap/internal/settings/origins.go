package settings

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"proxymap/cmd/proxymap/internal/settings/layer"
	"proxymap/cmd/proxymap/internal/settings/mask"
	"proxymap/cmd/proxymap/internal/settings/schema"
)

// DescribeLayers prints which layers were read; with origins also each value and where it stands. Secrets are masked.
func (s *Settings) DescribeLayers(w io.Writer, origins bool) error {
	var out bytes.Buffer
	var names []string
	for _, l := range s.layers {
		names = append(names, l.String())
	}
	fmt.Fprintf(&out, "layers: %s\n", strings.Join(names, ", then "))
	if origins {
		table := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
		printOrigins(table, s.values)
		if err := table.Flush(); err != nil {
			return err
		}
	}
	_, err := out.WriteTo(w)
	return err
}

// shownItems is how many items of a list are shown.
const shownItems = 20

// printOrigins writes a line for each value at n and below.
func printOrigins(w io.Writer, n node) {
	switch n.value.Kind {
	case layer.Object:
		for _, m := range n.value.Members {
			printOrigins(w, node{place{up: &n.place, key: m.Name}, m.Value, m.Value.From})
		}
	case layer.List:
		for i, item := range n.value.Items {
			if i == shownItems {
				fmt.Fprintf(w, "  %s\tand %d more\n", n.path(), len(n.value.Items)-i)
				break
			}
			printOrigins(w, node{place{up: &n.place, item: true, number: n.value.Number(i)}, item, item.From})
		}
	case layer.Null:
		fmt.Fprintf(w, "  %s\tnull\t%s\n", printable(n.path()), printable(n.from.String()))
	default:
		fmt.Fprintf(w, "  %s\t%s\t%s\n", printable(n.path()), n.shown(), printable(n.from.String()))
	}
}

// secretNames are keys whose values are shown masked. Some have no effect here, and are secrets all the same.
var secretNames = []string{"Username", "Password", "Token", "CertificatePassword", "DevToken", "Key"}

// shown is a value as it may be printed.
func (n node) shown() string {
	if n.secret() {
		return "***"
	}
	text := mask.Text(n.value.Text)
	if len(text) > 80 {
		text = text[:80] + "…"
	}
	if n.value.Kind == layer.String {
		return fmt.Sprintf("%q", text)
	}
	return text
}

// secret reports whether n is the value of a secret, or is under a section without effect, of which nothing is known.
func (n node) secret() bool {
	if has(secretNames, n.key) {
		return true
	}
	for p := &n.place; p != nil; p = p.up {
		if schema.Root.Ignores(p.key) || schema.Authentication.Ignores(p.key) {
			return true
		}
	}
	return false
}
