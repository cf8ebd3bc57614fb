package settings

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"proxymap/cmd/proxymap/internal/settings/layer"
	"proxymap/cmd/proxymap/internal/settings/mask"
	"proxymap/cmd/proxymap/internal/settings/schema"
)

// Sources are what settings are put together from, each over those before it: a file, the file of the environment beside
// it, variables of the environment, flags.
type Sources struct {
	File    string          // NAME.json; the files that the settings name are beside it
	Default bool            // File may be missing, because nobody has named it
	Environ []string        // NAME=VALUE
	Flags   []layer.Setting // of the command line, and of the variables that stand for flags
	Faults  []layer.Fault   // of flags, and of those variables, of which no setting could be made

	// LackSecrets says that secrets which cannot be read here, from a variable or a file, are no fault: they may be there
	// for the relay alone. NotRead stands in their place.
	LackSecrets bool

	// Again says that a process runs with such settings already: see Settings.Again.
	Again bool
}

// A Layer is one that was read.
type Layer struct {
	Name   string // of a file; else "environment" or "command line"
	Values int    // that variables of keys gave; of others 0: they are not counted
}

// ErrNothing says that there is no file, no variable and no flag with a setting.
var ErrNothing = errors.New("no settings at all")

// environments are the variables that name the environment, in the order in which they count.
var environments = []string{"PROXYMAP_ENVIRONMENT", "DOTNET_ENVIRONMENT", "ASPNETCORE_ENVIRONMENT"}

// defaultEnvironment is that of hosts which do not say.
const defaultEnvironment = "Production"

// Load reads settings and the files that they name. The error names every fault of them, on a line each.
func Load(from Sources) (*Settings, error) {
	r := newReader(from.File, from.Environ, readIncluded)
	root, err := r.load(&from)
	if err != nil {
		return nil, errors.New("settings: " + mask.Text(err.Error()))
	}
	return r.settings(root)
}

// Parse is Load with the text of a settings file alone; name is for messages, and its folder is where the files are that
// the text names.
func Parse(name string, text []byte) (*Settings, error) {
	r := newReader(name, nil, readIncluded)
	return r.settings(r.layer(nil, name, text))
}

// Again are the sources that s was read from, to be read anew by the process that runs with s. A file that nobody has named
// must then be there if it was before, for one that has vanished is hardly meant to say nothing, and must be an ordinary
// one, for a pipe has been read. Faults say that nothing has changed.
func (s *Settings) Again(from Sources) Sources {
	from.Again, from.Default = true, s.File == ""
	return from
}

func newReader(file string, environ []string, read func(string) ([]byte, error)) *reader {
	return &reader{file: file, environ: environ, read: read, faults: faults{file: file}}
}

// load merges the layers.
func (r *reader) load(from *Sources) (root *layer.Value, err error) {
	r.lackSecrets, r.faults.again = from.LackSecrets, from.Again
	readFile := readMain
	if from.Again {
		readFile = r.read
	}
	text, err := readFile(from.File)
	switch {
	case err == nil:
		r.main = from.File
		root = r.layer(root, from.File, text)
	case !from.Default || !errors.Is(err, fs.ErrNotExist):
		return nil, err
	default:
		r.faults.file = "settings"
		r.absent = append(r.absent, from.File)
	}
	name, err := r.environmentFile()
	if err != nil {
		return nil, err
	}
	text, err = r.read(name)
	switch {
	case name == "":
	case err == nil:
		root = r.layer(root, name, text)
	case errors.Is(err, fs.ErrNotExist):
		r.absent = append(r.absent, name)
	default:
		return nil, err
	}
	root = r.flat(root, "environment", layer.FromEnvironment(from.Environ, isSection))
	r.note(from.Faults)
	return r.flags(root, from.Flags), nil
}

// readMain reads the settings file, which may be a pipe that somebody writes to.
func readMain(name string) ([]byte, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxIncluded+1))
	if err == nil && len(text) > maxIncluded {
		err = fmt.Errorf("%s has more than %d MiB", name, maxIncluded>>20)
	}
	return text, err
}

// environmentFile is the name of the environment's file; empty: there can be none.
func (r *reader) environmentFile() (string, error) {
	name := defaultEnvironment
	for _, variable := range environments {
		value, _ := r.variable(variable)
		if value == "" {
			continue
		}
		if strings.ContainsAny(value, `/\`) {
			return "", fmt.Errorf("environment %s: value %q: must be a name such as Production or Development, and no path", variable, value)
		}
		name = value
		break
	}
	ext := filepath.Ext(r.file)
	if !strings.EqualFold(ext, ".json") {
		return "", nil
	}
	return strings.TrimSuffix(r.file, ext) + "." + name + ext, nil
}

// variable is one of the environment.
func (r *reader) variable(name string) (value string, found bool) {
	for _, one := range r.environ {
		if key, value, ok := strings.Cut(one, "="); ok && key == name {
			return value, true
		}
	}
	return "", false
}

// isSection reports whether a key stands at the top of the settings.
func isSection(name string) bool { return schema.Root.Has(name) || schema.Root.Ignores(name) }

// layer lays a file's text over what is there.
func (r *reader) layer(base *layer.Value, name string, text []byte) *layer.Value {
	r.layers = append(r.layers, Layer{Name: name})
	root, ok := r.parse(name, text, false)
	if !ok {
		return base
	}
	if root.value.Kind != layer.Object {
		r.fault(root, "%s: must be an object: {…}", root.kind())
		return base
	}
	return layer.Merge(base, root.value)
}

// flat lays single settings over what is there.
func (r *reader) flat(base *layer.Value, name string, list []layer.Setting) *layer.Value {
	if len(list) == 0 {
		return base
	}
	r.layers = append(r.layers, Layer{name, len(list)})
	return r.over(base, list)
}

// flags lays those of the command line over what is there, and the variables that stand for some. Both are one layer, for
// a flag may say that what earlier layers have does not count; but they are named apart.
func (r *reader) flags(base *layer.Value, list []layer.Setting) *layer.Value {
	list = layer.Counting(list, base)
	var variables, flags bool
	for i := range list {
		isVariable := strings.HasPrefix(list[i].From, "environment ")
		variables, flags = variables || isVariable, flags || !isVariable
	}
	if variables {
		r.layers = append(r.layers, Layer{Name: "environment PROXYMAP_…"})
	}
	if flags {
		r.layers = append(r.layers, Layer{Name: "command line"})
	}
	if len(list) == 0 {
		return base
	}
	return r.over(base, list)
}

// over lays single settings over what is there.
func (r *reader) over(base *layer.Value, list []layer.Setting) *layer.Value {
	over, faults := layer.Of(list, r.count+1)
	r.count += len(list)
	r.note(faults)
	return layer.Merge(base, over)
}

// parse reads a file as JSON, a layer or one that a layer names.
func (r *reader) parse(name string, text []byte, included bool) (root node, ok bool) {
	r.count++
	in, err := layer.NewSource(name, text, r.count)
	in.Included = included
	if err != nil {
		r.faults.add(layer.Origin{Source: in}, "", err.Error())
		return node{}, false
	}
	v, faults := layer.Parse(in)
	r.note(faults)
	if v == nil {
		return node{}, false
	}
	return node{value: v, from: v.From}, true
}

func (r *reader) note(faults []layer.Fault) {
	for _, f := range faults {
		r.faults.add(f.From, f.Path, f.Text)
	}
}

// lookedIn tells where settings were looked for, if that was more than one file.
func (r *reader) lookedIn() string {
	if len(r.absent) == 0 && len(r.layers) < 2 {
		return ""
	}
	var names []string
	for _, l := range r.layers {
		names = append(names, l.String())
	}
	text := "; read: " + cmp.Or(strings.Join(names, ", "), "nothing")
	if len(r.absent) > 0 {
		text += "; not there: " + strings.Join(r.absent, ", ")
	}
	return text
}

// String names a layer.
func (l Layer) String() string {
	if l.Values == 0 {
		return l.Name
	}
	return fmt.Sprintf("%s (%s)", l.Name, count(l.Values, "value"))
}

// settings binds what all layers say.
func (r *reader) settings(root *layer.Value) (*Settings, error) {
	s := &Settings{File: r.main, layers: r.layers}
	switch {
	case root != nil:
		root = root.Settle()
		s.values = node{value: root, from: root.From}
		r.root(s, s.values)
	case len(r.faults.list) == 0:
		r.faults.add(layer.Origin{Source: &layer.Source{Name: "settings"}}, "", "no port to listen on"+r.lookedIn())
		r.faults.nothing = true
	}
	if len(r.faults.list) > 0 {
		return nil, &r.faults
	}
	if len(r.ignored) > 0 {
		s.Warnings = append(s.Warnings, "without effect here, as a relay does not look into TLS, cache, serve files or have a dashboard: "+
			strings.Join(r.ignored, ", "))
	}
	return s, nil
}
