package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A wall is what a package may import besides the standard library. A name that ends in / stands for all that is under it.
type wall struct {
	own    []string // packages of this module
	others []string // packages of other modules
	pure   bool     // no I/O, no log and no clock: see impure and clock
}

// house is the import table of design: each package of the module has a row. Tests may import more.
var house = map[string]wall{
	"cmd/proxymap": {
		own:    []string{"bench/provider", "cmd/proxymap/internal/", "relay", "session/journal", "session/wire"}, // the stub provider is the demo's
		others: []string{"github.com/alecthomas/kong"},
	},
	"cmd/proxymap/internal/admin": {
		own:    []string{"relay", "relay/allow", "session", "session/wire"},
		others: []string{"github.com/prometheus/client_golang/"},
	},
	"cmd/proxymap/internal/ctl":     {own: []string{"session/wire"}},
	"cmd/proxymap/internal/e2e":     {},
	"cmd/proxymap/internal/machine": {own: []string{"relay", "session/wire"}},
	"cmd/proxymap/internal/notify":  {others: []string{"github.com/coreos/go-systemd/v22/daemon"}},
	"cmd/proxymap/internal/reload": {
		own: []string{"cmd/proxymap/internal/machine", "cmd/proxymap/internal/settings", "cmd/proxymap/internal/settings/change", "session/wire"},
	},
	"cmd/proxymap/internal/settings": {
		own: []string{"cmd/proxymap/internal/settings/change", "cmd/proxymap/internal/settings/layer", "cmd/proxymap/internal/settings/mask", "cmd/proxymap/internal/settings/near", "cmd/proxymap/internal/settings/schema",
			"cmd/proxymap/internal/settings/serverlist", "httpparse", "relay", "relay/allow", "relay/hostrule", "relay/refusal", "relay/socks", "session", "session/credential"},
	},
	"cmd/proxymap/internal/settings/schema":     {own: []string{"relay", "session", "session/credential"}},
	"cmd/proxymap/internal/settings/serverlist": {pure: true},
	"cmd/proxymap/internal/settings/change":     {own: []string{"session/wire"}, pure: true},
	"cmd/proxymap/internal/settings/mask":       {pure: true},
	"cmd/proxymap/internal/settings/near":       {pure: true},
	"cmd/proxymap/internal/settings/start": {
		own: []string{"cmd/proxymap/internal/settings/layer", "cmd/proxymap/internal/settings/mask", "cmd/proxymap/internal/settings/near", "cmd/proxymap/internal/settings/serverlist"}, pure: true,
	},
	"cmd/proxymap/internal/settings/layer": {others: []string{"github.com/tailscale/hujson"}, pure: true},

	"relay": {
		own:    []string{"httpparse", "relay/", "session", "session/credential"},
		others: []string{"github.com/valyala/bytebufferpool", "golang.org/x/net/idna", "golang.org/x/sys/unix"},
	},
	"relay/allow":           {pure: true},
	"relay/hostrule":        {pure: true},
	"relay/internal/kernel": {others: []string{"github.com/panjf2000/gnet/v2/pkg/socket", "golang.org/x/sys/unix"}},
	"relay/internal/lookup": {},
	"relay/internal/poll": {others: []string{"github.com/panjf2000/gnet/v2/pkg/errors", "github.com/panjf2000/gnet/v2/pkg/netpoll",
		"github.com/panjf2000/gnet/v2/pkg/queue", "golang.org/x/sys/unix"}},
	"relay/internal/race": {pure: true},
	"relay/proxyheader":   {pure: true},
	"relay/refusal":       {own: []string{"relay/socks"}, pure: true},
	"relay/socks":         {pure: true},
	"relay/verdict":       {own: []string{"httpparse"}, pure: true},

	"session":                    {own: []string{"session/credential", "session/wire"}, pure: true},
	"session/credential":         {own: []string{"session/credential/pattern"}, pure: true},
	"session/credential/pattern": {pure: true},
	"session/wire":               {others: []string{"github.com/goccy/go-json"}, pure: true},
	"session/journal":            {own: []string{"session"}, others: []string{"github.com/gofrs/flock"}},

	"httpparse": {pure: true},

	// What measures knows of the relay how to start it, and no more.
	"bench/compare":  {own: []string{"bench/drive", "bench/proc"}, others: []string{"github.com/alecthomas/kong", "golang.org/x/sys/unix"}},
	"bench/drive":    {others: []string{"golang.org/x/sys/unix"}},
	"bench/identity": {own: []string{"bench/proc", "bench/provider"}, others: []string{"github.com/alecthomas/kong"}},
	"bench/load":     {own: []string{"bench/drive"}, others: []string{"github.com/alecthomas/kong"}},
	"bench/micro":    {own: []string{"bench/proc"}, others: []string{"github.com/alecthomas/kong"}},
	"bench/proc":     {others: []string{"golang.org/x/sys/unix"}},
	"bench/provider": {},
	"bench/soak":     {own: []string{"bench/drive", "bench/proc", "bench/provider"}, others: []string{"github.com/alecthomas/kong"}},
}

var (
	// impure are the standard packages that no pure package imports.
	impure = []string{"crypto/tls", "log", "log/", "net", "net/http", "net/http/", "net/rpc", "net/smtp", "os", "os/", "runtime/debug", "syscall"}
	// jsons are the JSON libraries, of which a package has one at most.
	jsons = []string{"encoding/json", "github.com/goccy/go-json", "github.com/tailscale/hujson"}
	// clock are the functions of package time that no pure package uses: time comes in as an argument.
	clock = []string{"After", "AfterFunc", "NewTicker", "NewTimer", "Now", "Since", "Sleep", "Tick", "Until"}
)

// Packages import what the table lets them, and no more.
func TestWalls(t *testing.T) {
	packages := modulePackages(t)
	for name, files := range packages {
		row, known := house[name]
		if !known {
			t.Errorf("%s has no row in the import table (walls_test.go): add one that says what it may import", name)
			continue
		}
		for _, fault := range row.faults(files) {
			t.Errorf("%s: %s", name, fault)
		}
	}
	for name := range house {
		if packages[name] == nil {
			t.Errorf("%s has a row in the import table, but is no package: remove the row", name)
		}
	}
}

// What a table of walls allows and nobody uses is no wall any more.
func TestWallsAreTight(t *testing.T) {
	packages := modulePackages(t)
	for name, row := range house {
		for _, allowed := range slices.Concat(row.own, row.others) {
			used := slices.ContainsFunc(packages[name], func(f sourceFile) bool {
				return slices.ContainsFunc(f.Imports, func(spec *ast.ImportSpec) bool {
					imported, _ := strconv.Unquote(spec.Path.Value)
					return holds([]string{allowed}, strings.TrimPrefix(imported, "proxymap/"))
				})
			})
			if !used {
				t.Errorf("%s may import %s, and does not: take it out of the table", name, allowed)
			}
		}
	}
}

// The page for developers has a row for each package, and no other.
func TestPackagesAreDescribed(t *testing.T) {
	page, err := os.ReadFile("docs/development.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(page), "| package | what it is |\n| --- | --- |\n")
	table, _, _ = strings.Cut(table, "\n\n")
	described := map[string]bool{}
	for row := range strings.Lines(table + "\n") {
		name, _, _ := strings.Cut(strings.TrimPrefix(row, "| `"), "`")
		described[name] = true
		if _, known := house[name]; !known {
			t.Errorf("%q has a row in docs/development.md, but is no package", name)
		}
	}
	for name := range house {
		if !described[name] {
			t.Errorf("%s has no row in docs/development.md", name)
		}
	}
}

// outbound are the files of relay that find a way upstream for a request. They know no HTTP.
var outbound = []string{"attempts.go", "handshake.go", "lookups.go", "outbound.go", "resolve.go", "server.go", "target.go"}

// ofHTTP are the names in relay of what a request and its response are in HTTP.
var ofHTTP = []string{"head", "intake", "method", "partial", "req", "request", "res", "response"}

// Finding a way upstream knows no HTTP, and ends in one place or in one other.
func TestOutboundKnowsNoHTTP(t *testing.T) {
	var files []sourceFile
	for _, f := range modulePackages(t)["relay"] {
		if slices.Contains(outbound, f.name) {
			files = append(files, f)
		}
	}
	if len(files) != len(outbound) {
		t.Fatalf("%d of %d files of outbound are there: put the list right", len(files), len(outbound))
	}
	for _, fault := range faultsOfOutbound(files) {
		t.Error(fault)
	}
}

// faultsOfOutbound are what is in the files of outbound that belongs to another machine.
func faultsOfOutbound(files []sourceFile) (faults []string) {
	ends := map[string]int{"onReached": 0, "refuse": 0, "refuseFor": 0, "refuseWith": 0}
	for _, f := range files {
		for _, spec := range f.Imports {
			if name, _ := strconv.Unquote(spec.Path.Value); holds([]string{"proxymap/httpparse"}, name) {
				faults = append(faults, f.name+" imports httpparse, but it knows no HTTP: what it needs comes in with the route")
			}
		}
		ast.Inspect(f.File, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if slices.Contains(ofHTTP, sel.Sel.Name) {
				faults = append(faults, fmt.Sprintf("%s uses %s, but it knows no HTTP: what it needs comes in with the route", f.name, sel.Sel.Name))
			}
			if _, is := ends[sel.Sel.Name]; is {
				ends[sel.Sel.Name]++
			}
			return true
		})
	}
	for name, want := range map[string]int{"onReached": 1, "refuse": 0, "refuseFor": 0, "refuseWith": 1} {
		if ends[name] != want {
			faults = append(faults, fmt.Sprintf("outbound calls %s in %d places; want %d: it ends in its reached or its failed, which call it", name, ends[name], want))
		}
	}
	return faults
}

// What outbound must not know is seen.
func TestFaultsOfOutboundAreSeen(t *testing.T) {
	const ends = "\nvar _, _ = t.onReached, c.refuseWith"
	for _, row := range []struct{ name, code, want string }{
		{"none", "import \"net/netip\"" + ends, ""},
		{"the parser", "import \"proxymap/httpparse\"" + ends, "f.go imports httpparse"},
		{"the parser by another name", "import h \"proxymap/httpparse\"" + ends, "f.go imports httpparse"},
		{"a method", "var _ = x.method" + ends, "f.go uses method"},
		{"two places in which it fails", "var _ = c.refuseWith" + ends, "outbound calls refuseWith in 2 places; want 1"},
		{"an answer beside them", "var _ = c.refuse" + ends, "outbound calls refuse in 1 places; want 0"},
		{"no end", "", "outbound calls onReached in 0 places; want 1"},
	} {
		parsed, err := parser.ParseFile(token.NewFileSet(), "f.go", "package p\n"+row.code, 0)
		if err != nil {
			t.Fatal(err)
		}
		faults := strings.Join(faultsOfOutbound([]sourceFile{{parsed, "f.go"}}), "; ")
		if (row.want == "") != (faults == "") || !strings.Contains(faults, row.want) {
			t.Errorf("%s: got %q; want %q", row.name, faults, row.want)
		}
	}
}

// shellLines is how long the program's own package may be: what needs more has a package under internal.
const shellLines = 1000

func TestShellIsSmall(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	lines := 0
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		lines += strings.Count(string(text), "\n")
	}
	if lines < 100 || lines >= shellLines {
		t.Errorf("package main has %d lines; want fewer than %d", lines, shellLines)
	}
}

// Each package says in its doc.go what it is.
func TestPackageDocs(t *testing.T) {
	for name, files := range modulePackages(t) {
		i := slices.IndexFunc(files, func(f sourceFile) bool { return f.name == "doc.go" })
		if i < 0 {
			t.Errorf("%s has no doc.go, which says what the package is, what it may import and what never", name)
			continue
		}
		want := "Package " + path.Base(name) + " "
		if files[i].Name.Name == "main" {
			want = "Command " + path.Base(name) + " "
		}
		if text := files[i].Doc.Text(); !strings.HasPrefix(text, want) {
			t.Errorf("%s/doc.go: the package comment begins with %.40q; want %q", name, text, want)
		} else if !strings.Contains(text, "import") || !strings.Contains(text, "never") {
			t.Errorf("%s/doc.go: it does not say what the package may import, and what never", name)
		}
	}
}

// faults are what is in files that the wall keeps out.
func (w wall) faults(files []sourceFile) (faults []string) {
	used := map[string]bool{} // JSON libraries
	for _, f := range files {
		for _, spec := range f.Imports {
			name, _ := strconv.Unquote(spec.Path.Value)
			if why := w.refuses(name); why != "" {
				faults = append(faults, fmt.Sprintf("%s imports %s, %s", f.name, name, why))
			}
			if slices.Contains(jsons, name) {
				used[name] = true
			}
		}
		if w.pure {
			faults = append(faults, f.clockUses()...)
		}
	}
	if len(used) > 1 {
		faults = append(faults, "it imports two libraries for JSON; use one")
	}
	return faults
}

// refuses says why a package may not be imported, or nothing.
func (w wall) refuses(name string) string {
	own, isOwn := strings.CutPrefix(name, "proxymap/")
	first, _, _ := strings.Cut(name, "/")
	switch {
	case isOwn && !holds(w.own, own):
		return fmt.Sprintf("but of this module it may import %q", w.own)
	case !isOwn && strings.Contains(first, ".") && !holds(w.others, name):
		return fmt.Sprintf("but of other modules it may import %q", w.others)
	case w.pure && holds(impure, name):
		return "but it is pure: no I/O, no log, no clock"
	}
	return ""
}

// holds reports whether a list of packages, and of folders that end in /, has a package.
func holds(list []string, name string) bool {
	return slices.ContainsFunc(list, func(item string) bool {
		return item == name || strings.HasSuffix(item, "/") && strings.HasPrefix(name, item)
	})
}

// A sourceFile is a Go file that is no test, for whatever system.
type sourceFile struct {
	*ast.File
	name string
}

// clockUses are the places where a file reads the clock, or waits.
func (f sourceFile) clockUses() (faults []string) {
	local := ""
	for _, spec := range f.Imports {
		if spec.Path.Value == `"time"` {
			local = "time"
			if spec.Name != nil {
				local = spec.Name.Name
			}
		}
	}
	if local == "." {
		return []string{f.name + ` imports time under the name ".", where no use of the clock is seen`}
	}
	ast.Inspect(f.File, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := sel.X.(*ast.Ident); ok && local != "" && x.Name == local && slices.Contains(clock, sel.Sel.Name) {
				faults = append(faults, fmt.Sprintf("%s uses time.%s, but it is pure: time comes in as an argument", f.name, sel.Sel.Name))
			}
		}
		return true
	})
	return faults
}

// modulePackages are the module's packages by their folders, each with its files.
func modulePackages(t *testing.T) map[string][]sourceFile {
	t.Helper()
	packages := map[string][]sourceFile{}
	err := filepath.WalkDir(projectFolder, func(file string, entry fs.DirEntry, err error) error {
		switch name := entry.Name(); {
		case err != nil:
			return err
		case entry.IsDir() && file != projectFolder && (name == "testdata" || name[0] == '.' || name[0] == '_'):
			return filepath.SkipDir
		case entry.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		folder, err := filepath.Rel(projectFolder, filepath.Dir(file))
		if err != nil {
			return err
		}
		folder = filepath.ToSlash(folder)
		packages[folder] = append(packages[folder], sourceFile{parsed, entry.Name()})
		return nil
	})
	if err != nil || len(packages) < 10 {
		t.Fatalf("the module has %d packages, %v", len(packages), err)
	}
	return packages
}

// What the walls keep out is seen.
func TestWallsAreSeen(t *testing.T) {
	for _, row := range []struct {
		name string
		wall wall
		code string
		want string // in a fault; empty: there is none
	}{
		{"own package", wall{own: []string{"session"}}, `import "proxymap/session"`, ""},
		{"own package under a folder", wall{own: []string{"relay/"}}, `import "proxymap/relay/socks"`, ""},
		{"package of another name", wall{own: []string{"relay"}}, `import "proxymap/relay/socks"`, `f.go imports proxymap/relay/socks, but of this module it may import ["relay"]`},
		{"package above", wall{}, `import "proxymap/relay"`, "f.go imports proxymap/relay, but of this module it may import []"},
		{"module", wall{others: []string{"golang.org/x/sys/unix"}}, `import "golang.org/x/sys/unix"`, ""},
		{"module's other package", wall{others: []string{"golang.org/x/sys/unix"}}, `import "golang.org/x/sys/cpu"`, "but of other modules it may import"},
		{"sockets", wall{}, `import "net"`, ""},
		{"sockets of a pure one", wall{pure: true}, `import "net"`, "f.go imports net, but it is pure"},
		{"files of a pure one", wall{pure: true}, `import "os/exec"`, "f.go imports os/exec, but it is pure"},
		{"log of a pure one", wall{pure: true}, `import "log/slog"`, "f.go imports log/slog, but it is pure"},
		{"addresses of a pure one", wall{pure: true}, `import "net/netip"`, ""},
		{"time as a value", wall{pure: true}, "import \"time\"\nconst a = time.Second", ""},
		{"clock", wall{}, "import \"time\"\nvar a = time.Now()", ""},
		{"clock of a pure one", wall{pure: true}, "import \"time\"\nfunc f() { g(time.Now) }", "f.go uses time.Now, but it is pure"},
		{"clock by another name", wall{pure: true}, "import w \"time\"\nvar a = w.Since(b)", "f.go uses time.Since, but it is pure"},
		{"two JSON libraries", wall{others: []string{"github.com/"}}, "import \"encoding/json\"\nimport \"github.com/goccy/go-json\"", "it imports two libraries for JSON"},
		{"clock without a name", wall{pure: true}, "import . \"time\"\nvar a = Now()", `f.go imports time under the name "."`},
	} {
		parsed, err := parser.ParseFile(token.NewFileSet(), "f.go", "package p\n"+row.code, 0)
		if err != nil {
			t.Fatal(row.name, err)
		}
		got := strings.Join(row.wall.faults([]sourceFile{{parsed, "f.go"}}), "; ")
		if !strings.Contains(got, row.want) || row.want == "" && got != "" {
			t.Errorf("%s: got %q; want %q", row.name, got, row.want)
		}
	}
}
