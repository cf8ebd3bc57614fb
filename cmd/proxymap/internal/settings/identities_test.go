package settings

import (
	"os"
	"strings"
	"testing"

	"proxymap/cmd/proxymap/internal/settings/layer"
)

// A list whose lines may be an identity each is told of, if ids are put into their user names.
func TestIdentitiesWithIDsAreToldOf(t *testing.T) {
	const several = "gate:7000:customer-1:p\ngate:7000:customer-2:p\n"
	const withID = `"UsernameParameters":[{"Name":"session","Value":"^[a-z]{12}","SessionId":true}]`
	const text = "append a session's id to the user names of s.txt, several of which are for one host and port: if each line is one identity already, set ProxyServers.Spread to PerPort and remove "
	for _, row := range []struct{ name, list, auth, spread, want string }{
		{"an id", several, withID, "Turn", text + "UsernameParameters"},
		{"a provider", several, `"Provider":"oxylabs"`, "Turn", text + "Provider"},
		{"a template", several, `"Template":{"Username":"{username}-{session}"}`, "Turn", text + "Template"},
		{"a template without an id", several, `"Template":{"Username":"{username}-x"}`, "Turn", ""},
		{"a parameter that is no id", several, `"UsernameParameters":[{"Name":"country","Value":"us"}]`, "Turn", ""},
		{"no id", several, ``, "Turn", ""},
		{"a port each", several, withID, "PerPort", ""},
		{"one user name", "gate:7000:customer:p\ngate:7000:customer:q\n", withID, "Turn", ""},
		{"other ports", "gate:7000:customer-1:p\ngate:7001:customer-2:p\n", withID, "Turn", ""},
		{"no user names", "gate:7000\ngate:7000:customer:p\n", withID, "Turn", ""},
	} {
		_, s, err := listed(t, "s.txt", row.list, `{"Listen":{"Port":10201,"StickyProxyLifetime":10},"Authentication":{`+row.auth+
			`},"ProxyServers":{"Items":[{"Host":"gate","Port":7000,"Username":"other"}],"Files":[{"Path":"LIST"}],"Spread":"`+row.spread+`"}}`)
		if err != nil {
			t.Fatal(row.name, err)
		}
		got := ""
		for _, w := range s.Warnings {
			if strings.Contains(w, "one identity") {
				got += strings.TrimPrefix(w, "ports 127.0.0.1:10201 ")
			}
		}
		if got != row.want {
			t.Errorf("%s: got %q; want %q", row.name, got, row.want)
		}
	}
}

// Who has started without a file has written no parameter, and so is told of the flag.
func TestIdentitiesOfFlagsAreToldOf(t *testing.T) {
	file := t.TempDir() + "/list"
	if err := os.WriteFile(file, []byte("gate:7000:customer-1:p\ngate:7000:customer-2:p\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for flag, remedy := range map[string]string{
		"flag --upstream-file":                                         "use --spread PerPort, and no id is appended",
		"environment PROXYMAP_UPSTREAM_FILE":                           "use --spread PerPort, and no id is appended",
		"environment Authentication__UsernameParameters__0__SessionId": "set ProxyServers.Spread to PerPort and remove UsernameParameters",
	} {
		set := func(value string, path ...string) layer.Setting {
			return layer.Setting{Path: path, Value: value, From: flag}
		}
		s, err := Load(Sources{File: file + ".json", Default: true, Flags: []layer.Setting{
			set("10201", "Listen", "Port"), set("10m", "Listen", "StickyProxyLifetime"),
			set(file, "ProxyServers", "Files", "0", "Path"), set("Text", "ProxyServers", "Files", "0", "Format"),
			set("session", "Authentication", "UsernameParameters", "0", "Name"), set("^[a-z]{12}", "Authentication", "UsernameParameters", "0", "Value"),
			set("true", "Authentication", "UsernameParameters", "0", "SessionId"),
		}})
		if err != nil || len(s.Warnings) != 1 || !strings.HasSuffix(s.Warnings[0], "one identity already, "+remedy) {
			t.Errorf("%s: got %+v, %v; want %s", flag, s, err, remedy)
		}
	}
}
