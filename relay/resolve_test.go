package relay

import (
	"net/netip"
	"slices"
	"testing"
)

// A look-up's time is taken from what look-ups may take, however many there are, and not from that for connecting.
func TestSearchTime(t *testing.T) {
	s := newSearchTime(100, 50)
	if s.until != 150 || s.lookups != int64(lookupWait) {
		t.Errorf("until %d, %d for look-ups; want 150 and %d", s.until, s.lookups, int64(lookupWait))
	}
	for _, wait := range [][2]int64{{110, 114}, {120, 130}} {
		if s.beginWait(wait[0]); !s.waits {
			t.Error("it does not wait")
		}
		s.endWait(wait[1])
	}
	if used := int64(lookupWait) - s.lookups; s.waits || used != 14 || s.until != 164 {
		t.Errorf("waits: %t, used %d, until %d; want false, 14 and 164", s.waits, used, s.until)
	}
	s = newSearchTime(100, 0)
	s.beginWait(100)
	if s.endWait(200); s.until != never {
		t.Errorf("without a limit connecting ends at %d", s.until)
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
