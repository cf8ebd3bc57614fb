package hostrule

import (
	"fmt"
	"net/netip"
	"strings"
)

// maxPattern is the longest pattern of a rule, in bytes.
const maxPattern = 4 << 10

// An Action is what happens to a request for some host.
type Action uint8

const (
	Allow  Action = iota // it goes through the upstream
	Bypass               // it goes straight to the target
	Deny                 // it is refused
)

// A Rule says what happens to requests for some hosts. It applies if Port does, and if Host or Pattern does; with neither
// of the two, to every host.
type Rule struct {
	Host    string // equals the target's host, in any case; empty: see Pattern. An IPv6 address with or without brackets
	Port    uint16 // equals the target's port; 0: any
	Pattern string // regular expression, case-sensitive, found anywhere in the target's host; empty: none
	Action  Action

	OverrideHost string // in place of the target's host, an IPv6 address without brackets; empty: as it is
	OverridePort uint16 // in place of the target's port; 0: as it is
	Server       int    // the rule's own upstream, as an index in a list of the caller's; -1: none
}

// A Fault is one thing that is wrong with a rule.
type Fault struct {
	Index  int    // of the rule
	Key    string // of the rule: Host, Pattern, …
	Reason string // what is wrong and what is allowed
}

func (f *Fault) Error() string { return fmt.Sprintf("rule %d: %s: %s", f.Index, f.Key, f.Reason) }

// bareHost reads a name or an IP address, and takes the brackets from an IPv6 address. What it takes is what
// httpparse.SplitHost takes of a request: no rule may be for a host that no request can name.
func bareHost(host string) (bare string, ok bool) {
	if len(host) > 0 && len(host) <= maxHost && strings.IndexFunc(host, notInName) < 0 {
		return host, true
	}
	bare, closed := strings.CutSuffix(strings.TrimPrefix(host, "["), "]")
	a, err := netip.ParseAddr(bare)
	return bare, err == nil && a.Is6() && a.Zone() == "" && closed == (host[0] == '[')
}

func notInName(c rune) bool {
	return !isLetter(c) && (c < '0' || c > '9') && !strings.ContainsRune("-._~", c)
}
