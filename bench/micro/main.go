//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/alecthomas/kong"

	"proxymap/bench/proc"
)

const benchstat = "golang.org/x/perf/cmd/benchstat@v0.0.0-20260908200009-22c9c6c9d4da"

type options struct {
	Against    string `help:"The earlier commit." placeholder:"COMMIT"`
	Bench      string `help:"Benchmarks whose names match this regular expression." default:"."`
	Package    string `help:"The package." default:"./httpparse"`
	OldPackage string `help:"Its path at the earlier commit, if it was another." placeholder:"PACKAGE"`
	Count      int    `help:"How often each is run." default:"10"`
	Benchtime  string `help:"How long one run of a benchmark is, as for go test." default:"200ms"`
}

func main() {
	var o options
	kong.Parse(&o, kong.Name("micro"), kong.Description("Compare the micro-benchmarks of two commits."), kong.UsageOnError())
	if err := o.run(); err != nil {
		fmt.Fprintln(os.Stderr, "micro:", err)
		os.Exit(1)
	}
}

// A side is one of the two: a package below the folder root, its test binary, and the file with its figures.
type side struct {
	name, root, pkg, binary, figures string
}

func (o *options) run() error {
	switch {
	case o.Against == "":
		return errors.New("--against: which commit? With make: make benchstat AGAINST=COMMIT")
	case o.Count < 1:
		return fmt.Errorf("--count %d: must be positive", o.Count)
	}
	dir, err := os.MkdirTemp("", "micro")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	tree, remove, err := proc.Checkout(o.Against)
	if err != nil {
		return err
	}
	defer remove()
	if o.OldPackage == "" {
		o.OldPackage = o.Package
	}
	var sides []*side
	for _, s := range []*side{{name: "old", root: tree, pkg: o.OldPackage}, {name: "new", root: ".", pkg: o.Package}} {
		if err := s.build(dir); err != nil {
			return err
		}
		sides = append(sides, s)
	}
	if err := o.runInTurn(sides); err != nil {
		return err
	}
	cmd := command(dir, "go", "run", benchstat, "-ignore", "pkg", "old", "new")
	cmd.Stdout = os.Stdout
	return cmd.Run()
}

// build makes the side's test binary in dir.
func (s *side) build(dir string) error {
	s.binary, s.figures = filepath.Join(dir, s.name+".test"), filepath.Join(dir, s.name)
	if err := command(s.root, "go", "test", "-c", "-o", s.binary, s.pkg).Run(); err != nil {
		return fmt.Errorf("the tests of %s (%s) cannot be built: %w", s.pkg, s.name, err)
	}
	return nil
}

// runInTurn runs all benchmarks of one side, then of the other, and the other first in the next round.
func (o *options) runInTurn(sides []*side) error {
	for round := range o.Count {
		for i := range sides {
			s := sides[(i+round)%len(sides)]
			if err := s.run(o.Bench, o.Benchtime); err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
		}
		fmt.Fprintf(os.Stderr, "round %d of %d is done\n", round+1, o.Count)
	}
	return nil
}

// run adds one run of the benchmarks that match to the side's figures.
func (s *side) run(bench, benchtime string) error {
	folder := filepath.Join(s.root, s.pkg)
	out, err := command(folder, s.binary, "-test.run=^$", "-test.bench="+bench, "-test.benchmem", "-test.benchtime="+benchtime).Output()
	if err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	if !strings.Contains(string(out), "\nBenchmark") {
		return fmt.Errorf("no benchmark of %s matches %q", s.pkg, bench)
	}
	return appendTo(s.figures, out)
}

func appendTo(name string, text []byte) error {
	f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Close())
}

// command is a command in a folder, whose complaints are shown.
func command(folder, name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Stderr = folder, os.Stderr
	return cmd
}
