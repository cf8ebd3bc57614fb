//go:build linux

package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// median is the median of list, and its least and greatest.
func median(list []float64) (mid, low, high float64) {
	if len(list) == 0 {
		return 0, 0, 0
	}
	s := slices.Sorted(slices.Values(list))
	return s[len(s)/2], s[0], s[len(s)-1]
}

func pick(list []figure, of func(figure) float64) []float64 {
	var v []float64
	for _, f := range list {
		v = append(v, of(f))
	}
	return v
}

// bestHAProxy is the least, or if more is better the greatest, of the medians of HAProxy's variants.
func bestHAProxy(by map[string][]figure, of func(figure) float64, more bool) (best float64) {
	for name, list := range by {
		if !strings.HasPrefix(name, "haproxy") {
			continue
		}
		if m, _, _ := median(pick(list, of)); best == 0 || more == (m > best) {
			best = m
		}
	}
	return best
}

// print writes what has been measured to out.
func (c *comparison) print(out io.Writer) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "scenario\trelay\tCPU/op µs\t(least-most)\tto HAProxy\tops/s\tto HAProxy\tp50 µs\tp99 µs\tp999 µs\tresident KiB")
	for _, r := range c.rows() {
		by := c.figures[r.name]
		cpuHA := bestHAProxy(by, func(f figure) float64 { return f.cpu }, false)
		rateHA := bestHAProxy(by, func(f figure) float64 { return f.rate }, true)
		for _, t := range c.running {
			list := by[t.name]
			if len(list) == 0 {
				continue
			}
			cpu, low, high := median(pick(list, func(f figure) float64 { return f.cpu }))
			rate, _, _ := median(pick(list, func(f figure) float64 { return f.rate }))
			p50, _, _ := median(pick(list, func(f figure) float64 { return f.p50 }))
			p99, _, _ := median(pick(list, func(f figure) float64 { return f.p99 }))
			p999, _, _ := median(pick(list, func(f figure) float64 { return f.p999 }))
			resident, _, _ := median(pick(list, func(f figure) float64 { return f.resident }))
			fmt.Fprintf(w, "%s\t%s\t%.2f\t(%.2f-%.2f)\t%s\t%.0f\t%s\t%.0f\t%.0f\t%.0f\t%.0f\n", r.name, t.name, cpu, low, high, ratio(cpu, cpuHA),
				rate, ratio(rate, rateHA), p50, p99, p999, resident)
		}
	}
	for _, t := range c.running {
		if each, low, high := median(c.tunnels[t.name]); each != 0 {
			fmt.Fprintf(w, "idle tunnel\t%s\t%.0f bytes\t(%.0f-%.0f)\n", t.name, each, low, high)
		}
	}
	w.Flush()
	c.printTargets(out)
	for _, s := range c.skipped {
		fmt.Fprintln(out, "left out:", s)
	}
	for _, t := range c.running {
		for row, err := range t.broken {
			fmt.Fprintf(out, "left out: %s, %s: %v\n", t.name, row, err)
		}
	}
}

func ratio(v, of float64) string {
	if v == 0 || of == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", v/of)
}

// printTargets prints where proxymap stands beside HAProxy, figure by figure, and where it means to be.
func (c *comparison) printTargets(out io.Writer) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\nproxymap to HAProxy's best\tratio\tof rounds\tmust\taim\t")
	line := func(name string, ratio, low, high, must, aim float64, more bool) {
		verdict := "falls short"
		switch {
		case more == (ratio >= aim) && ratio != 0:
			verdict = "reached"
		case more == (ratio >= must) && ratio != 0:
			verdict = "holds"
		}
		fmt.Fprintf(w, "%s\t%.2f\t%.2f-%.2f\t%.2f\t%.2f\t%s\n", name, ratio, low, high, must, aim, verdict)
	}
	type measure struct {
		what string
		of   func(figure) float64
		more bool
	}
	compare := func(r row, m measure, must, aim float64) {
		by := c.figures[r.name]
		ours, theirs := pick(by["proxymap"], m.of), bestHAProxy(by, m.of, m.more)
		if len(ours) == 0 || theirs == 0 {
			return
		}
		mid, low, high := median(ours)
		line(r.name+", "+m.what, mid/theirs, low/theirs, high/theirs, must, aim, m.more)
	}
	for _, r := range c.rows() {
		if r.must > 0 {
			compare(r, measure{"CPU for a " + r.unit, func(f figure) float64 { return f.cpu }, false}, r.must, r.aim)
		}
		if r.scenario.Rate == 0 && r.must == 0.75 {
			compare(r, measure{"p99", func(f figure) float64 { return f.p99 }, false}, 1, 0.8)
			compare(r, measure{"throughput", func(f figure) float64 { return f.rate }, true}, 1, 1.2)
		}
	}
	best := 0.0
	for name, list := range c.tunnels {
		if m, _, _ := median(list); strings.HasPrefix(name, "haproxy") && (best == 0 || m < best) {
			best = m
		}
	}
	if mid, low, high := median(c.tunnels["proxymap"]); best > 0 && mid > 0 {
		line("idle tunnel, resident bytes", mid/best, low/best, high/best, 0.2, 0.12, false)
	}
	beside, alone := c.figures["tunnel-1000-beside-bulk"], c.figures["tunnel-1000"]
	p99 := func(f figure) float64 { return f.p99 }
	if own, _, _ := median(pick(alone["proxymap"], p99)); own > 0 {
		mid, low, high := median(pick(beside["proxymap"], p99))
		line("p99 beside 8 bulk streams, to its own without", mid/own, low/own, high/own, 3, 3, false)
		if theirs := bestHAProxy(beside, p99, false); theirs > 0 {
			line("p99 beside 8 bulk streams", mid/theirs, low/theirs, high/theirs, 1, 1, false)
		}
	}
	w.Flush()
}
