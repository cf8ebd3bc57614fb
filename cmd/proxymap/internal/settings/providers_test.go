package settings

import (
	"regexp"
	"strings"
	"testing"

	"proxymap/session/credential"
)

// The table has a line for each preset, with what one has to know to use it.
func TestDescribeProviders(t *testing.T) {
	var out strings.Builder
	if err := DescribeProviders(&out); err != nil {
		t.Fatal(err)
	}
	table, notes, _ := strings.Cut(out.String(), "\nTo be known:\n")
	lines := strings.Split(strings.TrimSpace(table), "\n")
	if n := len(credential.Providers()); len(lines) != 1+n {
		t.Fatalf("%d lines; want one for each of %d presets, and one above them:\n%s", len(lines), n, table)
	}
	columns := regexp.MustCompile(`  +`)
	for i, p := range credential.Providers() {
		if got := columns.Split(lines[1+i], -1); len(got) != 7 || got[0] != p.Name || got[6] != p.Source {
			t.Errorf("%s: got %q; want seven columns", p.Name, got)
		}
		if !strings.Contains(notes, p.Note) || !strings.Contains(notes, p.Account) {
			t.Errorf("%s: its notes are not shown:\n%s", p.Name, notes)
		}
	}
	for _, want := range []string{
		"{username}  {password}[_country-{param:country}]_session-{session}[_lifetime-{ttl}]  [A-Za-z0-9]{8}  as in 90s, 10m, 1 s to 7 d  -  docs.iproyal.com/",
		"customer-{username}[-cc-{param:country}]-sessid-{session}[-sesstime-{ttl}]  {password}  [A-Za-z0-9]{8}  minutes, 1 min to 1 d  pr.oxylabs.io:7777  developers",
		"scrapeops.sticky_session={session}  {password}  [0-9]{4}  not told  residential-proxy.scrapeops.io:8181  scrapeops.io",
	} {
		if !strings.Contains(columns.ReplaceAllString(table, "  "), want) {
			t.Errorf("the table does not hold %q:\n%s", want, table)
		}
	}
}
