package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"proxymap/session/wire"
)

const (
	// reloadTime is how long a call waits for settings to be read, and for calls before it.
	reloadTime = 20 * time.Second

	// maxReloads is how many calls read settings, or wait until they can: each takes one of the few places.
	maxReloads = 4
)

// DryRun reads the settings anew, and says what a reload would change. An error that is ctx's says that there was no time.
// Any other is what is wrong with the settings, a line for each fault; it has no credential.
type DryRun func(ctx context.Context) (*wire.Reload, error)

// handleReload says what a reload would change.
func handleReload(dryRun DryRun) http.HandlerFunc {
	places := make(chan struct{}, maxReloads)
	return func(w http.ResponseWriter, req *http.Request) {
		switch dry, err := readDryRun(req.URL.RawQuery); {
		case err != nil:
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		case !dry:
			http.Error(w, "settings cannot change while the relay runs: restart it to have them read, or use ?dry_run=true to see what would change", http.StatusNotImplemented)
			return
		}
		select {
		case places <- struct{}{}:
			defer func() { <-places }()
		default:
			refuseForNow(w, errors.New("the settings are being read for others already; ask again"))
			return
		}
		ctx, cancel := context.WithTimeout(req.Context(), reloadTime)
		defer cancel()
		answerReload(ctx, w, dryRun)
	}
}

// answerReload answers with what a dry run says.
func answerReload(ctx context.Context, w http.ResponseWriter, dryRun DryRun) {
	switch answer, err := dryRun(ctx); {
	case err != nil && errors.Is(err, ctx.Err()):
		refuseForNow(w, err)
	case err != nil:
		http.Error(w, err.Error(), http.StatusUnprocessableEntity)
	case len(answer.Refused) > 0:
		w.Header().Set("Content-Type", jsonType)
		w.WriteHeader(http.StatusConflict)
		_, _ = w.Write(wire.Line(answer))
	default:
		writeJSON(w, wire.Line(answer))
	}
}

func refuseForNow(w http.ResponseWriter, err error) {
	w.Header().Set("Retry-After", "1")
	http.Error(w, err.Error(), http.StatusServiceUnavailable)
}

// readDryRun reads the query of a reload. What is not known is an error: a name that is misspelt must not make a reload of a
// dry run.
func readDryRun(query string) (dry bool, err error) {
	values, err := url.ParseQuery(query)
	if err != nil {
		return false, fmt.Errorf("the query cannot be read: %w", err)
	}
	for name, list := range values {
		switch {
		case name != "dry_run":
			return false, fmt.Errorf("%.80q: the query takes dry_run alone", name)
		case len(list) > 1 || list[0] != "true" && list[0] != "false":
			return false, errors.New("dry_run: must be true or false, and given once")
		}
		dry = list[0] == "true"
	}
	return dry, nil
}
