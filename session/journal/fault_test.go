package journal

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// A crashDisk is a disk that fails when it is told to, and knows what a power cut would leave. Of a file that is what
// was synced, and any part of what was written behind it; of a folder, its names as they were last synced, or as they are.
type crashDisk struct {
	real osDisk

	mu             sync.Mutex
	step           func(op string) fate // called before each step, with the disk locked
	names, durable map[string]*crashFile
}

type crashFile struct {
	diskFile
	d      *crashDisk
	data   []byte
	synced int
	lost   bool // what was not synced by then never will be
}

// A fate is what becomes of a step.
type fate int

const (
	succeeds   fate = iota
	fails           // a write is cut short
	failsInEnd      // it takes effect, but an error is told
)

func newCrashDisk() *crashDisk {
	return &crashDisk{step: func(string) fate { return succeeds }, names: map[string]*crashFile{}, durable: map[string]*crashFile{}}
}

var errCrashDisk = syscall.ENOSPC

// do takes a step.
func (d *crashDisk) do(op string, effect func() error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	what := d.step(op)
	if what == fails {
		return errCrashDisk
	}
	if err := effect(); err != nil || what == succeeds {
		return err
	}
	return errCrashDisk
}

// setStep replaces step.
func (d *crashDisk) setStep(step func(op string) fate) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.step = step
}

func (d *crashDisk) create(name string) (diskFile, error) {
	var f *crashFile
	err := d.do("create", func() error {
		r, err := d.real.create(name)
		f = &crashFile{diskFile: r, d: d}
		d.names[name] = f
		return err
	})
	return f, err
}

func (d *crashDisk) rename(from, to string) error {
	return d.do("rename", func() error {
		d.names[to] = d.names[from]
		delete(d.names, from)
		return d.real.rename(from, to)
	})
}

func (d *crashDisk) syncFolder(string) error {
	return d.do("syncFolder", func() error {
		d.durable = maps.Clone(d.names)
		return nil
	})
}

func (f *crashFile) Write(p []byte) (n int, err error) {
	err = f.d.do("write", func() error {
		n = len(p)
		return nil
	})
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if err != nil && n == 0 {
		n = len(p) / 2
	}
	f.data = append(f.data, p[:n]...)
	_, _ = f.diskFile.Write(p[:n])
	return n, err
}

func (f *crashFile) Sync() error {
	err := f.d.do("sync", func() error {
		if !f.lost {
			f.synced = len(f.data)
		}
		return nil
	})
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	f.lost = f.lost || err != nil
	return err
}

// remains are the contents that the file of that name could have after a power cut; nil stands for no file.
func (d *crashDisk) remains(name string) (all [][]byte) {
	files := []*crashFile{d.names[name], d.durable[name]}
	for _, f := range slices.Compact(files) {
		if f == nil {
			all = append(all, nil)
			continue
		}
		lengths := []int{f.synced, (f.synced + len(f.data)) / 2, max(f.synced, len(f.data)-1), len(f.data)}
		for _, n := range slices.Compact(lengths) {
			all = append(all, f.data[:n])
		}
	}
	return all
}

// A ledger knows what was put of each port, and up to where it was answered that it is on disk.
type ledger struct {
	mu       sync.Mutex
	put      map[int][]record
	answered map[int]int // index in put; -1: nothing
	failed   int         // answers that were errors
}

// note has a record put, and answered if done says so.
func (l *ledger) note(j *journal, port, number int, waits bool) {
	var done func(error)
	var answer sync.WaitGroup
	l.mu.Lock()
	if l.put[port] == nil {
		l.put[port], l.answered[port] = []record{numbered(port, 0)}, 0
	}
	index := len(l.put[port])
	l.put[port] = append(l.put[port], numbered(port, number))
	l.mu.Unlock()
	if waits {
		answer.Add(1)
		done = func(err error) {
			defer answer.Done()
			l.mu.Lock()
			defer l.mu.Unlock()
			if err != nil {
				l.failed++
				return
			}
			l.answered[port] = max(l.answered[port], index)
		}
	}
	j.put(func() record { return numbered(port, number) }, done)
	answer.Wait()
}

// check compares a file's content with what was answered: each port is as it was then, or as it was put later.
func (l *ledger) check(text []byte) error {
	var jr journalReader
	jr.read(bytes.NewReader(text))
	if jr.damaged() {
		return fmt.Errorf("it is damaged: %d lines, %v", jr.bad, jr.err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for port, put := range l.put {
		got, found := jr.newest[portOf(port)]
		if !found {
			got = numbered(port, 0)
		}
		good := false
		for _, r := range put[l.answered[port]:] {
			good = good || reflect.DeepEqual(r, got)
		}
		if !good {
			return fmt.Errorf("port %d has %q; %q was answered", port, got.ID, put[l.answered[port]].ID)
		}
	}
	return nil
}

// A power cut at any step loses nothing that was answered; neither does one step that fails, whichever it is. The
// records make the file large enough to be compacted several times.
func TestJournalCrashes(t *testing.T) {
	for _, what := range []fate{fails, failsInEnd} {
		for failing := 0; ; failing++ {
			steps := crashScenario(t, what, failing)
			if failing > steps {
				break
			}
		}
	}
}

// crashScenario has the step of that number fail, the first being 1, and returns how many there were.
func crashScenario(t *testing.T, what fate, failing int) (steps int) {
	const opening = 5 // steps to make the file
	name := filepath.Join(t.TempDir(), "state")
	d, l := newCrashDisk(), &ledger{put: map[int][]record{}, answered: map[int]int{}}
	compactions := 0
	check := func(when string) {
		if steps < failing {
			return // up to there all is as with an earlier step that failed
		}
		for _, text := range d.remains(name) {
			if err := l.check(text); err != nil {
				t.Errorf("step %d fails (%d), power cut %s: %v", failing, what, when, err)
			}
		}
	}
	step := func(op string) fate {
		steps++
		check(fmt.Sprintf("before step %d, %s", steps, op))
		if op == "rename" {
			compactions++
		}
		if steps == failing {
			return what
		}
		return succeeds
	}
	if failing <= opening { // opening a new file then is an error; see TestJournalOpensInSpiteOfTheDisk
		steps = opening
	} else {
		d.setStep(step)
	}
	j, _, _ := openTestJournal(t, d, name)
	d.setStep(step)
	for n := 1; n <= 25; n++ {
		l.note(j, 1+n%2, n, true)
		if n%5 == 0 {
			l.note(j, 2, 0, true)
		}
		if n%7 == 0 {
			l.note(j, 3, n, false)
		}
	}
	mustClose(t, j)
	if l.failed > 1 {
		t.Errorf("step %d fails: %d answers were errors; want one at most", failing, l.failed)
	}
	if compactions < 2 {
		t.Errorf("step %d fails: there were %d compactions; want some", failing, compactions)
	}
	for port, put := range l.put {
		l.answered[port] = len(put) - 1 // close has flushed it
	}
	check("after close")
	return steps
}

// The first record is flushed at once, and all that come meanwhile share the next flush.
func TestJournalCommitsInGroups(t *testing.T) {
	d := newCrashDisk()
	j, _, _ := openTestJournal(t, d, filepath.Join(t.TempDir(), "state"))
	began, release := make(chan struct{}, 100), make(chan struct{})
	syncs := 0
	d.setStep(func(op string) fate {
		if op == "sync" {
			syncs++
			began <- struct{}{}
			<-release
		}
		return succeeds
	})
	const others = 100
	answers := make(chan int, 1+others)
	put := func(n int) {
		j.put(func() record { return numbered(n%10, n+1) }, func(err error) {
			if err != nil {
				t.Error(err)
			}
			answers <- n
		})
	}
	put(0)
	<-began
	for n := range others {
		put(n + 1)
	}
	if len(answers) > 0 {
		t.Error("an answer came before its flush")
	}
	release <- struct{}{}
	if n := <-answers; n != 0 {
		t.Errorf("answer %d was the first", n)
	}
	<-began
	if len(answers) > 0 {
		t.Error("an answer came before its flush")
	}
	release <- struct{}{}
	for range others {
		<-answers
	}
	close(release)
	mustClose(t, j)
	if syncs != 2 && syncs != 3 { // the third is of a compaction
		t.Errorf("%d flushes for %d records", syncs, 1+others)
	}
}

// While the disk fails each answer says so, and the operator is told once. When it no longer does, the next record takes
// along those that failed.
func TestJournalTriesAgain(t *testing.T) {
	for _, op := range []string{"create", "write", "sync", "rename", "syncFolder"} {
		name := filepath.Join(t.TempDir(), "state")
		d := newCrashDisk()
		j, _, logged := openTestJournal(t, d, name)
		mustSave(t, j, numbered(1, 1))
		broken := func(what string) fate {
			if what == op || what == "sync" {
				return fails
			}
			return succeeds
		}
		d.setStep(broken)
		for n := 2; n <= 4; n++ {
			err := save(j, numbered(n, n))
			if !errors.Is(err, errCrashDisk) || !strings.Contains(err.Error(), "the state file could not be written") {
				t.Errorf("%s fails: got %v; want to be told", op, err)
			}
		}
		if told := strings.Count(logged.String(), "the state file cannot be written"); told != 1 {
			t.Errorf("%s fails: the operator was told %d times: %s", op, told, logged)
		}
		d.setStep(func(string) fate { return succeeds })
		mustSave(t, j, numbered(5, 5))
		if !strings.Contains(logged.String(), "the state file is written again") {
			t.Errorf("%s: the operator was not told that all is well: %s", op, logged)
		}
		mustClose(t, j)
		_, records, _ := openTestJournal(t, osDisk{}, name)
		comparePorts(t, op, records, []record{numbered(1, 1), numbered(2, 2), numbered(3, 3), numbered(4, 4), numbered(5, 5)})
	}
}

// A journal whose file is there opens while the disk fails, and close tells what it could not write.
func TestJournalOpensInSpiteOfTheDisk(t *testing.T) {
	name := filepath.Join(t.TempDir(), "state")
	d := newCrashDisk()
	broken := func(op string) fate {
		if op == "write" {
			return fails
		}
		return succeeds
	}
	d.setStep(broken)
	j := newJournal(name, nil)
	j.disk = d
	if _, err := j.open(); !errors.Is(err, errCrashDisk) || !strings.Contains(err.Error(), "the state file "+name+" cannot be made") {
		t.Errorf("got %v; want to be told that the file cannot be made", err)
	}
	j, _, _ = openTestJournal(t, osDisk{}, name) // the failed attempt has given the lock back
	mustSave(t, j, numbered(1, 1))
	mustClose(t, j)

	j, records, logged := openTestJournal(t, d, name)
	comparePorts(t, "with a broken disk", records, []record{numbered(1, 1)})
	if !strings.Contains(logged.String(), "the state file cannot be written") {
		t.Errorf("the operator was not told: %s", logged)
	}
	if _, err := os.Stat(name + ".tmp"); err == nil {
		t.Error("the half of a file that was written is still there, on a disk that may be full")
	}
	j.put(func() record { return numbered(2, 2) }, nil)
	if err := j.close(); !errors.Is(err, errCrashDisk) {
		t.Errorf("close: got %v; want to be told what became of the last record", err)
	}
	_, records, _ = openTestJournal(t, osDisk{}, name)
	comparePorts(t, "what was there", records, []record{numbered(1, 1)})
}

// A damaged file that is set aside keeps its name until another one has taken it: should the disk fail, the next start
// finds what this one found.
func TestJournalSetsAsideWithoutAGap(t *testing.T) {
	name := filepath.Join(t.TempDir(), "state")
	text := append(append(appendHeader(nil), "x\n"...), numberedLine(1, 1)...)
	if err := os.WriteFile(name, text, 0o600); err != nil {
		t.Fatal(err)
	}
	d := newCrashDisk()
	d.setStep(func(string) fate { return fails })
	for range 2 {
		j, records, _ := openTestJournal(t, d, name)
		comparePorts(t, "damaged, with a broken disk", records, []record{numbered(1, 1)})
		if err := j.close(); !errors.Is(err, errCrashDisk) {
			t.Errorf("close: got %v; want to be told that the new file is not there", err)
		}
	}
}

// The file is compacted as it grows, and goes on growing without complaints of those who wait if it cannot be.
func TestJournalCompacts(t *testing.T) {
	name := filepath.Join(t.TempDir(), "state")
	j, _, _ := openTestJournal(t, quickDisk{}, name)
	for n := 1; n <= 500; n++ {
		mustSave(t, j, numbered(n%2, n))
		if size := sizeOf(t, name); size > 2*testCompactSize {
			t.Fatalf("the file has %d bytes after %d records", size, n)
		}
	}
	mustClose(t, j)
	want := []record{numbered(0, 500), numbered(1, 499)}
	d := newCrashDisk()
	j, records, logged := openTestJournal(t, d, name)
	comparePorts(t, "compacted", records, want)
	d.setStep(func(op string) fate {
		if op == "create" {
			return fails
		}
		return succeeds
	})
	for n := 501; n <= 600; n++ {
		mustSave(t, j, numbered(n%2, n))
	}
	mustClose(t, j)
	if told := strings.Count(logged.String(), "the state file cannot be compacted"); told < 1 || told > 10 {
		t.Errorf("the operator was told %d times that the file grows", told)
	}
	_, records, _ = openTestJournal(t, osDisk{}, name)
	comparePorts(t, "not compacted", records, []record{numbered(0, 600), numbered(1, 599)})
}

// While the disk hangs, no more calls than so many wait for it. Their sessions are not forgotten.
func TestJournalBoundsWhatWaits(t *testing.T) {
	name := filepath.Join(t.TempDir(), "state")
	d := newCrashDisk()
	j, _, _ := openTestJournal(t, d, name)
	began, release := make(chan struct{}, 10), make(chan struct{})
	d.setStep(func(string) fate {
		began <- struct{}{}
		<-release
		return succeeds
	})
	var answers sync.WaitGroup
	answered := func(err error) {
		if err != nil {
			t.Error(err)
		}
		answers.Done()
	}
	put := func(n int) {
		answers.Add(1)
		j.put(func() record { return numbered(n%2, n) }, answered)
	}
	put(1)
	<-began
	for n := range maxWaiting {
		put(n + 1)
	}
	if err := save(j, numbered(5, 5)); !errors.Is(err, errJournalFull) {
		t.Errorf("got %v; want to be told that too many wait", err)
	}
	close(release)
	answers.Wait()
	mustClose(t, j)
	_, records, _ := openTestJournal(t, osDisk{}, name)
	comparePorts(t, "in the end", records, []record{numbered(0, maxWaiting), numbered(1, maxWaiting-1), numbered(5, 5)})
}
