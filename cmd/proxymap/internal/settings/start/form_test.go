package start

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"proxymap/cmd/proxymap/internal/settings"
	"proxymap/cmd/proxymap/internal/settings/layer"
)

// flagsOf reads flags, as --name=value or --name, without kong.
func flagsOf(t *testing.T, args ...string) (f Flags) {
	t.Helper()
	one := map[string]**string{
		"upstream-file": &f.UpstreamFile, "ports": &f.Ports, "lifetime": &f.Lifetime, "provider": &f.Provider, "spread": &f.Spread,
		"session-api": &f.SessionAPI, "address": &f.Address,
	}
	for _, arg := range args {
		name, value, hasValue := strings.Cut(strings.TrimPrefix(arg, "--"), "=")
		if !hasValue {
			value = Alone
		}
		switch name {
		case "upstream":
			f.Upstream = append(f.Upstream, value)
		case "allow-from":
			f.AllowFrom = append(f.AllowFrom, value)
		default:
			if one[name] == nil {
				t.Fatalf("no flag %s", arg)
			}
			*one[name] = &value
		}
	}
	return f
}

// split tells the variables of a row from its flags.
func split(row string) (args, environ []string) {
	for word := range strings.SplitSeq(row, " | ") {
		if strings.HasPrefix(word, "--") {
			args = append(args, word)
		} else if word != "" {
			environ = append(environ, word)
		}
	}
	return args, environ
}

func read(t *testing.T, row string) *Form {
	t.Helper()
	args, environ := split(row)
	return Read(flagsOf(t, args...), environ)
}

// show writes a setting on a line, without its origin.
func show(s layer.Setting) string {
	text := strings.Join(s.Path, ".")
	switch {
	case s.Null:
		return text + " is not there"
	case s.Whole:
		return text + " anew"
	}
	if s.Unless != nil {
		text = "unless made otherwise " + text
	}
	return text + " = " + s.Value
}

const session = `unless made otherwise Authentication.UsernameParameters.0.Name = session
unless made otherwise Authentication.UsernameParameters.0.Value = ^[A-Za-z0-9]{8}
unless made otherwise Authentication.UsernameParameters.0.SessionId = true
`

// What each flag and each variable means.
func TestSettings(t *testing.T) {
	for _, row := range []struct{ given, want string }{
		{"", ""},
		{"--ports=10201", "Listen.PortRange is not there\nListen.Port = 10201\n"},
		{"--ports=10201-10201", "Listen.PortRange is not there\nListen.Port = 10201\n"},
		{"--ports= 10201 - 10300 ", "Listen.Port is not there\nListen.PortRange.Start = 10201\nListen.PortRange.End = 10300\n"},
		{"PROXYMAP_PORTS=10201-10300", "Listen.Port is not there\nListen.PortRange.Start = 10201\nListen.PortRange.End = 10300\n"},
		{"PROXYMAP_PORTS=1-2 | --ports=3", "Listen.PortRange is not there\nListen.Port = 3\n"},
		{"PROXYMAP_PORTS=nonsense | --ports=3", "Listen.PortRange is not there\nListen.Port = 3\n"},
		{"PROXYMAP_PORTS=3 | PROXYMAP_PORTS=4", "Listen.PortRange is not there\nListen.Port = 3\n"},
		{"--lifetime=10m | PROXYMAP_ADDRESS=::1", "Listen.StickyProxyLifetime = 10m\nListen.Address = ::1\n"},
		{"--lifetime=soon", "Listen.StickyProxyLifetime = soon\n"}, // the settings know what is wrong
		{"PROXYMAP_LIFETIME=10", "Listen.StickyProxyLifetime = 10\n"},
		{"--allow-from=10.0.0.0/8 | --allow-from=::1, 127.0.0.1", "Listen.AllowFrom anew\nListen.AllowFrom.0 = 10.0.0.0/8\nListen.AllowFrom.1 = ::1\nListen.AllowFrom.2 = 127.0.0.1\n"},
		{"PROXYMAP_ALLOW_FROM=10.0.0.0/8,::1", "Listen.AllowFrom anew\nListen.AllowFrom.0 = 10.0.0.0/8\nListen.AllowFrom.1 = ::1\n"},
		{"PROXYMAP_ALLOW_FROM=10.0.0.0/8, ::1,", "Listen.AllowFrom anew\nListen.AllowFrom.0 = 10.0.0.0/8\nListen.AllowFrom.1 = ::1\n"},
		{"--allow-from=10.0.0.0/8 ::1", "Listen.AllowFrom anew\nListen.AllowFrom.0 = 10.0.0.0/8\nListen.AllowFrom.1 = ::1\n"},
		{"PROXYMAP_ALLOW_FROM=10.0.0.0/8 ::1", "Listen.AllowFrom anew\nListen.AllowFrom.0 = 10.0.0.0/8\nListen.AllowFrom.1 = ::1\n"},

		{"--session-api", "SessionAPI.Enabled = true\nSessionAPI.Domain = portmapper\n"},
		{"--session-api=api.test", "SessionAPI.Enabled = true\nSessionAPI.Domain = api.test\n"},
		{"PROXYMAP_SESSION_API=True", "SessionAPI.Enabled = true\nSessionAPI.Domain = portmapper\n"},
		{"PROXYMAP_SESSION_API=api.test", "SessionAPI.Enabled = true\nSessionAPI.Domain = api.test\n"},
		{"PROXYMAP_SESSION_API=true | --session-api=false", "SessionAPI.Enabled = false\n"},

		{"--upstream=http://gate.example.com:7000", `ProxyServers anew
ProxyServersFiles is not there
ProxyServersSpread is not there
ProxyServers.Items.0.Host = gate.example.com
ProxyServers.Items.0.Port = 7000
ProxyServers.Items.0.ProxyType = Http
`},
		{"PROXYMAP_UPSTREAM=http://customer:s%40cret@gate.example.com:7000", `ProxyServers anew
ProxyServersFiles is not there
ProxyServersSpread is not there
ProxyServers.Items.0.Host = gate.example.com
ProxyServers.Items.0.Port = 7000
ProxyServers.Items.0.ProxyType = Http
ProxyServers.Items.0.Username = customer
ProxyServers.Items.0.Password = s@cret
` + session},
		{"--upstream=socks5://[2001:db8::1]:1080 | --upstream=gate.example.com:7000:customer:secret", `ProxyServers anew
ProxyServersFiles is not there
ProxyServersSpread is not there
ProxyServers.Items.0.Host = 2001:db8::1
ProxyServers.Items.0.Port = 1080
ProxyServers.Items.0.ProxyType = Socks5
ProxyServers.Items.1.Host = gate.example.com
ProxyServers.Items.1.Port = 7000
ProxyServers.Items.1.ProxyType = Http
ProxyServers.Items.1.Username = customer
ProxyServers.Items.1.Password = secret
` + session},
		{"PROXYMAP_UPSTREAM= socks4://a:1\n\tb:2  | PROXYMAP_UPSTREAM_FILE=proxies", `ProxyServers anew
ProxyServersFiles is not there
ProxyServersSpread is not there
ProxyServers.Items.0.Host = a
ProxyServers.Items.0.Port = 1
ProxyServers.Items.0.ProxyType = Socks4
ProxyServers.Items.1.Host = b
ProxyServers.Items.1.Port = 2
ProxyServers.Items.1.ProxyType = Http
ProxyServers.Files.0.Path = /here/proxies
ProxyServers.Files.0.Format = Text
` + session},
		{"PROXYMAP_UPSTREAM=a:1 | --upstream=b:2", `ProxyServers anew
ProxyServersFiles is not there
ProxyServersSpread is not there
ProxyServers.Items.0.Host = b
ProxyServers.Items.0.Port = 2
ProxyServers.Items.0.ProxyType = Http
`},
		{"--upstream=http://u:p@a:1 | --provider=iproyal", `ProxyServers anew
ProxyServersFiles is not there
ProxyServersSpread is not there
ProxyServers.Items.0.Host = a
ProxyServers.Items.0.Port = 1
ProxyServers.Items.0.ProxyType = Http
ProxyServers.Items.0.Username = u
ProxyServers.Items.0.Password = p
Authentication.Provider = iproyal
`},
		{"--provider=iproyal", "Authentication.Provider = iproyal\n"},
		{"--upstream-file=/etc/list.conf", "ProxyServers anew\nProxyServersFiles is not there\nProxyServersSpread is not there\nProxyServers.Files.0.Path = /etc/list.conf\nProxyServers.Files.0.Format = Text\n" + session},
		{"--upstream-file=list | --spread=perport", "ProxyServers anew\nProxyServersFiles is not there\nProxyServersSpread is not there\nProxyServers.Files.0.Path = /here/list\nProxyServers.Files.0.Format = Text\nProxyServers.Spread = perport\n"},
		{"--upstream-file=list | PROXYMAP_SPREAD=Turn", "ProxyServers anew\nProxyServersFiles is not there\nProxyServersSpread is not there\nProxyServers.Files.0.Path = /here/list\nProxyServers.Files.0.Format = Text\nProxyServers.Spread = Turn\n" + session},
	} {
		form := read(t, row.given)
		list, faults := form.Settings("/here")
		var got strings.Builder
		for _, s := range list {
			fmt.Fprintln(&got, show(s))
			if name, _, _ := strings.Cut(s.From, ","); !strings.HasPrefix(name, "flag --") && !strings.HasPrefix(name, "environment PROXYMAP_") {
				t.Errorf("%s: %s is from %q", row.given, show(s), s.From)
			}
		}
		if diff := cmp.Diff(row.want, got.String()); diff != "" || len(faults) > 0 {
			t.Errorf("%s: %v (-want +got):\n%s", row.given, faults, diff)
		}
		if form.Empty() != (row.given == "") {
			t.Errorf("%s: Empty is %v", row.given, form.Empty())
		}
	}
}

// Each setting says where it came from, a flag before its variable.
func TestOrigins(t *testing.T) {
	list, _ := read(t, "--ports=1-2 | PROXYMAP_LIFETIME=5 | PROXYMAP_PORTS=3 | PROXYMAP_UPSTREAM=a:1 b:2").Settings("")
	got := map[string]string{}
	for _, s := range list {
		got[show(s)] = s.From
	}
	for setting, want := range map[string]string{
		"Listen.PortRange.End = 2": "flag --ports", "Listen.StickyProxyLifetime = 5": "environment PROXYMAP_LIFETIME",
		"ProxyServers anew": "environment PROXYMAP_UPSTREAM", "ProxyServers.Items.1.Port = 2": "environment PROXYMAP_UPSTREAM, number 2",
	} {
		if got[setting] != want {
			t.Errorf("%s is from %q; want %q", setting, got[setting], want)
		}
	}
}

const (
	wantPorts = "must be a port such as 10201, or the first and the last such as 10201-10300, of 1 to 65535"
	wantForm  = "must be host:port, host:port:user:pass, user:pass@host:port, or a URL such as socks5://user:pass@host:port"
	wantRaw   = "a special character stands raw in the user name or the password: in a URL it must be percent-encoded (@ is %40, : is %3A, / is %2F, # is %23, % is %25)"
	wantAPI   = "must be true, false, or the domain that the Session API answers for, such as portmapper"
)

// Values that no setting can be made of. That of a password is never repeated.
func TestFaults(t *testing.T) {
	for _, row := range []struct{ given, want string }{
		{"--ports=", "flag --ports: is empty: give it a value, or leave it out"},
		{"PROXYMAP_PORTS= ", "environment PROXYMAP_PORTS: is empty: give it a value, or leave it out"},
		{"--ports=many", `flag --ports: value "many": ` + wantPorts},
		{"--ports=0", `flag --ports: value "0": ` + wantPorts},
		{"--ports=10201-", `flag --ports: value "10201-": ` + wantPorts},
		{"--ports=10201-70000", `flag --ports: value "10201-70000": ` + wantPorts},
		{"--ports=1-2-3", `flag --ports: value "1-2-3": ` + wantPorts},
		{"PROXYMAP_PORTS=10300-10201", `environment PROXYMAP_PORTS: value "10300-10201": the first port must not be above the last: did you mean 10201-10300?`},
		{"--lifetime=", "flag --lifetime: is empty: give it a value, or leave it out"},
		{"PROXYMAP_PROVIDER=", "environment PROXYMAP_PROVIDER: is empty: give it a value, or leave it out"},
		{"PROXYMAP_ADDRESS=", "environment PROXYMAP_ADDRESS: is empty: give it a value, or leave it out"},
		{"PROXYMAP_UPSTREAM_FILE=", "environment PROXYMAP_UPSTREAM_FILE: is empty: give it a value, or leave it out"},
		{"PROXYMAP_UPSTREAM=\n", "environment PROXYMAP_UPSTREAM: is empty: give it a value, or leave it out"},
		{"--upstream=", "flag --upstream: is empty: give it a value, or leave it out"},
		{"PROXYMAP_ALLOW_FROM=", "environment PROXYMAP_ALLOW_FROM: is empty: give it a value, or leave it out"},
		{"--allow-from=,", "flag --allow-from: is empty: give it a value, or leave it out"},
		{"--session-api=", "flag --session-api: is empty: give it a value, or leave it out"},
		{"PROXYMAP_SESSION_API=1", `environment PROXYMAP_SESSION_API: value "1": ` + wantAPI},
		{"--session-api=Yes", `flag --session-api: value "Yes": ` + wantAPI},
		{"--upstream=https://u:secret@gate.example.com:7000", "flag --upstream: not an upstream proxy: https://: TLS to the provider is not supported; use http:// with a port of the provider's that takes it"},
		{"--upstream=ftp://u:secret@gate.example.com:7000", "flag --upstream: not an upstream proxy: the scheme before :// must be http, socks4, socks4a, socks5 or socks5h"},
		{"--upstream=http://u:secret@gate.example.com", "flag --upstream: not an upstream proxy: the port is missing: must be a URL such as http://user:pass@host:port"},
		{"--upstream=gate.example.com", "flag --upstream: not an upstream proxy: " + wantForm},
		{"--upstream=http://u:sec@ret@gate.example.com:7000", "flag --upstream: not an upstream proxy: " + wantRaw},
		{"--upstream=http://u:sec#ret@gate.example.com:7000", "flag --upstream: not an upstream proxy: " + wantRaw},
		{"--upstream=http://u:sec/ret@gate.example.com:7000", "flag --upstream: not an upstream proxy: " + wantRaw},
		{"PROXYMAP_UPSTREAM=http://u:100%@gate.example.com:7000", "environment PROXYMAP_UPSTREAM: not an upstream proxy: " + wantRaw},
		{"--upstream=http://u:se%ffcret@gate.example.com:7000", "flag --upstream: not an upstream proxy: the user name or the password is not UTF-8; percent-encode its bytes in UTF-8"},
		{"--upstream=http://:secret@gate.example.com:7000", "flag --upstream: not an upstream proxy: has a password without a user name"},
		{"PROXYMAP_UPSTREAM=http://u:se cret@gate.example.com:7000", `environment PROXYMAP_UPSTREAM, number 1: not an upstream proxy: ` + wantForm + `. Spaces separate several; in a user name or a password one is %20`},
		{"--upstream=a:1 | --upstream=b:0", "flag --upstream, number 2: not an upstream proxy: the port must be a number from 1 to 65535"},
		{"--ports=x | --upstream=y | PROXYMAP_SESSION_API=on", "flag --upstream: not an upstream proxy: " + wantForm + "\n" +
			`flag --ports: value "x": ` + wantPorts + "\n" + `environment PROXYMAP_SESSION_API: value "on": ` + wantAPI},
	} {
		_, faults := read(t, row.given).Settings("/here")
		var got []string
		for _, f := range faults {
			got = append(got, f.From.String()+": "+f.Text)
		}
		if diff := cmp.Diff(row.want, strings.Join(got, "\n")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", row.given, diff)
		}
	}
}

// Variables that look like ours are told, those of others are not.
func TestUnknownVariables(t *testing.T) {
	environ := []string{
		"HOME=/", "PROXYMAP_PORT=10201", "proxymap_ports=1", "PROXYMAP_UPSTREAMS=http://u:secret@gate.example.com:7000", "PROXYMAP_COLOUR_OF_LOGS=red",
		"PROXYMAP_CONFIG=x", "PROXYMAP_GRACE=1s", "PROXYMAP_LOG_LEVEL=debug", "PROXYMAP_ENVIRONMENT=Production", "PROXYMAP_USER=u", "PROXYMAP_TOKEN=t",
		"PROXYMAPPER=1", "XPROXYMAP_PORTS=1", "PROXYMAP",
		// of Kubernetes, for the services proxymap and proxymap-web
		"PROXYMAP_SERVICE_HOST=10.0.0.1", "PROXYMAP_SERVICE_PORT=10201", "PROXYMAP_SERVICE_PORT_HTTP=10201", "PROXYMAP_PORT=tcp://10.0.0.1:10201",
		"PROXYMAP_PORT_10201_TCP=tcp://10.0.0.1:10201", "PROXYMAP_PORT_10201_TCP_PROTO=tcp", "PROXYMAP_PORT_10201_TCP_PORT=10201",
		"PROXYMAP_PORT_10201_TCP_ADDR=10.0.0.1", "PROXYMAP_WEB_SERVICE_HOST=10.0.0.1", "PROXYMAP_WEB_PORT=tcp://10.0.0.1:80",
	}
	want := []string{
		"environment PROXYMAP_COLOUR_OF_LOGS is not known and has no effect",
		"environment PROXYMAP_PORT is not known and has no effect; did you mean PROXYMAP_PORTS?",
		"environment PROXYMAP_UPSTREAMS is not known and has no effect; did you mean PROXYMAP_UPSTREAM?",
		"environment proxymap_ports is not known and has no effect; did you mean PROXYMAP_PORTS?",
	}
	if diff := cmp.Diff(want, Read(Flags{}, environ).Warnings()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestConfigFile(t *testing.T) {
	name, empty := "my.json", ""
	for _, row := range []struct {
		flag            *string
		environ         []string
		want, wantFault string
	}{
		{nil, nil, "", ""},
		{&name, []string{"PROXYMAP_CONFIG=other.json"}, "my.json", ""},
		{nil, []string{"PROXYMAP_CONFIG=other.json"}, "other.json", ""},
		{&empty, nil, "", "flag --config: is empty: give it a value, or leave it out"},
		{nil, []string{"PROXYMAP_CONFIG="}, "", "environment PROXYMAP_CONFIG: is empty: give it a value, or leave it out"},
	} {
		got, err := ConfigFile(row.flag, row.environ)
		if got != row.want || fmt.Sprint(err) != row.wantFault && (err != nil || row.wantFault != "") {
			t.Errorf("%v: got %q, %v; want %q, %q", row.environ, got, err, row.want, row.wantFault)
		}
	}
}

// What a settings file says of user names stays, and of upstream proxies and ports it does not.
func TestOverAFile(t *testing.T) {
	const listen = `"Listen": {"PortRange": {"Start": 5, "End": 6}, "StickyProxyLifetime": 1}, "ProxyServersSpread": "PerPort", "ProxyServersFiles": [{"Path": "none"}],
		"ProxyServers": [{"Host": "old", "Port": 1}, {"Host": "old", "Port": 2}], `
	for _, row := range []struct{ auth, given, want string }{
		{`{}`, "", "u-session-ID:p"},
		{`{"UsernameParameters": [{"Name": "country", "Value": "us"}]}`, "", "u-country-us:p"},
		{`{"UsernameParameters": []}`, "", "u:p"},
		{`{"UsernameParameters": null}`, "", "u-session-ID:p"},
		{`{"Template": {"Username": "{username}.{session}"}}`, "", "u.ID:p"},
		{`{"Provider": "iproyal"}`, "", "u:p_session-ID_lifetime-1m"},
		{`{}`, " | --provider=iproyal", "u:p_session-ID_lifetime-1m"},
		{`{"SetAuthentication": true, "Username": "file"}`, "", "u-session-ID:p"},
	} {
		dir := t.TempDir()
		file := filepath.Join(dir, "appsettings.json")
		if err := os.WriteFile(file, []byte("{"+listen+`"Authentication": `+row.auth+"}"), 0o600); err != nil {
			t.Fatal(err)
		}
		flags, faults := read(t, "--ports=9 | --upstream=http://u:p@new:1"+row.given).Settings(dir)
		s, err := settings.Load(settings.Sources{File: file, Flags: flags, Faults: faults})
		if err != nil {
			t.Errorf("%s: %v", row.auth, err)
			continue
		}
		m := &s.Config.Mappings[0]
		got := fmt.Sprintf("%d-%d %d servers, per port %v: %s", m.First, m.Last, len(m.Servers), m.PerPort, relayOf(t, s).Credentials[0])
		want := "9-9 1 servers, per port false: " + row.want
		if got != want {
			t.Errorf("%s: got %s; want %s", row.auth, got, want)
		}
	}
}

// Each flag has a variable, which its help names, and a row in the documents.
func TestFlagsAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../../../docs/start.md")
	if err != nil {
		t.Fatal(err)
	}
	flags := reflect.TypeFor[Flags]()
	for i := range flags.NumField() {
		field := flags.Field(i)
		name := field.Tag.Get("name")
		if name == "" {
			name = strings.ToLower(regexp.MustCompile(`([a-z])([A-Z])`).ReplaceAllString(field.Name, "$1-$2"))
		}
		variable := variableOf(name)
		if !slices.Contains(flagVariables, strings.TrimPrefix(variable, prefix)) {
			t.Errorf("--%s: %s is not among the variables", name, variable)
		}
		if !strings.Contains(field.Tag.Get("help"), "($$"+variable) {
			t.Errorf("--%s: its help does not name %s", name, variable)
		}
		if !regexp.MustCompile("(?m)^\\| `--" + name + "[ `][^|]*\\| `" + variable + "` \\|").Match(page) {
			t.Errorf("docs/start.md has no row of --%s and %s", name, variable)
		}
	}
	if len(flagVariables) != flags.NumField() {
		t.Errorf("%d variables of %d flags", len(flagVariables), flags.NumField())
	}
}
