package change

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"proxymap/session/wire"
)

// keys are those of tests: one of a mapping, one of a server, and two of all.
var keys = &Keys{
	Mapping: []Key{{"Password", Credentials}}, Server: []Key{{"ProxyServers.Username", Credentials | UserName}},
	Global: []Key{{"Limits", 0}, {"State", Refused}},
}

// sumOf is the sum of a number.
func sumOf(n int) Sum {
	d := NewDigest()
	d.Number(int64(n))
	return d.Sum()
}

// serversOf are servers by the numbers of their hosts and of their user names.
func serversOf(list ...[2]int) *Servers {
	s := &Servers{}
	for _, one := range list {
		s.Add(sumOf(one[0]), []Sum{sumOf(one[1])})
	}
	return s
}

// mapping has a password and servers.
func mapping(address string, first, last uint16, password int, servers *Servers) Mapping {
	return Mapping{
		Address: netip.MustParseAddr(address), First: first, Last: last, Keys: []Sum{sumOf(password)}, Servers: servers,
		Sessions: Sessions{Keeps: true, IDs: sumOf(1), Lifetimes: sumOf(1), Lifetime: time.Minute},
	}
}

func settings(mappings ...Mapping) *Settings {
	return &Settings{Keys: keys, Mappings: mappings, Global: []Sum{sumOf(0), sumOf(0)}}
}

// Sums differ where values do, and how they are cut; the next sum begins anew.
func TestDigest(t *testing.T) {
	d := NewDigest()
	sum := func(write func()) Sum {
		write()
		return d.Sum()
	}
	ab := sum(func() { d.Text("ab"); d.Text("c") })
	for name, write := range map[string]func(){
		"cut elsewhere": func() { d.Text("a"); d.Text("bc") },
		"in one":        func() { d.Text("abc") },
		"nothing":       func() {},
		"number":        func() { d.Number(7) },
		"flag":          func() { d.Flag(true) },
		"other flag":    func() { d.Flag(false) },
	} {
		if got := sum(write); got == ab || got != sum(write) {
			t.Errorf("%s: %x, and %x the next time; the other one is %x", name, got, sum(write), ab)
		}
	}
	if again := sum(func() { d.Text("ab"); d.Text("c") }); again != ab {
		t.Errorf("the same values: %x, then %x", ab, again)
	}
}

// Sums that are put together differ by their order, and equal ones do not cancel out.
func TestSumsTogether(t *testing.T) {
	a, b := sumOf(1), sumOf(2)
	seen := map[Sum]bool{}
	for _, s := range []Sum{0, a, b, a.with(a), b.with(b), a.with(b), b.with(a), a.with(b).with(a), a.with(a).with(b), Sum(0).with(a)} {
		if seen[s] {
			t.Errorf("%x comes twice", s)
		}
		seen[s] = true
	}
}

// A key that is not there differs only from one that is.
func TestDerived(t *testing.T) {
	a, b := sumOf(1), sumOf(2)
	for _, row := range []struct {
		name     string
		old, new Sum
		want     bool
	}{
		{"same", a, a, false}, {"other", a, b, true}, {"gone", a, b.Derived(), true}, {"come", a.Derived(), b, true},
		{"written out", a.Derived(), a, false}, {"follows from others", a.Derived(), b.Derived(), false},
	} {
		if got := row.new.differs(row.old); got != row.want {
			t.Errorf("%s: sums differ: %v", row.name, got)
		}
		if got := row.new.hint().differs(row.old.hint()); got != row.want {
			t.Errorf("%s: hints differ: %v", row.name, got)
		}
	}
}

// A change names for the relay the mapping that each port had, and the one that it has.
func TestSpans(t *testing.T) {
	some := serversOf([2]int{1, 1})
	old := settings(mapping("127.0.0.1", 10, 19, 1, some), mapping("127.0.0.1", 20, 29, 1, some), mapping("127.0.0.1", 30, 39, 1, some))
	new := settings(mapping("::1", 30, 39, 1, some), mapping("127.0.0.1", 15, 21, 1, some), mapping("127.0.0.1", 22, 24, 2, some))
	at, six := netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("::1")
	password := Difference{What: []string{"Password"}, Fate: Fate{Session: Kept}}
	want := []Span{
		{Address: at, From: at, First: 10, Last: 14, Old: 0, New: -1},
		{Address: at, From: at, First: 15, Last: 19, Old: 0, New: 1},
		{Address: at, From: at, First: 20, Last: 21, Old: 1, New: 1},
		{Address: at, From: at, First: 22, Last: 24, Old: 1, New: 2, Difference: password},
		{Address: at, From: at, First: 25, Last: 29, Old: 1, New: -1},
		{Address: six, From: at, First: 30, Last: 39, Old: 2, New: 0, Difference: Difference{What: []string{"Listen.Address"}, Bind: true, Fate: Fate{Session: Kept}}},
	}
	got := Between(old, new)
	if diff := cmp.Diff(want, got.Spans, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
		t.Errorf("spans (-want +got):\n%s", diff)
	}
	if got.IsEmpty() || !Between(old, old).IsEmpty() {
		t.Errorf("is empty: %v; with itself: %v", got.IsEmpty(), Between(old, old).IsEmpty())
	}
}

// Keys of all mappings are named by themselves, and those that cannot change apart.
func TestGlobal(t *testing.T) {
	old, new := settings(), settings()
	new.Global = []Sum{sumOf(1), sumOf(1)}
	got := Between(old, new)
	if !slices.Equal(got.Global, []string{"Limits"}) || !slices.Equal(got.Refused, []string{"State"}) || got.IsEmpty() {
		t.Errorf("got %+v", got)
	}
	new.Global[0] = sumOf(0)
	if got := Between(old, new); got.IsEmpty() || got.Global != nil {
		t.Errorf("with what is refused alone: %+v", got)
	}
}

// What a hint does not show is told of the list.
func TestHintsAlike(t *testing.T) {
	old, new := serversOf([2]int{1, 1}), serversOf([2]int{1, 2})
	new.hints = old.hints
	got := Between(settings(mapping("::1", 1, 1, 1, old)), settings(mapping("::1", 1, 1, 1, new)))
	if diff := cmp.Diff([]string{"ProxyServers"}, got.Spans[0].What); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
}

// random makes settings of bytes: each few are a mapping, whose ports do not overlap with those of others at its address.
func random(text []byte) *Settings {
	s := settings()
	var next [3]int
	for len(text) >= 4 && len(s.Mappings) < 40 {
		address := int(text[0]) % len(next)
		first := next[address] + 1 + int(text[0])/64
		last := min(first+int(text[1])%16, 65535)
		next[address] = last
		var servers [][2]int
		for i := range int(text[2]) % 5 {
			servers = append(servers, [2]int{(int(text[2]) + i) % 7, int(text[3]) % 3})
		}
		m := mapping(fmt.Sprintf("127.0.0.%d", address+1), uint16(first), uint16(last), int(text[3])/3%3, serversOf(servers...))
		if m.PerPort = text[1]&128 > 0; m.PerPort {
			m.Keys[0] = sumOf(3 + int(text[3])/3%3) // settings have a key that says so
		}
		s.Mappings = append(s.Mappings, m)
		text = text[4:]
	}
	return s
}

// portAt is what one port has, in the slow and obvious way.
type portAt struct{ password, servers, own Sum }

func portsOf(s *Settings) map[netip.AddrPort]portAt {
	ports := map[netip.AddrPort]portAt{}
	for i := range s.Mappings {
		m := &s.Mappings[i]
		for p := int(m.First); p <= int(m.Last); p++ {
			has := portAt{password: m.Keys[0], servers: m.Servers.Sum}
			if m.PerPort && len(m.Servers.At) > 0 {
				has.own, has.servers = m.Servers.each[m.serverOf(uint16(p))], 0
			}
			ports[netip.AddrPortFrom(m.Address, uint16(p))] = has
		}
	}
	return ports
}

// A change is as comparing port by port finds it, whatever the order of mappings; and nothing is to be done for settings that
// are in force already.
func FuzzBetween(f *testing.F) {
	f.Add([]byte("abcdefgh"), []byte("abcdefgi"))
	f.Add([]byte("\x00\x85\x09\x00\x01\x85\x09\x00"), []byte("\x00\x82\x09\x00\x40\x85\x09\x00\x01\x01\x01\x01"))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		old, new := random(a), random(b)
		if c := Between(new, new); !c.IsEmpty() {
			t.Fatalf("with itself: %+v", c.Answer())
		}
		got := Between(old, new)
		slices.Reverse(new.Mappings)
		if diff := cmp.Diff(got.Answer(), Between(old, new).Answer()); diff != "" {
			t.Fatalf("with mappings in another order (-first +reversed):\n%s", diff)
		}
		slices.Reverse(new.Mappings)
		compareByPort(t, old, new, got)
	})
}

// compareByPort checks a change against portsOf.
func compareByPort(t *testing.T, old, new *Settings, got *Change) {
	was, is := portsOf(old), portsOf(new)
	for i := range got.Spans {
		s := &got.Spans[i]
		for p := int(s.First); p <= int(s.Last); p++ {
			from, to := netip.AddrPortFrom(s.From, uint16(p)), netip.AddrPortFrom(s.Address, uint16(p))
			if !s.Added() {
				had, ok := was[from]
				if !ok {
					t.Fatalf("port %s was not there, or comes twice: %+v", from, s)
				}
				delete(was, from)
				if !s.Removed() && (had != is[to] || from != to) && !s.Changed() {
					t.Fatalf("port %s: was %+v, is %+v at %s: %+v", from, had, is[to], to, s)
				}
				if !s.Removed() && from == to && had == is[to] && s.Changed() {
					t.Fatalf("port %s: nothing differs: %+v", from, s)
				}
			}
			if !s.Removed() {
				if _, ok := is[to]; !ok {
					t.Fatalf("port %s is not there, or comes twice: %+v", to, s)
				}
				delete(is, to)
			}
		}
	}
	if len(was)+len(is) > 0 {
		t.Fatalf("left out: of the old %v, of the new %v", was, is)
	}
	total := 0
	answer := got.Answer()
	for _, list := range append([]string{}, append(answer.Added, answer.Removed...)...) {
		total += wire.CountPorts(list)
	}
	for _, c := range answer.Changed {
		total += wire.CountPorts(c.Ports)
	}
	spans := 0
	for i := range got.Spans {
		spans += got.Spans[i].Ports()
	}
	if total+answer.Unchanged != spans {
		t.Fatalf("the answer has %d ports and %d unchanged ones; there are %d: %+v", total, answer.Unchanged, spans, answer)
	}
}
