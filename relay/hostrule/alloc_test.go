// The race detector has regexp's pools forget.

//go:build !race

package hostrule

import (
	"strings"
	"testing"
)

// Whatever is tried, finding a rule leaves nothing for the collector.
func TestMatchAllocatesNothing(t *testing.T) {
	r := mustIndex(t, append(rulesOf("mixed", 1000), Rule{Host: "::1"}), true)
	for _, host := range []string{
		"www.site12.example", "none.example", "a.b.c.Site500.EXAMPLE", "2001:db8::1", "::1", "1.2.3.4", "x.",
		strings.Repeat("a.example.", 25),
	} {
		b := []byte(host)
		if n := testing.AllocsPerRun(100, func() { r.Match(b, 443) }); n != 0 {
			t.Errorf("%s: %v allocations", host, n)
		}
	}
}
