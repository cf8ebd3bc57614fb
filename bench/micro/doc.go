//go:build linux

// Command micro runs the micro-benchmarks of a package at an earlier commit and as the files are, in turn, so that what
// disturbs the machine disturbs both, and shows them with benchstat. See bench/README.md.
//
// It may import proc, and kong for its command line. It never imports what it measures.
package main
