package settings

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"proxymap/session/credential"
)

// DescribeProviders prints what Authentication.Provider may be.
func DescribeProviders(w io.Writer) error {
	var out strings.Builder
	table := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "PROVIDER\tUSER NAME\tPASSWORD\tSESSION ID\tTTL\tGATEWAY\tSOURCE")
	for _, p := range credential.Providers() {
		t := &p.Template
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", p.Name, cmp.Or(t.Username, "{username}"), cmp.Or(t.Password, "{password}"),
			idsOf(t), ttlOf(t), gatewayOf(p), p.Source)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	out.WriteString("\nTo be known:\n")
	for _, p := range credential.Providers() {
		if text := strings.Trim(p.Account+"; "+p.Note, "; "); text != "" {
			fmt.Fprintf(&out, "  %s: %s\n", p.Name, text)
		}
	}
	_, err := io.WriteString(w, out.String())
	return err
}

func idsOf(t *credential.Template) string {
	return fmt.Sprintf("[%s]{%d}", cmp.Or(t.SessionAlphabet, "A-Za-z0-9"), cmp.Or(t.SessionLength, 8))
}

// ttlOf shows in what unit a template tells the lifetime, and within which bounds.
func ttlOf(t *credential.Template) string {
	unit := "not told"
	if strings.Contains(t.Username+t.Password, "{ttl}") {
		unit = map[string]string{"": "minutes", "m": "minutes", "s": "seconds", "suffixed": "as in 90s, 10m"}[t.TTLUnit]
	}
	switch {
	case t.TTLMin > 0 && t.TTLMax > 0:
		return fmt.Sprintf("%s, %s to %s", unit, boundOf(t.TTLMin), boundOf(t.TTLMax))
	case t.TTLMin > 0:
		return fmt.Sprintf("%s, from %s", unit, boundOf(t.TTLMin))
	case t.TTLMax > 0:
		return fmt.Sprintf("%s, to %s", unit, boundOf(t.TTLMax))
	}
	return unit
}

func boundOf(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d%day == 0:
		return fmt.Sprintf("%d d", d/day)
	case d%time.Hour == 0:
		return fmt.Sprintf("%d h", d/time.Hour)
	}
	return timeOf(d)
}

func gatewayOf(p credential.Provider) string {
	if p.Host == "" {
		return "-"
	}
	if p.Ports == "" {
		return p.Host
	}
	return p.Host + ":" + p.Ports
}
