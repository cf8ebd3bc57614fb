package journal

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"proxymap/session"
	"proxymap/session/credential"
)

// journalNow is the moment at which these tests take place, journalEnd one at which sessions end.
const (
	journalNow = int64(1_781_107_783_000_000_000)
	journalEnd = journalNow + int64(10*time.Minute)

	testCompactSize = 2 << 10
)

// quickDisk takes what is written as durable, for tests that write often and crash never.
type quickDisk struct{ osDisk }

type quickFile struct{ diskFile }

func (d quickDisk) create(name string) (diskFile, error) {
	f, err := d.osDisk.create(name)
	return quickFile{f}, err
}
func (quickDisk) syncFolder(string) error { return nil }
func (quickFile) Sync() error             { return nil }

// openTestJournal opens a journal at journalNow, for the time of the test. What it logs is in the buffer.
func openTestJournal(t testing.TB, d disk, name string) (*journal, []record, *syncBuffer) {
	t.Helper()
	logged := &syncBuffer{}
	j := newJournal(name, slog.New(slog.NewTextHandler(logged, nil)))
	j.disk, j.now, j.compactSize = d, func() int64 { return journalNow }, testCompactSize
	records, err := j.open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.close() })
	return j, records, logged
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func portOf(n int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(10_000+n))
}

// numbered is a record of a port whose id tells its number; 0 is one without a session.
func numbered(port, number int) record {
	if number == 0 {
		return record{Port: portOf(port)}
	}
	return record{
		Port: portOf(port), ID: fmt.Appendf(nil, "id%d", number), Lifetime: 10 * time.Minute, Expires: journalEnd,
		Params: []session.Pair{{Name: "city", Value: fmt.Sprintf("<&\u2028\"%d\\", number)}}, Server: "gate.example.com:7000",
	}
}

// save puts a record and waits for what is said of it.
func save(j *journal, r record) error {
	said := make(chan error, 1)
	j.put(func() record { return r }, func(err error) { said <- err })
	return <-said
}

func mustSave(t testing.TB, j *journal, r record) {
	t.Helper()
	if err := save(j, r); err != nil {
		t.Fatal(err)
	}
}

func mustClose(t testing.TB, j *journal) {
	t.Helper()
	if err := j.close(); err != nil {
		t.Fatal(err)
	}
}

func sizeOf(t testing.TB, name string) int64 {
	t.Helper()
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

func asides(t testing.TB, name string) []string {
	t.Helper()
	list, err := filepath.Glob(name + ".damaged-*")
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func comparePorts(t testing.TB, what string, got, want []record) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); diff != "" {
		t.Fatalf("%s: other records than were put (-want +got):\n%s", what, diff)
	}
}

// The newest session of each port comes back, to the byte; one that was reset or has expired does not.
func TestJournalRestores(t *testing.T) {
	name := filepath.Join(t.TempDir(), "state")
	j, records, _ := openTestJournal(t, osDisk{}, name)
	comparePorts(t, "a new file", records, nil)
	odd := record{Port: netip.MustParseAddrPort("[::1]:1"), ID: []byte("\xff\n\x00\u2028"), Minutes: "010", Lifetime: 1, Expires: journalNow + 1}
	expired := numbered(4, 4)
	expired.Expires = journalNow
	for _, r := range []record{numbered(2, 1), numbered(1, 1), numbered(2, 2), odd, numbered(3, 3), numbered(3, 0), expired} {
		mustSave(t, j, r)
	}
	j.put(func() record { return numbered(5, 5) }, nil) // close flushes it
	mustClose(t, j)
	want := []record{numbered(1, 1), numbered(2, 2), numbered(5, 5), odd}
	for range 2 {
		j, records, logged := openTestJournal(t, osDisk{}, name)
		comparePorts(t, "opened again", records, want)
		mustClose(t, j)
		if logged.String() != "" || asides(t, name) != nil {
			t.Errorf("a good file was complained of: %s", logged)
		}
	}
}

// A port has its session back with the credentials and the parameters that it had.
func TestJournalRestoresASession(t *testing.T) {
	plan, err := session.NewPlan(session.PlanConfig{
		Lifetime: 10 * time.Minute, Set: true, Servers: []*credential.Account{nil},
		Account: &credential.Account{Username: "user", Password: "x", Parameters: []credential.Parameter{
			{Name: "session", Value: "^hGfEdCbA", SessionID: true}, {Name: "time", Value: "$t", SessionTime: true}, {Name: "cc", Value: "$cc"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	slot := session.NewSlot(plan)
	change, err := slot.Renew(journalNow, []session.Pair{{Name: "cc", Value: "dé"}, {Name: "t", Value: "7"}})
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "state")
	j, _, _ := openTestJournal(t, osDisk{}, name)
	mustSave(t, j, recordOf(portOf(1), change.New, "gate:1"))
	mustSave(t, j, recordOf(portOf(2), nil, ""))
	mustClose(t, j)
	_, records, _ := openTestJournal(t, osDisk{}, name)
	if len(records) != 1 || records[0].Server != "gate:1" {
		t.Fatalf("got %+v; want the one session", records)
	}
	s, err := records[0].session(plan)
	if err != nil {
		t.Fatal(err)
	}
	session.NewSlot(plan).Restore(s) // the first of its slot, as it was
	if !reflect.DeepEqual(s, change.New) {
		t.Errorf("got %+v; want %+v", s, change.New)
	}
}

// Wherever the file is cut off, what was answered before that is there, and nothing is complained of.
func TestJournalCutAnywhere(t *testing.T) {
	folder := t.TempDir()
	name := filepath.Join(folder, "state")
	j, _, _ := openTestJournal(t, quickDisk{}, name)
	state := map[int]int{}
	states, sizes := [][]record{nil}, []int64{sizeOf(t, name)} // after each answer
	for _, step := range [][2]int{{1, 1}, {2, 2}, {1, 3}, {1, 0}, {3, 4}, {2, 5}} {
		mustSave(t, j, numbered(step[0], step[1]))
		state[step[0]] = step[1]
		var records []record
		for _, port := range slices.Sorted(maps.Keys(state)) {
			if state[port] != 0 {
				records = append(records, numbered(port, state[port]))
			}
		}
		states, sizes = append(states, records), append(sizes, sizeOf(t, name))
	}
	mustClose(t, j)
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	cut := filepath.Join(folder, "cut")
	for n := range len(text) + 1 {
		if err := os.WriteFile(cut, text[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		answered := 0
		for i, size := range sizes {
			// Without its newline a record is whole, too, and may be there.
			if int64(n) >= size-1 && i > 0 {
				answered = i
			}
		}
		for life := range 2 { // the second finds what the first has made of it, and one more
			j, records, logged := openTestJournal(t, quickDisk{}, cut)
			want := states[answered]
			if life == 1 {
				want = append(slices.Clone(want), numbered(9, 9))
			}
			comparePorts(t, fmt.Sprintf("cut at %d, life %d", n, life), records, want)
			mustSave(t, j, numbered(9, 9))
			mustClose(t, j)
			if logged.String() != "" || asides(t, cut) != nil {
				t.Fatalf("cut at %d: a file that was cut off was complained of: %s", n, logged)
			}
		}
	}
}

// Whatever byte is damaged, nothing comes back that was not put, and all that is on other lines comes back.
func TestJournalDamagedAnywhere(t *testing.T) {
	text := appendHeader(nil)
	lines := []int{0} // where each record's line begins, and the header's
	const records = 8
	for n := range records {
		lines = append(lines, len(text))
		r := numbered(n, n+1)
		text = r.appendLine(text)
	}
	last := len(text) - 1
	for at := range text {
		hit := 0
		for i, start := range lines {
			if at >= start {
				hit = i
			}
		}
		for _, flip := range []byte{1, 0x20, 0x80, 0xff, text[at] ^ '\n', text[at]} {
			if flip == 0 {
				continue
			}
			damaged := bytes.Clone(text)
			damaged[at] ^= flip
			var jr journalReader
			jr.read(bytes.NewReader(damaged))
			for n := range records {
				got, found := jr.newest[portOf(n)]
				// A damaged newline takes the next line with it.
				if touched := hit == n+1 || hit == n && text[at] == '\n'; !found && !touched {
					t.Fatalf("byte %d ^ %#x: record %d is lost", at, flip, n)
				}
				if found && !reflect.DeepEqual(got, numbered(n, n+1)) {
					t.Fatalf("byte %d ^ %#x: record %d came back as %+v", at, flip, n, got)
				}
			}
			// The case of a hexadecimal digit says nothing, and a last line without its end is one that was cut off.
			if !jr.damaged() && len(jr.newest) != records && at != last {
				t.Fatalf("byte %d ^ %#x: a record is lost without a word", at, flip)
			}
		}
	}
}

// A damaged file is set aside as it was, told of, and never keeps the journal from being opened.
func TestJournalSetsDamageAside(t *testing.T) {
	one, two := numbered(1, 1), numbered(2, 2)
	good := two.appendLine(one.appendLine(appendHeader(nil)))
	for _, row := range []struct {
		name, text string
		want       []record
		told       string
	}{
		{"a line in the middle", string(one.appendLine(nil)[:50]) + "\n" + string(two.appendLine(nil)), []record{two}, `"damaged lines"=1`},
		{"damage before and behind", strings.Replace(string(good), "proxymap", "proxymop", 1) + "x\n\n", []record{one, two}, `"damaged lines"=3`},
		{"a line without an end in sight", string(good) + strings.Repeat("x", 3*maxLine) + "\n" + string(numberedLine(3, 3)), []record{one, two, numbered(3, 3)}, `"damaged lines"=1`},
		{"zeros", strings.Repeat("\x00", 2*maxLine), nil, `"damaged lines"=1`},
		{"another kind of file", "{}", nil, `"damaged lines"=1`},
		{"another version", string(appendLine(nil, []byte(journalKind+"2"))) + string(numberedLine(1, 1)), nil, "written by another version"},
		{"a record that is none", string(good) + string(appendLine(nil, []byte(`{"port":"x"}`))), []record{one, two}, `"damaged lines"=1`},
	} {
		name := filepath.Join(t.TempDir(), "state")
		if err := os.WriteFile(name, []byte(row.text), 0o600); err != nil {
			t.Fatal(err)
		}
		j, records, logged := openTestJournal(t, osDisk{}, name)
		comparePorts(t, row.name, records, row.want)
		if !strings.Contains(logged.String(), row.told) || !strings.Contains(logged.String(), "set aside") {
			t.Errorf("%s: logged %s; want it to tell %s", row.name, logged, row.told)
		}
		list := asides(t, name)
		if len(list) != 1 {
			t.Fatalf("%s: set aside: %q; want one file", row.name, list)
		}
		if text, err := os.ReadFile(list[0]); err != nil || string(text) != row.text {
			t.Errorf("%s: what was set aside is not what was there (%v)", row.name, err)
		}
		mustClose(t, j)
		_, records, logged = openTestJournal(t, osDisk{}, name)
		comparePorts(t, row.name+", opened again", records, row.want)
		if logged.String() != "" {
			t.Errorf("%s: the new file is complained of: %s", row.name, logged)
		}
	}
}

func numberedLine(port, number int) []byte {
	r := numbered(port, number)
	return r.appendLine(nil)
}

// Two relays do not share a file, in one process or in two, and the second is told so.
func TestJournalIsLocked(t *testing.T) {
	name := filepath.Join(t.TempDir(), "state")
	j, _, _ := openTestJournal(t, osDisk{}, name)
	mustSave(t, j, numbered(1, 1))
	for range 2 { // the first attempt must not give up the lock of the other
		_, _, err := openJournal(name, slog.New(slog.DiscardHandler))
		if err == nil || !strings.Contains(err.Error(), "the state file "+name+" is locked by another running proxymap; stop it") {
			t.Fatalf("got %v; want to be told that the file is in use", err)
		}
	}
	mustSave(t, j, numbered(2, 2))
	mustClose(t, j)
	_, records, _ := openTestJournal(t, osDisk{}, name)
	comparePorts(t, "after the first has gone", records, []record{numbered(1, 1), numbered(2, 2)})
}

// What cannot be a journal is an error that names it, and nothing of it is touched.
func TestJournalNeedsAFile(t *testing.T) {
	folder := t.TempDir()
	fifo := filepath.Join(folder, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{folder, fifo, filepath.Join(folder, "none", "state")} {
		_, _, err := openJournal(name, slog.New(slog.DiscardHandler))
		if err == nil || !strings.Contains(err.Error(), "the state file "+name) || !strings.Contains(err.Error(), "name a") {
			t.Errorf("%s: got %v; want it named, and a remedy", name, err)
		}
	}
}

// Only the owner reads the file, also one that others could read before, and one that a cut-short attempt has left.
func TestJournalIsPrivate(t *testing.T) {
	name := filepath.Join(t.TempDir(), "state")
	for _, file := range []string{name, name + ".tmp"} {
		if err := os.WriteFile(file, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	j, _, _ := openTestJournal(t, osDisk{}, name)
	mustSave(t, j, numbered(1, 1))
	info, err := os.Stat(name)
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("the mode is %v (%v); want 0600", info.Mode(), err)
	}
}

// What nobody waits for is flushed without anything that follows.
func TestJournalFlushesByItself(t *testing.T) {
	name := filepath.Join(t.TempDir(), "state")
	j, _, _ := openTestJournal(t, osDisk{}, name)
	empty := sizeOf(t, name)
	j.put(func() record { return numbered(1, 1) }, nil)
	for end := time.Now().Add(10 * time.Second); sizeOf(t, name) == empty; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("a record was not flushed")
		}
	}
}

// A closed journal refuses records, and can be closed again. What it had taken is in the file.
func TestJournalClosed(t *testing.T) {
	j, _, _ := openTestJournal(t, osDisk{}, filepath.Join(t.TempDir(), "state"))
	mustClose(t, j)
	mustClose(t, j)
	if err := save(j, numbered(1, 1)); !errors.Is(err, errJournalClosed) {
		t.Errorf("got %v; want to be told that the journal is closed", err)
	}
	j.put(func() record { return numbered(1, 1) }, nil)
}

// Records of many goroutines, each with ports of its own and one that all share, come back as they were last put.
func TestJournalFromManyGoroutines(t *testing.T) {
	const goroutines, rounds, shared = 64, 20, 99
	name := filepath.Join(t.TempDir(), "state")
	j, _, _ := openTestJournal(t, osDisk{}, name)
	var wg sync.WaitGroup
	var newest atomic.Int64 // what the shared port's session is
	for g := range goroutines {
		wg.Go(func() {
			for n := 1; n <= rounds; n++ {
				if n%4 == 0 {
					j.put(func() record { return numbered(g, n) }, nil)
				} else if err := save(j, numbered(g, n)); err != nil {
					t.Error(err)
				}
				newest.Add(1)
				j.put(func() record { return numbered(shared, int(newest.Load())) }, nil)
			}
		})
	}
	wg.Wait()
	mustClose(t, j)
	_, records, _ := openTestJournal(t, osDisk{}, name)
	want := []record{}
	for g := range goroutines {
		want = append(want, numbered(g, rounds))
	}
	comparePorts(t, "opened again", records, append(want, numbered(shared, goroutines*rounds)))
}

// How many records are on disk in a second: one goroutine that waits for each, and many.
func BenchmarkJournal(b *testing.B) {
	for _, goroutines := range []int{1, 64, 1024} {
		b.Run(fmt.Sprint(goroutines), func(b *testing.B) {
			j, _, _ := openTestJournal(b, osDisk{}, filepath.Join(b.TempDir(), "state"))
			var next atomic.Int64
			var wg sync.WaitGroup
			for g := range goroutines {
				wg.Go(func() {
					for next.Add(1) <= int64(b.N) {
						if err := save(j, numbered(g, g+1)); err != nil {
							b.Error(err)
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "puts/s")
		})
	}
}

// A file that is removed, or replaced, while it is in use is written anew: what was answered is not lost with it.
func TestJournalThatIsRemoved(t *testing.T) {
	file := filepath.Join(t.TempDir(), "state")
	j, _, err := openJournal(file, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	port := netip.MustParseAddrPort("127.0.0.1:10201")
	put := func(id string) {
		t.Helper()
		done := make(chan error, 1)
		j.put(func() record {
			return record{Port: port, ID: []byte(id), Expires: time.Now().Add(time.Hour).UnixNano(), Lifetime: time.Hour}
		}, func(err error) { done <- err })
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	put("first")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	put("second")
	if text, err := os.ReadFile(file); err != nil || len(text) == 0 {
		t.Fatalf("the file has %q, %v", text, err)
	}
	if err := j.close(); err != nil {
		t.Fatal(err)
	}
	j, records, err := openJournal(file, slog.New(slog.DiscardHandler))
	if err != nil || len(records) != 1 || string(records[0].ID) != "second" {
		t.Errorf("got %+v, %v; want the second session", records, err)
	}
	if err := j.close(); err != nil {
		t.Fatal(err)
	}
}
