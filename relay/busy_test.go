package relay

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// outgoing is a connection of somebody else's to the rig's provider, over a port that the system has given it. Its address
// is one of this process alone: when it has ended, no other test's connection is given its port.
func outgoing(t *testing.T, to net.Addr) (conn *net.TCPConn, port netip.AddrPort) {
	t.Helper()
	from := net.IPv4(127, 0, 0, 1)
	if pid := os.Getpid(); runtime.GOOS == "linux" { // others have no more of loopback's addresses
		from = net.IPv4(127, 128|byte(pid>>16)&63, byte(pid>>8), byte(pid))
	}
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: from}}
	c, err := d.Dial("tcp4", to.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.(*net.TCPConn).SetLinger(0) // or its port would rest for a minute
	return c.(*net.TCPConn), c.LocalAddr().(*net.TCPAddr).AddrPort()
}

// busyMapping is a configuration of a relay with a port that is taken, and behind it one that is free. free gives the
// first one back.
func busyMapping(t *testing.T, what BusyPort) (cfg Config, taken netip.AddrPort, free func()) {
	t.Helper()
	g := newRig(t)
	g.echo()
	conn, taken := outgoing(t, g.provider.Addr())
	one := g.relay.table.Load().mappings[0].Mapping
	other := one
	one.Address, one.First, one.Last, one.BusyPort = taken.Addr(), taken.Port(), taken.Port(), what
	other.First, other.Last = 0, 0
	return Config{Mappings: []Mapping{one, other}, busy: busyTimes{retry: time.Millisecond}}, taken, func() { conn.Close() }
}

// asks sends a request to a port and reads its response.
func asks(t *testing.T, port netip.AddrPort) {
	t.Helper()
	c, err := net.Dial("tcp", port.String())
	if err != nil {
		t.Fatal(err)
	}
	p := newPeer(t, "client", c)
	p.send(get)
	p.expect(ok)
}

// A port that comes free while it is tried again is listened on, whatever would have become of it else.
func TestBusyPortComesFree(t *testing.T) {
	cfg, taken, free := busyMapping(t, FailBusy)
	cfg.busy.time = time.Minute
	var log logLines
	log.in(&cfg)
	listened := make(chan error, 1)
	var r *Relay
	go func() {
		var err error
		r, err = Listen(cfg)
		listened <- err
	}()
	await(t, "the port is tried again", func() bool { return log.count("ports are taken") == 1 && log.count(taken.String()) == 1 })
	free()
	if err := <-listened; err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- r.Serve() }()
	asks(t, taken)
	asks(t, r.Ports()[1])
	if list := r.MissingPorts(); len(list) > 0 {
		t.Errorf("missing: %v", list)
	}
	r.Shutdown(0)
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// One that stays taken is an error that names it and what helps, and nothing stays bound.
func TestBusyPortFails(t *testing.T) {
	cfg, taken, _ := busyMapping(t, FailBusy)
	cfg.busy.time = time.Millisecond
	probe, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	other := probe.Addr().(*net.TCPAddr).AddrPort()
	probe.Close()
	cfg.Mappings[1].First, cfg.Mappings[1].Last = other.Port(), other.Port()
	_, err = Listen(cfg)
	if !errors.Is(err, ErrPortBusy) || !errors.Is(err, unix.EADDRINUSE) {
		t.Fatalf("got %v; want ErrPortBusy", err)
	}
	port := taken.String()[strings.LastIndex(taken.String(), ":")+1:]
	for _, part := range []string{"listen on port " + port + " of " + taken.Addr().String() + ": ", "add " + port + " to the sysctl net.ipv4.ip_local_reserved_ports"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the error does not say %q: %v", part, err)
		}
	}
	again, err := net.Listen("tcp", other.String())
	if err != nil {
		t.Fatalf("the port that was free is still bound: %v", err)
	}
	again.Close()
}

// A relay that runs without a port serves the others at once, says what is missing, and has it when it comes free.
func TestBusyPortSkipped(t *testing.T) {
	cfg, taken, free := busyMapping(t, SkipBusy)
	cfg.busy.time = time.Millisecond
	var log logLines
	log.in(&cfg)
	r := serve(t, cfg)
	asks(t, r.Ports()[1])
	if want := []netip.AddrPort{taken}; !slices.Equal(r.MissingPorts(), want) || r.Ports()[0] != taken {
		t.Errorf("missing: %v of %v; want %v", r.MissingPorts(), r.Ports(), want)
	}
	await(t, "it is logged that a port is missing", func() bool { return log.count("runs without ports that others have") == 1 })
	free()
	await(t, "the port is listened on", func() bool { return len(r.MissingPorts()) == 0 })
	asks(t, taken)
	await(t, "it is logged that it is there", func() bool { return log.count("are listened on now") == 1 })
	if n := log.count("runs without"); n != 1 {
		t.Errorf("it was logged %d times that a port is missing; want once", n)
	}
}

// A port that is missing from a later moment on, when none has been for long, is tried like one that was at the start.
func TestBusyPortComesLater(t *testing.T) {
	g := newRig(t, func(cfg *Config) { cfg.busy.retry = time.Millisecond })
	g.echo()
	conn, taken := outgoing(t, g.provider.Addr())
	was := g.relay.table.Load()
	of := was.mappings[0]
	m := &mapping{Mapping: of.Mapping, setup: of.setup, allowed: of.allowed, proxies: of.proxies}
	m.BusyPort = SkipBusy
	p := newPort(m, taken)
	p.missing.Store(true)
	listened := make(chan error, 1)
	l := g.relay.loops[0]
	l.do(func() { listened <- l.listen(p) })
	if err := <-listened; err != nil {
		t.Fatal(err)
	}
	g.relay.table.Store(newPortTable(append(slices.Clone(was.mappings), m), append(slices.Clone(was.ports), p), []int{0, 1}))
	if listening, missing := g.relay.CountPorts(); listening != 1 || missing != 1 {
		t.Errorf("the relay listens on %d ports, and %d are missing; want 1 of each", listening, missing)
	}
	conn.Close()
	await(t, "the port is listened on", func() bool { return len(g.relay.MissingPorts()) == 0 })
	asks(t, taken)
}

// A relay can end while a port is missing, also when it has just been had.
func TestBusyPortAtTheEnd(t *testing.T) {
	cfg, taken, free := busyMapping(t, SkipBusy)
	r := serve(t, cfg) // which checks that Serve returns
	asks(t, r.Ports()[1])
	r.loops[0].do(func() {
		l := r.loops[0]
		l.drain(l.now)
		free()
		var err error
		for end := time.Now().Add(patience); time.Now().Before(end); {
			var fd int
			if fd, _, err = r.bind(r.ports()[0]); err == nil {
				err = l.listenLate(r.ports()[0], fd)
				break
			}
		}
		if err != errEnding {
			t.Errorf("a port that comes late to a loop that ends: %v", err)
		}
	})
	await(t, "the port is free again", func() bool {
		l, err := net.Listen("tcp", taken.String())
		if err == nil {
			l.Close()
		}
		return err == nil
	})
}

// A message names some ports, and how many more there are.
func TestShownPorts(t *testing.T) {
	var list []*port
	for n := range uint16(shownPorts + 2) {
		list = append(list, &port{addr: netip.AddrPortFrom(netip.MustParseAddr("::1"), 1+n)})
	}
	if got, want := shown(list[:2]), "[::1]:1, [::1]:2"; got != want {
		t.Errorf("got %q; want %q", got, want)
	}
	if got := shown(list); !strings.HasSuffix(got, ", [::1]:10, and 2 more") {
		t.Errorf("got %q", got)
	}
}
