package settings

import (
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/sys/unix"

	"proxymap/relay"
	"proxymap/relay/hostrule"
	"proxymap/session"
)

// write writes a file of a test.
func write(t testing.TB, dir, name, text string) string {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// Each key with a value that is not its default; those that have no effect too.
const everySetting = `{
  "ProxyMappings": [{
    "Listen": {
      "PortRange": {"Start": 10201, "End": 10300}, "Address": "0.0.0.0", "AllowFrom": ["10.0.0.0/8", "::ffff:192.0.2.7", "2001:DB8::/32"],
      "ProxyProtocol": "true", "StickyProxyLifetime": 10, "RejectHttpProxy": true,
      "OnRotate": "DRAIN", "DrainTime": "20s", "LifetimeJitter": 20, "IdleLifetime": "90s", "MaxRequests": "100",
      "RotateOn": [
        {"Status": [403, "429"], "UpstreamError": ["REFUSED", "reset-before-first-byte"], "Count": "3", "Within": "30s"}, {"UpstreamError": ["timeout"]},
      ],
      "RotateMinInterval": "3s",
      "BusyPort": "SKIP", "Action": "BYPASS", "IgnoreHostRules": "true", "AllowLocalTargets": true,
      "DecryptSSL": true, "SslMode": "Auto", "UpstreamSslMode": "Auto", "CertificatePath": "x", "CertificatePassword": "y", "RootDir": "z",
    },
    "Authentication": {
      "Required": true, "Verify": true, "RemoveAuthentication": true, "ParseUsernameParameters": true, "Username": "customer-name",
      "Password": "secret", "UsernameParameters": [{"Name": "session", "Value": "$session", "Default": "^[A-Z]{8}", "SessionId": true}],
      "Jwt": {"Key": "secret"}, "DevToken": "secret",
    },
    "ProxyServers": {
      "Items": [{"Host": "gate.example.com", "Port": 7000, "ProxyType": "SOCKS5", "ResolveIP": true, "SourceAddresses": ["127.0.0.2"]}],
      "Files": [{"Path": "servers.json"}],
    },
  }],
  "HostRules": {
    "Items": [
      {"HostName": "a.example", "HostPort": 443, "Action": "Deny", "DecryptSSL": false, "SslMode": 1},
      {"Pattern": "\\.b\\.example$", "Action": "Bypass", "OverrideHostName": "c.example", "OverrideHostPort": "8443"},
      {"HostName": "d.example", "ProxyServer": {"Host": "own.example", "Port": 1080, "ProxyType": "Socks4", "Username": "other-user"}},
    ],
    "Files": [{"Path": "rules.json"}], "Order": "last",
  },
  "SessionAPI": {"Enabled": true, "Domain": "portmapper", "RequireHeader": true},
  "HTTP": {"UserAgent": "my agent"},
  "HostStats": {"Enabled": true, "TrafficStats": true, "LogTrafficData": false},
  "Admin": {"Address": "127.0.0.1:10200", "Token": "secret-0123456789", "AllowFrom": ["127.0.0.1", "10.0.0.0/8"]},
  "Limits": {"Connections": 100}, "State": {"File": "proxymap.state"},
  "Logging": {}, "AllowedHosts": "*", "CorsSettings": {}, "Security": {}, "Dashboard": {}, "Routing": {}, "DetailedLogging": {},
  "WebSocketMonitoring": {}, "SslClientOptions": {}, "SslServerOptions": {}, "Cache": {}, "CacheRules": {},
  "Authentication": {"Jwt": {"Key": "secret"}, "DevToken": "secret"},
}`

// loadEvery reads everySetting with the files that it names.
func loadEvery(t *testing.T) *Settings {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, "servers.json", "\xef\xbb\xbf"+`{"Items": [{"Host": "127.0.0.1", "Port": 1081, "ProxyType": "socks4"}]}`)
	write(t, dir, "rules.json", `{"Items": [
		{"HostName": "e.example", "ProxyServer": {"Host": "own.example", "Port": 1080, "ProxyType": "Socks4", "Username": "other-user"}},
		`+strings.Repeat(`{"Pattern": "^ads\\."},`, 30)+`
	]}`)
	s, err := Load(Sources{File: write(t, dir, "my.json", everySetting)})
	if err != nil {
		t.Fatal(err)
	}
	for i, w := range s.Warnings {
		s.Warnings[i] = strings.ReplaceAll(w, dir, "DIR")
	}
	return s
}

// Every key reaches the relay.
func TestEverySetting(t *testing.T) {
	s := loadEvery(t)
	servers := []relay.Server{
		{Type: relay.SOCKS5, Host: "gate.example.com", Port: 7000, ResolveIP: true, Sources: []netip.Addr{netip.MustParseAddr("127.0.0.2")}},
		{Type: relay.SOCKS4, Host: "127.0.0.1", Port: 1081},
	}
	want := relay.Config{
		Mappings: []relay.Mapping{{
			Address: netip.IPv4Unspecified(), First: 10201, Last: 10300, Servers: servers, RejectPlain: true, Action: hostrule.Bypass,
			AllowFrom:     []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("192.0.2.7/32"), netip.MustParsePrefix("2001:db8::/32")},
			ProxyProtocol: true,
			BusyPort:      relay.SkipBusy, IgnoreRules: true, AllowLocalTargets: true, API: session.API{Enabled: true, Domain: "portmapper", RequireHeader: true},
			OnRotate: session.Drain, DrainTime: 20 * time.Second, IdleLifetime: 90 * time.Second, MaxRequests: 100,
			RotateOn: []relay.Signal{
				{Status: []int{403, 429}, Errors: relay.ErrorRefused | relay.ErrorReset, Count: 3, Within: 30 * time.Second},
				{Errors: relay.ErrorTimeout, Count: 1, Within: time.Minute},
			},
			RotateMinInterval: 3 * time.Second,
		}},
		Limits:      relay.Limits{Connections: 100},
		RuleServers: []relay.Server{{Type: relay.SOCKS4, Host: "own.example", Port: 1080}},
		OtherPorts:  []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:10200")},
		UserAgent:   "my agent", HostStats: true,
	}
	if diff := cmp.Diff(want, s.Config, cmpopts.IgnoreUnexported(relay.Config{}), cmpopts.IgnoreFields(relay.Config{}, "Rules", "Remedies"),
		cmpopts.IgnoreFields(relay.Mapping{}, "Plan"), cmp.Comparer(func(a, b netip.Addr) bool { return a == b }), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
		cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); diff != "" {
		t.Errorf("configuration (-want +got):\n%s", diff)
	}
	for _, row := range []struct {
		host string
		port uint16
		want hostrule.Rule
	}{
		{"A.example", 443, hostrule.Rule{Host: "a.example", Port: 443, Action: hostrule.Deny, Server: -1}},
		{"x.b.example", 80, hostrule.Rule{Pattern: `\.b\.example$`, Action: hostrule.Bypass, OverrideHost: "c.example", OverridePort: 8443, Server: -1}},
		{"d.example", 80, hostrule.Rule{Host: "d.example", Server: 0}},
		{"e.example", 80, hostrule.Rule{Host: "e.example", Server: 0}}, // an equal server is the same
		{"ads.b.example", 80, hostrule.Rule{Pattern: `^ads\.`, Server: -1}},
	} {
		got := s.Config.Rules.Match([]byte(row.host), row.port)
		if got == nil {
			got = &hostrule.Rule{}
		}
		if diff := cmp.Diff(row.want, *got); diff != "" {
			t.Errorf("rule for %s (-want +got):\n%s", row.host, diff)
		}
	}
	if got := s.Config.Rules.Match([]byte("a.example"), 80); got != nil {
		t.Errorf("the rule for port 443 is also for port 80: %+v", got)
	}
	plan := s.Config.Mappings[0].Plan
	least := plan.Lifetime()
	for range 100 {
		one, err := plan.New(0, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		least = min(least, time.Duration(one.Expires()))
	}
	if least < 8*time.Minute || least > 9*time.Minute {
		t.Errorf("with a jitter of 20 %%, the shortest of 100 sessions of 10 min lives %v", least)
	}
	if v := plan.Admit(nil); v != session.Missing {
		t.Errorf("without credentials: %v", v)
	}
	if v := plan.Admit(plan.NewClient("customer-name", "wrong")); v != session.Wrong {
		t.Errorf("with wrong credentials: %v", v)
	}
	client := plan.NewClient("customer-name-session-abc", "secret")
	if v := plan.Admit(client); v != session.Admitted {
		t.Errorf("with the right credentials and a parameter: %v", v)
	}
	if user, _, ok := plan.Credentials(nil, 0, client); ok {
		t.Errorf("the client's user name %q goes upstream in spite of RemoveAuthentication", user)
	}
	if user, _, _ := plan.Credentials(nil, 2, client); user != "other-user-session-abc" {
		t.Errorf("a rule's server gets the user name %q", user)
	}
	from := []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32"), netip.MustParsePrefix("10.0.0.0/8")}
	if want := (Admin{netip.MustParseAddrPort("127.0.0.1:10200"), "secret-0123456789", from}); !reflect.DeepEqual(s.Admin, want) {
		t.Errorf("admin: %+v", s.Admin)
	}
	if want := filepath.Join(filepath.Dir(s.rules.list[0].at.self.from.Source.Name), "proxymap.state"); s.StateFile != want {
		t.Errorf("state file: got %s; want %s", s.StateFile, want)
	}
	if want := (hostStatsSettings{true, true}); s.hostStats != want {
		t.Errorf("host statistics: %+v", s.hostStats)
	}
}

// What check prints of it: nothing is left out but what is secret, and rules behind the first twenty of a file.
func TestCheckShowsEverySetting(t *testing.T) {
	s := loadEvery(t)
	var out strings.Builder
	if err := s.Describe(&out); err != nil {
		t.Fatal(err)
	}
	ads := ""
	for _, n := range strings.Fields("5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23") {
		ads += strings.Repeat(" ", 6-len(n)) + n + `  Allow  "^ads\\."` + "\n"
	}
	want := `mapping 1: 0.0.0.0:10201-10300 (100 ports)
  taken ports  skipped, and tried again until they are free
  sessions     10 min from their creation, or up to 20 % less, or 90 s without traffic, or 100 requests
  rotation     Drain: idle connections close at once, the others get 20 s; at 403, 429, refused, reset-before-first-byte (3 times within 30 s); at timeout; not again within 3 s
  clients      need the Username and the Password; parameters are read from the user name
  hosts        Bypass: straight to the target; host rules are ignored; bypassing to this machine allowed
  allowed      10.0.0.0/8, 192.0.2.7, 2001:db8::/32: balancers, whose PROXY header names the client
  plain HTTP   rejected with 405; CONNECT only
  upstream 1   socks5 gate.example.com:7000 (names are looked up here), no credentials
  upstream 2   socks4 127.0.0.1:1081, no credentials
  Session API  curl -x http://127.0.0.1:10201 -U USERNAME:PASSWORD http://portmapper/session/ (new and reset need -H 'X-Proxymap: 1')
host rules: 34, of which the last that matches wins
  of DIR/my.json
     1  Deny   a.example, port 443
     2  Bypass "\\.b\\.example$", as c.example, as port 8443
     3  Allow  d.example, through socks4 own.example:1080 as o***r
  of DIR/rules.json
     4  Allow  e.example, through socks4 own.example:1080 as o***r
` + ads + `  and 11 more
host statistics: on, traffic on
admin: http://127.0.0.1:10200, token ***, for 127.0.0.1, 10.0.0.0/8
state: sessions are kept in DIR/proxymap.state
warning: without effect here, as a relay does not look into TLS, cache, serve files or have a dashboard: Logging, AllowedHosts, CorsSettings, Security, Dashboard, Routing, DetailedLogging, WebSocketMonitoring, SslClientOptions, SslServerOptions, Cache, CacheRules, Authentication.Jwt, Authentication.DevToken, HostStats.LogTrafficData, ProxyMappings[].Authentication.Jwt, ProxyMappings[].Authentication.DevToken, ProxyMappings[].Listen.DecryptSSL, ProxyMappings[].Listen.SslMode, ProxyMappings[].Listen.UpstreamSslMode, ProxyMappings[].Listen.CertificatePath, ProxyMappings[].Listen.CertificatePassword, ProxyMappings[].Listen.RootDir, HostRules.Items[].DecryptSSL, HostRules.Items[].SslMode
ok: 1 mapping, 100 ports
`
	dir := filepath.Dir(s.rules.list[0].at.self.from.Source.Name)
	got := strings.ReplaceAll(out.String(), dir, "DIR")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("check prints (-want +got):\n%s", diff)
	}
	if strings.Contains(got, "secret") || strings.Contains(got, "customer-name") || strings.Contains(got, "other-user") {
		t.Error("a secret is printed")
	}
}

// The defaults are ProxyMapService's, but that a port for others than this machine does not lead into it.
func TestDefaults(t *testing.T) {
	s, err := Parse("f", []byte(`{"ProxyMappings": [{"Listen": {"Port": 1}}, {
		"Listen": {"Port": 2, "Address": "192.0.2.1", "Action": "Bypass"},
		"Authentication": {"Required": true, "Verify": true, "Username": "u", "Password": "p"},
	}], "HostRules": {"Items": [{"Pattern": "  "}, {"HostName": "x"}]}}`))
	if err != nil {
		t.Fatal(err)
	}
	if a, b := s.Config.Mappings[0], s.Config.Mappings[1]; !a.AllowLocalTargets || b.AllowLocalTargets || a.Action != hostrule.Allow || a.IgnoreRules || a.RejectPlain || a.BusyPort != relay.FailBusy {
		t.Errorf("mappings: %+v, %+v", a, b)
	}
	if m := s.Config.Mappings[0]; m.OnRotate != session.Keep || m.DrainTime != 10*time.Second || m.RotateMinInterval != 5*time.Second ||
		m.IdleLifetime != 0 || m.MaxRequests != 0 || m.RotateOn != nil {
		t.Errorf("rotation: %+v", m)
	}
	if s.Config.UserAgent != "proxymapper" || len(s.Config.OtherPorts) > 0 || s.Admin.Address.IsValid() || s.hostStats.enabled || s.StateFile != "" {
		t.Errorf("configuration: %+v", s.Config)
	}
	if rule := s.Config.Rules.Match([]byte("x"), 80); rule == nil || rule.Host != "x" || s.Config.Rules.Match([]byte("y"), 80) != nil {
		t.Errorf("the rule for no host applies, or the other does not: %+v", rule)
	}
	want := []string{
		"1 host rule has neither HostName nor Pattern, and so for no host (number 1): write \"Pattern\": \".\" for every host",
		"ports 127.0.0.1:1 have no ProxyServers: their requests are answered 502 no-upstream, unless a host rule says otherwise",
	} // and none about the mapping that bypasses
	if diff := cmp.Diff(want, s.Warnings); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
}

// What is not a fault, but hardly meant, is warned about.
func TestWarnings(t *testing.T) {
	for _, row := range []struct{ name, text, want string }{
		{"removed and set", `{"Listen":{"Port":1,"Action":"Deny"},"Authentication":{"SetAuthentication":true,"RemoveAuthentication":true,"Username":"u"}}`,
			"ports 127.0.0.1:1 have RemoveAuthentication beside SetAuthentication, which replaces the clients' credentials anyway: it is ignored"},
		{"password for SOCKS4", `{"Listen":{"Port":1},"ProxyServers":{"Items":[{"Host":"a","Port":2,"ProxyType":"Socks4","Username":"u","Password":"p"}]}}`,
			"no password goes to upstream a:2, for SOCKS4 has none; Socks5 has"},
		{"credentials that do not go upstream", `{"Listen":{"Port":1,"StickyProxyLifetime":10},"Authentication":{"Provider":"iproyal","Username":"u"},"ProxyServers":{"Items":[{"Host":"a","Port":2},{"Host":"b","Port":2,"Username":"v"}]}}`,
			"ports 127.0.0.1:1 have credentials in Authentication that do not go to upstream a:2: SetAuthentication is false"},
		{"template's", `{"Listen":{"Port":1,"StickyProxyLifetime":60},"Authentication":{"SetAuthentication":true,"Provider":"dataimpulse","Username":"u"},"ProxyServers":{"Items":[{"Host":"a","Port":2},{"Host":"b","Port":2}]}}`,
			"ports 127.0.0.1:1 may not do what is meant: the lifetime of 60 min is longer than the provider keeps a session, 30 min: the exit address changes unseen in between (TTLMax); set StickyProxyLifetime to that at most"},
		{"a pattern's few ids", `{"Listen":{"Port":1,"StickyProxyLifetime":10},"Authentication":{"SetAuthentication":true,"Username":"u","UsernameParameters":[{"Name":"session","Value":"^[a-z]{2}","SessionId":true}]},"ProxyServers":{"Items":[{"Host":"a","Port":2}]}}`,
			"ports 127.0.0.1:1 may not do what is meant: there are 676 session ids only: two ports can come to have the same one, and so the same exit address; give the SessionId parameter a longer pattern, such as ^[A-Za-z0-9]{8}"},
		{"rotation without a lifetime", `{"Listen":{"Port":1,"Action":"Deny","OnRotate":"Close","MaxRequests":1,"RotateOn":[]}}`,
			"ports 127.0.0.1:1 have a lifetime of 0, so each client connection is a session of its own, and without effect are: OnRotate, MaxRequests, RotateOn; set StickyProxyLifetime"},
	} {
		s, err := Parse("f", []byte(row.text))
		if err != nil {
			t.Fatal(row.name, err)
		}
		if diff := cmp.Diff([]string{row.want}, s.Warnings); diff != "" {
			t.Errorf("%s: warnings (-want +got):\n%s", row.name, diff)
		}
	}
}

// A file that never ends, such as a pipe that nobody writes to, is refused and not waited for.
func TestIncludedPipe(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mkfifo(dir+"/pipe.json", 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Parse(dir+"/f", []byte(`{"Listen":{"Port":1},"HostRules":{"Files":[{"Path":"pipe.json"}]}}`))
	if err == nil || !strings.Contains(err.Error(), "is no ordinary file") {
		t.Errorf("got %v", err)
	}
}

// What a named file must be, and what it must not: each fault names the file.
func TestIncludedFaults(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "empty.json", "{\n}")
	write(t, dir, "large.json", "")
	if err := os.Truncate(dir+"/large.json", maxIncluded+1); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"empty.json": `DIR/empty.json:1: Items: is missing: the file must be {"Items": […]}`,
		"large.json": `DIR/f:2: HostRules.Files[0].Path: value "large.json": DIR/large.json has more than 64 MiB; must be`,
	} {
		_, err := Parse(dir+"/f", []byte(`{"Listen":{"Port":1},`+"\n"+`"HostRules":{"Files":[{"Path":"`+name+`"}]}}`))
		if err == nil || !strings.Contains(strings.ReplaceAll(err.Error(), dir, "DIR"), "\n"+want) {
			t.Errorf("%s: got %v; want %s", name, err, want)
		}
	}
}

// What each of many mappings or rules has is told once.
func TestToldOnce(t *testing.T) {
	mappings := `{"ProxyMappings":[{"Listen":{"Port":1}},{"Listen":{"Port":2}}],"HostRules":{"Items":[{"HostName":"a","DecryptSSL":true`
	s, err := Parse("f", []byte(mappings+`},{"HostName":"b","DecryptSSL":true}]}}`))
	if err != nil || !strings.HasSuffix(s.Warnings[len(s.Warnings)-1], ": HostRules.Items[].DecryptSSL") {
		t.Errorf("got %+v, %v", s, err)
	}
	_, err = Parse("f", []byte(mappings+`,"ProxyServer":{"Host":"x","Port":9,"Username":"a:b"}}]}}`))
	if err == nil || !strings.HasPrefix(err.Error(), "f: 1 fault;") {
		t.Errorf("got %v; want 1 fault", err)
	}
}
