package main

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// What the README shows as settings is a settings file, or a section of one.
func TestReadmeSettings(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```json\n(.*?)```").FindAllSubmatch(text, -1)
	if len(blocks) < 4 {
		t.Fatalf("%d blocks of settings", len(blocks))
	}
	for _, block := range blocks {
		file := string(block[1])
		if !strings.Contains(file, `"Listen"`) {
			file = `{"Listen": {"Port": 1, "Action": "Bypass"}, ` + strings.TrimPrefix(file, "{")
		}
		if s, err := parseSettings("f", []byte(file)); err != nil || len(s.warnings) > 0 {
			t.Errorf("%s%v, %+v", block[1], err, s)
		}
	}
}

// Every key has a row in the README, or is named there.
func TestReadmeNamesEveryKey(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range []keys{
		rootKeys, mappingKeys, listenKeys, portRangeKeys, authKeys, parameterKeys, serverKeys, ruleKeys, apiKeys, httpKeys, statsKeys,
		adminKeys, limitKeys, serverListKeys, ruleListKeys, fileKeys,
	} {
		for _, key := range slices.Concat(k.known, k.later) {
			if !regexp.MustCompile("[`.]" + key + "\\b").Match(text) {
				t.Errorf("the README says nothing of %s", key)
			}
		}
	}
}
