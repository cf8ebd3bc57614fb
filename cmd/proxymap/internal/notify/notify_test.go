package notify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// patience is how long a test waits for what must come.
const patience = 10 * time.Second

// A manager is a service manager's end of the socket.
type manager struct {
	t    *testing.T
	conn *net.UnixConn
}

var abstractNames atomic.Uint32

// listen is a manager that listens at a path, or under an abstract name, and has the environment say so.
func listen(t *testing.T, abstract bool) manager {
	t.Helper()
	name := filepath.Join(t.TempDir(), "notify")
	if abstract {
		name = fmt.Sprintf("@proxymap-notify-%d-%d", os.Getpid(), abstractNames.Add(1))
	}
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	t.Setenv(socketVariable, name)
	return manager{t, conn}
}

// next is the next message.
func (m manager) next() string {
	m.t.Helper()
	_ = m.conn.SetReadDeadline(time.Now().Add(patience))
	b := make([]byte, 4096)
	n, err := m.conn.Read(b)
	if err != nil {
		m.t.Fatal(err)
	}
	return string(b[:n])
}

// waiting are the messages that have come and have not been read.
func (m manager) waiting() (list []string) {
	m.t.Helper()
	raw, err := m.conn.SyscallConn()
	if err != nil {
		m.t.Fatal(err)
	}
	_ = raw.Read(func(fd uintptr) bool {
		b := make([]byte, 4096)
		for {
			n, _, err := unix.Recvfrom(int(fd), b, unix.MSG_DONTWAIT)
			if err != nil {
				return true
			}
			list = append(list, string(b[:n]))
		}
	})
	return list
}

// A logText collects a log.
type logText struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func collectLog() (*slog.Logger, *logText) {
	l := &logText{}
	return slog.New(slog.NewTextHandler(l, nil)), l
}

func (l *logText) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logText) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), text)
}

// Each message is one datagram, at a path and under an abstract name.
func TestMessages(t *testing.T) {
	for _, abstract := range []bool{false, true} {
		m := listen(t, abstract)
		log, text := collectLog()
		n := Open(log)
		n.Ready()
		if got := m.next(); got != "READY=1" {
			t.Errorf("Ready sends %q", got)
		}
		n.Stopping()
		if got := m.next(); got != "STOPPING=1" {
			t.Errorf("Stopping sends %q", got)
		}
		before := monotonic(t)
		n.Reloading()
		rest, ok := strings.CutPrefix(m.next(), "RELOADING=1\nMONOTONIC_USEC=")
		at, err := strconv.ParseInt(strings.TrimSuffix(rest, "\n"), 10, 64)
		if !ok || err != nil || at < before || at > monotonic(t) {
			t.Errorf("Reloading sends %q; want a time from %d on", rest, before)
		}
		if text.count("level=") != 0 {
			t.Errorf("it logs %s", text.text.String())
		}
	}
}

// monotonic is the clock of MONOTONIC_USEC.
func monotonic(t *testing.T) int64 {
	t.Helper()
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		t.Fatal(err)
	}
	return ts.Nano() / 1000
}

// What the service manager has said to this process, no child of it hears.
func TestChildrenAreNotTold(t *testing.T) {
	m := listen(t, false)
	t.Setenv("WATCHDOG_USEC", "1000000")
	t.Setenv("WATCHDOG_PID", strconv.Itoa(os.Getpid()))
	n := Open(slog.New(slog.DiscardHandler))
	environ, err := exec.Command("env").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} {
		if bytes.Contains(environ, []byte(name)) {
			t.Errorf("a child has %s", name)
		}
	}
	n.Ready()
	if got := m.next(); got != "READY=1" || n.watchdog != time.Second {
		t.Errorf("the process itself sends %q, and has a watchdog of %v", got, n.watchdog)
	}
}

// A service manager that is gone costs one line of the log, and no more until it has been there again.
func TestManagerGone(t *testing.T) {
	m := listen(t, false)
	log, text := collectLog()
	n := Open(log)
	m.conn.Close()
	const line = "the service manager cannot be told"
	for range 3 {
		n.Ready()
	}
	if got := text.count(line); got != 1 {
		t.Errorf("%d lines of the log for three messages; want 1", got)
	}
	_ = os.Remove(n.socket)
	again, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: n.socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	m.conn = again
	n.Ready()
	if got := m.next(); got != "READY=1" {
		t.Errorf("when it is there again it gets %q", got)
	}
	again.Close()
	n.Ready()
	if got := text.count(line); got != 2 {
		t.Errorf("%d lines of the log when it is gone a second time; want 2", got)
	}
}

// Without a service manager, or with one that has another process's watchdog, nothing is asked of the process.
func TestNobodyToTell(t *testing.T) {
	never := func(context.Context) error { t.Error("it is asked whether it is alive"); return nil }
	log := slog.New(slog.DiscardHandler)
	t.Setenv("WATCHDOG_USEC", "1000000")
	n := Open(log)
	n.Ready()
	n.Watchdog(t.Context(), never)
	n.Status(t.Context(), func() Load { t.Error("it is asked what it does"); return Load{} })

	m := listen(t, false)
	t.Setenv("WATCHDOG_USEC", "1000000")
	t.Setenv("WATCHDOG_PID", strconv.Itoa(os.Getpid()+1))
	Open(log).Watchdog(t.Context(), never)
	_ = os.Unsetenv("WATCHDOG_PID")
	t.Setenv("WATCHDOG_USEC", "soon")
	warned, text := collectLog()
	Open(warned).Watchdog(t.Context(), never)
	if got := m.waiting(); got != nil || text.count("the watchdog gets no pings") != 1 {
		t.Errorf("it sends %q, and logs %s", got, text.text.String())
	}
}

// Each ping is earned: while the process does not answer in time there is none, and the log says why; when it answers
// again there is.
func TestWatchdogIsEarned(t *testing.T) {
	m := listen(t, true)
	t.Setenv("WATCHDOG_USEC", "20000")
	log, text := collectLog()
	n := Open(log)
	ctx, cancel := context.WithCancel(t.Context())
	asked, ended := make(chan error), make(chan struct{})
	go func() {
		defer close(ended)
		n.Watchdog(ctx, func(soon context.Context) error {
			if err := <-asked; err != nil {
				<-soon.Done() // as late as may be
				return err
			}
			return nil
		})
	}()
	hangs := errors.New("loop 2 hangs")
	for range 3 {
		asked <- nil
		if got := m.next(); got != "WATCHDOG=1" {
			t.Fatalf("it sends %q", got)
		}
	}
	for range 3 {
		asked <- hangs
	}
	asked <- nil // the three before it have been seen to
	if got := m.next(); got != "WATCHDOG=1" {
		t.Errorf("when it is alive again it sends %q", got)
	}
	asked <- hangs
	if got := m.waiting(); got != nil {
		t.Errorf("while it hung it sent %q", got)
	}
	if got := text.count("loop 2 hangs"); got < 3 {
		t.Errorf("the log says %d times that it hangs; want 3", got)
	}
	cancel()
	close(asked)
	<-ended
}

// The process is asked for no more pings than the watchdog needs.
func TestWatchdogAsksTwice(t *testing.T) {
	listen(t, false)
	t.Setenv("WATCHDOG_USEC", strconv.FormatInt(time.Hour.Microseconds(), 10))
	n := Open(slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	var within time.Duration
	n.Watchdog(ctx, func(soon context.Context) error {
		if within != 0 {
			t.Error("it is asked a second time at once")
		}
		at, _ := soon.Deadline()
		within = time.Until(at)
		time.AfterFunc(time.Millisecond, cancel)
		return nil
	})
	if within < 29*time.Minute || within > 30*time.Minute {
		t.Errorf("of an hour the process has %v to answer; want half of it", within)
	}
}

// The status comes at once, and again when it has changed.
func TestStatus(t *testing.T) {
	m := listen(t, false)
	n := Open(slog.New(slog.DiscardHandler))
	n.pause = time.Millisecond
	loads := make(chan Load)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		n.Status(ctx, func() Load { return <-loads })
	}()
	for _, row := range []struct {
		load Load
		want string // empty: nothing
	}{
		{Load{Ports: 100, Connections: 7}, "STATUS=ports: 100, connections: 7, requests a second: 0"},
		{Load{Ports: 100, Connections: 7}, ""},
		{Load{Ports: 99, Missing: 1, Connections: 7}, "STATUS=ports: 99 (others have 1 more), connections: 7, requests a second: 0"},
		{Load{Ports: 99, Missing: 1, Connections: 7}, ""},
		{Load{Ports: 100, Connections: 3, Draining: true}, "STATUS=stopping, connections: 3, requests a second: 0"},
	} {
		loads <- row.load
		if row.want == "" {
			continue // the next message is not this one's
		}
		if got := m.next(); got != row.want {
			t.Errorf("%+v: it sends %q; want %q", row.load, got, row.want)
		}
	}
	loads <- Load{Requests: 1 << 40}
	if got := m.next(); strings.HasSuffix(got, ": 0") {
		t.Errorf("after many requests it sends %q", got)
	}
	loads <- Load{Requests: 1 << 40}
	if got := m.next(); !strings.HasSuffix(got, ": 0") {
		t.Errorf("after none it sends %q", got)
	}
	cancel()
	close(loads)
	<-ended
}

func TestRate(t *testing.T) {
	for _, row := range []struct {
		n    int64
		in   time.Duration
		want int64
	}{
		{0, 5 * time.Second, 0}, {10, 5 * time.Second, 2}, {12, 5 * time.Second, 2}, {13, 5 * time.Second, 3},
		{2000, time.Millisecond, 2_000_000}, {7, 0, 0},
	} {
		if got := rate(row.n, row.in); got != row.want {
			t.Errorf("%d in %v: %d a second; want %d", row.n, row.in, got, row.want)
		}
	}
}
