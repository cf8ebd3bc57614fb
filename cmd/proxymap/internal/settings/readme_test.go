package settings

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"proxymap/cmd/proxymap/internal/settings/schema"
)

// documents is the text of the README and of the pages of docs.
func documents(t *testing.T) string {
	t.Helper()
	root := "."
	for range 8 {
		if _, err := os.Stat(filepath.Join(root, "go.mod")); err == nil {
			break
		}
		root = filepath.Join(root, "..")
	}
	pages, err := filepath.Glob(filepath.Join(root, "cmd/proxymap/docs/*.md"))
	if err != nil || len(pages) == 0 {
		t.Fatalf("no pages of docs, %v", err)
	}
	var all strings.Builder
	for _, file := range append(pages, filepath.Join(root, "README.md")) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	return all.String()
}

// documentedSettings are what the documents show as settings.
func documentedSettings(t *testing.T) (texts []string) {
	t.Helper()
	blocks := regexp.MustCompile("(?s)```json\n(.*?)```").FindAllStringSubmatch(documents(t), -1)
	if len(blocks) < 8 {
		t.Fatalf("%d blocks of settings", len(blocks))
	}
	for _, block := range blocks {
		texts = append(texts, block[1])
	}
	return texts
}

// documented reads settings that the documents show.
func documented(text string) (*Settings, error) {
	r := newReader("f", []string{"PROVIDER_USER=u", "CREDENTIALS_DIRECTORY=/c"}, func(string) ([]byte, error) { return []byte(`{"Items": []}`), nil })
	return r.settings(r.layer(nil, "f", []byte(text)))
}

// What the documents show as settings is a settings file, or a section of one.
func TestDocumentedSettings(t *testing.T) {
	for _, text := range documentedSettings(t) {
		file := text
		if !strings.Contains(file, `"Listen"`) {
			file = `{"Listen": {"Port": 1, "Action": "Bypass"}, ` + strings.TrimPrefix(file, "{")
		}
		if s, err := documented(file); err != nil || len(s.Warnings) > 0 {
			t.Errorf("%s%v, %+v", text, err, s)
		}
	}
}

// Who pastes a password from the documents and makes it theirs sends it: to each upstream of what is a whole, and of what is
// said to be a fragment to one that is beside it.
func TestDocumentedPasswordsAreSent(t *testing.T) {
	sent := 0
	for _, text := range documentedSettings(t) {
		if !strings.Contains(text, `"Password"`) {
			continue
		}
		file := text
		if !strings.Contains(file, `"Listen"`) {
			file = `{"Listen": {"Port": 1, "StickyProxyLifetime": 10}, "ProxyServers": [{"Host": "a", "Port": 2}], ` + strings.TrimPrefix(file, "{")
		}
		s, err := documented(file)
		if err != nil {
			t.Errorf("%s%v", text, err)
			continue
		}
		for i := range s.Config.Mappings {
			m := &s.Config.Mappings[i]
			for server := range len(m.Servers) + len(s.Config.RuleServers) {
				if _, password := m.Plan.Account(server); password == "" && (server >= len(m.Servers) || len(s.Config.RuleServers) == 0) {
					t.Errorf("%sno password goes to server %d", text, server)
				}
				sent++
			}
			if len(m.Servers)+len(s.Config.RuleServers) == 0 {
				t.Errorf("%sthere is no upstream that the password could go to", text)
			}
		}
	}
	if sent < 8 {
		t.Errorf("%d passwords are sent", sent)
	}
}

// Every key has a row in the documents, or is named there.
func TestDocumentsNameEveryKey(t *testing.T) {
	text := documents(t)
	for _, s := range schema.Sections() {
		for _, key := range s.Names() {
			if !regexp.MustCompile("[`.]" + key + "\\b").MatchString(text) {
				t.Errorf("no page says anything of %s", key)
			}
		}
	}
}
