package wire

import "strings"

// A Reload is what the admin listener answers to /reload: what has changed, or would.
type Reload struct {
	Added     []string       `json:"added"`   // ports and ranges, as in 10201-10250; 127.0.0.1:10201-10250 where several addresses have them
	Removed   []string       `json:"removed"` // the same
	Changed   []ChangedPorts `json:"changed"`
	Unchanged int            `json:"unchanged"`         // ports
	Global    []string       `json:"global,omitempty"`  // names of keys of all ports, which list none
	Refused   []string       `json:"refused,omitempty"` // names of keys that cannot change while the relay runs: nothing has changed then
	DryRun    bool           `json:"dry_run,omitempty"` // nothing has changed
	File      string         `json:"file,omitempty"`    // absolute path of the settings file that was read; empty: there is none
	Took      float64        `json:"took_ms"`
}

// ChangedPorts are ports for which the same differs.
type ChangedPorts struct {
	Ports      string   `json:"ports"` // a list: 10201-10250,10299
	What       []string `json:"what"`  // names of keys
	Session    string   `json:"session,omitempty"`
	ReplacedIf []string `json:"replaced_if,omitempty"`
	Servers    bool     `json:"servers,omitempty"` // the upstream servers are others
	Bind       bool     `json:"bind,omitempty"`    // the listener is bound anew
}

// What ChangedPorts.Session says; empty: each connection is a session of its own.
const (
	SessionKept     = "kept"     // with its id and its end
	SessionChanged  = "changed"  // kept, but the user name beside the id is another
	SessionReplaced = "replaced" // by one that the new settings make
)

// What ChangedPorts.ReplacedIf may have: when a session is replaced that would be kept.
const (
	ReplacedIfMisfit   = "misfit"   // the new settings could not have made its id
	ReplacedIfChosen   = "chosen"   // a client has chosen its id
	ReplacedIfOutlives = "outlives" // it would end later than one that the new settings make
)

// CountPorts is how many ports a list of a Reload has; 0 if it is none.
func CountPorts(list string) (n int) {
	for item := range strings.SplitSeq(list, ",") {
		ranges, err := ParsePorts(item[strings.LastIndexByte(item, ':')+1:])
		if err != nil {
			return 0
		}
		for _, r := range ranges {
			n += int(r.Last) - int(r.First) + 1
		}
	}
	return n
}
