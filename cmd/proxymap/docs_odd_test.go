package main

import (
	"os"
	"strings"
	"testing"

	"proxymap/httpparse"
)

// Each kind of odd response that is counted is documented, in the table of what becomes of it.
func TestOddResponsesAreDocumented(t *testing.T) {
	text, err := os.ReadFile("docs/behaviour.md")
	if err != nil {
		t.Fatal(err)
	}
	for kind := range httpparse.NumOddities {
		documented := false
		for line := range strings.Lines(string(text)) {
			documented = documented || strings.HasPrefix(line, "| ") && strings.Contains(line, "`"+kind.String()+"`")
		}
		if !documented {
			t.Errorf("docs/behaviour.md has no row of `%s`", kind)
		}
	}
}
