package reload

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"runtime/debug"
	"time"

	"proxymap/cmd/proxymap/internal/machine"
	"proxymap/cmd/proxymap/internal/settings"
	"proxymap/cmd/proxymap/internal/settings/change"
	"proxymap/session/wire"
)

// Running are the settings that a process runs with. Several goroutines may use it.
type Running struct {
	now  *change.Settings
	file string // absolute path of the settings file; empty: there is none
	read func() (*settings.Settings, error)
	log  *slog.Logger

	turn chan struct{} // holds one value while settings are read
}

// New keeps what is needed of settings that were read from those sources, but not the settings.
func New(set *settings.Settings, from settings.Sources, log *slog.Logger) *Running {
	again := set.Again(from)
	r := &Running{now: set.Digests(), log: log, turn: make(chan struct{}, 1)}
	r.read = func() (*settings.Settings, error) { return settings.Load(again) }
	if set.File != "" {
		r.file = set.File
		if path, err := filepath.Abs(set.File); err == nil { // else the working folder is gone
			r.file = path
		}
	}
	return r
}

// DryRun reads the settings anew, checks them as a start would, and says what a reload would change. Calls at once are done
// one after the other. An error that is ctx's says that there was no time; any other is what is wrong with the settings, a
// line for each fault, without a credential.
func (r *Running) DryRun(ctx context.Context) (*wire.Reload, error) {
	select {
	case r.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, fmt.Errorf("the settings are being read for somebody else, and have not been in time: %w", ctx.Err())
	}
	type outcome struct {
		answer *wire.Reload
		err    error
	}
	done := make(chan outcome, 1) // or a reading that comes too late would stay
	go func() {
		defer func() { <-r.turn }()
		answer, err := r.compare()
		done <- outcome{answer, err}
	}()
	select {
	case o := <-done:
		return o.answer, o.err
	case <-ctx.Done():
		return nil, fmt.Errorf("the settings have not been read in time; is a file of theirs on a disk that does not answer? %w", ctx.Err())
	}
}

// compare reads and compares. A panic is a fault like others: it must not end a process that serves.
func (r *Running) compare() (answer *wire.Reload, err error) {
	defer func() {
		if what := recover(); what != nil {
			// What it is may quote the settings, and the stack has no text of theirs.
			r.log.Error("reading the settings again has panicked; please report it", "type", fmt.Sprintf("%T", what), "stack", string(debug.Stack()))
			answer, err = nil, fmt.Errorf("the settings cannot be read because of a bug in proxymap; its log has more")
		}
	}()
	began := time.Now()
	set, err := r.read()
	if err != nil {
		return nil, err
	}
	if _, err := machine.Room(&set.Config); err != nil {
		return nil, fmt.Errorf("settings: %w", err)
	}
	out := change.Between(r.now, set.Digests()).Answer()
	out.File, out.DryRun = r.file, true
	out.Took = float64(time.Since(began).Microseconds()) / 1000
	return &out, nil
}
