package machine

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"

	"proxymap/relay"
	"proxymap/session/wire"
)

// Room says how many connections this machine's limit of open files has room for.
func Room(cfg *relay.Config) (string, error) {
	room, err := cfg.Budget()
	if err != nil {
		return "", err
	}
	unit := "connections"
	if room.Connections == 1 {
		unit = "connection"
	}
	return fmt.Sprintf("this machine's limit of %d open files has room for %d %s at once", room.Descriptors, room.Connections, unit), nil
}

// Warnings say what this machine does not have for a configuration. None of it keeps the relay from starting.
func Warnings(cfg *relay.Config) (warnings []string) {
	if b, err := cfg.Budget(); err == nil && cfg.Limits.Connections > b.Connections {
		warnings = append(warnings, fmt.Sprintf("Limits.Connections is %d, but the limit of %d open files has room for %d connections only; raise it (ulimit -n) to %d",
			cfg.Limits.Connections, b.Descriptors, b.Connections, b.Fixed+2*cfg.Limits.Connections+b.Reserve))
	}
	for i := range cfg.Mappings {
		for _, s := range cfg.Mappings[i].Servers {
			warnings = append(warnings, sourceWarnings(s)...)
		}
	}
	// Systems other than Linux do not have these files, and nothing is said of their ports.
	text, _ := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	kept, _ := os.ReadFile("/proc/sys/net/ipv4/ip_local_reserved_ports")
	var first, last int
	if n, _ := fmt.Sscan(string(text), &first, &last); n == 2 {
		warnings = append(warnings, ephemeralWarnings(cfg, first, last, string(kept))...)
	}
	return warnings
}

// sourceWarnings names the source addresses of a server that are none of this machine, and the server whose address none
// of them can reach.
func sourceWarnings(s relay.Server) (warnings []string) {
	if addr, err := netip.ParseAddr(s.Host); err == nil && len(s.Sources) > 0 &&
		!slices.ContainsFunc(s.Sources, func(from netip.Addr) bool { return from.Unmap().Is4() == addr.Unmap().Is4() }) {
		warnings = append(warnings, fmt.Sprintf("SourceAddresses of %s are all of the other IP version, so the system chooses; list addresses of the server's version",
			s.HostPort()))
	}
	for _, addr := range s.Sources {
		l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: addr.AsSlice()})
		if err != nil {
			warnings = append(warnings, fmt.Sprintf("SourceAddresses %s of %s: %v; it must be an address of this machine, and serve will not start without it",
				addr, s.HostPort(), err))
			continue
		}
		l.Close()
	}
	return warnings
}

// ephemeralWarnings names the mappings whose ports the kernel gives to outgoing connections, first to last but for the
// reserved ones: a list such as "8080,10000-10100".
func ephemeralWarnings(cfg *relay.Config, first, last int, reserved string) (warnings []string) {
	free := make([]bool, 1<<16) // the kernel's to give
	for p := max(first, 0); p <= min(last, 1<<16-1); p++ {
		free[p] = true
	}
	ranges, _ := wire.ParsePorts(strings.TrimSpace(reserved)) // an empty list has none
	for _, r := range ranges {
		for p := int(r.First); p <= int(r.Last); p++ {
			free[p] = false
		}
	}
	for i := range cfg.Mappings {
		m := &cfg.Mappings[i]
		for p := int(m.First); p <= int(m.Last); p++ {
			if free[p] {
				warnings = append(warnings, fmt.Sprintf("ports %s overlap the range %d-%d that the kernel takes outgoing connections' ports from, so some may be taken: choose others, or sysctl net.ipv4.ip_local_reserved_ports=%d-%d",
					m.Ports(), first, last, m.First, m.Last))
				break
			}
		}
	}
	return warnings
}
