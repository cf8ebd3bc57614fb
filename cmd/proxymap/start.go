package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"

	"github.com/alecthomas/kong"

	"proxymap/cmd/proxymap/internal/settings"
	"proxymap/cmd/proxymap/internal/settings/layer"
	"proxymap/cmd/proxymap/internal/settings/start"
)

// defaultConfig is the settings file that nobody needs to name, and which may be missing.
const defaultConfig = "appsettings.json"

// settingsFlags are those of commands that read settings.
type settingsFlags struct {
	Config *string `help:"Settings file, appsettings.json unless given ($$PROXYMAP_CONFIG)." placeholder:"FILE"`
	start.Flags

	lackSecrets bool // those that cannot be read here are no fault
}

// errNothing is what somebody reads who has just built proxymap.
var errNothing = errors.New(`nothing says which ports to listen on, and which upstream proxy to use: there is no ` + defaultConfig + `, no variable and no flag.
The shortest start:

  PROXYMAP_UPSTREAM=http://USER:PASSWORD@HOST:PORT proxymap serve --ports 10201-10300 --lifetime 10m

A commented settings file with the same, to be changed:

  PROXYMAP_UPSTREAM=http://USER:PASSWORD@HOST:PORT proxymap init --ports 10201-10300 --lifetime 10m`)

// load reads the settings that flags, the environment and files are.
func (f *settingsFlags) load() (*settings.Settings, error) {
	from, warnings, err := f.sources(nil)
	if err != nil {
		return nil, err
	}
	return loadFrom(from, warnings)
}

// sources are where load reads, and warnings of it. What else is wrong with the command line is told with the settings'
// faults.
func (f *settingsFlags) sources(faults []layer.Fault) (from settings.Sources, warnings []string, err error) {
	environ := os.Environ()
	file, err := start.ConfigFile(f.Config, environ)
	if err != nil {
		return from, nil, err
	}
	folder, err := os.Getwd()
	if err != nil {
		return from, nil, err
	}
	form := start.Read(f.Flags, environ)
	from = settings.Sources{File: cmp.Or(file, defaultConfig), Default: file == "", Environ: environ}
	from.Flags, from.Faults = form.Settings(folder)
	from.Faults = append(from.Faults, faults...)
	from.LackSecrets = f.lackSecrets
	return from, form.Warnings(), nil
}

// loadFrom reads settings.
func loadFrom(from settings.Sources, warnings []string) (*settings.Settings, error) {
	set, err := settings.Load(from)
	switch {
	case errors.Is(err, settings.ErrNothing):
		return nil, errNothing
	case err != nil:
		return nil, err
	}
	set.Warnings = append(warnings, set.Warnings...)
	return set, nil
}

type initCommand struct {
	Output string `help:"File to write, ${default} unless given. One that is there is never replaced." default:"appsettings.json" placeholder:"FILE"`
	start.Flags
}

// Run writes a settings file, and replaces none.
func (c initCommand) Run(s streams) error {
	environ := os.Environ()
	folder, err := os.Getwd()
	if err != nil {
		return err
	}
	given := start.Read(c.Flags, environ)
	for _, w := range given.Warnings() {
		fmt.Fprintln(s.err, "proxymap: warning:", w)
	}
	form, example := given.Completed()
	from := settings.Sources{Default: true} // there is no file: what it says must come of the flags alone
	from.Flags, from.Faults = form.Settings(folder)
	if _, err := settings.Load(from); err != nil {
		return err
	}
	text := form.File(pathFrom(folder, c.Output, form.UpstreamFile()))
	if _, err := settings.Parse(c.Output, text); err != nil {
		return err
	}
	if err := writeNew(c.Output, text); err != nil {
		return err
	}
	_, err = fmt.Fprint(s.out, initDone(c.Output, example))
	return err
}

// pathFrom is the path of a file as the settings in another name it.
func pathFrom(folder, settingsFile, path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	if rel, err := filepath.Rel(filepath.Dir(settingsFile), path); err == nil {
		return rel
	}
	return filepath.Join(folder, path)
}

// writeNew writes a file that is not there yet, for its owner alone: it has passwords.
func writeNew(name string, text []byte) error {
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	switch {
	case errors.Is(err, os.ErrExist):
		return fmt.Errorf("%s is there already, and is left as it is: remove it, or name another with --output", name)
	case err != nil:
		return err
	}
	_, err = file.Write(text)
	if err = errors.Join(err, file.Chmod(0o600), file.Close()); err != nil {
		_ = os.Remove(name) // a part of it is of no use
	}
	return err
}

// initDone says what to do next.
func initDone(output string, example bool) string {
	text := "wrote " + output + ", which you alone may read\n"
	if example {
		text += "next, put your provider's host, port, user name and password into ProxyServers in it\n"
	}
	config := ""
	if output != defaultConfig {
		config = " --config " + output
	}
	return text + fmt.Sprintf("proxymap check%[1]s shows how it is understood, proxymap serve%[1]s starts\n", config)
}

// A textsMapper adds one text for each time that a flag is given.
type textsMapper struct{}

func (textsMapper) Decode(ctx *kong.DecodeContext, target reflect.Value) error {
	var text string
	if err := ctx.Scan.PopValueInto("value", &text); err != nil {
		return err
	}
	target.Set(reflect.Append(target, reflect.ValueOf(text)))
	return nil
}

// An optionalMapper takes the text behind a flag's =, or start.Alone if there is no =.
type optionalMapper struct{}

func (optionalMapper) Decode(ctx *kong.DecodeContext, target reflect.Value) error {
	text := start.Alone
	if ctx.Scan.Peek().Type == kong.FlagValueToken {
		if err := ctx.Scan.PopValueInto("value", &text); err != nil {
			return err
		}
	}
	target.Set(reflect.ValueOf(&text))
	return nil
}

// IsBool has kong take the flag without a value.
func (optionalMapper) IsBool() bool { return true }
