//go:build linux

// Command compare measures proxymap beside other relays. All are started once, each gets the same load in turn, round
// after round, so that what disturbs the machine disturbs all of them; figures are medians over the rounds.
//
// The load has the machine's first processor for itself and the relays have the others, one of them at a time, for where
// they share one the scheduler's time slices are what is measured. See bench/README.md.
//
// It may import drive and proc, kong for its command line and x/sys. It never imports the relay: what it measures is a
// program like the others.
package main
