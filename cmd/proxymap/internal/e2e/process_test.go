package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Exit statuses of the program.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2
)

// TestMain removes the program after the tests that have had it built.
func TestMain(m *testing.M) {
	status := m.Run()
	if dir := programDir; dir != "" {
		_ = os.RemoveAll(dir)
	}
	os.Exit(status)
}

var programDir string // where program has put it

// program builds proxymap, once for all tests, and returns its path. Under the race detector the program has it too.
var program = sync.OnceValues(func() (path string, err error) {
	const root = "../../../.."
	if err := readSources(root); err != nil {
		return "", err
	}
	if programDir, err = os.MkdirTemp("", "proxymap-e2e-"); err != nil {
		return "", err
	}
	path = filepath.Join(programDir, "proxymap")
	args := []string{"build", "-buildvcs=false", "-o", path}
	if underRace() {
		args = append(args, "-race")
	}
	build := exec.Command("go", append(args, "proxymap/cmd/proxymap")...)
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%v: %w: %s", build.Args, err, out)
	}
	return path, nil
})

// readSources looks at all that the program is built from. No test imports it, so go test would take results of an older
// program for those of this one; but it remembers the files of the module that a test has looked at.
func readSources(root string) error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && d.Name() == ".git":
			return fs.SkipDir
		}
		switch filepath.Ext(path) {
		case ".go", ".json", ".mod", ".sum":
			_, err = os.Stat(path)
		}
		return err
	})
}

// A process is proxymap, started by a test.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	mu     sync.Mutex
	log    bytes.Buffer
	ended  chan struct{}
	status int
}

// command is proxymap with those arguments, not yet started.
func command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	return exec.Command(path, args...)
}

// start starts proxymap with those arguments.
func start(t *testing.T, args ...string) *process {
	t.Helper()
	return startCommand(t, command(t, args...))
}

// startCommand starts proxymap by a command that ends in it.
func startCommand(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{t: t, cmd: cmd, ended: make(chan struct{})}
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.cmd.Process.Kill(); <-p.ended })
	go func() {
		_, _ = io.Copy(lockedWriter{p}, stderr)
		err := p.cmd.Wait()
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			p.status = exit.ExitCode()
		}
		close(p.ended)
	}()
	return p
}

type lockedWriter struct{ p *process }

func (w lockedWriter) Write(b []byte) (int, error) {
	w.p.mu.Lock()
	defer w.p.mu.Unlock()
	return w.p.log.Write(b)
}

// logged waits until the process has logged text.
func (p *process) logged(text string) {
	p.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		p.mu.Lock()
		log := p.log.String()
		p.mu.Unlock()
		if strings.Contains(log, text) {
			return
		}
		if time.Now().After(end) {
			p.t.Fatalf("it does not log %q, but:\n%s", text, log)
		}
	}
}

// exits waits until the process has ended with that status.
func (p *process) exits(status int) {
	p.t.Helper()
	select {
	case <-p.ended:
	case <-time.After(patience):
		p.t.Fatal("it does not end")
	}
	if p.status != status {
		p.t.Fatalf("it ended with %d; want %d; its log:\n%s", p.status, status, p.log.String())
	}
}

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// runs runs proxymap to its end, and returns what it prints.
func runs(t *testing.T, args ...string) ran {
	t.Helper()
	return executes(t, command(t, args...))
}

// A ran is what a program has printed, and the status it has ended with.
type ran struct {
	out, errOut string
	status      int
}

// executes runs a command to its end.
func executes(t *testing.T, cmd *exec.Cmd) ran {
	t.Helper()
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	hangs := time.AfterFunc(3*patience, func() { _ = cmd.Process.Kill() })
	err := cmd.Wait()
	var exit *exec.ExitError
	if !hangs.Stop() || err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s does not end by itself: %v: %s", cmd.Args[0], err, errOut.String())
	}
	return ran{out.String(), errOut.String(), cmd.ProcessState.ExitCode()}
}

// underRace reports whether the race detector is on.
func underRace() bool {
	info, _ := debug.ReadBuildInfo()
	return slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}
