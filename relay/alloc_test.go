//go:build linux && !netpoll

package relay

import (
	"encoding/base64"
	"fmt"
	"runtime"
	"testing"
	"time"

	"proxymap/bench/drive"
	"proxymap/session"
	"proxymap/session/credential"
)

// Requests, CONNECTs and tunnels through running loops leave nothing for the collector: the whole process, the load in
// it too, makes at most one allocation in a hundred operations, and a few of the runtime's own. On a busy machine more
// connections than before may be open at a time, which costs memory once: what is left after six tries, each longer than the one before, is steady.
// PROXYMAP_LONG=1 counts for longer.
func TestSteadyStateAllocatesNothing(t *testing.T) {
	for _, s := range []drive.Scenario{
		{Kind: drive.Plain},
		{Kind: drive.Plain, Content: 10000},
		{Kind: drive.Tunnel},
		{Kind: drive.Connect},
		{Kind: drive.Socks},
		{Kind: drive.Down, Clients: 8},
		{Kind: drive.Plain, Clients: 8, Response: 4 << 20},
	} {
		t.Run(fmt.Sprintf("%s content=%d response=%d", s.Kind, s.Content, s.Response), func(t *testing.T) {
			_, d := driven(t, 10)
			steady(t, s, d)
		})
	}
}

// Nor does it where each client connection is a session of its own, or names parameters, or is passed on.
func TestCredentialsOfConnectionsAllocateNothing(t *testing.T) {
	client := "Proxy-Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte("me-cc-de:pw")) + "\r\n"
	account := &credential.Account{Username: "user", Password: "pass", Parameters: []credential.Parameter{
		{Name: "cc", Value: "$cc", Default: "us"}, {Name: "session", Value: "^[A-Za-z]{8}", SessionID: true},
	}}
	for _, row := range []struct {
		name     string
		scenario drive.Scenario
		plan     session.PlanConfig
	}{
		{"lifetime 0", drive.Scenario{Kind: drive.Plain}, session.PlanConfig{Account: account, Set: true}},
		{"lifetime 0, CONNECT", drive.Scenario{Kind: drive.Connect}, session.PlanConfig{Account: account, Set: true}},
		{"lifetime 0, the client's parameters", drive.Scenario{Kind: drive.Plain, Fields: client},
			session.PlanConfig{Account: account, Set: true, ParseParameters: true}},
		{"lifetime 0, passed on", drive.Scenario{Kind: drive.Plain, Fields: client}, session.PlanConfig{Account: account}},
		{"a session, the client's parameters", drive.Scenario{Kind: drive.Plain, Fields: client},
			session.PlanConfig{Account: account, Set: true, ParseParameters: true, Lifetime: time.Hour}},
		{"a session, passed on", drive.Scenario{Kind: drive.Plain, Fields: client}, session.PlanConfig{Account: account, Lifetime: time.Hour}},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, d := driven(t, 10, func(cfg *Config) {
				row.plan.Servers = make([]*credential.Account, 1)
				plan, err := session.NewPlan(row.plan)
				if err != nil {
					t.Fatal(err)
				}
				cfg.Mappings[0].Plan = plan
			})
			steady(t, row.scenario, d)
		})
	}
}

// steady checks that a load leaves nothing for the collector.
func steady(t *testing.T, s, d drive.Scenario) {
	t.Helper()
	const own = 50
	if underRace() {
		t.Skip("SKIPPED: the race detector allocates")
	}
	period := 100 * time.Millisecond
	if longRun {
		period = time.Second
	}
	s.Proxies, s.Provider = d.Proxies, d.Provider
	s.Warm = period
	var before, after runtime.MemStats
	s.Began = func() { runtime.ReadMemStats(&before) }
	s.Ended = func() { runtime.ReadMemStats(&after) }
	for try := range 6 {
		s.Duration = period << try // on a busy machine few operations must not be all that is counted
		r := load(t, s)
		mallocs := after.Mallocs - before.Mallocs
		t.Logf("%d allocations in %d operations", mallocs, r.Operations)
		if mallocs <= uint64(r.Operations)/100+own {
			return
		}
	}
	t.Error("more than one in a hundred, six times")
}
