package reload

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"proxymap/cmd/proxymap/internal/settings"
	"proxymap/session/wire"
)

const patience = 10 * time.Second // for what must come

// A folder holds the files of settings that a process runs with.
type folder struct {
	t       *testing.T
	path    string
	running *Running
}

const servers = `{"Items": [{"Host": "a", "Port": 1, "Username": "u", "Password": "hidden-1"}, {"Host": "b", "Port": 2}]}`

// runs has a process run with settings whose servers are in a file of their own.
func runs(t *testing.T, environ ...string) *folder {
	t.Helper()
	f := &folder{t: t, path: t.TempDir()}
	f.write("servers.json", servers)
	f.write("appsettings.json", `{
		"Listen": {"PortRange": {"Start": 10201, "End": 10210}, "StickyProxyLifetime": 10},
		"Authentication": {"SetAuthentication": true, "Username": "u", "Password": {"Env": "PASSWORD"}},
		"ProxyServers": {"Files": [{"Path": "servers.json"}]}}`)
	from := settings.Sources{File: f.path + "/appsettings.json", Environ: append(environ, "PASSWORD=hidden-2")}
	set, err := settings.Load(from)
	if err != nil {
		t.Fatal(err)
	}
	f.running = New(set, from, slog.New(slog.DiscardHandler))
	return f
}

func (f *folder) write(name, text string) {
	f.t.Helper()
	if err := os.WriteFile(filepath.Join(f.path, name), []byte(text), 0o600); err != nil {
		f.t.Fatal(err)
	}
}

// dryRun is the answer without what differs from run to run.
func (f *folder) dryRun() (*wire.Reload, error) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	r, err := f.running.DryRun(ctx)
	if r != nil {
		if !r.DryRun || r.Took <= 0 || r.File != f.path+"/appsettings.json" {
			f.t.Errorf("got %+v", r)
		}
		r.Took, r.File = 0, ""
	}
	return r, err
}

// All files are read anew, those that others name and layers that have come too, and variables are those of the start.
func TestDryRun(t *testing.T) {
	f := runs(t, "SessionAPI__Enabled=true")
	nothing := wire.Reload{Added: []string{}, Removed: []string{}, Changed: []wire.ChangedPorts{}, Unchanged: 10, DryRun: true}
	expect := func(change func(*wire.Reload)) {
		t.Helper()
		want := nothing
		change(&want)
		got, err := f.dryRun()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(&want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	expect(func(*wire.Reload) {})
	t.Setenv("PASSWORD", "hidden-3") // the process's own now, which is nothing to it
	expect(func(*wire.Reload) {})
	f.write("servers.json", strings.Replace(servers, "hidden-1", "hidden-4", 1))
	expect(func(r *wire.Reload) {
		r.Unchanged = 0
		r.Changed = []wire.ChangedPorts{{Ports: "10201-10210", What: []string{"ProxyServers.Password"}, Session: wire.SessionKept}}
	})
	f.write("servers.json", servers)
	expect(func(*wire.Reload) {})
	f.write("appsettings.Production.json", `{"Listen": {"PortRange": {"Start": 10203, "End": 10213}}, "State": {"File": "s"}, "SessionAPI": {"Enabled": false, "Domain": "d"}}`)
	expect(func(r *wire.Reload) {
		r.Added, r.Removed, r.Unchanged = []string{"10211-10213"}, []string{"10201-10202"}, 8
		r.Global, r.Refused = []string{"SessionAPI.Domain"}, []string{"State.File"}
	})
}

// Every fault is told, wherever it is, and none of them has a credential.
func TestFaults(t *testing.T) {
	f := runs(t)
	f.write("servers.json", strings.Replace(servers, `"Port": 2`, `"Port": "gate:7:u:hidden-5", "Pasword": "hidden-6"`, 1))
	f.write("appsettings.Production.json", `{"Listen": {"Prt": 1}}`)
	_, err := f.dryRun()
	if err == nil {
		t.Fatal("there is no fault")
	}
	want := []string{"settings: 3 faults; nothing has changed", "servers.json:1: Items[1].Port: ", "servers.json:1: Items[1].Pasword: unknown key", "appsettings.Production.json:1: Listen.Prt: unknown key"}
	for _, text := range want {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("got %v; want it to have %q", err, text)
		}
	}
	if strings.Contains(err.Error(), "hidden") {
		t.Errorf("it tells a credential: %v", err)
	}
	if err := os.Remove(f.path + "/servers.json"); err != nil {
		t.Fatal(err)
	}
	if _, err := f.dryRun(); err == nil || !strings.Contains(err.Error(), `"servers.json": stat `) {
		t.Errorf("without a file that the settings name: %v", err)
	}
}

// More ports than the machine has open files for are a fault, as at a start.
func TestNoRoom(t *testing.T) {
	f := runs(t)
	set, err := f.running.read()
	if err != nil {
		t.Fatal(err)
	}
	for range 1 << 12 {
		m := set.Config.Mappings[0]
		m.First, m.Last = 1, 65535
		set.Config.Mappings = append(set.Config.Mappings, m)
	}
	f.running.read = func() (*settings.Settings, error) { return set, nil }
	if _, err := f.dryRun(); err == nil || !strings.Contains(err.Error(), "open files has no room for connections beside") {
		t.Errorf("got %v", err)
	}
}

// Who comes while settings are read waits, but for no longer than it has time. Nobody waits for a reading that hangs.
func TestOneAfterTheOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := runs(t)
		read, let, begun := f.running.read, make(chan struct{}), 0
		f.running.read = func() (*settings.Settings, error) {
			begun++
			<-let
			return read()
		}
		ask := func(time time.Duration) chan error {
			answered := make(chan error, 1)
			go func() {
				ctx, cancel := context.WithTimeout(t.Context(), time)
				defer cancel()
				_, err := f.running.DryRun(ctx)
				answered <- err
			}()
			synctest.Wait()
			return answered
		}
		hangs, impatient, patient := ask(2*time.Second), ask(time.Second), ask(time.Hour)
		if err := <-impatient; !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "somebody else") {
			t.Errorf("who has no time to wait gets %v", err)
		}
		if err := <-hangs; !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "a disk that does not answer") {
			t.Errorf("who waits for a reading that hangs gets %v", err)
		}
		if synctest.Wait(); begun != 1 {
			t.Errorf("%d read at once", begun)
		}
		let <- struct{}{}
		let <- struct{}{}
		if err := <-patient; err != nil || begun != 2 {
			t.Errorf("who has time gets %v, after %d readings", err, begun)
		}
	})
}

// A bug in what reads the settings ends no process that serves, and what it quotes is not told.
func TestPanic(t *testing.T) {
	f := runs(t)
	read := f.running.read
	var log bytes.Buffer
	f.running.log = slog.New(slog.NewTextHandler(&log, nil))
	f.running.read = func() (*settings.Settings, error) { panic("index of hidden") }
	if _, err := f.dryRun(); err == nil || !strings.Contains(err.Error(), "a bug in proxymap") || strings.Contains(err.Error(), "hidden") {
		t.Errorf("got %v", err)
	}
	if text := log.String(); !strings.Contains(text, "running_test.go") || strings.Contains(text, "hidden") {
		t.Errorf("the log: %s", text)
	}
	f.running.read = read
	if _, err := f.dryRun(); err != nil {
		t.Errorf("the next: %v", err)
	}
}
