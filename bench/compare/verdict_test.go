//go:build linux

package main

import (
	"errors"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

// costs makes trials of triples: old, old again, new.
func costs(list ...[3]float64) (trials []trial) {
	for _, c := range list {
		trials = append(trials, trial{old: figure{cpu: c[0]}, again: figure{cpu: c[1]}, new: figure{cpu: c[2]}})
	}
	return trials
}

func repeat(n int, c [3]float64) (trials []trial) {
	for range n {
		trials = append(trials, costs(c)...)
	}
	return trials
}

func TestJudge(t *testing.T) {
	for _, row := range []struct {
		name   string
		trials []trial
		want   verdict
		ratio  float64
	}{
		{"all alike", repeat(9, [3]float64{10, 10, 10}), within, 1},
		{"a tenth more", repeat(9, [3]float64{10, 10, 11}), outside, 1.1},
		{"a tenth less", repeat(9, [3]float64{10, 10, 9}), better, 0.9},
		{"always more, by less than what matters", repeat(9, [3]float64{10, 10, 10.15}), within, 1.015},
		{"more than what matters, but the old one differs from itself by more", repeat(9, [3]float64{10, 10.8, 10.9}), within, 10.9 / math.Sqrt(108)},
		{"no more than chance makes: more in one of two", costs(
			[3]float64{10, 10, 12}, [3]float64{10, 10, 9}, [3]float64{10, 10, 12}, [3]float64{10, 10, 9}, [3]float64{10, 10, 12}), within, 1.2},
		{"a tenth more in the noise of the machine", costs(
			[3]float64{10, 10.2, 11}, [3]float64{20, 20.5, 22.2}, [3]float64{10.1, 10, 11.1}, [3]float64{15, 14.8, 16.4}, [3]float64{9, 9.1, 9.05},
			[3]float64{10, 10, 11}), outside, 1.1},
		{"one wild round", costs(
			[3]float64{10, 10.1, 40}, [3]float64{10.1, 10, 10}, [3]float64{10, 10.1, 10.05}, [3]float64{10.1, 10, 10.02}, [3]float64{10, 10.1, 10.2}), within, 1},
		{"much noise, and no more than that", costs(
			[3]float64{10, 12, 11}, [3]float64{12, 10, 11}, [3]float64{10, 12, 11}, [3]float64{12, 10, 11}, [3]float64{10, 10, 10}), noisy, 1},
		{"much noise, and far more than that", costs(
			[3]float64{10, 12, 30}, [3]float64{12, 10, 31}, [3]float64{10, 12, 29}, [3]float64{12, 10, 32}, [3]float64{10, 10, 30}), outside, 2.83},
		{"with 2 rounds nothing is outside", repeat(2, [3]float64{10, 10, 20}), within, 2},
	} {
		j := judge(row.trials)
		if j.verdict != row.want || math.Abs(j.ratio-row.ratio) > 0.02 {
			t.Errorf("%s: %s, %.3f by chance %.3f; want %s, %.3f", row.name, j.verdict, j.ratio, j.chance, row.want, row.ratio)
		}
	}
}

// Two runs that cost the same do not count as more.
func TestEqualRunsAreNoSign(t *testing.T) {
	if j := judge(repeat(9, [3]float64{10, 10, 10})); j.chance < 1-1e-9 {
		t.Errorf("chance %v; want 1", j.chance)
	}
}

func TestChanceOfSum(t *testing.T) {
	for _, row := range []struct {
		n, sum int
		want   float64
	}{
		{0, 0, 1}, {1, 0, 1}, {1, 1, 2. / 3}, {1, 2, 1. / 3}, {1, 3, 0}, {2, 4, 1. / 9}, {2, 3, 3. / 9}, {2, -1, 1}, {3, 6, 1. / 27}, {3, 5, 4. / 27},
		{9, 18, math.Pow(3, -9)}, {9, 9, .5 + 3139./2/19683}, // the middle one has 3139 of 3^9 ways
	} {
		if got := chanceOfSum(row.n, row.sum); math.Abs(got-row.want) > 1e-9 {
			t.Errorf("%d numbers, %d at least: %v; want %v", row.n, row.sum, got, row.want)
		}
	}
}

// What bench/README.md says of false alarms and of what is found, for noise of three kinds.
func TestAlarms(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	normal := func() float64 { return 1 + .03*r.NormFloat64() }
	tailed := func() float64 { // one run in ten is disturbed
		v := 1 + .02*r.NormFloat64()
		if r.Float64() < .1 {
			v += math.Abs(.3 * r.NormFloat64())
		}
		return v
	}
	twoStates := func() float64 {
		v := 1 + .02*r.NormFloat64()
		if r.Float64() < .4 {
			v *= 2
		}
		return v
	}
	const runs = 4000
	alarms := func(noise func() float64, rounds int, cost float64) float64 {
		n := 0
		for range runs {
			var trials []trial
			for range rounds {
				scale := 1 + r.Float64() // the machine is as fast as it is
				trials = append(trials, costs([3]float64{scale * noise(), scale * noise(), scale * noise() * cost})...)
			}
			if judge(trials).verdict == outside {
				n++
			}
		}
		return float64(n) / runs
	}
	for name, noise := range map[string]func() float64{"normal": normal, "tailed": tailed, "two states": twoStates} {
		for _, rounds := range []int{5, 9, 18} {
			if got := alarms(noise, rounds, 1); got > chanceOfAlarm+.01 {
				t.Errorf("%s noise, %d rounds: %.3f of runs are false alarms; want %.2f at most", name, rounds, got, chanceOfAlarm)
			}
		}
	}
	for _, row := range []struct {
		noise  func() float64
		rounds int
		cost   float64
		least  float64
	}{{normal, 9, 1.05, .85}, {normal, 9, 1.1, .99}, {normal, 18, 1.05, .97}, {tailed, 9, 1.05, .85}, {tailed, 9, 1.1, .95}, {twoStates, 18, 1.1, .6}} {
		if got := alarms(row.noise, row.rounds, row.cost); got < row.least {
			t.Errorf("%d rounds, a cost of %.2f: found in %.3f of runs; want %.2f at least", row.rounds, row.cost, got, row.least)
		}
	}
}

func TestSpread(t *testing.T) {
	for _, row := range []struct {
		list           []float64
		mid, low, high float64
	}{
		{nil, 0, 0, 0}, {[]float64{3}, 3, 3, 3}, {[]float64{4, 1}, 2.5, 1, 4}, {[]float64{9, 1, 2}, 2, 1, 9}, {[]float64{9, 1, 2, 4}, 3, 1, 9},
	} {
		if mid, low, high := spread(row.list); mid != row.mid || low != row.low || high != row.high {
			t.Errorf("%v: %v, %v, %v; want %v, %v, %v", row.list, mid, low, high, row.mid, row.low, row.high)
		}
	}
}

// Of what place and predecessor do to a run, each of the three has the same share.
func TestOrdersAreBalanced(t *testing.T) {
	for from := 0; from < len(orders); from += 3 {
		var seen [3][3]bool
		for _, order := range orders[from : from+3] {
			for place, which := range order {
				seen[which][place] = true
			}
		}
		if seen != [3][3]bool{{true, true, true}, {true, true, true}, {true, true, true}} {
			t.Errorf("orders from the %dth: each of the three should have had each place: %v", from, seen)
		}
	}
	follows := map[[2]int]int{}
	for _, order := range orders {
		follows[[2]int{order[0], order[1]}]++
		follows[[2]int{order[1], order[2]}]++
	}
	for pair, n := range follows {
		if n != 2 || len(follows) != 6 {
			t.Errorf("%v follow each other %d times; want 2", pair, n)
		}
	}
}

func TestPrintJudgements(t *testing.T) {
	list := []row{{name: "plain"}, {name: "tunnel"}, {name: "up-8"}, {name: "down-8"}}
	trials := map[string][]trial{
		"plain": {}, "tunnel": repeat(9, [3]float64{10, 10, 20}), "down-8": repeat(9, [3]float64{10, 10, 5}), "up-8": repeat(2, [3]float64{10, 10, 10}),
	}
	for range 9 {
		trials["plain"] = append(trials["plain"], trial{figure{cpu: 10, rate: 100, p99: 50}, figure{cpu: 10, rate: 100, p99: 50}, figure{cpu: 10.1, rate: 90, p99: 60}})
	}
	var out strings.Builder
	again := printJudgements(&out, list, trials, map[string]error{"up-8": errors.New("it has gone")})
	if len(again) != 1 || again[0].name != "tunnel" {
		t.Errorf("rows to be measured again are %v; want tunnel alone", again)
	}
	var got [][]string
	for line := range strings.Lines(out.String()) {
		got = append(got, strings.Fields(line))
	}
	for i, want := range []string{
		1: "plain 9 10.00 10.10 1.010 1.01-1.01 1.000 1.00-1.00 0.000 within 0.90 1.20",
		2: "tunnel 9 10.00 20.00 2.000 2.00-2.00 1.000 1.00-1.00 0.000 outside - -",
		3: "up-8 2 not measured: it has gone",
		4: "down-8 9 10.00 5.00 0.500 0.50-0.50 1.000 1.00-1.00 1.000 better - -",
	} {
		if i > 0 && (len(got) != 5 || strings.Join(got[i], " ") != want) {
			t.Errorf("line %d is %q; want %q", i, got[i], want)
		}
	}
}

func TestFailure(t *testing.T) {
	d := newDuel(&options{Against: "abc"}, "")
	if err := d.failure(nil); err != nil {
		t.Errorf("nothing is worse, and yet %v", err)
	}
	d.broken["up-8"] = errors.New("it has gone")
	err := d.failure([]row{{name: "plain"}})
	if err == nil || err.Error() != "against abc: plain costs more, up-8 was not measured" {
		t.Errorf("got %v", err)
	}
}

func TestOptions(t *testing.T) {
	for _, row := range []struct {
		o    options
		want string // of the error; empty: none
	}{
		{options{Tunnels: 4}, ""},
		{options{Tunnels: 4, Rows: []string{"idle", "plain"}}, ""},
		{options{Tunnels: 4, Rows: []string{"sideways"}}, "--rows sideways: no such row"},
		{options{Tunnels: 4, Rounds: -1}, "must be positive"},
		{options{Tunnels: 4, Against: "HEAD"}, ""},
		{options{Tunnels: 4, Against: "HEAD", Of: "HEAD", Rounds: leastRounds}, ""},
		{options{Tunnels: 4, Against: "HEAD", Rounds: leastRounds - 1}, "need 5 rounds"},
		{options{Tunnels: 4, Against: "HEAD", Rows: []string{"idle"}}, "no such row"},
		{options{Tunnels: 4, Against: "HEAD", Peers: []string{"haproxy"}}, "--peers has no meaning"},
		{options{Tunnels: 4, Of: "HEAD"}, "needs --against"},
	} {
		err := row.o.check()
		if (err == nil) != (row.want == "") || err != nil && !strings.Contains(err.Error(), row.want) {
			t.Errorf("%+v: %v; want %q", row.o, err, row.want)
		}
	}
	o := options{Tunnels: 4, Against: "HEAD"}
	if err := o.check(); err != nil || o.Rounds != 9 || o.Time.Seconds() != 1 {
		t.Errorf("%v, %d rounds of %v; want 9 of 1s", err, o.Rounds, o.Time)
	}
}

func TestDuelRows(t *testing.T) {
	names := func(o options) (list []string) {
		for _, r := range o.duelRows() {
			list = append(list, r.name)
		}
		return list
	}
	if got := strings.Join(names(options{}), " "); got != "plain connect tunnel plain-4000 tunnel-4000 down-8 up-8" {
		t.Errorf("rows are %s", got)
	}
	if got := strings.Join(names(options{Rows: []string{"up-1", "plain"}}), " "); got != "plain up-1" {
		t.Errorf("rows are %s", got)
	}
}
