//go:build linux

package relay

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"proxymap/relay/internal/kernel"
)

// A pipeState is what a relay's loops have of pipes.
type pipeState struct {
	spliced       int64
	idle, blocked int
	inUse         int // of directions, blocked ones included
	unsent        int // bytes in memory
}

func pipesOf(g *rig) (s pipeState) {
	for _, l := range g.relay.loops {
		done := make(chan struct{})
		l.do(func() {
			defer close(done)
			s.spliced += l.pipes.spliced
			s.idle += len(l.pipes.idle)
			s.blocked += len(l.pipes.blocked)
			for _, c := range l.conns {
				if c == nil {
					continue
				}
				for _, d := range []*direction{&c.toClient, &c.toUpstream} {
					if d.pipe != nil {
						s.inUse++
					}
					s.unsent += len(d.unsent.bytes())
				}
			}
		})
		<-done
	}
	return s
}

// flood sends until nothing more is taken, and returns how much that was.
func flood(t *testing.T, p *peer) (sent int) {
	t.Helper()
	if sent = floodUpTo(p, 1<<30); sent >= 1<<30 {
		t.Error("1 GiB went nowhere: the relay reads what it cannot write")
	}
	return sent
}

// floodUpTo is flood of so many bytes at most.
func floodUpTo(p *peer, most int) (sent int) {
	chunk := make([]byte, 1<<20)
	for sent < most {
		_ = p.conn.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
		n, err := p.conn.Write(chunk)
		sent += n
		if err != nil {
			break
		}
	}
	return sent
}

func TestBulkIsSpliced(t *testing.T) {
	const size = 64 << 20
	open := map[string]func(*testing.T, *rig) (c, u *peer){
		"tunnel": func(_ *testing.T, g *rig) (c, u *peer) { return g.tunnel() },
		"content-length": func(_ *testing.T, g *rig) (c, u *peer) {
			c, u = g.asked(fmt.Sprintf("POST http://example.com/ HTTP/1.1\r\nHost: example.com\r\nContent-Length: %d\r\n\r\n", size))
			head := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", size)
			u.send(head)
			c.expect(head)
			return c, u
		},
	}
	for name, begin := range open {
		t.Run(name, func(t *testing.T) {
			g := newRig(t)
			c, u := begin(t, g)
			exchangeBodies(t, c, u, size)
			s := pipesOf(g)
			if s.spliced < size/2 {
				t.Errorf("%d of %d bytes were spliced", s.spliced, 2*size)
			}
			if s.inUse != 0 || s.blocked != 0 || s.unsent != 0 {
				t.Errorf("at rest there are still %+v", s)
			}
			if int(g.relay.pipes.open.Load()) != s.idle || s.idle == 0 {
				t.Errorf("%d pipes are open, %d idle", g.relay.pipes.open.Load(), s.idle)
			}
		})
	}
}

// Small messages are copied: a splice costs more.
func TestSmallMessagesAreNotSpliced(t *testing.T) {
	g := newRig(t)
	c, u := g.tunnel()
	for range 100 {
		c.send(strings.Repeat("q", 1000))
		u.expect(strings.Repeat("q", 1000))
		u.send(strings.Repeat("a", 20000))
		c.expect(strings.Repeat("a", 20000))
	}
	if s := pipesOf(g); s.spliced != 0 || s.idle != 0 {
		t.Errorf("%+v", s)
	}
}

// Directions whose sinks take nothing cannot keep a running stream from splicing, and lose nothing.
func TestStalledReadersLeavePipes(t *testing.T) {
	// Each reader's socket takes little, so that little is enough to stall it: a GiB in sockets, and the kernel would have all
	// connections of the machine wait for memory.
	const readers, each, size = 64, 6 << 20, 32 << 20
	g := newRig(t)
	var sinks [readers]*peer
	var sent [readers]int
	var flooded sync.WaitGroup
	for i := range readers {
		var source *peer
		sinks[i], source = g.tunnel()
		_ = sinks[i].conn.SetReadBuffer(64 << 10)
		flooded.Go(func() {
			sent[i] = floodUpTo(source, each)
			_ = source.conn.CloseWrite()
		})
	}
	flooded.Wait()
	await(t, "half of the pipes are free", func() bool {
		s := pipesOf(g)
		return s.blocked <= maxPipes/2 && int(g.relay.pipes.stalled.Load()) == s.blocked
	})
	if n := g.relay.pipes.readOut.Load(); n > maxReadOut {
		t.Errorf("the pipes of %d directions were read out", n)
	}
	before := pipesOf(g)
	if before.blocked != maxPipes/2 {
		t.Errorf("%d pipes are with stalled readers; want %d: not many have spliced", before.blocked, maxPipes/2)
	}
	c, u := g.tunnel()
	exchangeBodies(t, c, u, size)
	if after := pipesOf(g); after.spliced-before.spliced < size/4 { // a source that is slow, under the race detector, gives less
		t.Errorf("%d of %d bytes were spliced beside %d stalled readers", after.spliced-before.spliced, 2*size, readers)
	}
	for i, p := range sinks {
		if n, err := io.Copy(io.Discard, p.r); err != nil || n != int64(sent[i]) {
			t.Errorf("reader %d got %d bytes (%v); %d were sent", i, n, err, sent[i])
		}
		p.close()
	}
	await(t, "all pipes are back", func() bool {
		s := pipesOf(g)
		return s.blocked == 0 && s.inUse == 0 && g.relay.pipes.stalled.Load() == 0 && g.relay.pipes.readOut.Load() == 0 && int(g.relay.pipes.open.Load()) == s.idle
	})
}

// A pipe that still holds a client's bytes when its connection ends must not carry them to the next.
func TestDirtyPipesAreClosed(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	for dirty := 0; dirty < maxIdlePipes; {
		c, u := g.tunnel()
		flood(t, u)
		await(t, "bytes are held", func() bool { s := pipesOf(g); return s.blocked == 1 || s.unsent > 0 })
		dirty += pipesOf(g).blocked
		c.reset()
		u.expectClosed()
	}
	if s := pipesOf(g); int(g.relay.pipes.open.Load()) != s.idle {
		t.Errorf("%d pipes are open, %d idle", g.relay.pipes.open.Load(), s.idle)
	}
	c, u := g.tunnel()
	exchangeBodies(t, c, u, 16<<20) // compares checksums
}

// A user without privileges may have 64 MiB of pipes. Streams go on when they are used up, through what there is.
func TestSpliceAsOrdinaryUser(t *testing.T) {
	if os.Geteuid() == 0 {
		cmd := exec.Command("/proc/self/exe", "-test.run=^TestSpliceAsOrdinaryUser$", "-test.v")
		cmd.Dir = "/"
		user := 50_000 + uint32(os.Getpid()%10_000) // for what a user may have is shared by all of its processes
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: user, Gid: user}}
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "--- PASS") {
			t.Errorf("%v:\n%s", err, out)
		}
		return
	}
	var hoard []kernel.Pipe
	defer func() {
		for _, p := range hoard {
			p.Close()
		}
	}()
	stream := func(t *testing.T) pipeState {
		g := newRig(t)
		c, u := g.tunnel()
		exchangeBodies(t, c, u, 16<<20)
		return pipesOf(g)
	}
	if s := stream(t); s.spliced == 0 {
		t.Error("nothing was spliced while there were pipes")
	}
	for len(hoard) < 1000 {
		p, ok := kernel.OpenPipe(pipeSize, minPipe)
		if !ok {
			break
		}
		hoard = append(hoard, p)
	}
	if n := len(hoard); n == 0 || n == 1000 {
		t.Fatalf("the kernel gave %d pipes; want some, and then none worth having", n)
	}
	t.Logf("the kernel gives %d pipes of 1 MiB", len(hoard))
	if s := stream(t); s.spliced != 0 {
		t.Errorf("%d bytes were spliced when there were no pipes to be had", s.spliced)
	}
	// Room for one pipe, less a few pages: what comes next is of the usual size, and cannot be made larger.
	hoard[0].Close()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	small, ok := kernel.OpenPipe(pipeSize, minPipe)
	if hoard = hoard[1:]; !ok || small.Size != minPipe {
		t.Fatalf("got %+v; want a pipe of %d bytes", small, minPipe)
	}
	small.Close()
	if s := stream(t); s.spliced == 0 {
		t.Error("nothing was spliced through smaller pipes")
	}
	r.Close()
	w.Close()
}
