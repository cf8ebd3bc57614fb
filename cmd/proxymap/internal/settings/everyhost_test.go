package settings

import (
	"strings"
	"testing"
)

// Rules that never match, because one before them matches every host, are told of.
func TestHiddenRulesAreToldOf(t *testing.T) {
	const all, one, port = `{"Pattern":".*"}`, `{"HostName":"a"}`, `{"Pattern":".","HostPort":80}`
	text := func(n, behind string) string {
		return "host rule number " + n + " matches every host, so " + behind + ` behind it never match: put it behind them, or set HostRules.Order to "Last", which has the last one win`
	}
	for _, row := range []struct{ name, rules, order, want string }{
		{"first", all + "," + one + "," + port, "First", text("1", "2 rules")},
		{"in the middle", one + "," + all + "," + port, "First", strings.Replace(text("2", "1 rule"), "match:", "matches:", 1)},
		{"last", one + "," + port + "," + all, "First", ""},
		{"the last one wins", all + "," + one, "Last", ""},
		{"with a port", port + "," + one, "First", ""},
	} {
		got := strings.Join(warned(t, `{"Listen":{"Port":1,"Action":"Deny"},"HostRules":{"Items":[`+row.rules+`],"Order":"`+row.order+`"}}`), "\n")
		if got != row.want {
			t.Errorf("%s: got %q; want %q", row.name, got, row.want)
		}
	}
}

func TestMatchesEveryHost(t *testing.T) {
	for pattern, want := range map[string]bool{
		".": true, ".*": true, "^.*$": true, ".+": true, "^.+$": true, "^": true, "$": true, "^.": true, ".$": true, "(.*)": true, "^(.+)$": true,
		"(?i).*": true, "(?s).*": true, "x*": true, "a?": true, "(a|.*)": true, "^(?:.*)$": true, ".{1,}": true, ".*.*": true, `\A.*\z`: true,
		"": true, "(?m)^.*$": true,
		"..": false, "^$": false, "^.$": false, "^.?$": false, "a": false, `\.com$`: false, ".*a": false, "^x*$": false, ".+.+": false, "[a-z]": false,
		`^.*\.`: false, "(a|b)": false, `\b`: false, "$^": false, "(": false, ".*^.": false,
	} {
		if got := matchesEveryHost(pattern); got != want {
			t.Errorf("%q: got %t", pattern, got)
		}
	}
}
