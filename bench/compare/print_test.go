//go:build linux

package main

import (
	"errors"
	"strings"
	"testing"
)

// table reads a table: its cells are at least two spaces apart.
func table(text string) (lines []string) {
	for line := range strings.Lines(text) {
		var cells []string
		for cell := range strings.SplitSeq(strings.TrimSpace(line), "  ") {
			if cell = strings.TrimSpace(cell); cell != "" {
				cells = append(cells, cell)
			}
		}
		lines = append(lines, strings.Join(cells, " | "))
	}
	return lines
}

func TestPrint(t *testing.T) {
	c := &comparison{
		o:       &options{Rows: []string{"plain", "plain-4000"}},
		skipped: []string{"squid is not installed"},
		running: []*target{{name: "proxymap"}, {name: "haproxy"}, {name: "haproxy, splice", broken: map[string]error{"plain": errors.New("it has gone")}}},
		figures: map[string]map[string][]figure{
			"plain": {
				"proxymap":        {{cpu: 9, rate: 130, p99: 70}, {cpu: 8, rate: 120, p99: 80}, {cpu: 7, rate: 110, p99: 90}},
				"haproxy":         {{cpu: 10, rate: 90, p99: 100}},
				"haproxy, splice": {{cpu: 16, rate: 100, p99: 90}},
			},
			"plain-4000": {"proxymap": {{cpu: 50}}, "haproxy": {{cpu: 50}}},
		},
		tunnels: map[string][]float64{"proxymap": {500}, "haproxy": {1000}},
	}
	var out strings.Builder
	c.print(&out)
	got := table(out.String())
	for _, want := range []string{
		"plain | proxymap | 8.00 | (7.00-9.00) | 0.80 | 120 | 1.20 | 0 | 80 | 0 | 0",
		"plain | haproxy | 10.00 | (10.00-10.00) | 1.00 | 90 | 0.90 | 0 | 100 | 0 | 0", // the cheaper one, and the other is faster
		"plain, CPU for a request | 0.80 | 0.70-0.90 | 0.75 | 0.60 | falls short",
		"plain, p99 | 0.89 | 0.78-1.00 | 1.00 | 0.80 | holds",
		"plain, throughput | 1.20 | 1.10-1.30 | 1.00 | 1.20 | reached",
		"plain-4000, CPU for a request | 1.00 | 1.00-1.00 | 0.90 | 0.50 | falls short",
		"idle tunnel | proxymap | 500 bytes | (500-500)",
		"idle tunnel, resident bytes | 0.50 | 0.50-0.50 | 0.20 | 0.12 | falls short",
		"left out: squid is not installed",
		"left out: haproxy, splice, plain: it has gone",
	} {
		if n := strings.Count("\n"+strings.Join(got, "\n")+"\n", "\n"+want+"\n"); n != 1 {
			t.Errorf("%q is there %d times in\n%s", want, n, strings.Join(got, "\n"))
		}
	}
}

func TestMedian(t *testing.T) {
	if mid, low, high := median([]float64{5, 1, 3}); mid != 3 || low != 1 || high != 5 {
		t.Errorf("%v, %v, %v", mid, low, high)
	}
	if mid, low, high := median(nil); mid != 0 || low != 0 || high != 0 {
		t.Errorf("of nothing: %v, %v, %v", mid, low, high)
	}
}

func TestRatio(t *testing.T) {
	for _, row := range []struct {
		v, of float64
		want  string
	}{{1, 3, "0.33"}, {0, 3, "-"}, {3, 0, "-"}} {
		if got := ratio(row.v, row.of); got != row.want {
			t.Errorf("%v to %v: %q; want %q", row.v, row.of, got, row.want)
		}
	}
}
