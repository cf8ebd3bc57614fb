//go:build linux

package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"proxymap/bench/drive"
)

// A syscallRow is a scenario and the number of system calls that an operation may cost.
type syscallRow struct {
	name     string
	scenario drive.Scenario
	most     float64
}

var syscallRows = []syscallRow{
	{"plain request", drive.Scenario{Kind: drive.Plain}, 4.4},
	{"request in a tunnel", drive.Scenario{Kind: drive.Tunnel}, 4.4},
	{"CONNECT with one request", drive.Scenario{Kind: drive.Connect}, 20},
	{"MiB down, 8 streams", drive.Scenario{Kind: drive.Down, Clients: 8}, 4},
	{"MiB up, 8 streams", drive.Scenario{Kind: drive.Up, Clients: 8}, 4},
}

// byTheClock are the calls that Go's runtime makes at its own pace: its monitor and preemption. strace slows the work
// down by a factor of ten and not the clock, so for each operation it sees ten times as many of these as there are.
var byTheClock = []string{"nanosleep", "futex", "tgkill", "getpid", "rt_sigreturn", "sched_yield", "restart_syscall"}

// countSyscalls counts proxymap's system calls for an operation with strace, and prints the table.
func (o *options) countSyscalls(dir string) error {
	if _, err := exec.LookPath("strace"); err != nil {
		return errors.New("strace is not installed")
	}
	t, err := startPeer(dir, &peers[0], 0)
	if err != nil {
		return err
	}
	defer t.proc.Stop()
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "operation\tcalls each\tat most\tcounted\tby the runtime's clock\twhich")
	over := false
	for _, r := range syscallRows {
		s := t.scenario(r.scenario, 2*time.Second)
		s.Warm = time.Second
		var tracer *tracer
		var failed error
		s.Began = func() { tracer, failed = trace(t.proc.PID()) }
		var calls map[string]int
		s.Ended = func() {
			if failed == nil {
				calls, failed = tracer.stop()
			}
		}
		res, err := drive.Run(s)
		if err == nil && res.Errors > 0 {
			err = res.FirstError
		}
		if err := errors.Join(err, failed); err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
		each, clock, which := perOperation(calls, float64(res.Operations))
		over = over || each > r.most
		fmt.Fprintf(w, "%s\t%.2f\t%.1f\t%d\t%.2f\t%s\n", r.name, each, r.most, res.Operations, clock, which)
	}
	w.Flush()
	if over {
		return errors.New("more system calls than there should be")
	}
	return nil
}

// perOperation divides calls by operations: those that the work makes, those by the clock, and the names of the former
// with their share, the most frequent first.
func perOperation(calls map[string]int, operations float64) (work, clock float64, which string) {
	var list []string
	for _, name := range slices.SortedFunc(maps.Keys(calls), func(a, b string) int { return calls[b] - calls[a] }) {
		each := float64(calls[name]) / operations
		if slices.Contains(byTheClock, name) {
			clock += each
			continue
		}
		work += each
		if each >= 0.01 {
			list = append(list, fmt.Sprintf("%s %.2f", name, each))
		}
	}
	return work, clock, strings.Join(list, ", ")
}

// A tracer is strace, attached to a process.
type tracer struct {
	cmd  *exec.Cmd
	out  *bufio.Reader
	rest bytes.Buffer
}

// trace attaches strace, and returns when it counts.
func trace(pid int) (*tracer, error) {
	t := &tracer{cmd: exec.Command("strace", "-f", "-c", "-p", strconv.Itoa(pid))}
	pipe, err := t.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := t.cmd.Start(); err != nil {
		return nil, err
	}
	t.out = bufio.NewReader(pipe)
	line, err := t.out.ReadString('\n')
	if err != nil || !strings.Contains(line, "attached") {
		_ = t.cmd.Process.Kill()
		_ = t.cmd.Wait()
		return nil, fmt.Errorf("strace: %q, %v", line, err)
	}
	return t, nil
}

// stop detaches strace and returns its counts by name.
func (t *tracer) stop() (map[string]int, error) {
	if err := t.cmd.Process.Signal(os.Interrupt); err != nil {
		return nil, err
	}
	_, _ = io.Copy(&t.rest, t.out)
	_ = t.cmd.Wait() // it ends by the signal that it was sent
	calls := parseStrace(t.rest.String())
	if len(calls) == 0 {
		return nil, fmt.Errorf("strace counted nothing:\n%s", t.rest.String())
	}
	return calls, nil
}

// parseStrace reads the table that strace -c prints: the number of calls by name.
func parseStrace(table string) map[string]int {
	calls := map[string]int{}
	for line := range strings.Lines(table) {
		// % time, seconds, usecs/call, calls, perhaps errors, name
		f := strings.Fields(line)
		if len(f) < 5 || f[len(f)-1] == "total" {
			continue
		}
		if n, err := strconv.Atoi(f[3]); err == nil {
			calls[f[len(f)-1]] = n
		}
	}
	return calls
}
