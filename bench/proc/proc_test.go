//go:build linux

package proc

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The tests start their own binary as the process to be looked at. What it does is in this variable.
const helperVariable = "PROC_TEST_HELPER"

func TestMain(m *testing.M) {
	switch job, arg, _ := strings.Cut(os.Getenv(helperVariable), " "); job {
	case "":
		os.Exit(m.Run())
	case "listen": // with three goroutines and two pipes, until it is ended
		fmt.Println("ready")
		for range 2 {
			r, w, err := os.Pipe()
			if err != nil {
				panic(err)
			}
			defer r.Close()
			defer w.Close()
		}
		for range 3 {
			go func() { select {} }()
		}
		l, err := net.Listen("tcp", arg)
		if err != nil {
			panic(err)
		}
		for {
			if _, err := l.Accept(); err != nil {
				panic(err)
			}
		}
	case "fail":
		fmt.Println("no luck")
		os.Exit(3)
	case "burn":
		for n := 0; ; n++ {
			burnt = n
		}
	}
}

var burnt int // by the job of that name, so that its loop does something

// helper starts this binary with a job. It is ended with the test at the latest.
func helper(t *testing.T, job string) *Process {
	t.Helper()
	t.Setenv(helperVariable, job)
	p, err := Start([]string{os.Args[0]}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
	return p
}

// listening starts a helper that listens, and waits for it.
func listening(t *testing.T) *Process {
	t.Helper()
	pid := os.Getpid()
	addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 77, byte(pid >> 8), byte(pid)}), 18080)
	p := helper(t, "listen "+addr.String())
	if err := p.Await(addr); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestProcessFromOutside(t *testing.T) {
	p := listening(t)
	if pipes, others := p.Descriptors(); pipes < 4 || others < 3 {
		t.Errorf("%d descriptors of pipes and %d others; it has made two pipes, and listens", pipes, others)
	}
	if got := p.Resident(); got < 64<<10 || got > 1<<30 {
		t.Errorf("it has %d bytes of its own", got)
	}
	n, log, err := p.Goroutines()
	if err != nil || n != 3 || log != "ready\n" {
		t.Errorf("%d goroutines, log %q, %v; want the 3 that it has started", n, log, err)
	}
}

// The clock is that of the process, all of its time and no other's.
func TestCPU(t *testing.T) {
	p := helper(t, "burn")
	const enough = 50 * time.Millisecond
	for deadline := time.Now().Add(20 * time.Second); p.CPU() < enough; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it burns, and its clock shows %v", p.CPU())
		}
	}
	quiet := listening(t)
	from := quiet.CPU()
	until := p.CPU() + enough
	for p.CPU() < until {
		time.Sleep(time.Millisecond)
	}
	if used := quiet.CPU() - from; used > enough {
		t.Errorf("a process that waits has used %v while another one burnt %v", used, enough)
	}
}

func TestAwaitSeesTheEnd(t *testing.T) {
	p := helper(t, "fail")
	began := time.Now()
	err := p.Await(netip.MustParseAddrPort("127.0.0.1:1"))
	if err == nil || !strings.Contains(err.Error(), "ended") || p.Log() != "no luck\n" {
		t.Errorf("after %v: %v, log %q; want that it has ended", time.Since(began), err, p.Log())
	}
}

func TestGoroutinesOfWhatHasEnded(t *testing.T) {
	p := helper(t, "fail")
	<-p.ended
	if _, log, err := p.Goroutines(); err == nil || log != "no luck\n" {
		t.Errorf("log %q, %v; want an error", log, err)
	}
}

func TestStartOfNothing(t *testing.T) {
	if _, err := Start([]string{filepath.Join(t.TempDir(), "none")}, nil); err == nil {
		t.Error("no error")
	}
}

func TestAnonymous(t *testing.T) {
	rollup := "5581d0-7ffd r--p 00000000 00:00 0   [rollup]\nRss:    9000 kB\nAnonymous:          2468 kB\nLazyFree: 0 kB\nAnonHugePages:    4096 kB\n"
	for text, want := range map[string]int64{rollup: 2468 << 10, "": 0, "Anonymous: x kB\n": 0} {
		if got := anonymous(text); got != want {
			t.Errorf("%q: %d; want %d", text, got, want)
		}
	}
}

func TestStarted(t *testing.T) {
	dump := "PC=0x1\n\ngoroutine 1 [running]:\nmain.main()\n\ngoroutine 2 [idle]:\nruntime.gopark()\ncreated by runtime.init.7 in goroutine 1\n" +
		"\ngoroutine 18 [select]:\nmain.f()\ncreated by main.main in goroutine 1\n\ngoroutine 19 [chan receive]:\ncreated by main.g in goroutine 18\n"
	if got := started(dump); got != 2 {
		t.Errorf("%d; want the two that main has started", got)
	}
}

// repository makes a repository of two commits, and has the test run in it.
func repository(t *testing.T) {
	t.Helper()
	t.Chdir(t.TempDir())
	for _, line := range []string{
		"init -q", "config user.email test@example.com", "config user.name test", "add file", "commit -q -m first", "tag first",
		"commit -q -a -m second",
	} {
		if line == "add file" || strings.Contains(line, "-a") {
			if err := os.WriteFile("file", []byte(line), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := git(strings.Fields(line)...); err != nil {
			t.Fatal(err)
		}
	}
}

func TestCheckout(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Fatal(err)
	}
	repository(t)
	dir, remove, err := Checkout("first")
	if err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "file")); string(text) != "add file" {
		t.Errorf("the file of the first commit is %q, %v", text, err)
	}
	remove()
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the folder is still there: %v", err)
	}
	if entries, err := os.ReadDir(".git/worktrees"); len(entries) > 0 {
		t.Errorf("git still knows of %v, %v", entries, err)
	}
	if _, _, err := Checkout("none"); err == nil || !strings.Contains(err.Error(), `commit "none" cannot be checked out`) {
		t.Errorf("of a commit that is not there: %v", err)
	}
}

func TestName(t *testing.T) {
	repository(t)
	first, err1 := Name("first")
	head, err2 := Name("")
	if err1 != nil || err2 != nil || len(first) < 4 || first == head || strings.Contains(head, " ") {
		t.Errorf("%q, %v; %q, %v", first, err1, head, err2)
	}
	if err := os.WriteFile("file", []byte("changed"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := Name(""); got != head+" with changes" {
		t.Errorf("with a changed file: %q, %v; want %q", got, err, head+" with changes")
	}
	if _, err := Name("none"); err == nil {
		t.Error("a commit that is not there has a name")
	}
}

func TestKill(t *testing.T) {
	p := listening(t)
	p.Kill()
	if err := p.Await(netip.MustParseAddrPort("127.0.0.1:1")); err == nil || err.Error() != "it has ended" {
		t.Errorf("%v; want that it has ended", err)
	}
	p.Kill() // changes nothing
}
