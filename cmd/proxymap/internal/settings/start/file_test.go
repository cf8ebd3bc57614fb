package start

import (
	"regexp"
	"strings"
	"testing"

	"proxymap/cmd/proxymap/internal/settings"
)

// fileOf is the file that init writes.
func fileOf(t *testing.T, given string) (text string, example bool) {
	t.Helper()
	form, example := read(t, given).Completed()
	if _, faults := form.Settings("/here"); len(faults) > 0 {
		t.Fatal(given, faults)
	}
	return string(form.File(form.UpstreamFile())), example
}

// What a file has where nothing is given, and that it is said.
func TestExample(t *testing.T) {
	for _, row := range []struct {
		given   string
		example bool
		has     []string
	}{
		{"", true, []string{`"Host": "gate.example.com"`, `"Start": 10201, "End": 10300`, `"StickyProxyLifetime": "10m"`, `"SessionAPI": {"Enabled": true, "Domain": "portmapper"},`}},
		{"--ports=1", true, []string{`"Host": "gate.example.com"`, `"Port": 1,`, `// "StickyProxyLifetime"`, `// "SessionAPI"`}},
		{"--upstream=a:1", false, []string{`"Host": "a"`, `"Start": 10201, "End": 10300`, `// "StickyProxyLifetime"`, `// "SessionAPI"`}},
		{"--session-api=false", true, []string{`"SessionAPI": {"Enabled": false},`}},
		{"--lifetime=5", true, []string{`"StickyProxyLifetime": 5,`}},
		{"--upstream=a:1 | --address=::", false, []string{"curl -x http://[::1]:10201 "}},
		{"--upstream=a:1 | --address=0.0.0.0 | --session-api=api.test", false, []string{"curl -x http://127.0.0.1:10201 http://api.test/session/ "}},
	} {
		text, example := fileOf(t, row.given)
		if example != row.example {
			t.Errorf("%q: example is %v", row.given, example)
		}
		for _, part := range row.has {
			if !strings.Contains(text, part) {
				t.Errorf("%q: %s is not in\n%s", row.given, part, text)
			}
		}
	}
}

// commented is a key that can be had by taking the slashes off.
var commented = regexp.MustCompile(`(?m)^( *)// ("[A-Z]\w+": .*|\{.*),$`)

// Whatever a file shows behind slashes can be had by taking them off, each alone.
func TestCommentsOfAFile(t *testing.T) {
	text, _ := fileOf(t, "--upstream=http://u:p@a:1")
	places := commented.FindAllStringSubmatchIndex(text, -1)
	if len(places) != 8 {
		t.Errorf("there are %d keys behind slashes; want 8:\n%s", len(places), text)
	}
	for _, at := range places {
		with := text[:at[3]] + text[at[4]:]
		if strings.Contains(text[at[4]:at[5]], `"Address": "0.0.0.0"`) {
			with = strings.Replace(with, `// "AllowFrom"`, `"AllowFrom"`, 1) // says for whom
		}
		if _, err := settings.Parse("f", []byte(with)); err != nil {
			t.Errorf("with %s: %v", text[at[4]:at[5]], err)
		}
	}
}
