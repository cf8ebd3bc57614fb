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

// What the documents show as settings is a settings file, or a section of one.
func TestDocumentedSettings(t *testing.T) {
	blocks := regexp.MustCompile("(?s)```json\n(.*?)```").FindAllStringSubmatch(documents(t), -1)
	if len(blocks) < 8 {
		t.Fatalf("%d blocks of settings", len(blocks))
	}
	for _, block := range blocks {
		file := block[1]
		if !strings.Contains(file, `"Listen"`) {
			file = `{"Listen": {"Port": 1, "Action": "Bypass"}, ` + strings.TrimPrefix(file, "{")
		}
		r := newReader("f", []string{"PROVIDER_USER=u", "CREDENTIALS_DIRECTORY=/c"}, func(string) ([]byte, error) { return []byte(`{"Items": []}`), nil })
		if s, err := r.settings(r.layer(nil, "f", []byte(file))); err != nil || len(s.Warnings) > 0 {
			t.Errorf("%s%v, %+v", block[1], err, s)
		}
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
