package main

import (
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const (
	projectFolder = "../.." // from this one
	readmeLines   = 150     // at most; what does not fit is a page of docs
)

// pages are the project's Markdown files that link to each other, by their path in the project.
func pages(t *testing.T) map[string]page {
	t.Helper()
	t.Chdir(projectFolder)
	files, err := filepath.Glob("cmd/proxymap/docs/*.md")
	if err != nil || len(files) < 10 {
		t.Fatalf("docs has %d pages, %v", len(files), err)
	}
	all := map[string]page{}
	for _, file := range append(files, "README.md", "bench/README.md") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all[file] = readPage(string(text))
	}
	return all
}

// A page is what the tests need of a Markdown file: what it links to, and what can be linked to in it.
type page struct {
	links   []string
	anchors map[string]bool
}

var (
	codeBlock  = regexp.MustCompile("(?ms)^```.*?^```$")
	codeSpan   = regexp.MustCompile("`[^`\n]*`")
	inlineLink = regexp.MustCompile(`\]\(([^()\s]*)\)`)
	heading    = regexp.MustCompile(`(?m)^#+ (.*)$`)
	notInSlug  = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

func readPage(text string) page {
	p := page{anchors: map[string]bool{}}
	text = codeBlock.ReplaceAllString(text, "")
	for _, m := range heading.FindAllStringSubmatch(text, -1) {
		slug := strings.ToLower(notInSlug.ReplaceAllString(m[1], ""))
		p.anchors[strings.ReplaceAll(slug, " ", "-")] = true
	}
	for _, m := range inlineLink.FindAllStringSubmatch(codeSpan.ReplaceAllString(text, ""), -1) {
		p.links = append(p.links, m[1])
	}
	return p
}

// broken is what is wrong with a link of file, empty if it leads somewhere. Links to other sites are not followed.
func broken(all map[string]page, file, link string) string {
	u, err := url.Parse(link)
	switch {
	case err != nil:
		return err.Error()
	case u.Scheme != "":
		return ""
	}
	target := linked(file, u)
	if p, ok := all[target]; ok {
		if u.Fragment != "" && !p.anchors[u.Fragment] {
			return "there is no heading for it"
		}
		return ""
	}
	if _, err := os.Stat(target); err != nil {
		return "there is no such file"
	}
	return ""
}

// linked is the file that a link of file leads to.
func linked(file string, u *url.URL) string {
	if u.Path == "" {
		return file
	}
	return filepath.Join(filepath.Dir(file), u.Path)
}

func TestLinksOfTheDocumentsResolve(t *testing.T) {
	all := pages(t)
	for file, p := range all {
		for _, link := range p.links {
			if why := broken(all, file, link); why != "" {
				t.Errorf("%s links to %q: %s", file, link, why)
			}
		}
	}
}

// The check itself finds what it is for.
func TestBrokenLinksAreFound(t *testing.T) {
	all := map[string]page{
		"docs/a.md": readPage("# A page's name\n[x](#gone)\n```\n# no heading, [no](link.md)\n```\n`[no](link)`\n"),
	}
	if got := all["docs/a.md"].links; len(got) != 1 || got[0] != "#gone" {
		t.Errorf("links are %q; want #gone alone", got)
	}
	for link, works := range map[string]bool{
		"#a-pages-name": true, "a.md": true, "a.md#a-pages-name": true, "https://example.com/x": true, "../main.go": true,
		"#gone": false, "b.md": false, "a.md#no-heading-nolinkmd": false, "../docs/missing.go": false,
	} {
		if why := broken(all, "docs/a.md", link); (why == "") != works {
			t.Errorf("%q: %q; works is to be %v", link, why, works)
		}
	}
}

// Who begins at the README finds every page.
func TestEveryPageIsReached(t *testing.T) {
	all := pages(t)
	seen := map[string]bool{}
	var visit func(file string)
	visit = func(file string) {
		if seen[file] {
			return
		}
		seen[file] = true
		for _, link := range all[file].links {
			if u, err := url.Parse(link); err == nil && u.Scheme == "" {
				visit(linked(file, u))
			}
		}
	}
	visit("README.md")
	for file := range all {
		if !seen[file] {
			t.Errorf("no link leads from the README to %s", file)
		}
	}
}

func TestReadmeIsShort(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(projectFolder, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(text), "\n"); n > readmeLines {
		t.Errorf("the README has %d lines; want at most %d", n, readmeLines)
	}
}
