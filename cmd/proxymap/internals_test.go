package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// mostFiles is how many files a reader opens who follows a request head from accept to upstream.
const mostFiles = 12

// A step is a row of docs/internals.md.
type step struct{ file, function string }

var stepRow = regexp.MustCompile("(?m)^\\| `([a-z]+\\.go)` \\| `([A-Za-z.]+)` \\|")

// calledByTable are those that the loop has called through the table of stages, and the poller.
var calledByTable = map[string]bool{"loop.Event": true, "intake.readHead": true, "outbound.onDialEvent": true}

// The way of a request head is as docs/internals.md says: each function is in its file, one above calls it, and the files are
// few.
func TestInternals(t *testing.T) {
	text, err := os.ReadFile("docs/internals.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := stepRow.FindAllStringSubmatch(string(text), -1)
	if len(rows) < 40 {
		t.Fatalf("%d rows: the tables are not as the test reads them", len(rows))
	}
	files := map[string]map[string]map[string]bool{}
	called := calledByTable
	for _, row := range rows {
		at := step{row[1], row[2]}
		if files[at.file] == nil {
			files[at.file] = functionsOf(t, filepath.Join("../../relay", at.file))
		}
		calls, found := files[at.file][at.function]
		if !found {
			t.Errorf("%s has no %s", at.file, at.function)
		}
		if name := at.function[strings.LastIndex(at.function, ".")+1:]; !called[at.function] && !called[name] {
			t.Errorf("%s: nothing above calls it", at.function)
		}
		for name := range calls {
			called[name] = true
		}
	}
	if len(files) > mostFiles {
		t.Errorf("%d files; want at most %d", len(files), mostFiles)
	}
}

// functionsOf are a file's functions and methods, Type.method, with the names that each calls.
func functionsOf(t *testing.T, path string) map[string]map[string]bool {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	functions := map[string]map[string]bool{}
	for _, d := range file.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok {
			continue
		}
		name := f.Name.Name
		if f.Recv != nil {
			of := f.Recv.List[0].Type
			if p, ok := of.(*ast.StarExpr); ok {
				of = p.X
			}
			name = of.(*ast.Ident).Name + "." + name
		}
		functions[name] = callsOf(f)
	}
	return functions
}

// callsOf are the names of what a function calls.
func callsOf(f *ast.FuncDecl) map[string]bool {
	calls := map[string]bool{}
	ast.Inspect(f, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			switch of := call.Fun.(type) {
			case *ast.Ident:
				calls[of.Name] = true
			case *ast.SelectorExpr:
				calls[of.Sel.Name] = true
			}
		}
		return true
	})
	return calls
}
