package settings

import (
	"fmt"
	"path/filepath"
	"strings"

	"proxymap/relay"
	"proxymap/relay/hostrule"
)

// perPort reads how servers are spread over the ports: whether each has one of its own. list is the section, empty where
// it is a plain list.
func (r *reader) perPort(o, list *object) bool {
	const key = "ProxyServersSpread"
	if list.get("Spread").there() && o.get(key).there() {
		r.fault(o.get(key), "stands beside ProxyServers.Spread: use one of the two")
	}
	own := list.choice("Spread") == "PerPort"
	return o.choice(key) == "PerPort" || own
}

// portsOf is how many ports a mapping has.
func portsOf(m *relay.Mapping) int { return int(m.Last) - int(m.First) + 1 }

// spreadWarning says that ports and servers, one for each, do not come out even; empty: they do.
func spreadWarning(m *relay.Mapping) string {
	ports, servers := portsOf(m), len(m.Servers)
	switch {
	case !m.PerPort || servers == 0 || ports == servers:
		return ""
	case ports > servers:
		return fmt.Sprintf("share upstreams: there are %d ports and %s, so behind the last the first comes again", ports, count(servers, "upstream"))
	}
	return fmt.Sprintf("leave upstreams out: there are %s and %d upstreams, one for each port, so the last %d have no port",
		count(ports, "port"), servers, servers-ports)
}

// How many upstreams are shown of more, and how many ports with one each, which somebody may be looking for; the last one
// is shown too.
const (
	shownUpstreams = 20
	shownPorts     = 1000
)

// eachShown calls f for most of n, and for the last one, and more with the number of the others, where they stand.
func eachShown(n, most int, f func(i int), more func(left int)) {
	left := n - most - 1
	for i := range n {
		switch {
		case left <= 0 || i < most || i == n-1:
			f(i)
		case i == most:
			more(left)
		}
	}
}

// printUpstreams shows a mapping's servers, or which of them each port has.
func printUpstreams(out *strings.Builder, m *relay.Mapping, set *mappingSettings) {
	n := len(m.Servers)
	show := func(server int) string { return serverOf(m.Servers[server]) + ", " + credentialsOf(m, set, server) }
	switch {
	case n == 0:
		fmt.Fprintf(out, "  upstream     none%s\n", either(m.Action == hostrule.Allow, ": requests are answered 502 no-upstream", ""))
	case m.PerPort:
		fmt.Fprintf(out, "  upstream     one for each port, out of %d in their order\n", n)
		eachShown(portsOf(m), shownPorts, func(i int) {
			fmt.Fprintf(out, "  port %-7d %s%s\n", int(m.First)+i, show(i%n), set.servers[i%n].lineOf())
		}, func(left int) { fmt.Fprintf(out, "  and %s more\n", count(left, "port")) })
	default:
		eachShown(n, shownUpstreams, func(i int) {
			fmt.Fprintf(out, "  upstream %-3d %s\n", i+1, show(i))
		}, func(left int) { fmt.Fprintf(out, "  and %s more\n", count(left, "upstream")) })
	}
}

// lineOf is where a server stands that comes from a file of servers; empty: it does not.
func (s *serverSettings) lineOf() string {
	if from := s.account.at.self.from; from.Source.Included {
		return fmt.Sprintf(" (%s:%d)", filepath.Base(from.Source.Name), from.Line())
	}
	return ""
}
