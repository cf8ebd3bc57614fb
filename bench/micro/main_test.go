//go:build linux

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// program writes a program that says what it was called with, and text.
func program(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	script := "#!/bin/sh\nprintf '" + name + " %s\\n' \"$*\" >>" + filepath.Join(dir, "calls") + "\nprintf '" + text + "'\n"
	if err := os.WriteFile(path, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

// Each side's figures go to its own file, and who is first changes from round to round.
func TestRunInTurn(t *testing.T) {
	dir := t.TempDir()
	sides := []*side{
		{name: "old", root: dir, pkg: ".", binary: program(t, dir, "a", "goos: x\\nBenchmarkA 1 1 ns/op\\n"), figures: filepath.Join(dir, "old")},
		{name: "new", root: dir, pkg: ".", binary: program(t, dir, "b", "goos: x\\nBenchmarkA 2 2 ns/op\\n"), figures: filepath.Join(dir, "new")},
	}
	o := options{Count: 3, Bench: "A", Benchtime: "7x"}
	if err := o.runInTurn(sides); err != nil {
		t.Fatal(err)
	}
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	if old, new := read("old"), read("new"); strings.Count(old, "1 ns/op") != 3 || strings.Count(new, "2 ns/op") != 3 || strings.Contains(old, "2 ns/op") {
		t.Errorf("old has %q, new %q", old, new)
	}
	order := ""
	for line := range strings.Lines(read("calls")) {
		order += line[:1]
		if !strings.Contains(line, "-test.bench=A ") || !strings.Contains(line, "-test.benchtime=7x") {
			t.Errorf("called with %s", line)
		}
	}
	if order != "abbaab" {
		t.Errorf("the order is %s; want abbaab", order)
	}
}

func TestFaults(t *testing.T) {
	dir := t.TempDir()
	for want, s := range map[string]*side{
		`no benchmark of . matches "A"`: {root: dir, pkg: ".", binary: program(t, dir, "empty", "PASS\\n"), figures: filepath.Join(dir, "x")},
		"exit status":                   {root: dir, pkg: ".", binary: program(t, dir, "broken", "no luck'; exit 3 #"), figures: filepath.Join(dir, "x")},
	} {
		if err := s.run("A", "1x"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v; want %q", err, want)
		}
	}
	for want, o := range map[string]options{"which commit": {Count: 1}, "--count 0": {Against: "HEAD"}} {
		if err := o.run(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v; want %q", o, err, want)
		}
	}
}
