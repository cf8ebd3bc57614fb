package settings

import (
	"fmt"
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

// shownUpstreams is how many upstreams, or ports with one each, are shown of more; the last one is shown too.
const shownUpstreams = 20

// eachShown calls f for those of n that are shown, and more with the number of those that are not, where they stand.
func eachShown(n int, f func(i int), more func(left int)) {
	left := n - shownUpstreams - 1
	for i := range n {
		switch {
		case left <= 0 || i < shownUpstreams || i == n-1:
			f(i)
		case i == shownUpstreams:
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
		eachShown(portsOf(m), func(i int) {
			fmt.Fprintf(out, "  port %-7d %s\n", int(m.First)+i, show(i%n))
		}, func(left int) { fmt.Fprintf(out, "  and %s more\n", count(left, "port")) })
	default:
		eachShown(n, func(i int) {
			fmt.Fprintf(out, "  upstream %-3d %s\n", i+1, show(i))
		}, func(left int) { fmt.Fprintf(out, "  and %s more\n", count(left, "upstream")) })
	}
}
