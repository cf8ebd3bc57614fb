//go:build linux

package relay

import (
	"fmt"
	"testing"
	"time"

	"proxymap/bench/drive"
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
