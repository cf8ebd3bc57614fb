package settings

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// servers are so many, as settings have them.
func servers(n int) string {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprintf(`{"Host": "10.0.%d.%d", "Port": 80, "Username": "name-%03d", "Password": "p"}`, (i+1)>>8, (i+1)&255, i+1))
	}
	return "[" + strings.Join(list, ",") + "]"
}

func TestSpread(t *testing.T) {
	for _, row := range []struct {
		name, text string
		perPort    bool
		fault      string
	}{
		{"by default", `"ProxyServers": {"Items": LIST}`, false, ""},
		{"turn", `"ProxyServers": {"Items": LIST, "Spread": "Turn"}`, false, ""},
		{"per port, in any case", `"ProxyServers": {"Items": LIST, "Spread": "perport"}`, true, ""},
		{"beside a plain list", `"ProxyServers": LIST, "ProxyServersSpread": "PerPort"`, true, ""},
		{"beside the section", `"ProxyServers": {"Items": LIST}, "ProxyServersSpread": "PerPort"`, true, ""},
		{"beside a plain list, turn", `"ProxyServers": LIST, "ProxyServersSpread": "Turn"`, false, ""},
		{"both", `"ProxyServers": {"Items": LIST, "Spread": "PerPort"}, "ProxyServersSpread": "PerPort"`, false,
			"ProxyServersSpread: stands beside ProxyServers.Spread: use one of the two"},
		{"another name", `"ProxyServers": {"Items": LIST, "Spread": "Random"}`, false, `ProxyServers.Spread: value "Random": must be Turn or PerPort`},
		{"another name beside a list", `"ProxyServers": LIST, "ProxyServersSpread": ["Turn"]`, false,
			`ProxyServersSpread: value […]: must be Turn or PerPort`},
	} {
		for _, wrap := range []string{`{"Listen": {"Port": 10201}, BODY}`, `{"ProxyMappings": [{"Listen": {"Port": 10201}, BODY}]}`} {
			text := strings.ReplaceAll(strings.ReplaceAll(wrap, "BODY", row.text), "LIST", servers(1))
			s, err := Parse("f", []byte(text))
			if row.fault != "" {
				if err == nil || !strings.HasSuffix(err.Error(), row.fault) {
					t.Errorf("%s: got %v; want %s", row.name, err, row.fault)
				}
				continue
			}
			if err != nil || s.Config.Mappings[0].PerPort != row.perPort {
				t.Errorf("%s: got %+v, %v; want %t", row.name, s, err, row.perPort)
			}
		}
	}
	if _, err := Parse("f", []byte(`{"Listen": {"Port": 1, "Action": "Bypass"}, "HostRules": {"Spread": "PerPort"}}`)); err == nil {
		t.Error("rules can be spread")
	}
}

// check shows which port has which server, and of many the first and the last.
func TestSpreadIsShown(t *testing.T) {
	for _, row := range []struct {
		name           string
		ports, servers int
		spread         string
		want           []string
		warning        string
	}{
		{"as many", 2, 2, "PerPort", []string{
			"  upstream     one for each port, out of 2 in their order",
			"  port 10201   http 10.0.0.1:80, user name like n***1, password ***",
			"  port 10202   http 10.0.0.2:80, user name like n***2, password ***",
		}, ""},
		{"more ports", 3, 2, "PerPort", []string{
			"  upstream     one for each port, out of 2 in their order",
			"  port 10201   http 10.0.0.1:80, user name like n***1, password ***",
			"  port 10202   http 10.0.0.2:80, user name like n***2, password ***",
			"  port 10203   http 10.0.0.1:80, user name like n***1, password ***",
		}, "ports 127.0.0.1:10201-10203 share upstreams: there are 3 ports and 2 upstreams, so behind the last the first comes again"},
		{"more servers", 1, 3, "PerPort", []string{
			"  upstream     one for each port, out of 3 in their order",
			"  port 10201   http 10.0.0.1:80, user name like n***1, password ***",
		}, "ports 127.0.0.1:10201 leave upstreams out: there are 1 port and 3 upstreams, one for each port, so the last 2 have no port"},
		{"in turn", 5, 2, "Turn", []string{
			"  upstream 1   http 10.0.0.1:80, user name like n***1, password ***",
			"  upstream 2   http 10.0.0.2:80, user name like n***2, password ***",
		}, ""},
	} {
		text := fmt.Sprintf(`{"Listen": {"PortRange": {"Start": 10201, "End": %d}, "StickyProxyLifetime": 1}, "ProxyServers": {"Items": %s, "Spread": %q}}`,
			10200+row.ports, servers(row.servers), row.spread)
		lines, warnings := upstreamLines(t, text)
		if diff := cmp.Diff(row.want, lines); diff != "" {
			t.Errorf("%s (-want +got):\n%s", row.name, diff)
		}
		if want := slices.DeleteFunc([]string{row.warning}, func(w string) bool { return w == "" }); !slices.Equal(warnings, want) {
			t.Errorf("%s: warned %q; want %q", row.name, warnings, want)
		}
	}
}

// upstreamLines are the lines about upstreams, and the warnings.
func upstreamLines(t *testing.T, text string) (lines, warnings []string) {
	t.Helper()
	s, err := Parse("f", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := s.Describe(&out); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(out.String()) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "  upstream") || strings.HasPrefix(line, "  port ") || strings.HasPrefix(line, "  and ") {
			lines = append(lines, line)
		}
	}
	return lines, s.Warnings
}

// Of many ports the first 1000 are shown, of many servers the first 20, and how many follow, and the last.
func TestManyUpstreamsAreShownInPart(t *testing.T) {
	for _, row := range []struct {
		n                    int
		spread               string
		shown                int // lines
		last2, last1, before string
	}{
		{21, "PerPort", 22, "  port 10220   http 10.0.0.20:80", "  port 10221   http 10.0.0.21:80", ""},
		{1001, "PerPort", 1002, "  port 11200   http 10.0.3.232:80", "  port 11201   http 10.0.3.233:80", ""},
		{1002, "PerPort", 1003, "  and 1 port more", "  port 11202   http 10.0.3.234:80", "  port 11200   http 10.0.3.232:80"},
		{21, "Turn", 21, "  upstream 20  http 10.0.0.20:80", "  upstream 21  http 10.0.0.21:80", ""},
		{250, "Turn", 22, "  and 229 upstreams more", "  upstream 250 http 10.0.0.250:80", "  upstream 20  http 10.0.0.20:80"},
	} {
		text := fmt.Sprintf(`{"Listen": {"PortRange": {"Start": 10201, "End": %d}, "StickyProxyLifetime": 1}, "ProxyServers": {"Items": %s, "Spread": %q}}`,
			10200+row.n, servers(row.n), row.spread)
		lines, _ := upstreamLines(t, text)
		n := len(lines)
		if n != row.shown || !strings.HasPrefix(lines[n-1], row.last1) || !strings.HasPrefix(lines[n-2], row.last2) || !strings.HasPrefix(lines[n-3], row.before) {
			t.Errorf("%d, %s: shown in %d lines; want %d:\n%s", row.n, row.spread, n, row.shown, strings.Join(lines, "\n"))
		}
	}
}

func TestWritePorts(t *testing.T) {
	const text = `{"ProxyMappings": [
		{"Listen": {"PortRange": {"Start": 10201, "End": 10203}}, "ProxyServers": LIST},
		{"Listen": {"Port": 1, "Address": "0.0.0.0"}, "Authentication": {"Required": true, "Verify": true, "Username": "me@home", "Password": "p:/%#ü"}, "ProxyServers": LIST},
		{"Listen": {"Port": 2, "Address": "::", "AllowFrom": ["::1"]}, "Authentication": {"Required": true, "Verify": true, "Username": "me", "Password": ""}, "ProxyServers": LIST},
		{"Listen": {"Port": 3, "Address": "::1"}, "Authentication": {"Required": true}, "ProxyServers": LIST},
		{"Listen": {"Port": 4, "Address": "127.0.0.9"}, "Authentication": {"Verify": true, "Username": "me", "Password": "secret"}, "ProxyServers": LIST},
	]}`
	s, err := Parse("f", []byte(strings.ReplaceAll(text, "LIST", servers(1))))
	if err != nil {
		t.Fatal(err)
	}
	for urls, want := range map[bool][]string{
		false: {"127.0.0.1:10201", "127.0.0.1:10202", "127.0.0.1:10203", "127.0.0.1:1", "[::1]:2", "[::1]:3", "127.0.0.9:4"},
		true: {"http://127.0.0.1:10201", "http://127.0.0.1:10202", "http://127.0.0.1:10203", "http://me%40home:p%3A%2F%25%23%C3%BC@127.0.0.1:1",
			"http://me:@[::1]:2", "http://any:any@[::1]:3", "http://127.0.0.9:4"},
	} {
		var out strings.Builder
		if err := s.WritePorts(&out, urls); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")); diff != "" {
			t.Errorf("urls %t (-want +got):\n%s", urls, diff)
		}
	}
}

// Of servers from a file it is shown where they stand.
func TestPortsOfLines(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "list.txt", "# mine\na:1:u:p\n\nb:2:v:q\n")
	s, err := Parse(dir+"/f", []byte(`{"Listen": {"PortRange": {"Start": 1, "End": 3}}, "ProxyServers": {"Items": [{"Host": "c", "Port": 3}], "Files": [{"Path": "list.txt"}], "Spread": "PerPort"}}`))
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := s.Describe(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"port 1       http c:3, credentials of the clients, if they bring some\n", "port 2       http a:1, user name like ***, password *** (list.txt:2)\n",
		"port 3       http b:2, user name like ***, password *** (list.txt:4)\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
}
