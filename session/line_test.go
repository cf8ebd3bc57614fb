package session

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"

	"proxymap/session/credential"
)

// serversPlan is a plan of so many servers, each with an account of its own.
func serversPlan(t testing.TB, servers int) *Plan {
	t.Helper()
	cfg := PlanConfig{Lifetime: time.Hour, Account: &credential.Account{Parameters: []credential.Parameter{
		{Name: "session", Value: "^[A-Za-z]{8}", SessionID: true},
	}}}
	for i := range servers {
		cfg.Servers = append(cfg.Servers, &credential.Account{Username: fmt.Sprintf("customer-%d", i), Password: "a-password-of-some-length"})
	}
	return mustPlan(t, cfg)
}

// A session has no lines but those of the servers that it went to: 10,000 ports that know 1,000 servers were over a GiB.
func TestPortsOfManyServersAreSmall(t *testing.T) {
	const most = 100 << 20
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	p := serversPlan(t, 1000)
	slots := make([]*Slot, 10_000)
	for i := range slots {
		slots[i] = NewSlot(p)
		if slots[i].Current(now, nil).Line(i%1000) == nil {
			t.Fatal("there is no line")
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	used := int64(after.HeapAlloc) - int64(before.HeapAlloc)
	t.Logf("%.1f MiB", float64(used)/(1<<20))
	if used > most {
		t.Errorf("%d bytes for 10,000 ports after a request each; want at most %d", used, most)
	}
	runtime.KeepAlive(slots)
}

// A session that goes to all of many servers keeps lines for a few; for the others the line is made each time.
func TestLinesAreBounded(t *testing.T) {
	p := serversPlan(t, 100)
	s := NewSlot(p).Current(now, nil)
	ready := 0
	for server := range 100 {
		want := p.AppendCredentials(nil, s, server, nil)
		if line := s.Line(server); line != nil {
			ready++
			if string(line) != string(want) {
				t.Errorf("server %d: the ready line is %q; want %q", server, line, want)
			}
		}
	}
	if ready != maxLines {
		t.Errorf("%d lines are kept; want %d", ready, maxLines)
	}
	if s.Line(-1) != nil || s.Line(100) != nil {
		t.Error("there is a line for a server that there is not")
	}
}

// Those who ask at once for the lines of some servers all get the same ones.
func TestLinesAreMadeOnce(t *testing.T) {
	s := NewSlot(serversPlan(t, maxLines)).Current(now, nil)
	got := make([][maxLines][]byte, 16)
	var all sync.WaitGroup
	for i := range got {
		all.Go(func() {
			for server := range maxLines {
				got[i][server] = s.Line(server)
			}
		})
	}
	all.Wait()
	for i := range got {
		for server, line := range got[i] {
			if len(line) == 0 || &line[0] != &got[0][server][0] {
				t.Fatalf("server %d: reader %d has another line than the first", server, i)
			}
		}
	}
}

// Where the lifetime is 0 each request asks for a session that there is not: the port's mutex is not in its way, and
// nothing is allocated.
func TestLifetimeZeroTakesNoMutex(t *testing.T) {
	sessTime := credential.Parameter{Name: "t", Value: "$t", SessionTime: true}
	id := credential.Parameter{Name: "session", Value: "^[A-Za-z]{8}", SessionID: true}
	for _, row := range []struct {
		name   string
		params []credential.Parameter
		client string
	}{
		{"no client", []credential.Parameter{id}, ""},
		{"a client", []credential.Parameter{id, sessTime}, "me"},
		{"a client that wants none", []credential.Parameter{id, sessTime}, "me-t-0"},
	} {
		p := mustPlan(t, PlanConfig{Set: true, ParseParameters: true, Servers: []*credential.Account{nil},
			Account: &credential.Account{Username: "user", Password: "pass", Parameters: row.params}})
		slot := NewSlot(p)
		var c *Client
		if row.client != "" {
			c = p.NewClient(row.client, "")
		}
		slot.mu.Lock()
		done := make(chan *Session)
		go func() { done <- slot.Current(now, c) }()
		select {
		case s := <-done:
			if s != nil {
				t.Errorf("%s: got %+v; want no session", row.name, s)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("%s: Current waits for the mutex", row.name)
		}
		slot.mu.Unlock()
		buf := make([]byte, 0, 512)
		if n := testing.AllocsPerRun(100, func() { _ = p.AppendCredentials(buf, slot.Current(now, c), 0, c) }); n != 0 {
			t.Errorf("%s: %v allocations; want none", row.name, n)
		}
	}
}

// A client whose user name asks for a lifetime has a session all the same.
func TestLifetimeZeroWithTimeOfTheClient(t *testing.T) {
	p := mustPlan(t, PlanConfig{ParseParameters: true, Account: &credential.Account{Parameters: []credential.Parameter{{Name: "t", Value: "$t", SessionTime: true}}}})
	slot := NewSlot(p)
	if s := slot.Current(now, nil); s != nil {
		t.Errorf("got %+v; want no session", s)
	}
	made := slot.Current(now, p.NewClient("me-t-5", ""))
	if made == nil || made.Lifetime() != 5*time.Minute || slot.Current(now, nil) != made {
		t.Errorf("got %+v; want a session of 5 minutes, for all", made)
	}
}

// Equal sources make equal ids, as two nodes of one seed need.
func TestSeededIDs(t *testing.T) {
	for _, account := range []*credential.Account{
		{Parameters: []credential.Parameter{{Name: "session", Value: "^[a-f0-9]{12}", SessionID: true}}},
		{Template: &credential.Template{Username: "{session}", SessionAlphabet: "0-9"}},
		{},
	} {
		id := func(seed uint64) string {
			p := mustPlan(t, PlanConfig{Lifetime: time.Hour, Account: account, Random: func() rand.Source { return rand.NewPCG(seed, 0) }})
			return NewSlot(p).Current(now, nil).ID()
		}
		if one, again, two := id(1), id(1), id(2); one != again || one == two {
			t.Errorf("got %q and %q of one seed, %q of another", one, again, two)
		}
	}
}

// The credentials of a connection that is a session of its own.
func BenchmarkLifetimeZero(b *testing.B) {
	p := mustPlan(b, PlanConfig{Set: true, Servers: []*credential.Account{nil}, Account: &credential.Account{Username: "user", Password: "x",
		Parameters: []credential.Parameter{{Name: "session", Value: "^[A-Za-z]{8}", SessionID: true}}}})
	slot, buf := NewSlot(p), make([]byte, 0, 512)
	b.ReportAllocs()
	for b.Loop() {
		_ = p.AppendCredentials(buf, slot.Current(now, nil), 0, nil)
	}
}
