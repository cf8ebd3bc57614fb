package settings

import (
	"fmt"
	"os"
	"path/filepath"

	"proxymap/cmd/proxymap/internal/settings/schema"
)

// maxIncluded is the largest file that a settings file may name, in bytes.
const maxIncluded = 64 << 20

// included gives the items of a section, some at a time: those of its Items, then those of the files that its Files name. An older form
// is a list in the section's place, and the files under a key of their own beside it. lines reads a file that is a list in
// plain text; nil: there are none.
func (r *reader) included(o *object, section string, k *schema.Section, each func(items []node), lines func(file *object)) *object {
	n := o.get(section)
	var list *object
	if n.isList() {
		list = r.object(node{place: n.place, from: n.from}, k)
		each(r.elements(n))
	} else {
		list = r.object(n, k)
		each(list.list("Items"))
	}
	for _, at := range append(list.list("Files"), o.list(section+"Files")...) {
		f := r.object(at, schema.File)
		switch {
		case !f.valid:
		case lines != nil && f.isPlainList():
			lines(f)
		case lines == nil && f.choice("Format") == "Text":
			r.fault(f.get("Format"), "value \"Text\": of proxies alone there are lists in plain text; these must be JSON")
		default:
			each(r.include(f))
		}
	}
	return list
}

// include returns the items of a file.
func (r *reader) include(o *object) []node {
	name := o.text("Path")
	if name == "" {
		r.fault(o.get("Path"), "is missing: the path of a JSON file {\"Items\": […]}")
		return nil
	}
	path := r.pathOf(name)
	text, err := r.read(path)
	if err != nil {
		r.fault(o.get("Path"), "value %q: %v; must be a JSON file {\"Items\": […]}, its path relative to the settings file's folder", name, err)
		return nil
	}
	root, ok := r.parse(path, text, true)
	if !ok {
		return nil
	}
	root.value = root.value.Settle()
	f := r.object(root, schema.Included)
	if f.valid && !f.get("Items").there() {
		r.fault(f.get("Items"), "is missing: the file must be {\"Items\": […]}")
	}
	return f.list("Items")
}

// pathOf is the path of a file that the settings name.
func (r *reader) pathOf(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(filepath.Dir(r.file), name)
}

// readIncluded reads a file that the settings name. What is no ordinary file could be without an end.
func readIncluded(path string) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is no ordinary file", path)
	case info.Size() > maxIncluded:
		return nil, fmt.Errorf("%s has more than %d MiB", path, maxIncluded>>20)
	}
	return os.ReadFile(path)
}
