package relay

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"proxymap/session"
)

// storeOfNothing confirms whatever it is asked about.
type storeOfNothing struct{}

func (storeOfNothing) Load(netip.AddrPort, *session.Slot, []string) {}
func (storeOfNothing) SetServers(netip.AddrPort, []string)          {}
func (storeOfNothing) Forget(netip.AddrPort)                        {}
func (storeOfNothing) Note(session.Event)                           {}
func (storeOfNothing) Confirm(_ netip.AddrPort, done func(error))   { done(nil) }

// A confirmer is a store that does nothing but to confirm.
type confirmer func(port netip.AddrPort, done func(error))

func (confirmer) Load(netip.AddrPort, *session.Slot, []string)    {}
func (confirmer) SetServers(netip.AddrPort, []string)             {}
func (confirmer) Forget(netip.AddrPort)                           {}
func (confirmer) Note(session.Event)                              {}
func (f confirmer) Confirm(port netip.AddrPort, done func(error)) { f(port, done) }

// A pinStore gives the port a session and its second server, and hears where it goes from there.
type pinStore struct {
	storeOfNothing
	t        *testing.T
	servers  []string
	slot     *session.Slot
	repinned atomic.Pointer[netip.AddrPort]
}

func (s *pinStore) Load(port netip.AddrPort, slot *session.Slot, servers []string) {
	if port.Port() == 0 {
		s.t.Errorf("port %s is loaded", port)
	}
	s.servers = servers
	kept, err := slot.Plan().Restore("kept", "", time.Now().Add(time.Hour).UnixNano(), time.Hour, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	s.slot = slot
	slot.Restore(kept)
	slot.Pin(1)
}

func (s *pinStore) Note(e session.Event) {
	if e.Reason == session.ReasonRepinned && e.Change == (session.Change{}) {
		s.repinned.Store(&e.Port)
	}
}

// What a store gives a port is what its first request goes with, and through which server. What it has kept of the slot
// says what the port has later, also after a failover, which it notes.
func TestStoreLoads(t *testing.T) {
	store := &pinStore{t: t}
	var servers []Server
	g := newRig(t, func(cfg *Config) {
		m := &cfg.Mappings[0]
		m.Servers = []Server{m.Servers[0], deadServer(t), deadServer(t)}
		servers, cfg.Store = m.Servers, store
	})
	if want := addressesOf(servers); !slices.Equal(store.servers, want) || want[1] != fmt.Sprintf("127.0.0.1:%d", servers[1].Port) {
		t.Errorf("the store is given the servers %q; want %q", store.servers, want)
	}
	for range 2 {
		c := g.client(0)
		c.send(get)
		u := g.upstream()
		u.expect(strings.TrimSuffix(get, "\r\n") + basic("user-session-kept", "pass") + "\r\n")
		u.send(ok)
		c.expect(ok)
		if store.slot.Server() != 0 {
			t.Fatalf("the port is pinned to server %d; want the one that works, 0", store.slot.Server())
		}
		if port := store.repinned.Swap(nil); port == nil || *port != g.relay.Ports()[0] {
			t.Fatalf("the store notes that port %v is pinned anew", port)
		}
		store.slot.Pin(1)
	}
}

// All who have subscribed hear of every change, those of one port in their order, and none of a pin; the store hears first.
func TestSubscribe(t *testing.T) {
	var mu sync.Mutex
	var heard []string
	note := func(who string) func(session.Event) {
		return func(e session.Event) {
			mu.Lock()
			defer mu.Unlock()
			heard = append(heard, who+" "+e.Reason)
		}
	}
	cfg := Config{Store: noteStore{note: note("store")}, Mappings: []Mapping{{
		Address: netip.MustParseAddr("127.0.0.1"),
		Plan:    newPlan(t, session.PlanConfig{Lifetime: 10 * time.Minute}),
	}}}
	r, err := Listen(cfg)
	if err != nil {
		t.Fatal(err)
	}
	r.Subscribe(note("first"))
	r.Subscribe(note("second"))
	done := make(chan error, 1)
	go func() { done <- r.Serve() }()
	for _, renew := range []bool{true, true, false} {
		if err := r.Rotate(t.Context(), r.Ports()[:1], &Rotation{Renew: renew}); err != nil {
			t.Fatal(err)
		}
	}
	r.noteRepin(r.ports()[0])
	r.Shutdown(0)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, reason := range []string{"new", "new", "reset"} {
		want = append(want, "store "+reason, "first "+reason, "second "+reason)
	}
	if want = append(want, "store repinned"); !slices.Equal(heard, want) {
		t.Errorf("heard %q; want %q", heard, want)
	}
}

// A noteStore passes on what it is to note.
type noteStore struct {
	storeOfNothing
	note func(session.Event)
}

func (s noteStore) Note(e session.Event) { s.note(e) }
