//go:build linux

package drive

import (
	"net/netip"
	"os"
	"testing"
	"time"
)

// address is one that nobody else has: a port that connecting sockets are not given, on a loopback address of this
// process's own.
func address() netip.AddrPort {
	pid := os.Getpid()
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 72, byte(pid >> 8), byte(pid)}), 18080)
}

// Without a relay between them the clients and the provider must understand each other in every scenario.
func TestScenarios(t *testing.T) {
	for _, s := range []Scenario{
		{Kind: Plain},
		{Kind: Plain, Rate: 1000},
		{Kind: Plain, Response: 1 << 20, Clients: 4},
		{Kind: Plain, Content: 100000, Clients: 4},
		{Kind: Connect},
		{Kind: Connect, Rate: 500},
		{Kind: Tunnel},
		{Kind: Tunnel, Rate: 1000, Streams: 4},
		{Kind: Down, Clients: 4},
		{Kind: Down, Clients: 4, Rate: 50 << 20},
		{Kind: Up, Clients: 4},
		{Kind: Up, Clients: 4, Rate: 50 << 20},
		{Kind: Slow, Clients: 4, Rate: 10 << 20},
	} {
		s.Provider, s.Warm, s.Duration = address(), 50*time.Millisecond, 200*time.Millisecond
		r, err := Run(s)
		if err != nil {
			t.Fatalf("%+v: %v", s, err)
		}
		if r.Errors > 0 {
			t.Errorf("%+v: %d errors, the first: %v", s, r.Errors, r.FirstError)
		}
		if want := int64(s.withDefaults().Clients + s.Streams); r.Connections < want {
			t.Errorf("%+v: %d connections; want %d at least", s, r.Connections, want)
		}
		if r.Operations == 0 {
			t.Errorf("%+v: nothing was done", s)
		}
		if !s.bulk() && (r.Latency(.5) <= 0 || r.Latency(.5) > r.Latency(.999)) {
			t.Errorf("%+v: latencies %v, %v", s, r.Latency(.5), r.Latency(.999))
		}
		if s.Streams > 0 && r.Background == 0 {
			t.Errorf("%+v: the streams beside it are dry", s)
		}
	}
}

// An open loop counts from when an operation was due: one client cannot hide that it keeps the others waiting.
func TestLatencyCountsFromWhenItWasDue(t *testing.T) {
	s := Scenario{Kind: Plain, Provider: address(), Clients: 1, Rate: 100000, Response: 256 << 10, Warm: 100 * time.Millisecond, Duration: 200 * time.Millisecond}
	r, err := Run(s)
	if err != nil {
		t.Fatal(err)
	}
	// One client does far less than that with so much content, so what it does was due longer and longer ago.
	if r.Latency(.5) < 10*time.Millisecond {
		t.Errorf("the median is %v; the queue is not counted", r.Latency(.5))
	}
}

func TestScenarioFaults(t *testing.T) {
	for _, s := range []Scenario{
		{Kind: "sideways", Provider: address()},
		{Kind: Plain},
		{Kind: Slow, Provider: address()},
		{Kind: Socks, Provider: address()},
		{Kind: Plain, Provider: address(), Clients: -1},
		{Kind: Plain, Provider: address(), Proxies: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:1")}},
	} {
		if _, err := Run(s); err == nil {
			t.Errorf("%+v: no error", s)
		}
	}
}
