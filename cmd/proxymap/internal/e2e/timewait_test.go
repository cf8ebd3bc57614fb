//go:build linux

package e2e

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A connection to the provider that the relay closes first sits in TIME_WAIT for 60 s and keeps its local port from being
// used for that provider. Here relay and provider are in network namespaces of their own, as on two hosts, and TIME_WAIT
// is never cut short (tcp_tw_reuse=0).
//
// So as to be short, the tests give the relay few ports, so that they would run out soon. With PROXYMAP_LONG=1 resets
// have Linux's 28,232 ports and go on for a minute, and for FINs the end of TIME_WAIT is waited for. They do not have all
// ports: when more than half are taken, connect(2) searches for milliseconds, and filling them would take a minute itself.
const (
	asksPerSecond = 2_000
	askers        = 32 // clients at a time

	relayAddr    = "10.213.0.1"
	providerAddr = "10.213.0.2"
	firstPort    = 10201 // of the relay: leads to the provider's firstUp, the next one to the next one
	firstUp      = 7000
	upstreams    = 2
)

// A client's reset resets the provider's connection, so nothing stays and no port is ever missing.
func TestTimeWaitReset(t *testing.T) {
	asks, ports := 2*asksPerSecond, "40000 40999"
	if longRun {
		asks, ports = 60*asksPerSecond, ""
	}
	r := startTimeWait(t, ports)
	got := r.load(asks, reset)
	r.connectionsEnd()
	left := r.timeWaits()
	t.Logf("reset: %s; %d in TIME_WAIT", got, left)
	if got.granted != asks || got.refused != 0 {
		t.Errorf("%d of %d CONNECTs are granted, %d refused for want of a port", got.granted, asks, got.refused)
	}
	if left > 100 {
		t.Errorf("%d connections to the provider are in TIME_WAIT; want none", left)
	}
}

// A client's FIN is passed on, so the ports do run out. Who comes then is told so, whoever goes to another provider is
// served, and it ends by itself.
func TestTimeWaitFIN(t *testing.T) {
	ports := "40000 40499"
	if longRun {
		ports = "40000 49999"
	}
	r := startTimeWait(t, ports)
	asks := r.ports + 1_000
	fin := func(conn *net.TCPConn, in *bufio.Reader) error {
		if err := conn.CloseWrite(); err != nil {
			return err
		}
		return atEnd(in)
	}
	got := r.load(asks, fin)
	ran := time.Now()
	r.connectionsEnd()
	t.Logf("fin: %s; %d in TIME_WAIT, of %d ports", got, r.timeWaits(), r.ports)
	// A machine so slow that ports come free again meanwhile need not run out of them.
	if got.granted < r.ports || got.refused == 0 && got.took < time.Minute || got.granted+got.refused != asks {
		t.Errorf("%d CONNECTs are granted, %d refused, of %d; want at least one for each of %d ports, and the others refused",
			got.granted, got.refused, asks, r.ports)
	}
	if granted, err := r.ask(asks, firstPort+1, fin); err != nil || !granted {
		t.Errorf("while the ports for one provider are used up, a CONNECT to another: granted: %v (%v)", granted, err)
	}
	if !longRun {
		return
	}
	var again time.Duration // after which one was granted
	for i := asks + 1; again == 0 || r.timeWaits() > 0; i++ {
		granted, err := r.ask(i, firstPort, reset)
		since := time.Since(ran)
		if err != nil || since > 75*time.Second {
			t.Fatalf("%v after the last of many CONNECTs: granted: %v (%v); %d in TIME_WAIT", since, granted, err, r.timeWaits())
		}
		if granted && again == 0 {
			again = since
		}
		time.Sleep(time.Second)
	}
	t.Logf("fin: a CONNECT was granted again after %.0f s; none is in TIME_WAIT after %.0f s", again.Seconds(), time.Since(ran).Seconds())
	if got := r.load(1_000, reset); got.granted != 1_000 {
		t.Errorf("when TIME_WAIT is over, %s", got)
	}
}

// reset has the coming close be a reset.
func reset(conn *net.TCPConn, _ *bufio.Reader) error { return conn.SetLinger(0) }

// A timeWait is a relay in a namespace, which the test's own thread and its clients are in too, and a provider in
// another.
type timeWait struct {
	*process
	home  *namespace
	ports int // that it has for one upstream
}

// startTimeWait makes the namespaces and what is in them. ports is the range that the relay dials from, if not the usual
// one. From here on the test's thread is in the relay's namespace; it ends with the test.
func startTimeWait(t *testing.T, ports string) *timeWait {
	t.Helper()
	if _, err := exec.LookPath("ip"); err != nil || os.Geteuid() != 0 {
		t.Skip("SKIPPED: needs root and ip(8), to make network namespaces")
	}
	far := newNamespace(t)
	home := newNamespace(t)
	far.in(t, func() error { return ip("link set lo up") })
	home.in(t, func() error { return ip("link set lo up") })
	home.in(t, func() error { return ip("link add veth0 type veth peer name veth0 netns /proc/self/fd/3", far.file) })
	home.in(t, func() error { return errors.Join(ip("addr add "+relayAddr+"/24 dev veth0"), ip("link set veth0 up")) })
	far.in(t, func() error {
		return errors.Join(ip("addr add "+providerAddr+"/24 dev veth0"), ip("link set veth0 up"))
	})
	if err := home.enter(); err != nil {
		t.Fatal(err)
	}
	sysctl(t, "tcp_tw_reuse", "0")
	sysctl(t, "tcp_max_tw_buckets", "1000000") // the clients' own are many
	if ports != "" {
		sysctl(t, "ip_local_port_range", ports)
	}
	var first, last int
	if _, err := fmt.Sscan(sysctl(t, "ip_local_port_range", ""), &first, &last); err != nil {
		t.Fatal(err)
	}
	r := &timeWait{home: home, ports: last - first + 1}

	var mappings []string
	for i := range upstreams {
		far.in(t, func() error { return serveProvider(t, firstUp+i) })
		mappings = append(mappings, fmt.Sprintf(`{"Listen": {"Port": %d}, "ProxyServers": {"Items": [{"Host": %q, "Port": %d}]}}`,
			firstPort+i, providerAddr, firstUp+i))
	}
	file := filepath.Join(t.TempDir(), "appsettings.json")
	if err := os.WriteFile(file, []byte(`{"ProxyMappings": [`+strings.Join(mappings, ",")+`]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	r.process = start(t, "serve", "--config", file)
	r.logged("msg=listening")
	return r
}

// An ending ends a tunnel as a client does; the client's close comes behind it.
type ending func(conn *net.TCPConn, in *bufio.Reader) error

// A tally is what became of many CONNECTs.
type tally struct {
	granted, refused int
	took             time.Duration // all
	refusing         time.Duration // the refused ones together
	slowest          time.Duration // of them
}

func (t tally) String() string {
	s := fmt.Sprintf("%d CONNECTs in %.1f s, %.0f a second: %d granted, %d refused",
		t.granted+t.refused, t.took.Seconds(), float64(t.granted+t.refused)/t.took.Seconds(), t.granted, t.refused)
	if t.refused > 0 {
		s += fmt.Sprintf(" in %.1f ms on average, %.1f ms at most", 1e3*t.refusing.Seconds()/float64(t.refused), 1e3*t.slowest.Seconds())
	}
	return s
}

// load has n clients come at the pace of asksPerSecond, or as fast as the machine can.
func (r *timeWait) load(n int, end ending) (sum tally) {
	r.t.Helper()
	var (
		next   atomic.Int64
		failed atomic.Bool
		mu     sync.Mutex // of sum
		wg     sync.WaitGroup
	)
	began := time.Now()
	client := func() {
		defer wg.Done()
		if err := r.home.enter(); err != nil {
			r.t.Error(err)
			return
		}
		for !failed.Load() {
			i := int(next.Add(1)) - 1
			if i >= n {
				return
			}
			time.Sleep(time.Until(began.Add(time.Duration(i) * time.Second / asksPerSecond)))
			asked := time.Now()
			granted, err := r.ask(i, firstPort, end)
			took := time.Since(asked)
			if err != nil {
				failed.Store(true)
				r.t.Errorf("CONNECT %d: %v", i, err)
				return
			}
			mu.Lock()
			if granted {
				sum.granted++
			} else {
				sum.refused++
				sum.refusing += took
				sum.slowest = max(sum.slowest, took)
			}
			mu.Unlock()
		}
	}
	for range askers {
		wg.Add(1)
		go client()
	}
	wg.Wait()
	sum.took = time.Since(began)
	return sum
}

// ask is the i-th client: a CONNECT, and if it is granted, a byte there and back, from every other client, and an end.
// An error is all that is neither granted nor refused as it should be for want of a port.
func (r *timeWait) ask(i, port int, end ending) (granted bool, err error) {
	// Each client has an address of its own, and so never lacks a port; and it does not bind the port, which would take
	// it from the relay.
	d := net.Dialer{
		LocalAddr: &net.TCPAddr{IP: net.IPv4(127, byte(1+i>>16), byte(i>>8), byte(i))},
		Control: func(_, _ string, c syscall.RawConn) (err error) {
			e := c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1) })
			return errors.Join(err, e)
		},
		Timeout: patience,
	}
	c, err := d.Dial("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return false, err
	}
	defer c.Close()
	conn, in := c.(*net.TCPConn), bufio.NewReaderSize(c, 1024)
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(conn, "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n"); err != nil {
		return false, err
	}
	answer, err := http.ReadResponse(in, &http.Request{Method: "CONNECT"})
	if err != nil {
		return false, err
	}
	if answer.StatusCode == 200 {
		if i%2 == 1 {
			if _, err := conn.Write([]byte{'x'}); err != nil {
				return false, err
			}
			if b, err := in.ReadByte(); b != 'x' {
				return false, fmt.Errorf("got %q (%v); want the byte that was sent", b, err)
			}
		}
		return true, end(conn, in)
	}
	content, err := io.ReadAll(answer.Body)
	class := answer.Header.Get("X-Proxymap-Error")
	if answer.StatusCode != 503 || class != "no-source-port" || err != nil || int64(len(content)) != answer.ContentLength {
		return false, fmt.Errorf("got %s, %q, %q (%v); want 200, or 503 for want of a port", answer.Status, class, content, err)
	}
	return false, atEnd(in)
}

// atEnd waits for a FIN, before which nothing comes.
func atEnd(in *bufio.Reader) error {
	if b, err := in.ReadByte(); err != io.EOF {
		return fmt.Errorf("got %q (%v); want the end", b, err)
	}
	return nil
}

// serveProvider grants every CONNECT that comes to a port, sends back what it gets, and closes when its peer has.
func serveProvider(t *testing.T, port int) error {
	l, err := net.Listen("tcp4", fmt.Sprintf("%s:%d", providerAddr, port))
	if err != nil {
		return err
	}
	t.Cleanup(func() { l.Close() })
	tunnel := func(conn net.Conn) {
		defer conn.Close()
		buf := make([]byte, 512)
		for n := 0; !bytes.HasSuffix(buf[:n], []byte("\r\n\r\n")); {
			k, err := conn.Read(buf[n:])
			if err != nil {
				return
			}
			n += k
		}
		_, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n")
		for err == nil {
			var n int
			if n, err = conn.Read(buf); n > 0 {
				_, err = conn.Write(buf[:n])
			}
		}
	}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go tunnel(conn)
		}
	}()
	return nil
}

// timeWaits counts the connections to the first provider that are in TIME_WAIT.
func (r *timeWait) timeWaits() (n int) {
	r.t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/tcp", r.cmd.Process.Pid))
	if err != nil {
		r.t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		// sl local_address rem_address st ...
		if f := strings.Fields(line); len(f) > 3 && strings.HasSuffix(f[2], fmt.Sprintf(":%04X", firstUp)) && f[3] == "06" {
			n++
		}
	}
	return n
}

// connectionsEnd waits until the relay has no sockets but its listeners.
func (r *timeWait) connectionsEnd() {
	r.t.Helper()
	for end := time.Now().Add(patience); r.sockets() != upstreams; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			r.t.Fatalf("the relay has %d sockets; want its %d listeners and no more", r.sockets(), upstreams)
		}
	}
}

// sockets counts the relay's.
func (r *timeWait) sockets() (n int) {
	r.t.Helper()
	path := fmt.Sprintf("/proc/%d/fd/", r.cmd.Process.Pid)
	dir, err := os.ReadDir(path)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, fd := range dir {
		if to, _ := os.Readlink(path + fd.Name()); strings.HasPrefix(to, "socket:") {
			n++
		}
	}
	return n
}

// A namespace is a network namespace without a name: it is gone with the last who is in it, however the test ends.
type namespace struct{ file *os.File }

func newNamespace(t *testing.T) *namespace {
	t.Helper()
	n, made := &namespace{}, make(chan error)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with the goroutine
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			n.file, err = os.Open("/proc/thread-self/ns/net")
		}
		made <- err
	}()
	switch err := <-made; err {
	case nil:
	case unix.EPERM:
		t.Skip("SKIPPED: needs root and ip(8), to make network namespaces: this root may not")
	default:
		t.Fatal(err)
	}
	t.Cleanup(func() { n.file.Close() })
	return n
}

// enter takes the goroutine and its thread into the namespace, for good.
func (n *namespace) enter() error {
	runtime.LockOSThread()
	return unix.Setns(int(n.file.Fd()), unix.CLONE_NEWNET)
}

// in calls f in the namespace.
func (n *namespace) in(t *testing.T, f func() error) {
	t.Helper()
	done := make(chan error)
	go func() {
		err := n.enter()
		if err == nil {
			err = f()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// ip calls ip(8). It has files from descriptor 3 on.
func ip(args string, files ...*os.File) error {
	cmd := exec.Command("ip", strings.Fields(args)...)
	cmd.ExtraFiles = files
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w: %s", args, err, out)
	}
	return nil
}

// sysctl sets a value of the namespace that the thread is in, if there is one, and returns what it is then.
func sysctl(t *testing.T, name, value string) string {
	t.Helper()
	file := "/proc/sys/net/ipv4/" + name
	if value != "" {
		if err := os.WriteFile(file, []byte(value), 0); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
