package allow

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
)

// parsed makes a list of networks as settings write them.
func parsed(t testing.TB, texts ...string) (networks []netip.Prefix) {
	t.Helper()
	for _, text := range texts {
		n, err := Parse(text)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		networks = append(networks, n)
	}
	return networks
}

func TestList(t *testing.T) {
	for _, row := range []struct {
		name     string
		networks []string
		in, out  []string
	}{
		{"nothing", nil, nil, []string{"127.0.0.1", "::1", "0.0.0.0", "::"}},
		{"one address", []string{"192.0.2.7"}, []string{"192.0.2.7"}, []string{"192.0.2.6", "192.0.2.8", "::192.0.2.7"}},
		{"a network's edges", []string{"172.16.0.0/12"}, []string{"172.16.0.0", "172.31.255.255"}, []string{"172.15.255.255", "172.32.0.0"}},
		{"no bit of the last byte", []string{"192.0.2.128/25"}, []string{"192.0.2.128", "192.0.2.255"}, []string{"192.0.2.127", "192.0.3.0"}},
		{"all of IPv4", []string{"0.0.0.0/0"}, []string{"0.0.0.0", "255.255.255.255", "::ffff:8.8.8.8"}, []string{"::", "::1", "2001:db8::1"}},
		{"all of IPv6", []string{"::/0"}, []string{"::", "::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"}, []string{"0.0.0.0", "127.0.0.1", "255.255.255.255", "::ffff:8.8.8.8"}},
		{"both", []string{"::/0", "0.0.0.0/0"}, []string{"::1", "8.8.8.8", "::ffff:8.8.8.8"}, nil},
		{"mapped one who asks", []string{"10.0.0.0/8"}, []string{"::ffff:10.1.2.3"}, []string{"::ffff:11.1.2.3", "::10.1.2.3"}},
		{"mapped network", []string{"::ffff:10.0.0.0/104"}, []string{"10.1.2.3", "::ffff:10.1.2.3"}, []string{"11.0.0.0", "::1"}},
		{"all mapped ones", []string{"::ffff:0:0/96"}, []string{"10.1.2.3"}, []string{"::1"}},
		{"mapped address", []string{"::ffff:192.0.2.7"}, []string{"192.0.2.7"}, []string{"192.0.2.8"}},
		{"a network of IPv6", []string{"2001:db8::/33"}, []string{"2001:db8:7fff:ffff:ffff:ffff:ffff:ffff"}, []string{"2001:db8:8000::", "2001:db7:ffff::"}},
		{"zone of who asks", []string{"fe80::/10"}, []string{"fe80::1%eth0", "fe80::1"}, []string{"::1%lo"}},
		{"several, unsorted, one in another", []string{"10.1.0.0/16", "::1", "10.0.0.0/8", "10.255.0.0/16", "9.0.0.1", "192.0.2.0/24"},
			[]string{"10.0.0.0", "10.1.2.3", "10.200.0.1", "10.255.255.255", "9.0.0.1", "192.0.2.200", "::1"}, []string{"9.0.0.2", "11.0.0.0", "::2", "192.0.3.0"}},
		{"one network twice", []string{"10.0.0.0/8", "10.0.0.0/8"}, []string{"10.1.1.1"}, []string{"11.1.1.1"}},
	} {
		l := NewList(parsed(t, row.networks...))
		for _, a := range row.in {
			if !l.Has(netip.MustParseAddr(a)) {
				t.Errorf("%s: %s may not connect", row.name, a)
			}
		}
		for _, a := range row.out {
			if l.Has(netip.MustParseAddr(a)) {
				t.Errorf("%s: %s may connect", row.name, a)
			}
		}
		if l.Has(netip.Addr{}) {
			t.Errorf("%s: no address may connect", row.name)
		}
	}
}

// A network of mapped addresses is one of IPv4, whoever makes it.
func TestListOfMappedNetwork(t *testing.T) {
	l := NewList([]netip.Prefix{netip.MustParsePrefix("::ffff:10.0.0.0/104")})
	if !l.Has(netip.MustParseAddr("10.1.2.3")) || !l.Has(netip.MustParseAddr("::ffff:10.1.2.3")) || l.Has(netip.MustParseAddr("11.0.0.0")) {
		t.Errorf("it is %v", l)
	}
}

// A list agrees with its networks asked one by one, whatever they are.
func TestListAgreesWithItsNetworks(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	draw := func() netip.Addr {
		if random.IntN(2) == 0 {
			return netip.AddrFrom4([4]byte{byte(random.IntN(2)), byte(random.IntN(4)), byte(random.IntN(256)), byte(random.IntN(256))})
		}
		return netip.AddrFrom16([16]byte{0: byte(random.IntN(2)), 1: byte(random.IntN(4)), 2: byte(random.IntN(256)), 15: byte(random.IntN(256))})
	}
	for range 2000 {
		var networks []netip.Prefix
		for range random.IntN(6) {
			a := draw()
			networks = append(networks, netip.PrefixFrom(a, random.IntN(a.BitLen()+1)))
		}
		l := NewList(networks)
		for range 20 {
			a := draw()
			want := slices.ContainsFunc(networks, func(n netip.Prefix) bool { return n.Contains(a) })
			if l.Has(a) != want {
				t.Fatalf("%v has %s: %v; want %v", networks, a, !want, want)
			}
		}
	}
}

// What is allowed is this machine for the one, and all for the other.
func TestUsualLists(t *testing.T) {
	loopback, everyone := NewList(Loopback()), NewList(Everyone())
	for text, local := range map[string]bool{
		"127.0.0.1": true, "127.255.255.255": true, "::1": true, "::ffff:127.0.0.1": true,
		"128.0.0.0": false, "10.0.0.1": false, "::": false, "::2": false, "0.0.0.0": false,
	} {
		a := netip.MustParseAddr(text)
		if loopback.Has(a) != local || !everyone.Has(a) {
			t.Errorf("%s: loopback has it: %v; want %v. everyone has it: %v", text, !local, local, everyone.Has(a))
		}
	}
}

func TestHasAllocatesNothing(t *testing.T) {
	l := NewList(parsed(t, "10.0.0.0/8", "192.0.2.7", "2001:db8::/32"))
	addrs := []netip.Addr{netip.MustParseAddr("10.1.2.3"), netip.MustParseAddr("::ffff:10.1.2.3"), netip.MustParseAddr("fe80::1%eth0"), {}}
	if n := testing.AllocsPerRun(100, func() {
		for _, a := range addrs {
			l.Has(a)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkHas(b *testing.B) {
	many := make([]netip.Prefix, 0, 1000)
	for i := range cap(many) {
		many = append(many, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i / 200), byte(i), 0}), 25))
	}
	for _, row := range []struct {
		name     string
		networks []netip.Prefix
	}{{"loopback", Loopback()}, {"everyone", Everyone()}, {"1000 networks", many}} {
		b.Run(row.name, func(b *testing.B) {
			l, a := NewList(row.networks), netip.MustParseAddr("127.0.0.1")
			b.ReportAllocs()
			for b.Loop() {
				l.Has(a)
			}
		})
	}
}
