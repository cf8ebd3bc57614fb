//go:build linux

package e2e

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const (
	stalledMemory = 128 << 10 // bytes for each stalled direction, pipes included, on average
	stalledSize   = 1 << 30   // what there would be to send in each
	quietTime     = time.Second
	heapFloat     = 4 << 20 // bytes that the heap grows to before the collector begins to work, and so by chance
)

var (
	stalledEach   = shortOr(200, 500) // of each of the four ways to stall
	comingTunnels = shortOr(1_500, 5_000)
)

// A client that does not read what it has asked for, and a provider that does not read what it is sent, cost the process
// a buffer each, or a pipe, however much there is to come.
func TestStalledPeers(t *testing.T) {
	needsScale(t, uint64(2*4*stalledEach))
	f, p := startFarm(t, 10)
	f.lean(f.listener)
	f.open(tunnelBatch, nil)
	f.burst() // what is opened once, is open
	base, pipes := p.settled(), p.pipes()

	const granted = "HTTP/1.1 200 OK\r\n\r\n"
	connect := "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n"
	length := fmt.Sprintf("Content-Length: %d\r\n\r\n", stalledSize)
	var sources []int
	for range stalledEach / tunnelBatch {
		for _, row := range []struct {
			request, answer string
			up              bool
		}{
			{connect, granted, false},
			{connect, granted, true},
			{"GET http://example.com/ HTTP/1.1\r\nHost: example.com\r\n\r\n", "HTTP/1.1 200 OK\r\n" + length, false},
			{"PUT http://example.com/ HTTP/1.1\r\nHost: example.com\r\n" + length, "", true},
		} {
			sources = append(sources, f.stall(tunnelBatch, row.request, row.answer, row.up)...)
		}
	}
	sent, least := f.flood(sources)
	if least < 64<<10 {
		t.Errorf("of some only %d bytes were taken; they are not what is to be measured", least)
	}
	memory, capacity := p.settled()-base, p.pipes()-pipes
	each := (memory + capacity) / len(sources)
	t.Logf("stalled: %d directions, %d MiB sent: %d KiB of memory, %d KiB of pipes: %d KiB for each",
		len(sources), sent>>20, memory>>10, capacity>>10, each>>10)
	if each > stalledMemory {
		t.Errorf("a stalled direction costs %d KiB; want at most %d", each>>10, stalledMemory>>10)
	}
}

// Idle tunnels that come and go, again and again, leave no more behind than the first ones did, but for what the collector
// has not yet looked at: of less than 16 MiB nothing is given back. A leak of what a tunnel costs would be more than that.
// Every other time their clients reset, for thousands of FINs would use up the ports that the relay dials from.
func TestTunnelsComeAndGo(t *testing.T) {
	rounds := shortOr(3, 10)
	needsScale(t, uint64(2*comingTunnels))
	f, p := startFarm(t, 10)
	fds, most := p.descriptors(), p.settled()+heapFloat
	for i := range rounds {
		f.openUntil(comingTunnels)
		with := p.memory()
		if i%2 == 0 {
			f.closeAll()
		} else {
			f.resetAll()
		}
		p.descriptorsAre(fds)
		memory := p.returns(most)
		if i == 0 {
			most = memory + heapFloat
		}
		t.Logf("coming: round %d: memory with %d tunnels: %d KiB; without: %d KiB", i+1, comingTunnels, with>>10, memory>>10)
	}
}

// resetAll ends all tunnels by their clients' resets.
func (f *farm) resetAll() {
	f.t.Helper()
	for _, tunnel := range f.tunnels {
		f.must(unix.SetsockoptLinger(tunnel[0], unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}))
		unix.Close(tunnel[0])
	}
	for _, tunnel := range f.tunnels {
		if _, err := unbroken(func() (int, error) { return unix.Read(tunnel[1], f.buf[:]) }); err != unix.ECONNRESET {
			f.t.Fatalf("the provider got %v; want a reset", err)
		}
		unix.Close(tunnel[1])
	}
	f.tunnels = f.tunnels[:0]
}

// stall has n clients send a request and the provider answer it. Nobody will read what comes then. It returns the ends
// that it comes from: the clients if up says so, else the provider's.
func (f *farm) stall(n int, request, answer string, up bool) (sources []int) {
	f.t.Helper()
	opened := len(f.tunnels)
	for range n {
		client := f.socket()
		f.lean(client)
		f.tunnels = append(f.tunnels, [2]int{client, -1})
		f.must(unix.Connect(client, &unix.SockaddrInet4{Port: int(f.relay.Port()), Addr: f.relay.Addr().As4()}))
		f.send(client, []byte(request))
	}
	for i := range f.tunnels[opened:] {
		tunnel := &f.tunnels[opened+i]
		tunnel[1] = f.accept()
		f.send(tunnel[1], []byte(answer))
		source := tunnel[1]
		if up {
			source = tunnel[0]
		}
		sources = append(sources, source)
	}
	if up {
		for _, tunnel := range f.tunnels[opened:] {
			f.receiveAll(tunnel[0], len(answer))
		}
	}
	return sources
}

// lean has the kernel keep little for a socket, or for those that a listener accepts, and for the relay's end of it,
// whose buffers begin small where segments are. What the kernel has for all sockets together is bounded, and where that
// is used up it is not the relay that stalls.
func (f *farm) lean(fd int) {
	f.t.Helper()
	f.must(unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 8<<10))
	f.must(unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, 64<<10))
	f.must(unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_MAXSEG, 8900))
}

// flood sends from all sources until none has taken a byte for a while. It returns how much that was, and the least of
// one.
func (f *farm) flood(sources []int) (sent, least int) {
	f.t.Helper()
	chunk := make([]byte, 1<<20)
	took := make([]int, len(sources))
	end := time.Now().Add(4 * patience)
	for last := time.Now(); time.Since(last) < quietTime; time.Sleep(10 * time.Millisecond) {
		for i, fd := range sources {
			n, err := unbroken(func() (int, error) { return unix.SendmsgN(fd, chunk, nil, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL) })
			if err == unix.EAGAIN {
				continue
			}
			f.must(err)
			took[i] += n
			last = time.Now()
		}
		if time.Now().After(end) {
			f.t.Fatal("what nobody reads goes on to be taken")
		}
	}
	least = stalledSize
	for _, n := range took {
		sent, least = sent+n, min(least, n)
	}
	return sent, least
}

// pipes is how much the process's pipes can hold.
func (p *scaleProcess) pipes() (capacity int) {
	p.t.Helper()
	dir := fmt.Sprintf("/proc/%d/fd/", p.pid)
	entries, err := os.ReadDir(dir)
	if err != nil {
		p.t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, e := range entries {
		to, _ := os.Readlink(dir + e.Name())
		if !strings.HasPrefix(to, "pipe:") || seen[to] {
			continue
		}
		seen[to] = true // its other end is another descriptor
		fd, err := unix.Open(dir+e.Name(), unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if err != nil {
			p.t.Fatalf("open %s (%s): %v", dir+e.Name(), to, err)
		}
		size, err := unix.FcntlInt(uintptr(fd), unix.F_GETPIPE_SZ, 0)
		unix.Close(fd)
		if err != nil {
			p.t.Fatal(err)
		}
		capacity += size
	}
	return capacity
}
