package main

import (
	"bytes"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"proxymap/cmd/proxymap/internal/admin"
	"proxymap/relay"
	"proxymap/session"
)

// A managerSocket is where a service manager listens.
type managerSocket struct {
	mu    sync.Mutex
	pings int
}

// listenAsManager has the environment say that a service manager listens, with a watchdog of so many microseconds.
func listenAsManager(t *testing.T, watchdog string) *managerSocket {
	t.Helper()
	name := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("NOTIFY_SOCKET", name)
	t.Setenv("WATCHDOG_USEC", watchdog)
	m, ended := &managerSocket{}, make(chan struct{})
	go func() {
		defer close(ended)
		m.read(conn)
	}()
	t.Cleanup(func() { conn.Close(); <-ended })
	return m
}

// read counts the pings until the socket is closed.
func (m *managerSocket) read(from io.Reader) {
	for b := make([]byte, 4096); ; {
		n, err := from.Read(b)
		if err != nil {
			return
		}
		if string(b[:n]) == "WATCHDOG=1" {
			m.mu.Lock()
			m.pings++
			m.mu.Unlock()
		}
	}
}

func (m *managerSocket) count() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.pings
}

// A logText collects a log.
type logText struct {
	mu   sync.Mutex
	text bytes.Buffer
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

func await(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for: %s", what)
		}
	}
}

// While a loop hangs the watchdog gets no ping, although the rest of the process works; when the loop goes on it does.
func TestWatchdogOfHungLoop(t *testing.T) {
	manager := listenAsManager(t, "100000")
	text := &logText{}
	hangs, goOn := make(chan struct{}), make(chan struct{})
	started, served := make(chan *relay.Relay, 1), make(chan error, 1)
	go func() {
		served <- serve(servedRelay(t), admin.Config{}, "", 0, slog.New(slog.NewTextHandler(text, nil)), func(r *relay.Relay) {
			r.Subscribe(func(session.Event) { // what it must not do
				close(hangs)
				<-goOn
			})
			started <- r
		})
	}()
	var r *relay.Relay
	select {
	case r = <-started:
	case err := <-served:
		t.Fatal(err)
	}
	await(t, "pings of a relay that works", func() bool { return manager.count() > 1 })

	client, err := net.Dial("tcp", r.Ports()[0].String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := io.WriteString(client, "GET http://ip.demo/ HTTP/1.1\r\nHost: ip.demo\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	<-hangs // the request has made a session
	const line = "the watchdog gets no ping"
	before := text.count(line)
	await(t, "a ping that is not sent", func() bool { return text.count(line) > before })
	pings := manager.count()
	await(t, "more that are not sent", func() bool { return text.count(line) > before+3 })
	if got := manager.count(); got != pings {
		t.Errorf("%d pings while a loop hangs", got-pings)
	}
	close(goOn)
	await(t, "pings when the loop goes on", func() bool { return manager.count() > pings })
	r.Shutdown(0)
	if err := <-served; err != nil {
		t.Error(err)
	}
}
