package machine

import (
	"net/netip"
	"strings"
	"testing"

	"proxymap/relay"
)

// What a machine does not have is told by check, with the remedy.
func TestWarnings(t *testing.T) {
	mapping := func(first, last uint16) relay.Mapping {
		return relay.Mapping{Address: netip.MustParseAddr("127.0.0.1"), First: first, Last: last}
	}
	cfg := &relay.Config{Mappings: []relay.Mapping{mapping(10201, 10300), mapping(32000, 33000), mapping(50000, 50000)}}
	for _, row := range []struct {
		reserved string
		overlap  []string // the mappings' ports
	}{
		{"", []string{"127.0.0.1:32000-33000", "127.0.0.1:50000"}},
		{"50000", []string{"127.0.0.1:32000-33000"}},
		{"8080,32768-33000,50000-50010\n", nil},
		{"32768-32999", []string{"127.0.0.1:32000-33000", "127.0.0.1:50000"}},
	} {
		got := ephemeralWarnings(cfg, 32768, 60999, row.reserved)
		if len(got) != len(row.overlap) {
			t.Errorf("reserved %q: got %q; want warnings for %q", row.reserved, got, row.overlap)
			continue
		}
		for i, ports := range row.overlap {
			if !strings.Contains(got[i], "ports "+ports+" overlap the range 32768-60999") || !strings.Contains(got[i], "ip_local_reserved_ports=") {
				t.Errorf("reserved %q: got %q; want it to name %s and the remedy", row.reserved, got[i], ports)
			}
		}
	}
	cfg.Mappings[0].Servers = []relay.Server{{Host: "a", Port: 1, Sources: []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("198.51.100.7")}}}
	if got := strings.Join(Warnings(cfg), "\n"); !strings.Contains(got, "SourceAddresses 198.51.100.7 of a:1: ") || strings.Contains(got, "SourceAddresses 127.0.0.1") {
		t.Errorf("got %q; want to be told of the foreign source address alone", got)
	}
	cfg.Mappings[0].Servers = []relay.Server{{Host: "127.0.0.1", Port: 1, Sources: []netip.Addr{netip.IPv6Loopback()}}}
	if got := strings.Join(Warnings(cfg), "\n"); !strings.Contains(got, "SourceAddresses of 127.0.0.1:1 are all of the other IP version") {
		t.Errorf("got %q; want to be told that no source address is of the server's version", got)
	}
	cfg.Limits.Connections = 1 << 20
	if got := strings.Join(Warnings(cfg), "\n"); !strings.Contains(got, "Limits.Connections is 1048576, but the limit of") || !strings.Contains(got, "ulimit -n") {
		t.Errorf("got %q; want to be told that the descriptors do not do", got)
	}
}
