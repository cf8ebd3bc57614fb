package relay

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"proxymap/relay/internal/kernel"
	"proxymap/session"
	"proxymap/session/credential"
)

// patience is how long a test waits for what must come. It is never waited out in a test that passes.
const patience = 10 * time.Second

// with is a message with one more field line at the end of its head.
func with(message, line string) string {
	return strings.Replace(message, "\r\n\r\n", "\r\n"+line+"\r\n\r\n", 1)
}

// longRun asks for what takes minutes: more of the same, and what measures speed. make verify sets it.
var longRun = os.Getenv("PROXYMAP_LONG") != ""

// needsLong skips a test that has no short form.
func needsLong(t *testing.T) {
	t.Helper()
	if !longRun {
		t.Skipf("SKIPPED: takes long; PROXYMAP_LONG=1 go test -run '^%s$' ./relay runs it, as make verify-long does", t.Name())
	}
}

// A rig is a relay between a test's clients and a test's provider, both of which speak byte by byte what the test says.
type rig struct {
	t        testing.TB
	relay    *Relay
	provider net.Listener
	dialer   net.Dialer      // of clients
	returned <-chan struct{} // Serve has
}

// newRig starts a relay with one port. change may alter what it is made of.
func newRig(t testing.TB, change ...func(*Config)) *rig {
	t.Helper()
	provider, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { provider.Close() })
	cfg := Config{
		Mappings: []Mapping{{
			Address: netip.MustParseAddr("127.0.0.1"),
			Plan:    newPlan(t, session.PlanConfig{Lifetime: 10 * time.Minute}),
			Servers: []Server{serverAt(provider.Addr())},
		}},
		inOrder: true,
		loud:    true,
		Log:     slog.New(slog.NewTextHandler(testLog{t}, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, f := range change {
		f(&cfg)
	}
	g := &rig{t: t, provider: provider}
	g.relay, g.returned = serveUntil(t, cfg)
	return g
}

// newPlan makes a plan that sets the credentials user-session-<id>:pass.
func newPlan(t testing.TB, cfg session.PlanConfig) *session.Plan {
	t.Helper()
	if cfg.Account == nil {
		cfg.Account = &credential.Account{Username: "user", Password: "pass", Parameters: []credential.Parameter{
			{Name: "session", Value: "^id[1-9][0-9]{0,2}", SessionID: true},
		}}
		cfg.Set = true
	}
	if cfg.Servers == nil {
		cfg.Servers = make([]*credential.Account, 8)
	}
	var n atomic.Int64
	cfg.Random = func() rand.Source { return newDigits(n.Add(1)) }
	plan, err := session.NewPlan(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

// digits is a source of which the pattern [1-9][0-9]{0,2} draws a number.
type digits struct {
	draws []uint64
}

func newDigits(n int64) *digits {
	text := strconv.FormatInt(n, 10)
	d := &digits{}
	d.next(uint64(text[0]-'1'), 9)
	d.next(uint64(len(text)-1), 3)
	for _, c := range []byte(text[1:]) {
		d.next(uint64(c-'0'), 10)
	}
	return d
}

// next has the next draw of one from size be the i-th.
func (d *digits) next(i, size uint64) {
	d.draws = append(d.draws, i*(math.MaxUint64/size)+math.MaxUint64/size/2)
}

func (d *digits) Uint64() (v uint64) {
	if len(d.draws) == 0 {
		return rand.Uint64() // another pattern
	}
	v, d.draws = d.draws[0], d.draws[1:]
	return v
}

func serverAt(addr net.Addr) Server {
	a := addr.(*net.TCPAddr).AddrPort()
	return Server{Host: a.Addr().String(), Port: a.Port()}
}

// wanted is the sum of what the relays that run want of GOMAXPROCS.
var wanted atomic.Int32

// giveProcs does what a program does that runs the relay, unless a test is about one that does not.
func giveProcs(t testing.TB, cfg *Config) {
	if os.Getenv("PROXYMAP_TEST_PROCS") == "none" {
		return
	}
	n := int32(cfg.Processors())
	runtime.GOMAXPROCS(max(int(wanted.Add(n)), runtime.GOMAXPROCS(0)))
	t.Cleanup(func() { wanted.Add(-n) })
}

// serve runs a relay until the test ends, and checks that it ends well then.
func serve(t testing.TB, cfg Config) *Relay {
	t.Helper()
	r, _ := serveUntil(t, cfg)
	return r
}

// serveUntil is serve for who wants to know when Serve has returned.
func serveUntil(t testing.TB, cfg Config) (r *Relay, returned <-chan struct{}) {
	t.Helper()
	r, err := Listen(cfg)
	if err != nil {
		t.Fatal(err)
	}
	giveProcs(t, &cfg)
	done := make(chan struct{})
	var end error
	go func() {
		defer close(done)
		end = r.Serve()
	}()
	t.Cleanup(func() {
		checkRosters(t, r, done)
		r.Shutdown(0)
		select {
		case <-done:
			if err := end; err != nil {
				t.Errorf("Serve: %v", err)
			}
			checkNoRosters(t, r)
		case <-time.After(patience):
			t.Error("Serve does not return after Shutdown")
		}
		if n := r.Connections(); n != 0 {
			t.Errorf("%d connections are open after the relay's end", n)
		}
	})
	return r, done
}

// testLog passes the relay's log on to the test's.
type testLog struct{ t testing.TB }

func (w testLog) Write(b []byte) (int, error) {
	w.t.Logf("relay: %s", bytes.TrimSpace(b))
	return len(b), nil
}

// logLines collects a relay's log.
type logLines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logLines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

// in has a relay's log collected.
func (l *logLines) in(cfg *Config) { cfg.Log = slog.New(slog.NewTextHandler(l, nil)) }

// count is in how many places the log says text.
func (l *logLines) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), text)
}

// client connects to the relay's i-th port.
func (g *rig) client(i int) *peer {
	g.t.Helper()
	conn, err := g.dialer.Dial("tcp", g.relay.Ports()[i].String())
	if err != nil {
		g.t.Fatal(err)
	}
	return newPeer(g.t, "client", conn)
}

// upstream is the relay's next connection to the provider.
func (g *rig) upstream() *peer {
	g.t.Helper()
	return accepted(g.t, g.provider)
}

func accepted(t testing.TB, l net.Listener) *peer {
	t.Helper()
	_ = l.(*net.TCPListener).SetDeadline(time.Now().Add(patience))
	conn, err := l.Accept()
	if err != nil {
		t.Fatalf("the relay does not connect: %v", err)
	}
	return newPeer(t, "provider", conn)
}

// A peer is one end of a connection with the relay, in the hands of a test.
type peer struct {
	t    testing.TB
	name string
	conn *net.TCPConn
	r    *bufio.Reader
}

func newPeer(t testing.TB, name string, conn net.Conn) *peer {
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(3 * patience))
	return &peer{t, name, conn.(*net.TCPConn), bufio.NewReader(conn)}
}

// send writes the parts one after another.
func (p *peer) send(parts ...string) {
	p.t.Helper()
	for _, s := range parts {
		if _, err := io.WriteString(p.conn, s); err != nil {
			p.t.Fatalf("%s: write: %v", p.name, err)
		}
	}
}

// expect reads exactly want.
func (p *peer) expect(want string) {
	p.t.Helper()
	got := make([]byte, len(want))
	n, err := io.ReadFull(p.r, got)
	if string(got[:n]) != want {
		p.t.Fatalf("%s: got %q (%v); want %q", p.name, got[:n], err, want)
	}
}

// head reads a message head and returns it.
func (p *peer) head() string {
	p.t.Helper()
	var head strings.Builder
	for {
		line, err := p.r.ReadString('\n')
		head.WriteString(line)
		if err != nil {
			p.t.Fatalf("%s: got %q, then %v; want a head", p.name, head.String(), err)
		}
		if line == "\r\n" {
			return head.String()
		}
	}
}

// expectEnd reads the other's FIN, and nothing before it.
func (p *peer) expectEnd() {
	p.t.Helper()
	if b, err := io.ReadAll(p.r); err != nil || len(b) > 0 {
		p.t.Fatalf("%s: got %q (%v); want the end", p.name, b, err)
	}
}

// expectReset reads until the connection ends, which must be by a reset, and returns what came before.
func (p *peer) expectReset() string {
	p.t.Helper()
	b, err := io.ReadAll(p.r)
	if !errors.Is(err, syscall.ECONNRESET) {
		p.t.Fatalf("%s: got %q (%v); want a reset", p.name, b, err)
	}
	return string(b)
}

// expectClosed reads until the connection ends, whichever way.
func (p *peer) expectClosed() {
	p.t.Helper()
	if _, err := io.Copy(io.Discard, p.r); errors.Is(err, os.ErrDeadlineExceeded) {
		p.t.Fatalf("%s: still open", p.name)
	}
}

// expectAnswer reads an answer of the relay's own: its status, its class and a text that holds why, which it returns.
func (p *peer) expectAnswer(status int, class, why string) (text string) {
	p.t.Helper()
	head := p.head()
	if !strings.HasPrefix(head, fmt.Sprintf("HTTP/1.1 %d ", status)) || !strings.Contains(head, "\r\nX-Proxymap-Error: "+class+"\r\n") {
		p.t.Fatalf("%s: got %q; want status %d, class %s", p.name, head, status, class)
	}
	if !strings.Contains(head, "\r\nProxy-Status: proxymap; error=") {
		p.t.Fatalf("%s: got %q; want a Proxy-Status beside the class", p.name, head)
	}
	text, err := p.r.ReadString('\n')
	if err != nil || !strings.Contains(text, why) {
		p.t.Fatalf("%s: got %q (%v); want a line that holds %q", p.name, text, err, why)
	}
	return text
}

// fin ends the peer's sending.
func (p *peer) fin() {
	p.t.Helper()
	if err := p.conn.CloseWrite(); err != nil {
		p.t.Fatalf("%s: %v", p.name, err)
	}
}

func (p *peer) close() { p.conn.Close() }

// reset closes with a reset.
func (p *peer) reset() {
	_ = p.conn.SetLinger(0)
	p.conn.Close()
}

// await waits until cond holds.
func await(t testing.TB, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for: %s", what)
		}
	}
}

// asked has a new client send a request, and the provider take its head.
func (g *rig) asked(request ...string) (client, provider *peer) {
	g.t.Helper()
	client = g.client(0)
	client.send(request...)
	provider = g.upstream()
	provider.head()
	return client, provider
}

// served has a new client send a request and get its response: both connections are idle then.
func (g *rig) served() (client, provider *peer) {
	g.t.Helper()
	client, provider = g.asked(get)
	provider.send(ok)
	client.expect(ok)
	return client, provider
}

// echo has the provider answer every read of every connection with a response. accepts, if there is one, counts these.
func (g *rig) echo(accepts ...*atomic.Int32) {
	go func() {
		for {
			conn, err := g.provider.Accept()
			if err != nil {
				return
			}
			for _, n := range accepts {
				n.Add(1)
			}
			go func() {
				defer conn.Close()
				buf := make([]byte, 4096)
				for {
					if _, err := conn.Read(buf); err != nil {
						return
					}
					if _, err := io.WriteString(conn, ok); err != nil {
						return
					}
				}
			}()
		}
	}()
}

// tunnel opens a tunnel and returns both its ends.
func (g *rig) tunnel() (client, provider *peer) {
	g.t.Helper()
	client = g.client(0)
	client.send("CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n")
	provider = g.upstream()
	provider.head()
	provider.send("HTTP/1.1 200 OK\r\n\r\n")
	client.expect("HTTP/1.1 200 OK\r\n\r\n")
	return client, provider
}

// basic is the field line for a user name and a password.
func basic(user, password string) string {
	return "Proxy-Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password)) + "\r\n"
}

var ownAddrs atomic.Uint32 // that have been given out

// ownAddr is an address that nobody else uses: all its ports are free.
func ownAddr() netip.Addr {
	pid := os.Getpid()
	return netip.AddrFrom4([4]byte{127, byte(30 + ownAddrs.Add(1)%30), byte(pid >> 8), byte(pid)})
}

// freeAddr is an address whose port is free, and not one that connecting sockets are given.
func freeAddr(t testing.TB) netip.AddrPort {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 2}}); err != nil {
		t.Fatal(err)
	}
	addr, err := kernel.LocalAddr(fd)
	if err != nil {
		t.Fatal(err)
	}
	return addr
}

// withAPI switches the Session API on.
func withAPI(domain string) func(*Config) {
	return func(cfg *Config) {
		for i := range cfg.Mappings {
			cfg.Mappings[i].API = session.API{Enabled: true, Domain: domain}
		}
	}
}

// deadServer is an address that refuses connections. Its port is bound until the test ends, and not listened on, so that no
// other test, and no other process, comes to have it.
func deadServer(t testing.TB) Server {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	addr, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return Server{Host: "127.0.0.1", Port: uint16(addr.(*unix.SockaddrInet4).Port)}
}

// dialRelay connects to the relay's first port, outside of the test's goroutine.
func dialRelay(g *rig) (net.Conn, error) {
	conn, err := net.DialTimeout("tcp", g.relay.Ports()[0].String(), patience)
	if err == nil {
		_ = conn.SetDeadline(time.Now().Add(patience))
	}
	return conn, err
}

// underRace reports whether the race detector is on, which makes loads meaningless.
func underRace() bool {
	info, _ := debug.ReadBuildInfo()
	return slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}
