package settings

import (
	"encoding/binary"
	"os"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"

	"proxymap/cmd/proxymap/internal/settings/layer"
)

const deny = `"Action":"Deny"`

// layered loads appsettings.json in a folder with files, and returns what check prints of its layers, with DIR for the
// folder.
func layered(t *testing.T, files map[string]string, environ []string, flags []layer.Setting, origins bool) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		write(t, dir, name, text)
	}
	s, err := Load(Sources{File: dir + "/appsettings.json", Default: true, Environ: environ, Flags: flags})
	if err != nil {
		return strings.ReplaceAll(err.Error(), dir, "DIR")
	}
	var out strings.Builder
	if err := s.DescribeLayers(&out, origins); err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(out.String(), dir, "DIR")
}

// A later layer counts over an earlier one, and check says where each value is from.
func TestLayers(t *testing.T) {
	files := map[string]string{
		"appsettings.json": `{"Logging": {"LogLevel": "x"}, "SessionAPI": {"Enabled": false}, "Authentication": {"Jwt": {"Key": "hidden"}},
			"Listen": {"Port": 1, "Address": "127.0.0.9", ` + deny + `, "MaxRequests": "bad"}}`,
		"appsettings.Production.json": "{\n\"SessionAPI:Enabled\": true,\n\"Listen\": {\"Port\": 2, \"BusyPort\": \"Skip\", \"MaxRequests\": null}}",
		"appsettings.Other.json":      `{"Listen": {"Port": 3}}`,
	}
	environ := []string{"LISTEN__PORT=4", "Authentication__Username__Env=NAME", "NAME=hidden-user", "X__Y=1", "Logging__A=2", "PATH=/bin"}
	got := layered(t, files, environ, []layer.Setting{{Path: []string{"Listen", "BusyPort"}, Value: "Fail", From: "flag --x"}}, true)
	const want = `layers: DIR/appsettings.json, then DIR/appsettings.Production.json, then environment (3 values), then command line
  Logging.LogLevel             ***          DIR/appsettings.json:1
  Logging.A                    ***          environment Logging__A
  SessionAPI.Enabled           true         DIR/appsettings.Production.json:2
  Authentication.Jwt.Key       ***          DIR/appsettings.json:1
  Authentication.Username.Env  "NAME"       environment Authentication__Username__Env
  Listen.PORT                  "4"          environment LISTEN__PORT
  Listen.Address               "127.0.0.9"  DIR/appsettings.json:2
  Listen.Action                "Deny"       DIR/appsettings.json:2
  Listen.MaxRequests           null         DIR/appsettings.Production.json:3
  Listen.BusyPort              "Fail"       flag --x
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("origins (-want +got):\n%s", diff)
	}
}

// Which file is that of the environment, and which layers there are.
func TestEnvironmentFiles(t *testing.T) {
	port := `{"Listen": {"Port": 1, ` + deny + `}}`
	all := map[string]string{"appsettings.Production.json": port, "appsettings.A.json": port, "appsettings.B.json": port, "appsettings.C.json": port}
	for _, row := range []struct {
		name    string
		files   map[string]string
		environ []string
		want    string
	}{
		{"the default, without a file", all, nil, "layers: DIR/appsettings.Production.json\n"},
		{"an empty name counts for nothing", all, []string{"PROXYMAP_ENVIRONMENT=", "DOTNET_ENVIRONMENT=B"}, "layers: DIR/appsettings.B.json\n"},
		{"the first of three", all, []string{"ASPNETCORE_ENVIRONMENT=C", "DOTNET_ENVIRONMENT=B", "PROXYMAP_ENVIRONMENT=A"}, "layers: DIR/appsettings.A.json\n"},
		{"the second of three", all, []string{"ASPNETCORE_ENVIRONMENT=C", "DOTNET_ENVIRONMENT=B"}, "layers: DIR/appsettings.B.json\n"},
		{"the third", all, []string{"ASPNETCORE_ENVIRONMENT=C"}, "layers: DIR/appsettings.C.json\n"},
		{"one without a file", map[string]string{"appsettings.json": port}, []string{"DOTNET_ENVIRONMENT=B"}, "layers: DIR/appsettings.json\n"},
		{"a path", all, []string{"DOTNET_ENVIRONMENT=../x"},
			`settings: environment DOTNET_ENVIRONMENT: value "../x": must be a name such as Production or Development, and no path`},
		{"nothing", nil, nil,
			"settings: 1 fault; nothing is started\nsettings: no port to listen on; read: nothing; not there: DIR/appsettings.json, DIR/appsettings.Production.json"},
		{"no mapping", map[string]string{"appsettings.json": "{}"}, []string{"Logging__X=1"},
			"DIR/appsettings.json: 1 fault; nothing is started\nDIR/appsettings.json:1: no port to listen on: ProxyMappings must be a list of at least one mapping, " +
				"or Listen be there; read: DIR/appsettings.json, environment (1 value); not there: DIR/appsettings.Production.json"},
		{"variables alone", nil, []string{"ProxyMappings__3__Listen__Port=7", "ProxyMappings__3__Listen__Action=Deny"}, "layers: environment (2 values)\n"},
	} {
		if diff := cmp.Diff(row.want, layered(t, row.files, row.environ, nil, false)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", row.name, diff)
		}
	}
}

// A file that is named must be there; its environment's file may be missing, and there is none beside a file that is not
// called .json.
func TestNamedFile(t *testing.T) {
	dir := t.TempDir()
	if _, err := Load(Sources{File: dir + "/my.json", Environ: []string{"Listen__Port=1", "Listen__Action=Deny"}}); err == nil ||
		!strings.HasSuffix(err.Error(), "my.json: no such file or directory") {
		t.Errorf("a named file that is missing: %v", err)
	}
	write(t, dir, "my.json", `{"Listen":{"Port":1,`+deny+`}}`)
	write(t, dir, "my.Production.json", `{"Listen":{"Port":2}}`)
	write(t, dir, "my.conf", `{"Listen":{"Port":1,`+deny+`}}`)
	write(t, dir, "my.Production.conf", `{"Listen":{"Port":2}}`)
	for name, want := range map[string]uint16{"my.json": 2, "my.conf": 1} {
		s, err := Load(Sources{File: dir + "/" + name})
		if err != nil || s.Config.Mappings[0].First != want {
			t.Errorf("%s: got %+v, %v; want port %d", name, s, err, want)
		}
	}
	if err := os.Mkdir(dir+"/my.B.json", 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(Sources{File: dir + "/my.json", Environ: []string{"DOTNET_ENVIRONMENT=B"}}); err == nil || !strings.Contains(err.Error(), "no ordinary file") {
		t.Errorf("a folder as the environment's file: %v", err)
	}
}

// Mappings whose numbers have gaps follow one another, as .NET has it.
func TestGaps(t *testing.T) {
	s, err := Load(Sources{File: "none.json", Default: true, Environ: []string{
		"ProxyMappings__10__Listen__Port=1", "ProxyMappings__9__Listen__Port=2", "ProxyMappings__2__Listen__Port=3",
	}})
	if err != nil {
		t.Fatal(err)
	}
	var got []uint16
	for _, m := range s.Config.Mappings {
		got = append(got, m.First)
	}
	if diff := cmp.Diff([]uint16{3, 2, 1}, got); diff != "" {
		t.Errorf("ports (-want +got):\n%s", diff)
	}
}

// A fault names where its value came from, and the layers are told in their order.
func TestLayerFaults(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name       string
		main, over string // appsettings.json and appsettings.Production.json; empty: not there
		environ    []string
		want       string // of the faults, behind the first line
	}{
		{"a value of a later file", `{"Listen":{"Port":1}}`, "{\n\"Listen\":{\"Port\":0}}", nil,
			`DIR/appsettings.Production.json:2: Listen.Port: value "0": must be a whole number from 1 to 65535`},
		{"a variable", `{"ProxyMappings":[{"Listen":{"Port":1}}]}`, "", []string{"ProxyMappings__0__Listen__Port=x"},
			`environment ProxyMappings__0__Listen__Port: ProxyMappings[0].Listen.Port: value "x": must be a whole number from 1 to 65535`},
		{"an unknown key of a variable", `{"Listen":{"Port":1}}`, "", []string{"Listen__Prt=1"},
			`environment Listen__Prt: Listen.Prt: unknown key; did you mean "Port"?`},
		{"an unknown key that a later layer has too", `{"Listen":{"Port":1,"Prt":1}}`, `{"Listen":{"Prt":2}}`, nil,
			`DIR/appsettings.Production.json:1: Listen.Prt: unknown key; did you mean "Port"?`},
		{"an empty part of a variable", `{"Listen":{"Port":1}}`, "", []string{"Listen__=1"},
			`environment Listen__: Listen.: unknown key; allowed here: Port`},
		{"a variable twice", `{"Listen":{"Port":1}}`, "", []string{"Listen__Port=1", "LISTEN__PORT=2"},
			`environment Listen__Port: Listen.Port: is there more than once: environment LISTEN__PORT is the same key (keys are the same in any case)`},
		{"a variable in a section's place", `{"Listen":{"Port":1}}`, "", []string{"Listen__PortRange=1-2"},
			`environment Listen__PortRange: Listen.PortRange: stands beside Port: use one of the two`},
		{"a variable in a list's place", `{"Listen":{"Port":1}}`, "", []string{"ProxyServers__Items=a:1"},
			`environment ProxyServers__Items: ProxyServers.Items: a string: must be a list: […]`},
		{"a list that has an item without a number", `{"Listen":{"Port":1}}`, "", []string{"ProxyServers__Items__first__Host=a"},
			`environment ProxyServers__Items__first__Host: ProxyServers.Items: value {…}: must be a list: […]`},
		{"a number of an item that is none", `{"ProxyMappings":[{"Listen":{"Port":1}}]}`, "", []string{"ProxyMappings__01__Listen__Port=2"},
			`environment ProxyMappings__01__Listen__Port: ProxyMappings.01: is no number of an item: this is a list`},
		{"a number of an item that is too large", `{"ProxyMappings":[{"Listen":{"Port":1}}]}`, "", []string{"ProxyMappings__99999999999999999999__Listen__Port=2"},
			`environment ProxyMappings__99999999999999999999__Listen__Port: ProxyMappings.99999999999999999999: is no number of an item: this is a list`},
		{"a file that is null", `null`, "", nil, `DIR/appsettings.json:1: null: must be an object: {…}`},
		{"a network that is null", `{"Listen":{"Port":1,"AllowFrom":[null]}}`, "", nil, `DIR/appsettings.json:1: Listen.AllowFrom[0]: value null: must be`},
		{"a key that a terminal acts upon", `{"Listen":{"Port":1,"\u001b[2J\n":1}}`, "", nil, `DIR/appsettings.json:1: Listen.?[2J?: unknown key; allowed here: `},
		{"a line of a list as a host", `{"Listen":{"Port":1},"ProxyServers":[{"Host":"gate:7000:customer:hidden","Port":1}]}`, "", nil,
			`DIR/appsettings.json:1: ProxyServers[0].Host: value "gate:7000:***": must be a host name or an IP address, without a port`},
		{"a line of a list as a port", `{"Listen":{"Port":1},"ProxyServers":[{"Host":"a","Port":"7000:customer:hidden"}]}`, "", nil,
			`DIR/appsettings.json:1: ProxyServers[0].Port: value "7000:***": must be a whole number from 1 to 65535`},
		{"a URL as a file", `{"Listen":{"Port":1},"ProxyServers":{"Files":[{"Path":"http://customer:hidden@gate:7000"}]}}`, "", nil,
			`DIR/appsettings.json:1: ProxyServers.Files[0].Path: value "http://***@gate:7000": stat DIR/http:/***@gate:7000: no such file or directory; must be`},
		{"a URL as an address", `{"Listen":{"Port":1,"Address":"http://customer:hidden@gate:7000"}}`, "", nil,
			`DIR/appsettings.json:1: Listen.Address: value "http://***@gate:7000": must be an IP address`},
		{"guarded by no password", `{"Listen":{"Port":1,"Address":"0.0.0.0"},"Authentication":{"Required":true,"Verify":true,"Username":"u"}}`, `{"Authentication":{"Password":null}}`, nil,
			`DIR/appsettings.json:1: Listen.Address: value "0.0.0.0": anything but a loopback address needs Listen.AllowFrom`},
		{"a list and an object", `{"Listen":{"Port":1},"ProxyServers":[{"Host":"a","Port":1}]}`, `{"ProxyServers":{"Items":[]}}`, nil,
			`DIR/appsettings.json:1: ProxyServers.0: is an item of a list, and another layer has an object here, with keys such as "Items": use one of the two forms`},
		{"both forms, in two layers", `{"ProxyMappings":[{"Listen":{"Port":1}}]}`, "", []string{"Listen__Port=2"},
			`DIR/appsettings.json:1: ProxyMappings: stands beside a top-level Listen (environment Listen__Port): use one of the two forms`},
		{"a file that is no object", `[]`, "", nil, `DIR/appsettings.json:1: value […]: must be an object: {…}`},
		{"a later file that is no object", `{"Listen":{"Port":1}}`, `1`, nil, `DIR/appsettings.Production.json:1: a number: must be an object: {…}`},
		{"a later file that is empty", `{"Listen":{"Port":1}}`, " ", nil, `DIR/appsettings.Production.json:1: the file is empty: it must hold JSON`},
		{"a later file that is no JSON", `{"Listen":{"Port":1}}`, "{\n\"Password\": hidden}", nil, `DIR/appsettings.Production.json:2: not JSON: line 2, column 13: invalid literal`},
		{"half of UTF-16", "\xff\xfe{\x00}", "", nil, `DIR/appsettings.json:1: is cut off: its byte-order mark says UTF-16, and it has an odd number of bytes`},
		{"a split key that is there", `{"Listen":{"Port":1},"Listen:Port":2}`, "", nil, `DIR/appsettings.json:1: Listen.Port: the key is there more than once`},
		{"a secret that is a list", `{"Listen":{"Port":1},"Authentication":{"Password":["hidden"]}}`, "", nil,
			`DIR/appsettings.json:1: Authentication.Password: value […]: must be a string, {"Env": "NAME"} or {"File": "PATH"}`},
		{"a secret of nothing", `{"Listen":{"Port":1},"Authentication":{"Password":{}}}`, "", nil,
			`DIR/appsettings.json:1: Authentication.Password: has neither Env nor File: must be a string, {"Env": "NAME"} or {"File": "PATH"}`},
		{"a secret of two", `{"Listen":{"Port":1},"Authentication":{"Password":{"Env":"A","File":"B"}}}`, "", nil,
			`DIR/appsettings.json:1: Authentication.Password.File: stands beside Env: use one of the two`},
		{"a secret with a typo", `{"Listen":{"Port":1},"Authentication":{"Password":{"Fil":"B"}}}`, "", nil,
			`DIR/appsettings.json:1: Authentication.Password.Fil: unknown key; did you mean "File"?`},
		{"a secret of no variable", `{"Listen":{"Port":1},"Authentication":{"Password":{"Env":"A"}}}`, "", nil,
			`DIR/appsettings.json:1: Authentication.Password.Env: value "A": no such variable of the environment; set it, or name another`},
		{"a secret of an empty variable", `{"Listen":{"Port":1},"Authentication":{"Username":{"Env":"A"}}}`, "", []string{"A="},
			`DIR/appsettings.json:1: Authentication.Username.Env: value "A": the variable of the environment is empty`},
		{"a secret of no file", `{"Listen":{"Port":1},"Admin":{"Address":"127.0.0.1:9","Token":{"File":"none"}}}`, "", nil,
			`DIR/appsettings.json:1: Admin.Token.File: value "none": stat DIR/none: no such file or directory; must be a file that holds the secret`},
		{"a secret of a file without a name", `{"Listen":{"Port":1},"Authentication":{"Password":{"File":""}}}`, "", nil,
			`DIR/appsettings.json:1: Authentication.Password.File: is empty: must be the path of a file that holds the secret`},
		{"a secret of no systemd unit", `{"Listen":{"Port":1},"Authentication":{"Password":{"File":"$CREDENTIALS_DIRECTORY/p"}}}`, "", nil,
			`DIR/appsettings.json:1: Authentication.Password.File: value "$CREDENTIALS_DIRECTORY/p": CREDENTIALS_DIRECTORY is not set; systemd sets it for a unit that has LoadCredential=`},
		{"a user name of no variable, that goes upstream", `{"Listen":{"Port":1},"Authentication":{"SetAuthentication":true,"Verify":true,"Username":{"Env":"A"}}}`, "", nil,
			`DIR/appsettings.json:1: Authentication.Username.Env: value "A": no such variable of the environment; set it, or name another`},
		{"a secret that is a short token", `{"Listen":{"Port":1},"Admin":{"Address":"127.0.0.1:9","Token":{"Env":"A"}}}`, "", []string{"A=hidden"},
			`DIR/appsettings.json:1: Admin.Token: must be 16 to 256 visible ASCII characters, without a space`},
	} {
		files := map[string]string{}
		if row.main != "" {
			files["appsettings.json"] = row.main
		}
		if row.over != "" {
			files["appsettings.Production.json"] = row.over
		}
		got := layered(t, files, row.environ, nil, false)
		subject := "settings" // of which some are elsewhere
		if strings.HasPrefix(row.want, "DIR/appsettings.json:") {
			subject = "DIR/appsettings.json"
		}
		if first, rest, _ := strings.Cut(got, "\n"); first != subject+": 1 fault; nothing is started" || !strings.HasPrefix(rest, row.want) {
			t.Errorf("%s: got %s\nwant %s", row.name, got, row.want)
		}
		if strings.Contains(got, "hidden") {
			t.Errorf("%s: a secret is told: %s", row.name, got)
		}
	}
}

// The secret's forms, in each place that may have one.
func TestSecrets(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "plain", "\ufeffone")
	write(t, dir, "line", "two\n")
	write(t, dir, "windows", "three\r\n")
	write(t, dir, "token", "0123456789abcdef")
	file := write(t, dir, "appsettings.json", `{"Listen":{"Port":1,"Address":"127.0.0.1"},
		"Authentication":{"Username":{"Env":"USER_NAME"},"Password":{"File":"plain"}},
		"ProxyServers":{"Items":[
			{"Host":"a","Port":1,"Username":"u","Password":{"file":"line"}},
			{"Host":"a","Port":2,"Username":{"File":"windows"},"Password":{"Env":"PASS"}},
			{"Host":"a","Port":3,"Username":"u","Password":{"File":"`+dir+`/plain"}},
			{"Host":"a","Port":5,"Username":"u","Password":{"File":"$CREDENTIALS_DIRECTORY/line"}},
		]},
		"Admin":{"Address":"127.0.0.1:9","Token":{"File":"token"}}}`)
	s, err := Load(Sources{File: file, Environ: []string{"USER_NAME=me", "PASS=a=b ", "CREDENTIALS_DIRECTORY=" + dir}})
	if err != nil {
		t.Fatal(err)
	}
	got := []string{s.mappings[0].auth.account.Username + " " + s.mappings[0].auth.account.Password, s.Admin.Token}
	for _, server := range s.mappings[0].servers {
		got = append(got, server.account.Username+" "+server.account.Password)
	}
	want := []string{"me one", "0123456789abcdef", "u two", "three a=b ", "u one", "u two"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("secrets (-want +got):\n%s", diff)
	}
}

// One line's end is taken off a file, and no more: what is left of two is a fault.
func TestSecretOfTwoLines(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "lines", "four\n\n")
	_, err := Load(Sources{File: write(t, dir, "f.json", `{"Listen":{"Port":1},"Authentication":{"Username":"u","Password":{"File":"lines"}}}`)})
	if err == nil || !strings.HasSuffix(err.Error(), "Authentication.Password: control characters are not allowed, nor is what is not UTF-8") {
		t.Errorf("got %v", err)
	}
}

// UTF-16 with a byte-order mark, as Windows' editors write it, and $schema for editors.
func TestOtherTexts(t *testing.T) {
	raw := []byte("\xff\xfe")
	for _, unit := range utf16.Encode([]rune(`{"$schema": "./x.json", "Listen": {"Port": 7, "Action": "Deny"}}`)) {
		raw = binary.LittleEndian.AppendUint16(raw, unit)
	}
	s, err := Parse("f", raw)
	if err != nil || s.Config.Mappings[0].First != 7 || len(s.Warnings) > 0 {
		t.Errorf("got %+v, %v", s, err)
	}
	if _, err := Parse("f", []byte(`{"Listen": {"$schema": "x", "Port": 7}}`)); err == nil {
		t.Error("$schema in a section is taken")
	}
}

// Who asks for no secret needs none: those that cannot be read here are no fault then.
func TestLackSecrets(t *testing.T) {
	file := write(t, t.TempDir(), "f.json", `{"Listen":{"Port":1,"StickyProxyLifetime":1},
		"Authentication":{"Required":true,"Verify":true,"SetAuthentication":true,"Username":{"Env":"A"},"Password":{"File":"none"}},
		"ProxyServers":[{"Host":"a","Port":1,"ProxyType":"Socks5","Username":"u","Password":{"File":"$CREDENTIALS_DIRECTORY/p"}}],
		"Admin":{"Address":"127.0.0.1:9","Token":{"Env":""}}}`)
	if _, err := Load(Sources{File: file}); err == nil || !strings.Contains(err.Error(), ": 4 faults;") {
		t.Errorf("got %v; want 4 faults", err)
	}
	s, err := Load(Sources{File: file, LackSecrets: true})
	if err != nil {
		t.Fatal(err)
	}
	if a, known := s.Access(1); !known || a.User != nil || s.Admin.Token != NotRead {
		t.Errorf("got %+v, token %q", a, s.Admin.Token)
	}
	if _, err := Load(Sources{File: write(t, t.TempDir(), "f.json", `{"Listen":{"Port":0},"Admin":{"Address":"x","Token":{"Env":"A"}}}`), LackSecrets: true}); err == nil ||
		!strings.Contains(err.Error(), ": 2 faults;") {
		t.Errorf("got %v; want the 2 other faults", err)
	}
}

// The settings file may be a pipe, but none without an end.
func TestEndlessFile(t *testing.T) {
	if _, err := Load(Sources{File: "/dev/zero"}); err == nil || err.Error() != "settings: /dev/zero has more than 64 MiB" {
		t.Errorf("got %v", err)
	}
	if _, err := Load(Sources{File: "http://customer:hidden@gate:7000/none.json"}); err == nil || strings.Contains(err.Error(), "hidden") {
		t.Errorf("got %v", err)
	}
}
