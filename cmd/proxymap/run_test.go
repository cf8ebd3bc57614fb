package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"proxymap/bench/provider"
	"proxymap/relay"
)

const patience = 10 * time.Second

// freePort is a port that nobody listens on now.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// write writes a file of a test.
func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func startProvider(t *testing.T) *provider.Provider {
	t.Helper()
	p, err := provider.Start(provider.Config{User: demoUser, Password: demoPassword})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

func TestExitStatus(t *testing.T) {
	dir := t.TempDir()
	good := write(t, dir, "good.json", `{"Listen":{"PortRange":{"Start":10201,"End":10300}}}`)
	bad := write(t, dir, "bad.json", `{"Listen":{"Prt":1}}`)
	for _, row := range []struct {
		args        []string
		status      int
		out, errOut string
	}{
		{[]string{"schema"}, 0, `"$schema": "https://json-schema.org/draft/2020-12/schema"`, ""},
		{[]string{"check", "--config", good}, 0, "ok: 1 mapping, 100 ports", ""},
		{[]string{"check", "--config", bad}, 1, "", "bad.json:1: Listen.Prt: unknown key"},
		{[]string{"serve", "--config", bad}, 1, "", "bad.json:1: Listen.Prt: unknown key"},
		{[]string{"check", "--config", dir + "/none.json"}, 1, "", "no such file"},
		{[]string{"version"}, 0, "proxymap ", ""},
		{[]string{"--version"}, 0, "proxymap ", ""},
		{[]string{"--help"}, 0, "serve", ""},
		{[]string{"serve", "--help"}, 0, "--grace", ""},
		{[]string{}, 2, "", "proxymap --help"},
		{[]string{"sirve"}, 2, "", "sirve"},
		{[]string{"serve", "--grace", "soon"}, 1, "", "--grace"},
		{[]string{"serve", "--log-level", "loud"}, 1, "", "--log-level"},
	} {
		var out, errOut bytes.Buffer
		status := run(row.args, &out, &errOut)
		if status != row.status || !strings.Contains(out.String(), row.out) || !strings.Contains(errOut.String(), row.errOut) {
			t.Errorf("%v: got %d, %q, %q; want %d, %q, %q", row.args, status, out.String(), errOut.String(), row.status, row.out, row.errOut)
		}
	}
}

// The demo on other ports: what it prints can be done.
func TestDemo(t *testing.T) {
	p := startProvider(t)
	port := freePort(t)
	cfg, err := demoConfig(p, port, port)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Mappings = append(cfg.Mappings, cfg.Mappings[0])
	cfg.Mappings[1].First, cfg.Mappings[1].Last = 0, 0
	r, err := relay.Listen(cfg)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error)
	go func() { served <- r.Serve() }()
	var out bytes.Buffer
	printDemo(&out, r)
	if n := strings.Count(out.String(), "\n  curl -x http://127.0.0.1:"); n != 5 {
		t.Errorf("the demo prints %d curl lines; want 5:\n%s", n, out.String())
	}
	r.Shutdown(0)
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// A writer that blocks costs log lines, never time.
func TestAsyncWriter(t *testing.T) {
	r, w := io.Pipe()
	a := newAsyncWriter(w)
	for i := range 3 * logQueue {
		if n, err := fmt.Fprintf(a, "line %d\n", i); n == 0 || err != nil {
			t.Fatal(n, err)
		}
	}
	read := make(chan string)
	go func() {
		b, _ := io.ReadAll(r)
		read <- string(b)
	}()
	a.close(patience)
	w.Close()
	got := <-read
	if !strings.Contains(got, "line 0\n") || !strings.Contains(got, "log lines were dropped") || strings.Count(got, "line ") > logQueue+4 {
		t.Errorf("%d lines came through", strings.Count(got, "line "))
	}
}
