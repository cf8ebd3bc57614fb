package settings

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Files as ProxyMapService comes with or shows them: what it starts with, what a user begins a file of his own with, and
// what its manual has.
const (
	shippedSample = `{
    "Logging": {
        "LogLevel": {"Default": "Information", "Microsoft.AspNetCore": "Warning"},
        "Console": {"FormatterName": "simple", "FormatterOptions": {"TimestampFormat": "[HH:mm:ss] ", "UseUtcTimestamp": false}}
    },
    "AllowedHosts": "*",
    "CorsSettings": {"AllowedOrigins": ["http://localhost:3000"]},
    "Security": {"RequireHttps": false},
    "Authentication": {"Jwt": {"Enabled": false, "Issuer": "", "Audience": "", "Key": ""}, "DevToken": {"Enabled": true}},
    "Dashboard": {"Enabled": true},
    "Routing": {"LowercaseUrls": true},
    "ProxyMappings": [
        {
            "Listen": {"Port": 5001, "RejectHttpProxy": false, "StickyProxyLifetime": 0},
            "Authentication": {
                "Required": false, "Verify": false, "SetAuthentication": false, "RemoveAuthentication": false,
                "ParseUsernameParameters": false, "Username": "somebody", "Password": "secret"
            }
        }
    ],
    "HostStats": {"Enabled": false, "TrafficStats": false},
    "DetailedLogging": {"LogReading": false, "LogSending": false, "LogStep": false},
    "WebSocketMonitoring": {"Enabled": true},
    "HTTP": {"UserAgent": "proxymapper"},
    "SslClientOptions": {"EnabledSslProtocols": "Tls13", "CheckCertificateRevocation": true},
    "SslServerOptions": {"EnabledSslProtocols": "Tls13", "ClientCertificateRequired": false},
    "Cache": {"Enabled": false, "DbPath": "c:\\cache\\cache.db", "CacheDir": "c:\\cache"},
    "CacheRules": {"Items": []}
}`
	ownSample = `{
    "ProxyMappings": [
        {
            "Listen": {
                "Port": 5001, "RejectHttpProxy": false, "StickyProxyLifetime": 0, "Action": "Bypass", "DecryptSSL": false,
                "SslMode": "Auto", "UpstreamSslMode": "Auto", "IgnoreHostRules": false
            },
            "Authentication": {
                "Required": false, "Verify": false, "SetAuthentication": false, "RemoveAuthentication": false,
                "ParseUsernameParameters": false, "Username": "somebody", "Password": "secret"
            }
        }
    ]
}`
	manualSample = `{
    "Authentication": {"Jwt": {"Enabled": true, "Issuer": "site.example", "Audience": "site.example", "Key": "secret"}},
    "ProxyMappings": [
        {
            "Listen": {"Port": 5001, "RejectHttpProxy": true, "StickyProxyLifetime": 0},
            "Authentication": {
                "Required": false, "Verify": false, "SetAuthentication": false, "RemoveAuthentication": false,
                "ParseUsernameParameters": false, "Username": "somebody", "Password": "secret",
                "UsernameParameters": [
                    {"Name": "zone", "Value": "$zone", "Default": "any"},
                    {"Name": "region", "Value": "$region"},
                    {"Name": "session", "Value": "$session", "Default": "^[A-Za-z]{8}", "SessionId": true},
                    {"Name": "sessTime", "Value": "$sessTime", "Default": "5", "SessionTime": true}
                ]
            },
            "ProxyServers": {
                "Items": [{"Host": "localhost", "Port": 3128, "ProxyType": "Http"}],
                "Files": [{"Path": "servers.json"}]
            }
        }
    ],
    "HostRules": {
        "Items": [
            {"Pattern": "tracker\\.(com|net)$", "Action": "Deny"},
            {"Pattern": "^static\\.example\\.com$", "Action": "Bypass"}
        ],
        "Files": [{"Path": "rules.json"}]
    },
    "HostStats": {"Enabled": true, "TrafficStats": true, "LogTrafficData": false},
    "HTTP": {"UserAgent": "proxymapper"}
}`
	// The form that servers and rules had in earlier releases.
	earlierSample = `{
    "ProxyMappings": [
        {
            "Listen": {"Port": 5001},
            "Authentication": {"Required": true, "Username": "somebody", "Password": "secret"},
            "ProxyServers": [{"Host": "localhost", "Port": 3128, "ProxyType": "Http"}],
            "ProxyServersFiles": [{"Path": "servers.json"}]
        }
    ],
    "HostRules": [{"Pattern": "tracker\\.(com|net)$", "Action": "Deny"}],
    "HostRulesFiles": [{"Path": "rules.json"}]
}`
)

// Users of ProxyMapService have files like these, and they work here.
func TestSampleFiles(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "servers.json", `{"Items": [{"Host": "127.0.0.1", "Port": 1080, "ProxyType": "Socks5",}, {"Host": "127.0.0.1", "Port": 1081, "ProxyType": "Socks5"}]}`)
	write(t, dir, "rules.json", `{"Items": [{"HostName": "www.example.com", "Action": "Allow", "ProxyServer": {"Host": "localhost", "Port": 8888, "ProxyType": "Http"}}]}`)
	for _, row := range []struct {
		name, text     string
		servers, rules []string
		ignored        int
	}{
		{"shipped", shippedSample, nil, nil, 14},
		{"own", ownSample, nil, nil, 3},
		{"manual", manualSample, []string{"http localhost:3128", "socks5 127.0.0.1:1080", "socks5 127.0.0.1:1081"}, []string{
			`Deny   "tracker\\.(com|net)$"`, `Bypass "^static\\.example\\.com$"`, "Allow  www.example.com, through http localhost:8888",
		}, 2},
		{"earlier", earlierSample, []string{"http localhost:3128", "socks5 127.0.0.1:1080", "socks5 127.0.0.1:1081"}, []string{
			`Deny   "tracker\\.(com|net)$"`, "Allow  www.example.com, through http localhost:8888",
		}, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			s, err := Parse(dir+"/appsettings.json", []byte(row.text))
			if err != nil {
				t.Fatal(err)
			}
			var servers, rules []string
			for _, server := range s.mappings[0].servers {
				servers = append(servers, serverOf(server.Server))
			}
			for i := range s.rules.list {
				rules = append(rules, s.rules.show(&s.rules.list[i].Rule))
			}
			if diff := cmp.Diff(row.servers, servers); diff != "" {
				t.Errorf("servers (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(row.rules, rules); diff != "" {
				t.Errorf("rules (-want +got):\n%s", diff)
			}
			warned := slices.IndexFunc(s.Warnings, func(w string) bool { return strings.HasPrefix(w, "without effect here") })
			switch {
			case warned < 0 && row.ignored > 0:
				t.Errorf("no warning about what has no effect, but %q", s.Warnings)
			case warned >= 0:
				if _, list, _ := strings.Cut(s.Warnings[warned], ": "); len(strings.Split(list, ", ")) != row.ignored {
					t.Errorf("without effect: %s; want %d keys", list, row.ignored)
				}
			}
		})
	}
}
