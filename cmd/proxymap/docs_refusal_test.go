package main

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"proxymap/relay/refusal"
)

// The page on behaviour has every class of refusal, with its status and the error types of Proxy-Status, and no other.
func TestClassesAreDocumented(t *testing.T) {
	text, err := os.ReadFile("docs/behaviour.md")
	if err != nil {
		t.Fatal(err)
	}
	told := map[string]string{}  // statuses by class
	types := map[string]string{} // error types by class
	for _, row := range regexp.MustCompile("(?m)^\\| ([0-9, ]+) \\| ((?:`[a-z-]+`(?:, )?)+) \\| ([^|]+) \\|").FindAllStringSubmatch(string(text), -1) {
		for _, class := range strings.Split(row[2], ", ") {
			told[strings.Trim(class, "`")], types[strings.Trim(class, "`")] = row[1], row[3]
		}
	}
	for code := range refusal.Codes() {
		if statuses := told[code.Class()]; !strings.Contains(statuses, fmt.Sprint(code.Status())) {
			t.Errorf("docs/behaviour.md: class %s has the status %q; want %d", code.Class(), statuses, code.Status())
		}
	}
	for code := range refusal.Codes() {
		status := refusal.Refusal{Code: code}.ProxyStatus()
		fault, _, _ := strings.Cut(strings.TrimPrefix(status, "proxymap; error="), ";")
		if !strings.Contains(types[code.Class()], "`"+fault+"`") {
			t.Errorf("docs/behaviour.md: class %s has the error types %s; want %s", code.Class(), types[code.Class()], fault)
		}
	}
	for class := range told {
		if !slices.Contains(refusal.Classes[:], class) {
			t.Errorf("docs/behaviour.md: there is no class %s", class)
		}
	}
	if len(told) != len(refusal.Classes) {
		t.Errorf("docs/behaviour.md: %d classes; want %d", len(told), len(refusal.Classes))
	}
}
