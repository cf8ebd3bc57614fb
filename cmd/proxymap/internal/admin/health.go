package admin

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"proxymap/relay"
)

// What asks these paths ends or passes over a process that does not answer well, so they are answered whatever else is
// under way.
const (
	healthPath = "/healthz" // whether the process is to be left alive
	readyPath  = "/readyz"  // whether clients are to be sent to it
)

// isProbe reports whether a path is one of them.
func isProbe(path string) bool { return path == healthPath || path == readyPath }

const (
	// turnTime is how long the event loops have for a turn. What they do in one takes milliseconds.
	turnTime = 2 * time.Second

	// shownPorts is how many ports that are missing an answer names.
	shownPorts = 100
)

// handleHealth answers 200 as long as the event loops turn, also while the relay drains.
func handleHealth(awaitTurns func(context.Context) error) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		ctx, cancel := context.WithTimeout(req.Context(), turnTime)
		defer cancel()
		if err := awaitTurns(ctx); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, "ok\n")
	}
}

// handleReady answers 200 while all ports are listened on.
func handleReady(r *relay.Relay) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if lacks := lacking(r.Draining(), r.MissingPorts()); lacks != "" {
			http.Error(w, lacks, http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, "ready\n")
	}
}

// lacking says why no clients are to be sent to a relay, a line for each reason; empty: there is none.
func lacking(draining bool, missing []netip.AddrPort) string {
	var lines []string
	if draining {
		lines = append(lines, "draining: it was told to stop")
	}
	for _, p := range missing[:min(len(missing), shownPorts)] {
		lines = append(lines, fmt.Sprintf("missing %s: others have it", p))
	}
	if more := len(missing) - shownPorts; more > 0 {
		lines = append(lines, fmt.Sprintf("missing %d more", more))
	}
	return strings.Join(lines, "\n")
}
