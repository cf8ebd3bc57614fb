//go:build linux

package e2e

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const (
	fewDescriptors = 256
	fewClients     = 400
	spinning       = 0.5 // of a core: a loop that is told of the same again and again has one for itself
)

var fullTime = shortOr(time.Second, 2*time.Second)

// startLimited starts proxymap with one port, and so many descriptors; 0 for as many as there are. The soft limit is lower,
// and it has to raise it.
func startLimited(t *testing.T, descriptors int) *scaleProcess {
	t.Helper()
	upstream := startProvider(t).Addr()
	first := freeRange(t, 1)
	file := filepath.Join(t.TempDir(), "appsettings.json")
	text := fmt.Sprintf(scaleSettings, first.Addr(), first.Port(), first.Port(), 10, upstream.Addr(), upstream.Port())
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := command(t, "serve", "--config", file)
	if descriptors > 0 {
		script := fmt.Sprintf(`ulimit -S -n 64; ulimit -H -n %d; exec "$0" "$@"`, descriptors)
		cmd = exec.Command("/bin/sh", append([]string{"-c", script}, cmd.Args...)...)
	}
	began := time.Now()
	p := startCommand(t, cmd)
	p.logged("msg=listening")
	return &scaleProcess{p, p.cmd.Process.Pid, began, first}
}

// A crowd is clients that want a tunnel each. One that is refused comes again when it was told to.
type crowd struct {
	relay    string
	release  chan struct{} // closed: give tunnels back, and open no more
	errs     chan error    // of each client, nil when it has had its tunnel
	holding  atomic.Int32
	refusals atomic.Int32
}

func startCrowd(p *scaleProcess, n int) *crowd {
	c := &crowd{relay: p.ports(0).String(), release: make(chan struct{}), errs: make(chan error, n)}
	for range n {
		go func() { c.errs <- c.client() }()
	}
	return c
}

func (c *crowd) client() error {
	for end := time.Now().Add(6 * patience); time.Now().Before(end); {
		granted, wait, err := c.try()
		if granted || err != nil {
			return err
		}
		c.refusals.Add(1)
		time.Sleep(wait)
	}
	return errors.New("a client was never let in")
}

// try opens a tunnel and holds it until the release, or is refused and told how long to wait.
func (c *crowd) try() (granted bool, wait time.Duration, err error) {
	conn, err := net.Dial("tcp", c.relay)
	if err != nil {
		return false, 0, err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(6 * patience))
	fmt.Fprint(conn, "CONNECT ip.demo:80 HTTP/1.1\r\nHost: ip.demo:80\r\n\r\n")
	res, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: "CONNECT"})
	if err != nil {
		return false, 0, err
	}
	switch {
	case res.StatusCode == 200:
		c.holding.Add(1)
		<-c.release
		return true, 0, nil
	case res.StatusCode == 503 && res.Header.Get("Retry-After") == "1":
		return false, time.Second, nil
	}
	return false, 0, fmt.Errorf("a client got %d %s", res.StatusCode, res.Header.Get("X-Proxymap-Error"))
}

// served waits until each client has had its tunnel.
func (c *crowd) served(t *testing.T, n int) {
	t.Helper()
	close(c.release)
	for range n {
		if err := <-c.errs; err != nil {
			t.Fatal(err)
		}
	}
}

// staysCalm checks that the process answers the Session API, and does next to nothing besides, while it is full.
func (p *scaleProcess) staysCalm(t *testing.T) {
	t.Helper()
	began, cpu := time.Now(), p.cpu()
	session := p.ask(t, 0)
	for time.Since(began) < fullTime {
		if again := p.ask(t, 0); again != session {
			t.Fatalf("the session has changed from %s to %s", session, again)
		}
		time.Sleep(fullTime / 20)
	}
	share := float64(p.cpu()-cpu) / float64(time.Since(began))
	t.Logf("full: %.2f %% of a core", 100*share)
	if share > spinning {
		t.Errorf("%.2f of a core is in use while nothing can be done: something spins", share)
	}
}

// With few descriptors as many clients are served as there is room for. The others are told to come again, the Session
// API answers, and in the end each has been served.
func TestFewDescriptors(t *testing.T) {
	needsScale(t, 2*fewClients)
	p := startLimited(t, fewDescriptors)
	p.logged(fmt.Sprintf("descriptors=%d", fewDescriptors))
	p.ask(t, 0)
	fds := p.descriptors()
	c := startCrowd(p, fewClients)
	const room = 91 // what is left of 256, halved; see relay.Budget
	awaitThat(t, "as many are served as there is room for", func() bool { return c.holding.Load() == room })
	p.staysCalm(t)
	if n := c.holding.Load(); n != room {
		t.Errorf("%d are served; want %d", n, room)
	}
	if c.refusals.Load() == 0 {
		t.Error("nobody has been refused")
	}
	if n := p.descriptors(); n > fewDescriptors {
		t.Errorf("%d descriptors are open", n)
	}
	p.logged("no more connections are admitted")
	c.served(t, fewClients)
	p.descriptorsAre(fds)
}

// Where the kernel refuses descriptors that were counted on, in accept or in socket, the same holds.
func TestDescriptorsTakenAway(t *testing.T) {
	needsScale(t, 2*fewClients)
	p := startLimited(t, 0)
	p.ask(t, 0)
	fds := p.descriptors()
	p.limitDescriptors(t, fds+21)
	const clients = 60
	c := startCrowd(p, clients)
	awaitThat(t, "some are served, some refused", func() bool { return c.holding.Load() >= 8 && c.refusals.Load() > 0 })
	began, cpu := time.Now(), p.cpu()
	time.Sleep(fullTime)
	if share := float64(p.cpu()-cpu) / float64(time.Since(began)); share > spinning {
		t.Errorf("%.2f of a core is in use while nothing can be done: something spins", share)
	}
	p.limitDescriptors(t, 0)
	p.ask(t, 0)
	c.served(t, clients)
	p.descriptorsAre(fds)
}

// limitDescriptors has the process open files up to the descriptor n, or as many as it may have if n is 0.
func (p *scaleProcess) limitDescriptors(t *testing.T, n int) {
	t.Helper()
	var lim unix.Rlimit
	if err := unix.Prlimit(p.pid, unix.RLIMIT_NOFILE, nil, &lim); err != nil {
		t.Fatal(err)
	}
	lim.Cur = uint64(n)
	if n == 0 {
		lim.Cur = lim.Max
	}
	if err := unix.Prlimit(p.pid, unix.RLIMIT_NOFILE, &lim, nil); err != nil {
		t.Fatal(err)
	}
}
