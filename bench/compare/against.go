//go:build linux

package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"proxymap/bench/proc"
)

// againstRows are compared between commits unless rows are named.
var againstRows = []string{"plain", "connect", "tunnel", "plain-4000", "tunnel-4000", "down-8", "up-8"}

// A duel compares two commits.
type duel struct {
	o      *options
	dir    string
	peers  [3]peer // old, old again, new
	trials map[string][]trial
	broken map[string]error // by row
}

// compareCommits measures proxymap as it is, or as it was at o.Of, against what it was at o.Against. It fails if a row is
// outside, and still is when it is measured again by itself.
func (o *options) compareCommits(dir string) error {
	names := [2]string{}
	for i, commit := range []string{o.Against, o.Of} {
		var err error
		if names[i], err = proc.Name(commit); err != nil {
			return err
		}
		if err := buildCommit(commit, dir, binaries[i]); err != nil {
			return err
		}
	}
	fmt.Printf("%s: %s (new) against %s (old), %d rounds of %v, the load on processor 0, the relay on the others of %s; Linux %s\n\n",
		time.Now().Format(time.DateOnly), names[1], names[0], o.Rounds, o.Time, os.Getenv("COMPARE_CPUS"), kernel())
	list := o.duelRows()
	d := newDuel(o, dir)
	d.run(list, o.Rounds)
	again := printJudgements(os.Stdout, list, d.trials, d.broken)
	if len(again) > 0 {
		fmt.Printf("\noutside, so measured again by themselves, %d rounds:\n\n", moreRounds*o.Rounds)
		first := d.broken
		d = newDuel(o, dir)
		d.run(again, moreRounds*o.Rounds)
		again = printJudgements(os.Stdout, again, d.trials, d.broken)
		for name, err := range first {
			d.broken[name] = err
		}
	}
	return d.failure(again)
}

var binaries = [2]string{"proxymap-old", "proxymap-new"}

// buildCommit makes the binary of a commit, or of the files as they are if it is empty.
func buildCommit(commit, dir, name string) error {
	if commit == "" {
		return proc.Build(dir, name, "-trimpath")
	}
	tree, remove, err := proc.Checkout(commit)
	if err != nil {
		return err
	}
	defer remove()
	return proc.BuildIn(tree, dir, name, "-trimpath")
}

// duelRows are the rows to be compared.
func (o *options) duelRows() (list []row) {
	names := o.Rows
	if len(names) == 0 {
		names = againstRows
	}
	for _, r := range rows {
		if slices.Contains(names, r.name) {
			list = append(list, r)
		}
	}
	return list
}

func newDuel(o *options, dir string) *duel {
	d := &duel{o: o, dir: dir, trials: map[string][]trial{}, broken: map[string]error{}}
	for i, binary := range []string{binaries[0], binaries[0], binaries[1]} {
		d.peers[i] = peer{name: binary, command: func(j job) ([]string, error) { return proxymap(j, binary) }}
	}
	return d
}

// run adds so many trials to each row.
func (d *duel) run(list []row, rounds int) {
	for round := range rounds {
		for _, r := range list {
			if d.broken[r.name] != nil {
				continue
			}
			t, err := d.trial(r, round)
			if err != nil {
				d.broken[r.name] = err
				continue
			}
			d.trials[r.name] = append(d.trials[r.name], t)
		}
		fmt.Fprintf(os.Stderr, "round %d of %d is done\n", round+1, rounds)
	}
}

// trial runs the three, each in a process of its own that is started for it, so that what a process is stuck with from
// its start on is part of the spread. Addresses go with the place in the order, and those of the last round rest.
func (d *duel) trial(r row, round int) (trial, error) {
	var figures [3]figure
	for place, which := range orders[round%len(orders)] {
		t, err := startPeer(d.dir, &d.peers[which], place+3*(round%2))
		if err != nil {
			return trial{}, err
		}
		figures[which], err = t.measure(r.scenario, d.o.Time)
		t.proc.Stop()
		if err != nil {
			return trial{}, fmt.Errorf("%s: %w", d.peers[which].name, err)
		}
	}
	return trial{old: figures[0], again: figures[1], new: figures[2]}, nil
}

// failure is the error that the comparison ends with, nil if it has passed.
func (d *duel) failure(worse []row) error {
	var names []string
	for _, r := range worse {
		names = append(names, r.name+" costs more")
	}
	for name := range d.broken {
		names = append(names, name+" was not measured")
	}
	if len(names) == 0 {
		return nil
	}
	slices.Sort(names)
	return fmt.Errorf("against %s: %s", d.o.Against, strings.Join(names, ", "))
}
