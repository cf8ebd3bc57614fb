package journal

import (
	"errors"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"proxymap/session"
)

// keptPlan makes sessions of that lifetime.
func keptPlan(t testing.TB, lifetime time.Duration) *session.Plan {
	t.Helper()
	p, err := session.NewPlan(session.PlanConfig{Lifetime: lifetime, Remedy: "set StickyProxyLifetime"})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Ports get back what they had: the expiry too, which is not put off. Records that no port can take are dropped for good,
// with one line in the log.
func TestStateRestores(t *testing.T) {
	name := filepath.Join(t.TempDir(), "state")
	j, _, _ := openTestJournal(t, osDisk{}, name)
	expired := numbered(5, 1)
	expired.Expires = journalNow
	for _, r := range []record{numbered(1, 1), numbered(2, 2), numbered(3, 3), numbered(4, 4), expired} {
		mustSave(t, j, r)
	}
	mustClose(t, j)

	j, records, logged := openTestJournal(t, osDisk{}, name)
	k := newStore(j, records)
	servers := []string{"other.example:7000", "gate.example.com:7000"}
	slots := map[int]*session.Slot{}
	for port, lifetime := range map[int]time.Duration{1: time.Minute, 2: time.Minute, 3: 0, 5: time.Minute, 6: time.Minute} {
		slots[port] = session.NewSlot(keptPlan(t, lifetime))
		k.Load(portOf(port), slots[port], servers)
	}
	k.Loaded()
	for _, port := range []int{1, 2} {
		s := slots[port].Last()
		if s == nil {
			t.Fatalf("port %d has no session", port)
		}
		if diff := cmp.Diff(numbered(port, port), recordOf(portOf(port), s, "gate.example.com:7000"), cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); diff != "" {
			t.Errorf("port %d has another session than was kept (-want +got):\n%s", port, diff)
		}
		if slots[port].Server() != 1 {
			t.Errorf("port %d is pinned to server %d; want 1", port, slots[port].Server())
		}
	}
	for _, port := range []int{3, 5, 6} {
		if s := slots[port].Last(); s != nil {
			t.Errorf("port %d has session %s", port, s.ID())
		}
	}
	if text := logged.String(); strings.Count(text, "\n") != 2 || !strings.Contains(text, "restored=2") || !strings.Contains(text, "dropped=2") || !strings.Contains(text, "StickyProxyLifetime") {
		t.Errorf("it logs %s", text)
	}
	mustClose(t, j)
	j, records, _ = openTestJournal(t, osDisk{}, name)
	comparePorts(t, "behind the next start", records, []record{numbered(1, 1), numbered(2, 2)})
	mustClose(t, j)
}

// The pin is found by the server's address. Of several with one address the port keeps the one that it would have anyway.
func TestStatePin(t *testing.T) {
	servers := []string{"a:1", "b:2", "a:1", "[::1]:5"}
	for _, row := range []struct {
		was, want int
		server    string
	}{
		{2, 2, "a:1"}, {1, 0, "a:1"}, {0, 1, "b:2"}, {0, 3, "[::1]:5"}, {1, 1, "c:1"}, {1, 1, "a:2"}, {1, 1, ""}, {1, 1, "a:x"}, {9, 9, "c:1"},
	} {
		p := &keptPort{slot: session.NewSlot(keptPlan(t, 0))}
		p.servers.Store(&servers)
		p.slot.Pin(row.was)
		if p.pin(row.server); p.slot.Server() != row.want {
			t.Errorf("%q: the pin goes from %d to %d; want %d", row.server, row.was, p.slot.Server(), row.want)
		}
	}
}

// A gateDisk writes files that are flushed when the gate is open, with the outcome that the test says.
type gateDisk struct {
	osDisk
	mu   *sync.Mutex
	gate *chan struct{}
	err  *error
}

type gateFile struct {
	diskFile
	d gateDisk
}

func (d gateDisk) create(name string) (diskFile, error) {
	f, err := d.osDisk.create(name)
	return gateFile{f, d}, err
}

func (f gateFile) Sync() error {
	f.d.mu.Lock()
	gate := *f.d.gate
	f.d.mu.Unlock()
	<-gate
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	return *f.d.err
}

// set closes the gate and returns what opens it.
func (d gateDisk) set(err error) (open func()) {
	gate := make(chan struct{})
	d.mu.Lock()
	defer d.mu.Unlock()
	*d.gate, *d.err = gate, err
	return func() { close(gate) }
}

// What a port has is confirmed when it is on disk, whoever made it so, and whoever asks; then at once. What could not be
// written is tried again by who asks next.
func TestStateConfirms(t *testing.T) {
	d := gateDisk{mu: new(sync.Mutex), gate: new(chan struct{}), err: new(error)}
	d.set(nil)()
	j, records, _ := openTestJournal(t, d, filepath.Join(t.TempDir(), "state"))
	k := newStore(j, records)
	slot := session.NewSlot(keptPlan(t, time.Hour))
	slot.Changed = func(change session.Change, reason string) {
		k.Note(session.Event{Port: portOf(1), Change: change, Reason: reason})
	}
	k.Load(portOf(1), slot, nil)
	ask := func() chan error {
		said := make(chan error, 1)
		k.Confirm(portOf(1), func(err error) { said <- err })
		return said
	}
	at := func(what string, asked ...chan error) {
		t.Helper()
		for _, said := range asked {
			select {
			case err := <-said:
				t.Fatalf("%s: it is confirmed (%v) before it is on disk", what, err)
			default:
			}
		}
	}
	atOnce := func(what string) {
		t.Helper()
		select {
		case err := <-ask():
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
		default:
			t.Fatalf("%s: it is not confirmed at once", what)
		}
	}
	said := func(what string, want error, asked ...chan error) {
		t.Helper()
		for _, said := range asked {
			if err := <-said; !errors.Is(err, want) {
				t.Fatalf("%s: got %v; want %v", what, err, want)
			}
		}
	}

	open := d.set(nil)
	atOnce("without a session")
	for _, row := range []struct {
		what   string
		change func()
	}{
		{"a session that traffic made", func() { slot.Current(journalNow, nil) }},
		{"a new one", func() { _, _ = slot.Renew(journalNow, nil) }},
		{"a reset", func() { slot.Reset(journalNow) }},
		{"a reset of what was never asked about", func() { slot.Current(journalNow, nil); slot.Reset(journalNow) }},
	} {
		row.change()
		first, second := ask(), ask()
		at(row.what, first, second)
		open()
		said(row.what, nil, first, second)
		open = d.set(nil)
		atOnce(row.what)
	}
	open()

	d.set(errCrashDisk)()
	slot.Current(journalNow, nil)
	said("on a disk that fails", errCrashDisk, ask())
	said("on a disk that fails, asked again", errCrashDisk, ask())
	d.set(nil)()
	said("on a disk that is mended", nil, ask())
	atOnce("on a disk that is mended")
}

// What a change costs the loop that makes it.
func BenchmarkStateChange(b *testing.B) {
	j, records, _ := openTestJournal(b, osDisk{}, filepath.Join(b.TempDir(), "state"))
	k := newStore(j, records)
	for _, row := range []struct {
		name    string
		changed func(session.Change, string)
	}{
		{"off", nil},
		{"on", func(change session.Change, reason string) {
			k.Note(session.Event{Port: portOf(1), Change: change, Reason: reason})
		}},
	} {
		b.Run(row.name, func(b *testing.B) {
			slot := session.NewSlot(keptPlan(b, time.Hour))
			slot.Changed = row.changed
			k.Load(portOf(1), slot, nil)
			b.ReportAllocs()
			for b.Loop() {
				slot.Current(journalNow, nil)
				slot.Reset(journalNow)
			}
		})
	}
}

// A port that has one server for good gets back what it had with that server, and nothing that it had with another: the
// list may have changed, and the session would go on under another identity.
func TestStateOfFixedPorts(t *testing.T) {
	name := filepath.Join(t.TempDir(), "state")
	j, _, _ := openTestJournal(t, osDisk{}, name)
	own, others, before := numbered(1, 1), numbered(2, 2), numbered(3, 3)
	own.Server, others.Server, before.Server = "gate.example.com:7000 a", "gate.example.com:7000 b", "gate.example.com:7000"
	for _, r := range []record{own, others, before} {
		mustSave(t, j, r)
	}
	mustClose(t, j)

	j, records, logged := openTestJournal(t, osDisk{}, name)
	k := newStore(j, records)
	slots := map[int]*session.Slot{}
	for port := 1; port <= 3; port++ {
		slots[port] = session.NewSlot(keptPlan(t, time.Minute))
		slots[port].Fix(1)
		k.Load(portOf(port), slots[port], []string{"gate.example.com:7000 b", "gate.example.com:7000 a", "gate.example.com:7000 c"})
	}
	k.Loaded()
	if s := slots[1].Last(); s == nil || s.ID() != string(own.ID) {
		t.Errorf("the port whose server is the same has the session %v; want %s", s, own.ID)
	}
	for port := 2; port <= 3; port++ {
		if s := slots[port].Last(); s != nil {
			t.Errorf("port %d has the session %s, which was another server's", port, s.ID())
		}
	}
	for port, slot := range slots {
		if slot.Server() != 1 {
			t.Errorf("port %d has server %d; want 1", port, slot.Server())
		}
	}
	if text := logged.String(); !strings.Contains(text, "dropped=2") || !strings.Contains(text, errMoved.Error()) {
		t.Errorf("the log does not say what was dropped, and why: %s", text)
	}
	mustClose(t, j)
}
