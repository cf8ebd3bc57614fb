package journal

import (
	"errors"
	"io"
	"os"
	"path/filepath"

	"github.com/gofrs/flock"
)

// A disk is what the journal does to files.
type disk interface {
	create(name string) (diskFile, error)
	rename(from, to string) error
	syncFolder(of string) error
}

type diskFile interface {
	io.WriteCloser
	Sync() error
}

type osDisk struct{}

// create makes a file that only its owner reads, for who knows a session's id can use its exit. What has the name is
// left from an attempt that was cut short.
func (osDisk) create(name string) (diskFile, error) {
	if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err // not f, which would be an interface that is not nil
	}
	return f, nil
}

func (osDisk) rename(from, to string) error { return os.Rename(from, to) }

// syncFolder makes the names in a file's folder durable.
func (osDisk) syncFolder(of string) error {
	d, err := os.Open(filepath.Dir(of))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// errLocked says that another has the lock.
var errLocked = errors.New("it is locked")

// lockFile takes a lock that ends with the process at the latest. The file stays, for one that is removed could be locked
// by two, each having its own. It is not the journal's own file, because that one is replaced.
func lockFile(name string) (*flock.Flock, error) {
	lock := flock.New(name, flock.SetFlag(os.O_CREATE|os.O_RDWR), flock.SetPermissions(0o600))
	taken, err := lock.TryLock()
	if err == nil && !taken {
		err = errLocked
	}
	if err != nil {
		_ = lock.Close()
		return nil, err
	}
	return lock, nil
}
