//go:build linux

package proc

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Build makes proxymap's binary of the files in this folder, as name in dir.
func Build(dir, name string, flags ...string) error { return BuildIn("", dir, name, flags...) }

// BuildIn is Build with the files of the folder tree.
func BuildIn(tree, dir, name string, flags ...string) error {
	args := append([]string{"build", "-o", filepath.Join(dir, name)}, flags...)
	cmd := exec.Command("go", append(args, "./cmd/proxymap")...)
	cmd.Dir, cmd.Stderr = tree, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("go %s: %w (run this in the project's folder)", strings.Join(cmd.Args[1:], " "), err)
	}
	return nil
}

// A Process is a relay at work.
type Process struct {
	cmd   *exec.Cmd
	log   bytes.Buffer
	ended chan struct{}
}

// Start starts a process that lives until Stop or Goroutines, on the given processors; nil is all of them.
func Start(args []string, cpus *unix.CPUSet) (*Process, error) {
	p := &Process{cmd: exec.Command(args[0], args[1:]...), ended: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = &p.log, &p.log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.startOn(cpus); err != nil {
		return nil, err
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

// startOn starts the process on the given processors: it inherits them from the thread that starts it.
func (p *Process) startOn(cpus *unix.CPUSet) error {
	started := make(chan error)
	go func() { // the thread lives as long as the process, or the death signal would come; it is not used again
		runtime.LockOSThread()
		var err error
		if cpus != nil {
			err = unix.SchedSetaffinity(0, cpus)
		}
		if err == nil {
			err = p.cmd.Start()
		}
		if started <- err; err == nil {
			<-p.ended
		}
	}()
	return <-started
}

// Await waits until the process answers on addr.
func (p *Process) Await(addr netip.AddrPort) error {
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		conn, err := net.Dial("tcp", addr.String())
		if err == nil {
			return conn.Close()
		}
		select {
		case <-p.ended:
			return errors.New("it has ended")
		default:
		}
		if time.Now().After(deadline) {
			return err
		}
	}
}

// Stop ends the process.
func (p *Process) Stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(3 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
}

// Kill ends the process by SIGKILL, as a crash would: it can do nothing more.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // it may have ended already
	<-p.ended
}

// Log is what the process has written. It may be asked for when the process has ended.
func (p *Process) Log() string { return p.log.String() }

// PID is the process's id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// CPU is the CPU time of the process so far, all its threads together.
func (p *Process) CPU() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(int32(^p.PID()<<3|2), &ts); err != nil { // the clock of that process
		return 0
	}
	return time.Duration(ts.Nano())
}

// Resident is the process's own memory in bytes, without what it shares with files.
func (p *Process) Resident() int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", p.PID()))
	if err != nil {
		return 0
	}
	return anonymous(string(text))
}

// anonymous is the memory that smaps_rollup calls so, in bytes.
func anonymous(rollup string) int64 {
	for line := range strings.Lines(rollup) {
		if rest, ok := strings.CutPrefix(line, "Anonymous:"); ok {
			kib, _ := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			return kib << 10
		}
	}
	return 0
}

// Descriptors counts the process's open descriptors: ends of pipes, and others.
func (p *Process) Descriptors() (pipes, others int) {
	dir := fmt.Sprintf("/proc/%d/fd/", p.PID())
	entries, _ := os.ReadDir(dir) // none, if the process has ended
	for _, e := range entries {
		if to, _ := os.Readlink(dir + e.Name()); strings.HasPrefix(to, "pipe:") {
			pipes++
		} else {
			others++
		}
	}
	return pipes, others
}

// Goroutines ends the process, a Go program, by the signal that has it tell what its goroutines do, and counts those that
// the runtime has not started for itself. log is what it has written before.
func (p *Process) Goroutines() (n int, log string, err error) {
	_ = p.cmd.Process.Signal(syscall.SIGQUIT)
	select {
	case <-p.ended:
	case <-time.After(10 * time.Second):
		p.Stop()
		return 0, p.Log(), errors.New("it does not end by SIGQUIT")
	}
	log, dump, ok := strings.Cut(p.Log(), "SIGQUIT: quit\n")
	if !ok {
		return 0, log, errors.New("it had ended before")
	}
	return started(dump), log, nil
}

// started counts the goroutines of a dump that the program has started.
func started(dump string) int {
	return strings.Count(dump, "\ncreated by ") - strings.Count(dump, "\ncreated by runtime.")
}
