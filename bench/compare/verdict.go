//go:build linux

package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"text/tabwriter"
)

// How a row of two commits is judged. In each round the old commit runs twice and the new one once, each in a process of
// its own, in an order that changes from round to round. If the commits cost the same, it is chance alone which of the
// three runs cost most, whatever the noise of the machine looks like, so the new one costs more than 0, 1 or 2 of the old
// one's runs with equal probability. Over the rounds these counts are added up, and the sum has an exact distribution.
//
// A row is outside if the sum is so great that chance makes it in chanceOfAlarm of all runs at most, and the median of
// the ratios is more than what does not matter (tolerance) and more than the old commit differs from itself.
const (
	chanceOfAlarm = 0.05
	tolerance     = 0.02
	leastRounds   = 5   // with 4 only the greatest sum of all is an alarm, and with 2 none
	muchNoise     = 0.1 // between runs of one commit: what is within then may well hide a change of a tenth
	moreRounds    = 2   // times as many when a row that was outside is measured again by itself
)

// A trial is one round of a row: the CPU time of an operation with the old commit, with the old one again, and with the
// new one.
type trial struct{ old, again, new figure }

// A judgement is what the trials of a row come to. Ratios above 1 mean that the new commit costs more.
type judgement struct {
	ratio, low, high             float64 // new to old: median, least, greatest of the rounds
	itself, itselfLow, itselfTop float64 // old to itself, the same
	chance                       float64 // of a sum as great, if nothing has changed
	noise                        float64 // how far the old commit is from itself: median of the rounds
	verdict                      verdict
}

type verdict string

const (
	within  verdict = "within"
	noisy   verdict = "within, but noisy"
	outside verdict = "outside"
	better  verdict = "better"
)

// judge compares the CPU times of trials.
func judge(trials []trial) judgement {
	var ratios, itself, apart []float64
	more, less := 0, 0
	for _, t := range trials {
		ratios = append(ratios, t.new.cpu/math.Sqrt(t.old.cpu*t.again.cpu))
		itself = append(itself, t.again.cpu/t.old.cpu)
		apart = append(apart, away(t.again.cpu/t.old.cpu))
		for _, old := range []float64{t.old.cpu, t.again.cpu} {
			if t.new.cpu > old {
				more++
			}
			if t.new.cpu < old {
				less++
			}
		}
	}
	j := judgement{verdict: within, chance: chanceOfSum(len(trials), more)}
	j.ratio, j.low, j.high = spread(ratios)
	j.itself, j.itselfLow, j.itselfTop = spread(itself)
	j.noise, _, _ = spread(apart)
	most := 1 + max(tolerance, away(j.itself))
	switch {
	case j.chance <= chanceOfAlarm && j.ratio > most:
		j.verdict = outside
	case chanceOfSum(len(trials), less) <= chanceOfAlarm && j.ratio < 1/most:
		j.verdict = better
	case j.noise > muchNoise:
		j.verdict = noisy
	}
	return j
}

// away is how far a ratio is from 1, the same for a ratio and its inverse.
func away(ratio float64) float64 { return max(ratio, 1/ratio) - 1 }

// chanceOfSum is the probability that n numbers, each 0, 1 or 2 with equal probability, add up to sum at least.
func chanceOfSum(n, sum int) float64 {
	chance := []float64{1} // of each sum of the numbers so far
	for range n {
		next := make([]float64, len(chance)+2)
		for s, p := range chance {
			for k := range 3 {
				next[s+k] += p / 3
			}
		}
		chance = next
	}
	total := 0.0
	for s := max(sum, 0); s < len(chance); s++ {
		total += chance[s]
	}
	return total
}

// spread is the median of list, the mean of the middle two if their number is even, and its least and greatest; zeros for
// an empty list.
func spread(list []float64) (mid, low, high float64) {
	if len(list) == 0 {
		return 0, 0, 0
	}
	s := slices.Sorted(slices.Values(list))
	n := len(s)
	return (s[(n-1)/2] + s[n/2]) / 2, s[0], s[n-1]
}

// orders are the orders in which a round runs old (0), old again (1) and new (2). Of any three in a row that begin at a
// multiple of three, each run has each place once; over six each follows each other equally often.
var orders = [6][3]int{{0, 1, 2}, {1, 2, 0}, {2, 0, 1}, {0, 2, 1}, {2, 1, 0}, {1, 0, 2}}

// printJudgements prints a table with a line for each row that has been measured.
func printJudgements(out io.Writer, rows []row, trials map[string][]trial, broken map[string]error) (again []row) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "row\trounds\told CPU/op µs\tnew CPU/op µs\tnew to old\tof rounds\told to itself\tof rounds\tby chance\tverdict\tops/s to old\tp99 to old")
	for _, r := range rows {
		if err := broken[r.name]; err != nil {
			fmt.Fprintf(w, "%s\t%d\tnot measured: %v\n", r.name, len(trials[r.name]), err)
			continue
		}
		list := trials[r.name]
		j := judge(list)
		if j.verdict == outside {
			again = append(again, r)
		}
		of := func(pick func(t trial) float64) float64 {
			var v []float64
			for _, t := range list {
				v = append(v, pick(t))
			}
			mid, _, _ := spread(v)
			return mid
		}
		fmt.Fprintf(w, "%s\t%d\t%.2f\t%.2f\t%.3f\t%.2f-%.2f\t%.3f\t%.2f-%.2f\t%.3f\t%s\t%s\t%s\n", r.name, len(list),
			of(func(t trial) float64 { return (t.old.cpu + t.again.cpu) / 2 }), of(func(t trial) float64 { return t.new.cpu }),
			j.ratio, j.low, j.high, j.itself, j.itselfLow, j.itselfTop, j.chance, j.verdict,
			ratio(of(func(t trial) float64 { return t.new.rate }), of(func(t trial) float64 { return (t.old.rate + t.again.rate) / 2 })),
			ratio(of(func(t trial) float64 { return t.new.p99 }), of(func(t trial) float64 { return (t.old.p99 + t.again.p99) / 2 })))
	}
	w.Flush()
	return again
}
