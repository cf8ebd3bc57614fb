//go:build linux

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// What proxymap may cost. Memory is the process's own, anonymous and resident; what the kernel holds for sockets is not
// in it.
const (
	portMemory    = 2 << 10 // bytes for each port
	portsCPU      = 0.01    // of a core, with all ports idle
	startGuard    = 10 * time.Second
	tunnelMemory  = 1 << 10 // bytes for each idle tunnel
	tunnelsCPU    = 0.005   // of a core, with all tunnels idle
	burstTunnels  = 8_000
	tunnelBatch   = 100         // that are opened, or carry something, at once
	eagerTunnels  = 500         // whose clients send before they are let
	burstBytes    = 32 << 10    // each way through each tunnel
	memoryReturns = 1.10        // of the memory before the burst
	returnTime    = time.Minute // from the last one's end
)

// How many there are of each. The limits above hold for one, so few tell as much as many, if less exactly.
var (
	scalePorts  = shortOr(2_000, 10_000)
	mostTunnels = shortOr(2_000, 9_000)
	idleTime    = shortOr(500*time.Millisecond, 2*time.Second)
)

const scaleSettings = `{
  "Listen": {"Address": "%s", "PortRange": {"Start": %d, "End": %d}, "StickyProxyLifetime": %d},
  "Authentication": {
    "SetAuthentication": true, "Username": "demo", "Password": "demo",
    "UsernameParameters": [{"Name": "session", "Value": "^[A-Za-z]{8}", "SessionId": true}],
  },
  "ProxyServers": {"Items": [{"Host": "%s", "Port": %d}]},
  "SessionAPI": {"Enabled": true, "Domain": "portmapper"},
}`

// Thousands of ports cost little, start quickly, answer, and do nothing while nobody asks.
func TestManyPorts(t *testing.T) {
	needsScale(t, uint64(scalePorts))
	upstream := startProvider(t).Addr()

	one := startScale(t, 1, 10, upstream)
	one.ask(t, 0)
	// Asked once, it has opened all that it opens once.
	oneMemory, oneFDs := one.settled(), one.descriptors()

	many := startScale(t, scalePorts, 10, upstream)
	many.ask(t, scalePorts-1)
	took := time.Since(many.began)
	t.Logf("ports: start of %d to the last one's first answer: %d ms", scalePorts, took.Milliseconds())
	if took > startGuard {
		t.Errorf("starting takes %v", took)
	}

	fds := many.descriptors()
	t.Logf("ports: descriptors: %d with 1, %d with %d", oneFDs, fds, scalePorts)
	if fds-oneFDs != scalePorts-1 {
		t.Errorf("%d ports more cost %d descriptors", scalePorts-1, fds-oneFDs)
	}

	memory := many.settled()
	each := (memory - oneMemory) / (scalePorts - 1)
	t.Logf("ports: memory: %d KiB with 1, %d KiB with %d: %d bytes each", oneMemory>>10, memory>>10, scalePorts, each)
	if each > portMemory {
		t.Errorf("a port costs %d bytes; want at most %d", each, portMemory)
	}

	share, switches := many.idle()
	t.Logf("ports: idle: %.4f %% of a core, %.1f voluntary switches a second", 100*share, switches)
	if share > portsCPU {
		t.Errorf("%d idle ports use %.3f of a core; want at most %.3f", scalePorts, share, portsCPU)
	}

	sessions := map[string]bool{}
	for i := 0; i < scalePorts; i += scalePorts / 100 {
		sessions[many.ask(t, i)] = true
	}
	if len(sessions) != 100 {
		t.Errorf("100 ports have %d sessions", len(sessions))
	}
	for i := range scalePorts {
		many.ask(t, i)
	}
	memory = many.settled()
	t.Logf("ports: memory with a session behind each: %d KiB: %d bytes each", memory>>10, (memory-oneMemory)/(scalePorts-1))
}

// Thousands of idle tunnels cost little each, and do nothing.
func TestIdleTunnels(t *testing.T) {
	needsScale(t, uint64(2*mostTunnels))
	f, p := startFarm(t, 10)
	base, baseFDs := p.settled(), p.descriptors()
	t.Logf("tunnels: memory before any: %d KiB, %d descriptors", base>>10, baseFDs)
	for _, n := range shortOr([]int{mostTunnels}, []int{2_000, 8_000, mostTunnels}) {
		f.openUntil(n)
		p.costs(n, base, baseFDs)
	}
	share, switches := p.idle()
	t.Logf("tunnels: idle with %d: %.4f %% of a core, %.1f voluntary switches a second", mostTunnels, 100*share, switches)
	if share > tunnelsCPU {
		t.Errorf("%d idle tunnels use %.4f of a core; want at most %.4f", mostTunnels, share, tunnelsCPU)
	}
}

// The same where each tunnel has a session, and credentials, of its own. What drawing them leaves behind for the
// collector counts as well, so few tunnels would tell little of one.
func TestIdleTunnelsOwnSessions(t *testing.T) {
	needsLong(t)
	needsScale(t, 2*8_000)
	f, p := startFarm(t, 0)
	base, baseFDs := p.settled(), p.descriptors()
	f.openUntil(8_000)
	p.costs(8_000, base, baseFDs)
}

// When thousands of tunnels have gone, so has what they cost.
func TestMemoryReturns(t *testing.T) {
	needsLong(t)
	needsScale(t, 2*(burstTunnels+eagerTunnels))
	f, p := startFarm(t, 10)
	fresh, fds := p.settled(), p.descriptors()

	// The collector's first runs cost about 1 MiB that stays, so the burst is not the first one.
	f.open(eagerTunnels, f.buf[:])
	t.Logf("burst: memory of a new process: %d KiB; with %d tunnels that began with %d KiB: %d KiB",
		fresh>>10, eagerTunnels, burstBytes>>10, p.memory()>>10)
	f.closeAll()
	p.descriptorsAre(fds)
	base := p.returns(fresh + 2<<20)

	f.openUntil(burstTunnels)
	f.burst()
	t.Logf("burst: memory when each of %d has carried %d KiB both ways: %d KiB", burstTunnels, burstBytes>>10, p.memory()>>10)
	f.open(eagerTunnels, f.buf[:])
	t.Logf("burst: memory with %d more that began with %d KiB: %d KiB", eagerTunnels, burstBytes>>10, p.memory()>>10)
	f.closeAll()
	p.descriptorsAre(fds)
	p.returns(int(memoryReturns * float64(base)))
}

// needsScale skips a test where it cannot have its descriptors, or would measure the race detector.
func needsScale(t *testing.T, fds uint64) {
	t.Helper()
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if limit.Cur < fds+100 { // Go has raised it as far as it goes
		t.Skipf("needs %d descriptors; the limit is %d", fds+100, limit.Cur)
	}
	if underRace() {
		t.Skip("under the race detector memory and time mean nothing")
	}
}

// A scaleProcess is proxymap with consecutive ports.
type scaleProcess struct {
	*process
	pid   int
	began time.Time // just before it was started
	first netip.AddrPort
}

// startScale starts proxymap with n ports on a loopback address of their own, and sessions of that many minutes. It
// returns when the ports are open.
// sections are further ones of the settings.
func startScale(t *testing.T, n, lifetime int, upstream netip.AddrPort, sections ...string) *scaleProcess {
	t.Helper()
	first := freeRange(t, n)
	file := filepath.Join(t.TempDir(), "appsettings.json")
	text := fmt.Sprintf(scaleSettings, first.Addr(), first.Port(), int(first.Port())+n-1, lifetime, upstream.Addr(), upstream.Port())
	text = strings.TrimSuffix(text, "}") + strings.Join(sections, ",") + "}"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	p := start(t, "serve", "--config", file)
	p.logged("msg=listening")
	return &scaleProcess{p, p.cmd.Process.Pid, began, first}
}

// Ranges are given out one behind the other, as a test's ports are free until its program has started; from the first on
// again when they are at an end.
const firstOfRanges = 10_000

var (
	rangeMu  sync.Mutex
	rangeEnd = firstOfRanges
)

// freeRange finds n consecutive ports of an address that is this process's alone, as far as pids go. So only listeners
// on all addresses can be in the way, and the range may be one that ephemeral ports come from.
func freeRange(t *testing.T, n int) netip.AddrPort {
	t.Helper()
	pid := os.Getpid()
	addr := [4]byte{127, 64 | byte(pid>>16)&63, byte(pid >> 8), byte(pid)}
	rangeMu.Lock()
	defer rangeMu.Unlock()
	first := rangeEnd
	if first+n > 1<<16 {
		first = firstOfRanges
	}
	for port := first; port < first+n; port++ {
		if !bindable(t, addr, port) {
			first = port + 1
		}
	}
	if first+n > 1<<16 {
		t.Fatalf("there are no %d free ports in a row", n)
	}
	rangeEnd = first + n
	return netip.AddrPortFrom(netip.AddrFrom4(addr), uint16(first))
}

func bindable(t *testing.T, addr [4]byte, port int) bool {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	return unix.Bind(fd, &unix.SockaddrInet4{Port: port, Addr: addr}) == nil
}

// ports is the address of the i-th port.
func (p *scaleProcess) ports(i int) netip.AddrPort {
	return netip.AddrPortFrom(p.first.Addr(), p.first.Port()+uint16(i))
}

// ask has the i-th port tell its session.
func (p *scaleProcess) ask(t *testing.T, i int) (session string) {
	t.Helper()
	conn, err := net.Dial("tcp", p.ports(i).String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	fmt.Fprint(conn, "GET http://portmapper/session/ HTTP/1.1\r\nHost: portmapper\r\nConnection: close\r\n\r\n")
	answer, err := io.ReadAll(conn)
	var content struct {
		ID string `json:"session_id"`
	}
	_, body, _ := bytes.Cut(answer, []byte("\r\n\r\n"))
	if e := json.Unmarshal(body, &content); err != nil || e != nil || content.ID == "" {
		t.Fatalf("port %d answers %q (%v, %v)", i, answer, err, e)
	}
	return content.ID
}

// memory is the anonymous memory of the process that is resident, in bytes. It is RssAnon, but counted page by page:
// the kernel's counters may lag behind by 256 KiB, which is a lot to be wrong by with 2,000 tunnels.
func (p *scaleProcess) memory() int {
	p.t.Helper()
	kib := 0
	for line := range strings.Lines(p.proc("smaps_rollup")) {
		if _, err := fmt.Sscanf(line, "Anonymous: %d kB", &kib); err == nil {
			return kib << 10
		}
	}
	p.t.Fatal("smaps_rollup does not tell the anonymous memory")
	return 0
}

// settled waits until the memory has stayed the same, to a page or two, for half a second.
func (p *scaleProcess) settled() int {
	p.t.Helper()
	last, same := p.memory(), 0
	for end := time.Now().Add(patience); same < 10; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			p.t.Fatalf("the memory does not settle; it is %d KiB", last>>10)
		}
		same++
		if m := p.memory(); m > last+8<<10 || m < last-8<<10 {
			last, same = m, 0
		}
	}
	return last
}

// returns waits until the memory is at most that, which must be soon, and returns what it is when it has settled.
func (p *scaleProcess) returns(most int) int {
	p.t.Helper()
	began, before := time.Now(), p.memory()
	memory := before
	for memory > most && time.Since(began) < returnTime {
		time.Sleep(100 * time.Millisecond)
		memory = p.memory()
	}
	took := time.Since(began)
	memory = min(memory, p.settled())
	p.t.Logf("burst: memory when all have closed: %d KiB; %.1f s later: %d KiB; wanted: %d KiB", before>>10, took.Seconds(), memory>>10, most>>10)
	if memory > most {
		p.t.Fatalf("a minute after all tunnels have closed %d KiB are in use; want at most %d", memory>>10, most>>10)
	}
	return memory
}

// costs compares the process, which has n idle tunnels, with what it was without any.
func (p *scaleProcess) costs(n, base, baseFDs int) {
	p.t.Helper()
	fds, memory := p.descriptors()-baseFDs, p.settled()
	each := (memory - base) / n
	p.t.Logf("tunnels: memory at %d: %d KiB: %d bytes each; %d descriptors more", n, memory>>10, each, fds)
	if each > tunnelMemory {
		p.t.Errorf("one of %d idle tunnels costs %d bytes; want at most %d", n, each, tunnelMemory)
	}
	if fds != 2*n {
		p.t.Errorf("%d tunnels cost %d descriptors; want %d", n, fds, 2*n)
	}
}

// descriptors counts the process's open ones.
func (p *scaleProcess) descriptors() int {
	p.t.Helper()
	dir, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.pid))
	if err != nil {
		p.t.Fatal(err)
	}
	return len(dir)
}

// descriptorsAre waits until the process has that many.
func (p *scaleProcess) descriptorsAre(n int) {
	p.t.Helper()
	for end := time.Now().Add(patience); p.descriptors() != n; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			p.t.Fatalf("%d descriptors stay open; want %d", p.descriptors(), n)
		}
	}
}

// idle measures the process while nobody asks it anything: its share of a core, and how often a second it wakes. It takes
// the least of three times: once, a second after a burst, the process gives memory back.
func (p *scaleProcess) idle() (share, switches float64) {
	p.t.Helper()
	share, switches = p.idleOnce()
	for range 2 {
		if share == 0 {
			break
		}
		if s, n := p.idleOnce(); s < share {
			share, switches = s, n
		}
	}
	return share, switches
}

func (p *scaleProcess) idleOnce() (share, switches float64) {
	p.t.Helper()
	began, cpu, n := time.Now(), p.cpu(), p.switches()
	time.Sleep(idleTime)
	took := time.Since(began)
	return float64(p.cpu()-cpu) / float64(took), float64(p.switches()-n) / took.Seconds()
}

// cpu is the processor time that the process has used, to the nanosecond: its CPU clock, whose id is made of its pid.
func (p *scaleProcess) cpu() time.Duration {
	p.t.Helper()
	var ts unix.Timespec
	if err := unix.ClockGettime(int32(^p.pid<<3|2), &ts); err != nil {
		p.t.Fatal(err)
	}
	return time.Duration(ts.Nano())
}

// switches is how often the process's threads have gone to sleep.
func (p *scaleProcess) switches() (sum int) {
	p.t.Helper()
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", p.pid))
	if err != nil {
		p.t.Fatal(err)
	}
	for _, thread := range threads {
		for line := range strings.Lines(p.proc("task/" + thread.Name() + "/status")) {
			if n, ok := strings.CutPrefix(line, "voluntary_ctxt_switches:"); ok {
				v, _ := strconv.Atoi(strings.TrimSpace(n))
				sum += v
			}
		}
	}
	return sum
}

// proc reads a file of the process's in /proc.
func (p *scaleProcess) proc(name string) string {
	p.t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", p.pid, name))
	if err != nil {
		p.t.Fatal(err)
	}
	return string(b)
}

// A farm is the clients and the provider of many tunnels. They are bare blocking sockets, one step after another, so
// that thousands cost this process nothing but their descriptors.
type farm struct {
	t        *testing.T
	relay    netip.AddrPort
	listener int
	tunnels  [][2]int // client's and provider's descriptor
	buf      [burstBytes]byte
}

// startFarm starts a farm and a proxymap with one port between its two ends.
func startFarm(t *testing.T, lifetime int) (*farm, *scaleProcess) {
	t.Helper()
	return startFarmOf(t, 1, lifetime)
}

// startFarmOf is startFarm with so many ports, the first of which tunnels lead through, and further sections of the settings.
func startFarmOf(t *testing.T, ports, lifetime int, sections ...string) (*farm, *scaleProcess) {
	t.Helper()
	f := newFarm(t)
	p := startScale(t, ports, lifetime, f.addr(), sections...)
	f.relay = p.ports(0)
	return f, p
}

// newFarm starts a farm without a relay.
func newFarm(t *testing.T) *farm {
	t.Helper()
	f := &farm{t: t}
	f.listener = f.socket()
	t.Cleanup(func() {
		unix.Close(f.listener)
		for _, tunnel := range f.tunnels {
			unix.Close(tunnel[0])
			unix.Close(tunnel[1])
		}
	})
	f.must(unix.Bind(f.listener, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	f.must(unix.Listen(f.listener, eagerTunnels))
	return f
}

func (f *farm) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

// socket makes a socket that waits for what comes, but not for ever; nor do those that it accepts.
func (f *farm) socket() int {
	f.t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	f.must(err)
	patient := unix.NsecToTimeval(int64(patience))
	f.must(unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &patient))
	return fd
}

// addr is where the provider listens.
func (f *farm) addr() netip.AddrPort {
	f.t.Helper()
	sa, err := unix.Getsockname(f.listener)
	f.must(err)
	return netip.AddrPortFrom(netip.AddrFrom4(sa.(*unix.SockaddrInet4).Addr), uint16(sa.(*unix.SockaddrInet4).Port))
}

// openUntil opens tunnels until there are n.
func (f *farm) openUntil(n int) {
	f.t.Helper()
	for len(f.tunnels) < n {
		f.open(min(tunnelBatch, n-len(f.tunnels)), nil)
	}
}

// open opens n tunnels at once. The clients send eager behind their CONNECT, which the relay has to keep for them: the
// provider answers when it has all heads. Which of its sockets belongs to which client nobody asks.
func (f *farm) open(n int, eager []byte) {
	f.t.Helper()
	const granted = "HTTP/1.1 200 OK\r\n\r\n"
	opened := len(f.tunnels)
	for range n {
		client := f.socket()
		f.tunnels = append(f.tunnels, [2]int{client, -1})
		f.must(unix.Connect(client, &unix.SockaddrInet4{Port: int(f.relay.Port()), Addr: f.relay.Addr().As4()}))
		f.send(client, append([]byte("CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n"), eager...))
	}
	for i := range f.tunnels[opened:] {
		f.tunnels[opened+i][1] = f.accept()
	}
	for _, tunnel := range f.tunnels[opened:] {
		f.send(tunnel[1], []byte(granted))
	}
	for _, tunnel := range f.tunnels[opened:] {
		f.receiveAll(tunnel[0], len(granted))
		f.receiveAll(tunnel[1], len(eager))
	}
}

// accept takes the relay's next connection to the provider, and the head that comes on it.
func (f *farm) accept() (fd int) {
	f.t.Helper()
	fd, err := unbroken(func() (int, error) {
		fd, _, err := unix.Accept4(f.listener, unix.SOCK_CLOEXEC)
		return fd, err
	})
	f.must(err)
	f.head(fd)
	return fd
}

// head takes a request head.
func (f *farm) head(fd int) {
	f.t.Helper()
	for head := []byte{}; !bytes.HasSuffix(head, []byte("\r\n\r\n")); {
		head = append(head, f.buf[:f.receive(fd, f.buf[:])]...)
	}
}

// burst sends burstBytes both ways through each tunnel, through some at once, and receives them.
func (f *farm) burst() {
	f.t.Helper()
	for from := 0; from < len(f.tunnels); from += tunnelBatch {
		batch := f.tunnels[from:min(from+tunnelBatch, len(f.tunnels))]
		for _, tunnel := range batch {
			f.send(tunnel[0], f.buf[:])
			f.send(tunnel[1], f.buf[:])
		}
		for _, tunnel := range batch {
			f.receiveAll(tunnel[0], burstBytes)
			f.receiveAll(tunnel[1], burstBytes)
		}
	}
}

// closeAll ends all tunnels as clients do that have what they wanted.
func (f *farm) closeAll() {
	f.t.Helper()
	for _, tunnel := range f.tunnels {
		unix.Close(tunnel[0])
	}
	for _, tunnel := range f.tunnels {
		n, err := unbroken(func() (int, error) { return unix.Read(tunnel[1], f.buf[:]) })
		if n != 0 || err != nil {
			f.t.Fatalf("the provider got %d bytes (%v); want the end", n, err)
		}
		unix.Close(tunnel[1])
	}
	f.tunnels = f.tunnels[:0]
}

func (f *farm) send(fd int, b []byte) {
	f.t.Helper()
	n, err := unbroken(func() (int, error) { return unix.Write(fd, b) })
	f.must(err)
	if n < len(b) {
		f.t.Fatalf("only %d of %d bytes are sent", n, len(b))
	}
}

// receiveAll receives n bytes.
func (f *farm) receiveAll(fd, n int) {
	f.t.Helper()
	buf := make([]byte, n)
	for len(buf) > 0 {
		buf = buf[f.receive(fd, buf):]
	}
}

func (f *farm) receive(fd int, b []byte) int {
	f.t.Helper()
	n, err := unbroken(func() (int, error) { return unix.Read(fd, b) })
	f.must(err)
	if n == 0 {
		f.t.Fatal("a tunnel has ended")
	}
	return n
}

// unbroken calls f again when a signal of the runtime's has broken it off: with a time-out set, the kernel does not.
func unbroken(f func() (int, error)) (int, error) {
	for {
		n, err := f()
		if err != unix.EINTR {
			return n, err
		}
	}
}
