package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/gofrs/flock"
)

const (
	lazyTime     = 500 * time.Millisecond // that a record nobody waits for may wait
	closeTime    = 10 * time.Second       // for the last records to be written
	maxWaiting   = 1 << 16                // calls that may wait for the disk
	compactSize  = 1 << 20                // bytes of a file that is not worth compacting
	compactRatio = 4                      // to the size that the last compaction left
)

// A journal keeps the ports' sessions in a file, so that a restart, a crash or a power cut loses nothing that was
// answered. Records are appended, from a goroutine of its own. The first is flushed at once; what comes meanwhile
// shares the next flush. What was not flushed in the end is not trusted: a kernel that failed to write a page may take
// it as written from then on. So after an error the whole file is written anew, with the next record.
type journal struct {
	name string
	disk disk
	lock *flock.Flock
	log  *slog.Logger
	now  func() int64

	compactSize int // the constant, but in tests

	mu      sync.Mutex
	pending map[netip.AddrPort]record // the newest of each port that is not being flushed yet
	waiting []func(error)             // for the flush of what is pending
	closed  bool

	urgent, lazy chan struct{} // of one place each: something is pending
	stop         chan struct{}
	ended        chan struct{}

	// The goroutine's own.
	live    map[netip.AddrPort]record // the newest of each port
	foreign map[foreignKey]foreignRecord
	file    diskFile // nil: there is none yet
	size    int      // of file
	limit   int      // size from which on the file is compacted
	stale   bool     // file cannot be appended to
	failing bool     // the last flush did
	err     error    // of the last flush of all
}

// openJournal opens a journal, or makes one, and returns the sessions in it that have not expired, by port. A damaged
// file is set aside, and does not keep the journal from being opened. log gets what an operator should know.
func openJournal(name string, log *slog.Logger) (*journal, []record, error) {
	j := newJournal(name, log)
	records, err := j.open()
	if err != nil {
		return nil, nil, err
	}
	return j, records, nil
}

func newJournal(name string, log *slog.Logger) *journal {
	return &journal{
		name: name, disk: osDisk{}, log: log, now: func() int64 { return time.Now().UnixNano() }, compactSize: compactSize,
		pending: make(map[netip.AddrPort]record), live: make(map[netip.AddrPort]record),
		urgent: make(chan struct{}, 1), lazy: make(chan struct{}, 1), stop: make(chan struct{}), ended: make(chan struct{}),
	}
}

func (j *journal) open() ([]record, error) {
	lock, err := lockFile(j.name + ".lock")
	if err == errLocked {
		return nil, fmt.Errorf("the state file %s is locked by another running proxymap; stop it, or name another file", j.name)
	}
	if err != nil {
		return nil, fmt.Errorf("the state file %s cannot be locked: %w; name a file in a folder that exists and can be written to", j.name, err)
	}
	j.lock = lock
	if err := j.load(); err != nil {
		_ = lock.Close()
		return nil, err
	}
	records := slices.SortedFunc(maps.Values(j.live), func(a, b record) int { return a.Port.Compare(b.Port) })
	go j.run()
	return records, nil
}

// load reads the file and writes it anew. This drops a line that was cut off, which nothing may be appended to, and what
// has expired; and what a crash left unflushed is flushed, for it is in force from now on.
func (j *journal) load() error {
	info, err := os.Stat(j.name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := j.rewrite(); err != nil {
			return fmt.Errorf("the state file %s cannot be made: %w; see whether the disk is full or the folder cannot be written to", j.name, err)
		}
		return nil
	case err != nil:
		return fmt.Errorf("the state file cannot be read: %w", err)
	case !info.Mode().IsRegular():
		return fmt.Errorf("the state file %s is not a regular file (mode %v); name another one", j.name, info.Mode())
	}
	f, err := os.Open(j.name)
	if err != nil {
		return fmt.Errorf("the state file cannot be read: %w", err)
	}
	var reader journalReader
	reader.read(f)
	_ = f.Close()
	j.live, j.foreign = reader.newest, reader.foreign
	if reader.skipped > 0 {
		j.log.Warn("the state file has records of a newer version that cannot be kept; they are dropped", "file", j.name, "dropped", reader.skipped)
	}
	if reader.damaged() {
		j.setAside(&reader)
	}
	if err := j.rewrite(); err != nil {
		j.log.Error("the state file cannot be written; the sessions in it are in force, and the next change of a session tries again", "file", j.name, "error", err)
		j.failing = true
	}
	return nil
}

// setAside gives a damaged file a second name. Its own is then taken over by the new file, so that there is one at any
// moment. Where a file cannot have two names it is moved.
func (j *journal) setAside(reader *journalReader) {
	aside := j.name + ".damaged-" + time.Unix(0, j.now()).UTC().Format("20060102T150405.000000000Z")
	err := os.Link(j.name, aside)
	if err != nil {
		err = os.Rename(j.name, aside)
	}
	if err != nil {
		aside = err.Error()
	}
	args := []any{"file", j.name, "aside", aside, "damaged lines", reader.bad, "ports kept", len(reader.newest)}
	if reader.err != nil {
		args = append(args, "error", reader.err)
	}
	j.log.Error("the state file is damaged and is set aside; what could be read is kept, but ports may have lost their session, or have an older one back", args...)
}

// put has the record of a port written. It does not block, and may be called from any goroutine. done, if not nil, is
// called once: with nil when the record, or a newer one of the port, is on disk. Without it the flush is within a second.
//
// read is called at once, one call at a time. Of two that changed one port's session the first may come here last: if
// read tells what the port's session is now, and not what the change was, the newest counts nevertheless.
func (j *journal) put(read func() record, done func(error)) {
	err := j.note(read, done)
	switch {
	case done == nil:
		notify(j.lazy)
	case err != nil:
		done(err)
	default:
		notify(j.urgent)
	}
}

var (
	errJournalClosed = errors.New("the relay stops, and its state file takes no more sessions; ask again when it has been started")
	errJournalFull   = fmt.Errorf("%d calls wait for the state file to be written already; see whether its disk hangs", maxWaiting)
)

func (j *journal) note(read func() record, done func(error)) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return errJournalClosed
	}
	r := read()
	j.pending[r.Port] = r
	if done == nil {
		return nil
	}
	if len(j.waiting) >= maxWaiting {
		return errJournalFull
	}
	j.waiting = append(j.waiting, done)
	return nil
}

func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// close flushes what was put and gives the file back. The error is of that flush.
func (j *journal) close() error {
	j.mu.Lock()
	first := !j.closed
	j.closed = true
	j.mu.Unlock()
	if first {
		close(j.stop)
	}
	select {
	case <-j.ended:
		return j.err
	case <-time.After(closeTime):
		return fmt.Errorf("the state file %s could not be written within %v; see whether its disk hangs", j.name, closeTime)
	}
}

func (j *journal) run() {
	defer close(j.ended)
	for {
		select {
		case <-j.urgent:
		case <-j.lazy:
			select {
			case <-j.urgent:
			case <-j.stop:
			case <-time.After(lazyTime):
			}
		case <-j.stop:
			j.finish()
			return
		}
		j.flush()
		j.compact()
	}
}

// finish is the last flush. There is no further record to try again with, so it tries twice.
func (j *journal) finish() {
	j.flush()
	if j.stale {
		j.err = j.rewrite()
	}
	if j.file != nil {
		_ = j.file.Close() // all of it has been flushed
	}
	_ = j.lock.Close()
}

// flush writes what is pending and tells those who wait.
func (j *journal) flush() {
	j.mu.Lock()
	fresh, waiting := j.pending, j.waiting
	j.pending, j.waiting = make(map[netip.AddrPort]record), nil
	j.mu.Unlock()
	if len(fresh) == 0 {
		return
	}
	maps.Copy(j.live, fresh)
	var err error
	if j.stale || j.gone() {
		err = j.rewrite()
	} else if err = j.append(fresh); err != nil {
		j.stale = true
	}
	j.report(err)
	if err != nil {
		err = fmt.Errorf("the state file could not be written, so a restart would lose the session: %w; mend that, then change the session again", err)
	}
	for _, done := range waiting {
		done(err)
	}
}

// report tells the operator when flushes begin to fail, and when they no longer do.
func (j *journal) report(err error) {
	switch {
	case err != nil && !j.failing:
		j.log.Error("the state file cannot be written: a restart would lose sessions; each change of a session tries again", "file", j.name, "error", err)
	case err == nil && j.failing:
		j.log.Info("the state file is written again, with all sessions", "file", j.name)
	}
	j.failing = err != nil
}

// gone reports whether somebody has removed the file, or put another in its place: what is appended would be nowhere.
func (j *journal) gone() bool {
	f, ok := j.file.(*os.File)
	if !ok {
		return false
	}
	ours, err := f.Stat()
	if err != nil {
		return true
	}
	there, err := os.Stat(j.name)
	return err != nil || !os.SameFile(ours, there)
}

func (j *journal) append(fresh map[netip.AddrPort]record) error {
	var text []byte
	for _, r := range fresh {
		text = r.appendLine(text)
	}
	n, err := j.file.Write(text)
	j.size += n
	if err != nil {
		return err
	}
	return j.file.Sync()
}

// compact writes the file anew when most of it is of no use any more. Should that fail, the file is good as it is.
func (j *journal) compact() {
	if j.stale || j.size <= j.limit {
		return
	}
	if err := j.rewrite(); err != nil {
		j.limit = 2 * j.size
		j.log.Warn("the state file cannot be compacted, and grows", "file", j.name, "bytes", j.size, "error", err)
	}
}

// rewrite puts a new file with all that is live in the place of the old one, which keeps its name until the new one is
// complete on disk.
func (j *journal) rewrite() error {
	text, now := appendHeader(nil), j.now()
	for port, r := range j.live {
		if r.over(now) {
			delete(j.live, port)
			continue
		}
		text = r.appendLine(text)
	}
	for key, r := range j.foreign {
		if r.over(now) {
			delete(j.foreign, key)
			continue
		}
		text = appendLine(text, r.text)
	}
	if j.file == nil {
		j.stale = true
	}
	temporary := j.name + ".tmp"
	f, err := j.create(temporary, text)
	if err != nil {
		return err
	}
	j.stale = true // from here on file may have lost its name
	if err := j.disk.rename(temporary, j.name); err != nil {
		_ = f.Close()
		return err
	}
	if j.file != nil {
		_ = j.file.Close() // nothing in it is of use any more
	}
	j.file, j.size, j.limit = f, len(text), max(j.compactSize, compactRatio*len(text))
	if err := j.disk.syncFolder(j.name); err != nil {
		return err
	}
	j.stale = false
	return nil
}

// create makes a file with that text, on disk.
func (j *journal) create(name string, text []byte) (diskFile, error) {
	f, err := j.disk.create(name)
	if err != nil {
		return nil, err
	}
	if _, err = f.Write(text); err == nil {
		err = f.Sync()
	}
	if err != nil {
		_ = f.Close()
		_ = os.Remove(name) // a full disk has no room for it
		return nil, err
	}
	return f, nil
}
