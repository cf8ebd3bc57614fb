package kernel

import (
	"io"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

// Bytes go through a pipe from one connection to another, and the pipe knows how many it holds.
func TestPipe(t *testing.T) {
	from, in := connected(t, netip.Addr{})
	out, to := connected(t, netip.Addr{})
	p, ok := OpenPipe(64<<10, 4<<10)
	if !ok {
		t.Fatal("no pipe")
	}
	defer p.Close()
	if n, err := p.Fill(in, 10); n != 0 || err != ErrAgain || p.Held != 0 {
		t.Fatalf("before anything came: %d, %v, %d held; want ErrAgain", n, err, p.Held)
	}
	if _, err := Write(from, []byte("hello, world")); err != nil {
		t.Fatal(err)
	}
	await(t, in, unix.POLLIN)
	if n, err := p.Fill(in, 10); n != 10 || err != nil || p.Held != 10 {
		t.Fatalf("%d, %v, %d held; want 10, for no more was asked", n, err, p.Held)
	}
	b := make([]byte, 3)
	if n, err := p.Read(b); string(b[:n]) != "hel" || err != nil || p.Held != 7 {
		t.Fatalf("%q, %v, %d held", b[:n], err, p.Held)
	}
	if n, err := p.Drain(out); n != 7 || err != nil || p.Held != 0 {
		t.Fatalf("%d, %v, %d held", n, err, p.Held)
	}
	await(t, to, unix.POLLIN)
	rest := make([]byte, 20)
	if n, err := Read(to, rest); string(rest[:n]) != "lo, wor" || err != nil {
		t.Fatalf("%q, %v", rest[:n], err)
	}
	ShutdownWrite(from)
	if n, err := p.Fill(in, 10); n != 2 || err != nil {
		t.Fatalf("%d, %v; want the last 2 bytes", n, err)
	}
	if _, err := p.Drain(out); err != nil {
		t.Fatal(err)
	}
	await(t, in, unix.POLLIN)
	if n, err := p.Fill(in, 10); n != 0 || err != io.EOF {
		t.Errorf("at the end: %d, %v; want io.EOF", n, err)
	}
}

// A pipe that the system has not given what it must hold is none, and nothing of it stays open.
func TestSmallPipeIsNone(t *testing.T) {
	if p, ok := OpenPipe(4<<10, 1<<20); ok {
		p.Close()
		t.Errorf("a pipe of %d bytes; want none", p.Size)
	}
}
