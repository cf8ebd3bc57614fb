package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"proxymap/session/wire"
)

// A dry run is answered with what it says, as a refusal if a reload would be one, or with all faults; anything else changes
// nothing, and says so.
func TestReload(t *testing.T) {
	const json, text = "application/json; charset=utf-8", "text/plain; charset=utf-8"
	would := wire.Reload{Added: []string{"1-2"}, Removed: []string{}, Changed: []wire.ChangedPorts{{Ports: "3", What: []string{"Listen.Action"}}}, DryRun: true}
	refused := would
	refused.Refused = []string{"State.File"}
	faults := errors.New("settings: 2 faults; nothing has changed\na.json:1: x\na.json:2: y")
	for _, row := range []struct {
		query      string
		answer     *wire.Reload
		err        error
		status     int
		media, has string
		calls      int
	}{
		{"?dry_run=true", &would, nil, 200, json, string(wire.Line(would)), 1},
		{"?dry_run=true", &refused, nil, 409, json, string(wire.Line(refused)), 1},
		{"?dry_run=true", nil, faults, 422, text, faults.Error() + "\n", 1},
		{"?dry_run=true", nil, context.DeadlineExceeded, 422, text, "", 1}, // it is not the call's
		{"", nil, nil, 501, text, "settings cannot change while the relay runs: restart it to have them read, or use ?dry_run=true to see what would change\n", 0},
		{"?dry_run=false", nil, nil, 501, text, "settings cannot change", 0},
		{"?dryrun=true", nil, nil, 400, text, `"dryrun": the query takes dry_run alone`, 0},
		{"?dry_run", nil, nil, 400, text, "dry_run: must be true or false", 0},
		{"?dry_run=true&dry_run=false", nil, nil, 400, text, "given once", 0},
		{"?dry_run=true&ports=1", nil, nil, 400, text, `"ports": the query takes dry_run alone`, 0},
		{"?dry_run=true;", nil, nil, 400, text, "the query cannot be read", 0},
	} {
		calls := 0
		g := newAdminRigOf(t, Config{DryRun: func(context.Context) (*wire.Reload, error) { calls++; return row.answer, row.err }})
		res, got := g.do("POST", "/reload"+row.query)
		if res.StatusCode != row.status || res.Header.Get("Content-Type") != row.media || !strings.Contains(got, row.has) || calls != row.calls {
			t.Errorf("%s: answers %d, %q: %s after %d calls; want %d, %q: %s after %d", row.query, res.StatusCode, res.Header.Get("Content-Type"), got, calls,
				row.status, row.media, row.has, row.calls)
		}
		if row.status == 200 || row.status == 409 {
			if diff := cmp.Diff(row.has, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", row.query, diff)
			}
		}
		if res, _ := g.do("GET", "/reload?dry_run=true"); res.StatusCode != 405 || res.Header.Get("Allow") != "POST" {
			t.Errorf("GET answers %s, and allows %q", res.Status, res.Header.Get("Allow"))
		}
	}
}

// Dry runs that hang keep some who ask for one, and nobody else; who leaves waits no more.
func TestHangingReloads(t *testing.T) {
	begun, left := make(chan struct{}), make(chan error, maxReloads)
	g := newAdminRigOf(t, Config{DryRun: func(ctx context.Context) (*wire.Reload, error) {
		begun <- struct{}{}
		<-ctx.Done()
		left <- ctx.Err()
		return nil, fmt.Errorf("late: %w", ctx.Err())
	}})
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	for range maxReloads {
		go func() {
			if res, err := http.DefaultClient.Do(g.request("POST", "/reload?dry_run=true").WithContext(ctx)); err == nil {
				res.Body.Close()
			}
		}()
		<-begun
	}
	if res, text := g.do("POST", "/reload?dry_run=true"); res.StatusCode != 503 || res.Header.Get("Retry-After") == "" || !strings.Contains(text, "ask again") {
		t.Errorf("one more is answered %s: %s", res.Status, text)
	}
	for _, path := range []string{"/sessions", "/healthz", "/metrics"} {
		if res, _ := g.do("GET", path); res.StatusCode != 200 {
			t.Errorf("%s is answered %s", path, res.Status)
		}
	}
	leave()
	for range maxReloads {
		select {
		case err := <-left:
			if !errors.Is(err, context.Canceled) {
				t.Errorf("who has left: %v", err)
			}
		case <-time.After(patience):
			t.Fatal("who has left waits on")
		}
	}
}

// A dry run for which there is no time is no fault of the settings.
func TestReloadWithoutTime(t *testing.T) {
	w := httptest.NewRecorder()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	answerReload(ctx, w, func(ctx context.Context) (*wire.Reload, error) { return nil, fmt.Errorf("no time: %w", ctx.Err()) })
	if w.Code != 503 || w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), "no time: ") {
		t.Errorf("got %+v", w)
	}
}
