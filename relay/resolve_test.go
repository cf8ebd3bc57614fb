package relay

import (
	"net/netip"
	"slices"
	"testing"
)

// The time that a look-up takes is taken from what look-ups may take, however many there are.
func TestLookupClock(t *testing.T) {
	w := lookupClock{left: 10}
	w.begin(100)
	if !w.runs {
		t.Error("the clock does not run")
	}
	if waited := w.end(104); waited != 4 || w.runs || w.remains() != 6 {
		t.Errorf("waited %d, runs: %t, remains %d; want 4, false and 6", waited, w.runs, w.remains())
	}
	w.begin(200)
	if w.end(300); w.remains() != 0 {
		t.Errorf("%d remains; want 0", w.remains())
	}
}

// Addresses that come late are tried after those known, once, and what is shared with other connections stays as it is.
func TestUntriedAddresses(t *testing.T) {
	at := func(host string) netip.AddrPort { return netip.AddrPortFrom(netip.MustParseAddr(host), 80) }
	a, b, c := at("192.0.2.1"), at("192.0.2.2"), at("192.0.2.3")
	shared := append(make([]netip.AddrPort, 0, 4), a, b)
	early := &addresses{list: shared, more: true}
	var u untried
	if u.mayGrow() {
		t.Error("nothing is known, and more may come")
	}
	u.add(early)
	if !u.mayGrow() || !slices.Equal(u.list, []netip.AddrPort{a, b}) {
		t.Errorf("to be tried: %v, more may come: %t", u.list, u.mayGrow())
	}
	u.list = u.list[1:] // a has failed
	u.add(&addresses{list: []netip.AddrPort{c, b, a}})
	if u.mayGrow() || !slices.Equal(u.list, []netip.AddrPort{b, c}) {
		t.Errorf("to be tried: %v, more may come: %t; want %v and false", u.list, u.mayGrow(), []netip.AddrPort{b, c})
	}
	if got := shared[:3]; got[2] == c {
		t.Errorf("what others have of the server has become %v", got)
	}
}

// A provider that takes no connection is who the answer names, also where the target's name was known already.
func TestDeadServerIsNoTarget(t *testing.T) {
	g := newRig(t, knows("example.com"), func(cfg *Config) {
		dead := deadServer(t)
		dead.ResolveIP = true
		cfg.Mappings[0].Servers = []Server{dead}
	})
	for range 2 { // the second time nothing is looked up
		c := g.client(0)
		c.send(connect)
		c.expectAnswer(502, "upstream-refused", "upstream "+g.server().name())
	}
}
