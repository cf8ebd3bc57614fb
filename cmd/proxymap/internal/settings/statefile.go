package settings

import (
	"os"
	"path/filepath"
)

// stateFile reads where sessions are kept. The file is made by the first start, its folder is not.
func (r *reader) stateFile(o *object) string {
	name, n := o.text("File"), o.get("File")
	if name == "" {
		return ""
	}
	path := r.pathOf(name)
	info, err := os.Stat(path)
	folder, folderErr := os.Stat(filepath.Dir(path))
	switch {
	case path == filepath.Clean(r.file):
		r.fault(n, "value %q: is this settings file; name one of its own", name)
	case err == nil && !info.Mode().IsRegular():
		r.fault(n, "value %q: is no ordinary file; name one that is, or that is not there yet", name)
	case folderErr != nil:
		r.fault(n, "value %q: its folder must exist: %v", name, folderErr)
	case !folder.IsDir():
		r.fault(n, "value %q: %s is no folder", name, filepath.Dir(path))
	}
	return path
}
