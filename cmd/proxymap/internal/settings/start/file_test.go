package start

import (
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"proxymap/cmd/proxymap/internal/settings"
	"proxymap/relay"
)

// fileOf is the file that init writes.
func fileOf(t *testing.T, given string) (text string, example bool) {
	t.Helper()
	form, example := read(t, given).Completed()
	if _, faults := form.Settings("/here"); len(faults) > 0 {
		t.Fatal(given, faults)
	}
	return string(form.File(form.UpstreamFile())), example
}

// What a file has where nothing is given, and that it is said.
func TestExample(t *testing.T) {
	for _, row := range []struct {
		given   string
		example bool
		has     []string
	}{
		{"", true, []string{`"Host": "gate.example.com"`, `"Start": 10201, "End": 10300`, `"StickyProxyLifetime": "10m"`, `"SessionAPI": {"Enabled": true, "Domain": "portmapper"},`}},
		{"--ports=1", true, []string{`"Host": "gate.example.com"`, `"Port": 1,`, `// "StickyProxyLifetime"`, `// "SessionAPI"`}},
		{"--upstream=a:1", false, []string{`"Host": "a"`, `"Start": 10201, "End": 10300`, `// "StickyProxyLifetime"`, `// "SessionAPI"`}},
		{"--session-api=false", true, []string{`"SessionAPI": {"Enabled": false},`}},
		{"--lifetime=5", true, []string{`"StickyProxyLifetime": 5,`}},
		{"--lifetime=007", true, []string{`"StickyProxyLifetime": 7,`}},
		{"--upstream=a:1 | --address=::", false, []string{"curl -x http://[::1]:10201 "}},
		{"--upstream=a:1 | --address=0.0.0.0 | --session-api=api.test", false, []string{"curl -x http://127.0.0.1:10201 http://api.test/session/ "}},
	} {
		text, example := fileOf(t, row.given)
		if example != row.example {
			t.Errorf("%q: example is %v", row.given, example)
		}
		for _, part := range row.has {
			if !strings.Contains(text, part) {
				t.Errorf("%q: %s is not in\n%s", row.given, part, text)
			}
		}
	}
}

// commented is a key that can be had by taking the slashes off.
var commented = regexp.MustCompile(`(?m)^( *)// ("[A-Z]\w+": .*|\{.*),$`)

// Whatever a file shows behind slashes can be had by taking them off, each alone.
func TestCommentsOfAFile(t *testing.T) {
	text, _ := fileOf(t, "--upstream=http://u:p@a:1")
	places := commented.FindAllStringSubmatchIndex(text, -1)
	if len(places) != 8 {
		t.Errorf("there are %d keys behind slashes; want 8:\n%s", len(places), text)
	}
	for _, at := range places {
		with := text[:at[3]] + text[at[4]:]
		if strings.Contains(text[at[4]:at[5]], `"Address": "0.0.0.0"`) {
			with = strings.Replace(with, `// "AllowFrom"`, `"AllowFrom"`, 1) // says for whom
		}
		if _, err := settings.Parse("f", []byte(with)); err != nil {
			t.Errorf("with %s: %v", text[at[4]:at[5]], err)
		}
	}
}

// The file of init is the same to the relay as the flags that it was made of.
func TestFileIsTheSame(t *testing.T) {
	for _, given := range []string{
		"--upstream=http://gate.example.com:7000 | --ports=10201-10300",
		"PROXYMAP_UPSTREAM=http://customer:secret@gate.example.com:7000 | PROXYMAP_PORTS=10201-10300 | PROXYMAP_LIFETIME=10m",
		"--upstream=http://customer:a%22%5C%3C%26%C3%BC%2C%22%2C%22b@gate.example.com:7000 | --ports=1 | --lifetime=90s | --session-api=api.test",
		"--upstream=socks5://customer:secret@[2001:db8::1]:1080 | --upstream=socks4://other@b:2 | --upstream=c:3 | --ports=7 | --lifetime=5 | --session-api",
		"--upstream=a:1:customer:secret | --provider=IPRoyal | --ports=1-2 | --lifetime=5",
		"--upstream=a:1 | --provider=iproyal | --ports=1-2 | --session-api=false",
		"--upstream=a:1 | --ports=1-2 | --address=0.0.0.0 | --allow-from=172.16.0.0/12,127.0.0.1 | --allow-from=::1",
		"--upstream=a:1 | --ports=1-2 | --address=::1 | --lifetime=0",
		"--upstream=http://u:p@a:1 | --upstream=http://v:q@b:1 | --spread=PerPort | --ports=1-2",
		"--upstream=http://u:p@a:1 | --upstream-file=list.txt | --ports=1-2 | --lifetime=5",
		"--upstream-file=proxies | --ports=1-2 | --spread=PerPort",
		"--upstream-file=list.txt | --ports=1-2 | --provider=iproyal | --lifetime=1h",
	} {
		form := read(t, given)
		folder := t.TempDir()
		for _, name := range []string{"list.txt", "proxies"} {
			if err := os.WriteFile(filepath.Join(folder, name), []byte("c:3:w:s\nd:4\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		flags, faults := form.Settings(folder)
		want, err := settings.Load(settings.Sources{Default: true, Flags: flags, Faults: faults})
		if err != nil {
			t.Fatal(given, err)
		}
		full, _ := form.Completed()
		got, err := settings.Parse(folder+"/appsettings.json", full.File(form.UpstreamFile()))
		if err != nil {
			t.Fatal(given, err)
		}
		if diff := cmp.Diff(relayOf(t, want), relayOf(t, got), cmpopts.IgnoreUnexported(relay.Config{}),
			cmpopts.IgnoreFields(relay.Config{}, "Remedies", "Rules"), cmpopts.IgnoreFields(relay.Mapping{}, "Plan"),
			cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})); diff != "" {
			t.Errorf("%s (-flags +file):\n%s", given, diff)
		}
	}
}

// A sameRelay is a relay's configuration with what its plans do.
type sameRelay struct {
	relay.Config
	Credentials []string
}

func relayOf(t *testing.T, s *settings.Settings) sameRelay {
	t.Helper()
	r := sameRelay{Config: s.Config}
	plan := s.Config.Mappings[0].Plan
	for i := range s.Config.Mappings[0].Servers {
		one, err := plan.New(0, nil, nil)
		if err != nil {
			one = nil
		}
		user, password, _ := plan.Credentials(one, i, nil)
		if one != nil {
			user, password = strings.ReplaceAll(user, one.ID(), "ID"), strings.ReplaceAll(password, one.ID(), "ID")
		}
		r.Credentials = append(r.Credentials, user+":"+password, plan.Lifetime().String())
	}
	return r
}
