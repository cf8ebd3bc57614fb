//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"proxymap/bench/proc"
	"proxymap/bench/provider"
)

type options struct {
	Time   time.Duration `help:"How long it runs." default:"10m"`
	Margin int64         `help:"KiB that memory at rest may grow by, beside a tenth of what it was." default:"1024"`
}

const (
	cycleTime    = 10 * time.Second // load and rest
	leastCycles  = 4
	restTime     = 2 * time.Second  // of the process, when all connections have gone; memory goes back after the first one
	restPatience = 10 * time.Second // for the connections to go
	idlePipes    = 2 * 8            // descriptors of the pipes that a loop keeps; there is a loop for each processor
)

func main() {
	var o options
	kong.Parse(&o, kong.Name("soak"), kong.Description("Look whether proxymap stays as it was under load for long."), kong.UsageOnError())
	if err := o.run(); err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

func (o *options) run() error {
	dir, err := os.MkdirTemp("", "soak")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := proc.Build(dir, "proxymap"); err != nil {
		return err
	}
	stub, err := provider.Start(provider.Config{User: user, Password: password, Records: -1})
	if err != nil {
		return err
	}
	defer stub.Close()
	fresh, err := startRelay(dir, 2, stub.Addr())
	if err != nil {
		return err
	}
	goroutines, _, err := fresh.Goroutines()
	if err != nil {
		return fmt.Errorf("proxymap, which has just been started: %w", err)
	}
	r, err := startRelay(dir, 1, stub.Addr())
	if err != nil {
		return err
	}
	defer r.Stop()
	s := &soak{relay: r}
	s.cycles(o.Time)
	s.judge(o.Margin << 10)
	n, log, err := r.Goroutines()
	switch {
	case err != nil:
		s.fail("proxymap: %v", err)
	case n != goroutines:
		s.fail("%d goroutines at the end; want %d, as at the start", n, goroutines)
	}
	if log != "" {
		s.fail("proxymap has logged: %.2000s", strings.TrimSpace(log))
	}
	if len(s.faults) > 0 {
		return errors.New(strings.Join(s.faults, "\nsoak: "))
	}
	fmt.Printf("nothing has drifted; %d goroutines, as at the start\n", n)
	return nil
}

// A soak is the load on a relay, and what has been seen of it.
type soak struct {
	relay *relay
	tally
	rests  []int64 // memory at the end of each pause
	faults []string
}

func (s *soak) fail(format string, args ...any) {
	s.faults = append(s.faults, fmt.Sprintf(format, args...))
}

// cycles loads the relay and lets it rest, again and again, until something is wrong with more than its memory.
func (s *soak) cycles(all time.Duration) {
	time.Sleep(restTime) // the connection that has found it ready goes
	basePipes, base := s.relay.Descriptors()
	cycle := min(cycleTime, all/leastCycles)
	fmt.Println("    time      memory KiB       descriptors         connections")
	fmt.Println("            load      rest   load  rest pipes      served  errors")
	for began, n := time.Now(), 1; time.Duration(n)*cycle <= all && len(s.faults) == 0; n++ {
		memory, loaded := s.load(max(cycle-2*restTime, cycle/3))
		pipes, others := s.comeToRest(base)
		s.rests = append(s.rests, s.relay.Resident())
		s.mu.Lock()
		fmt.Printf("%8v %7d %9d %6d %5d %5d %11d %7d\n", time.Since(began).Round(time.Second), memory>>10, s.rests[n-1]>>10,
			loaded, others, pipes-basePipes, s.connections, s.errors)
		s.mu.Unlock()
		s.judgePause(others-base, pipes-basePipes, runtime.NumCPU())
		time.Sleep(time.Until(began.Add(time.Duration(n) * cycle)))
	}
}

// judgePause fails if an operation has failed, or more descriptors are left than there were before any load: of pipes each
// loop keeps some.
func (s *soak) judgePause(left, pipes, loops int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.errors > 0 {
		s.fail("%d errors, the first: %v", s.errors, s.first)
	}
	if left != 0 {
		s.fail("%+d descriptors are open when all connections have ended, compared with the start; want as many", left)
	}
	if most := idlePipes * loops; pipes > most {
		s.fail("%d descriptors of pipes are open when all connections have ended; want at most %d", pipes, most)
	}
}

// comeToRest waits until all connections have gone, if they do, and then for the memory.
func (s *soak) comeToRest(base int) (pipes, others int) {
	for end := time.Now().Add(restPatience); ; time.Sleep(10 * time.Millisecond) {
		if _, others = s.relay.Descriptors(); others == base || time.Now().After(end) {
			break
		}
	}
	time.Sleep(restTime)
	return s.relay.Descriptors()
}

// judge compares the least memory of the first third of the pauses with that of the last third. Between two collections it
// goes up and down by chance, and what the process gives back it gives back once a minute; a leak raises the least. The very
// first pause does not count: what grows once has then grown.
func (s *soak) judge(margin int64) {
	if len(s.rests) < 3 {
		return // something else was wrong before
	}
	rests := s.rests[1:]
	n := max(len(rests)/3, 1)
	first, last := slices.Min(rests[:n]), slices.Min(rests[len(rests)-n:])
	fmt.Printf("memory at rest: %d KiB at first, %d KiB in the end\n", first>>10, last>>10)
	if most := first + first/10 + margin; last > most {
		s.fail("memory at rest has grown from %d KiB to %d; want at most %d", first>>10, last>>10, most>>10)
	}
}
