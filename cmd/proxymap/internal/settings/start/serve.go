package start

import (
	"slices"
	"time"

	"proxymap/cmd/proxymap/internal/settings/layer"
	"proxymap/cmd/proxymap/internal/settings/mask"
)

// ServeFlags are those of serve that are no settings. Their tags are kong's.
type ServeFlags struct {
	Grace    *string `help:"On SIGINT or SIGTERM, time that exchanges and tunnels get to end, 10s unless given ($$PROXYMAP_GRACE)." placeholder:"TIME"`
	LogLevel *string `help:"Least level that is logged: debug, info, warn or error; info unless given ($$PROXYMAP_LOG_LEVEL)." placeholder:"LEVEL"`
}

const (
	defaultGrace = 10 * time.Second
	maxGrace     = 30 * 24 * time.Hour
)

// Serving is how serve runs.
type Serving struct {
	Grace    time.Duration
	LogLevel string
}

// Read takes the flags, and of an environment, each NAME=VALUE, the variables of those that are not given.
func (f ServeFlags) Read(environ []string) (s Serving, faults []layer.Fault) {
	vars, m := variables(environ), maker{}
	s.Grace, s.LogLevel = defaultGrace, "info"
	if g := vars.one("grace", f.Grace); m.usable(g) {
		d, err := time.ParseDuration(g.text)
		if err != nil || d < 0 || d > maxGrace {
			m.fault(g, "value %q: must be a duration such as 500ms, 10s or 5m, of at most 720h", mask.Text(g.text))
		}
		s.Grace = d
	}
	if g := vars.one("log-level", f.LogLevel); m.usable(g) {
		if !slices.Contains(levels, g.text) {
			m.fault(g, "value %q: must be debug, info, warn or error", mask.Text(g.text))
		}
		s.LogLevel = g.text
	}
	return s, m.faults
}

var levels = []string{"debug", "info", "warn", "error"}
