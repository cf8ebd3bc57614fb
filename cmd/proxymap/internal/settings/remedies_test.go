package settings

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"proxymap/cmd/proxymap/internal/settings/schema"
	"proxymap/relay"
	"proxymap/relay/refusal"
)

// allKeys are all keys that mean something.
func allKeys() (names []string) {
	for _, s := range schema.Sections() {
		names = append(names, s.Names()...)
	}
	return names
}

// humps are words that no sentence but one about settings has.
var humps = regexp.MustCompile(`^([A-Z][a-z]+.*[A-Z].*|TTL.*|Username|Password)$`)

// membersOfCalls are keys that the Session API's calls have too.
var membersOfCalls = map[string]bool{"OnRotate": true, "UsernameParameters": true}

// Nothing that the relay and what it stands on say to clients or log names a key of the settings: these come from here, as
// remedies.
func TestRelayNamesNoSettings(t *testing.T) {
	known := map[string]bool{}
	for _, name := range allKeys() {
		if humps.MatchString(name) {
			known[name] = !membersOfCalls[name]
		}
	}
	if !known["RejectHttpProxy"] || !known["ProxyServers"] || known["Host"] {
		t.Fatalf("the keys are %v", known)
	}
	words := regexp.MustCompile(`[A-Za-z]+`)
	files := 0
	said := sentences(t, "../../../../relay", &files)
	said = append(said, sentences(t, "../../../../session", &files)...)
	said = append(said, sentences(t, "../../../../httpparse", &files)...)
	for _, literal := range said {
		for _, word := range words.FindAllString(literal.text, -1) {
			if known[word] {
				t.Errorf("%s: %q names the key %s; put it into remedies", literal.at, literal.text, word)
			}
		}
	}
	if files < 60 {
		t.Errorf("%d files were looked at; want all of relay, session and httpparse", files)
	}
}

type literal struct {
	at   token.Position
	text string
}

// sentences are the string literals with a space in the sources under root, tests left out.
func sentences(t *testing.T, root string, files *int) (found []literal) {
	t.Helper()
	set := token.NewFileSet()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(set, path, nil, 0)
		if err != nil {
			return err
		}
		*files++
		ast.Inspect(file, func(n ast.Node) bool {
			if l, ok := n.(*ast.BasicLit); ok && l.Kind == token.STRING {
				if text, err := strconv.Unquote(l.Value); err == nil && strings.Contains(text, " ") {
					found = append(found, literal{set.Position(l.Pos()), text})
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// A remedy is for a code that says something without it, and names a key that there is.
func TestRemedies(t *testing.T) {
	words := regexp.MustCompile(`[A-Za-z]+`)
	known := map[string]bool{}
	for _, name := range allKeys() {
		known[name] = true
	}
	for code, remedy := range remedies {
		text := refusal.Refusal{Code: code}.Text(remedies)
		if !strings.HasSuffix(text, "; "+remedy) {
			t.Errorf("code %d: %q does not end with its remedy", code, text)
		}
		named := false
		for _, word := range words.FindAllString(remedy, -1) {
			named = named || known[word]
			if humps.MatchString(word) && !known[word] && word != "Socks" {
				t.Errorf("code %d: %q names %s, which is no key", code, remedy, word)
			}
		}
		if !named {
			t.Errorf("code %d: %q names no key", code, remedy)
		}
	}
	if remedies[refusal.NoUpstream] == "" || remedies[refusal.PlainRejected] == "" {
		t.Error("the usual mistakes have no remedy")
	}
}

// Of what the settings can do something about, why a relay cannot listen says so, and remains what it is.
func TestExplain(t *testing.T) {
	busy := fmt.Errorf("port 1: %w", relay.ErrPortBusy)
	if err := Explain(busy); !errors.Is(err, relay.ErrPortBusy) || !strings.Contains(err.Error(), "port 1: ") || !strings.Contains(err.Error(), "Listen.BusyPort") {
		t.Errorf("got %v", err)
	}
	if err := Explain(io.EOF); err != io.EOF {
		t.Errorf("got %v; want EOF", err)
	}
}
