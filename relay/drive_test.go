//go:build linux

package relay

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"proxymap/bench/drive"
	"proxymap/relay/internal/kernel"
	"proxymap/session"
)

// driven starts a relay with two loops and so many ports, whose provider a load generator plays.
func driven(t *testing.T, ports int, change ...func(*Config)) (*Relay, drive.Scenario) {
	t.Helper()
	provider := freeAddr(t)
	cfg := Config{loud: true, Loops: 2, Mappings: []Mapping{{
		Address: ownAddr(),
		First:   10000,
		Last:    uint16(10000 + ports - 1),
		Plan:    newPlan(t, session.PlanConfig{Lifetime: time.Hour}),
		Servers: []Server{{Host: provider.Addr().String(), Port: provider.Port()}},
	}}}
	for _, f := range change {
		f(&cfg)
	}
	r := serve(t, cfg)
	return r, drive.Scenario{Proxies: r.Ports(), Provider: provider}
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

func load(t testing.TB, s drive.Scenario) *drive.Result {
	t.Helper()
	r, err := drive.Run(s)
	if err == nil && r.Errors > 0 {
		err = fmt.Errorf("%d errors, the first: %w", r.Errors, r.FirstError)
	}
	if err != nil {
		t.Fatal(err)
	}
	return r
}
