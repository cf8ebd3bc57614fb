package settings

import (
	"regexp"
	"strings"
	"testing"

	"proxymap/session/credential"
)

// A preset, what changes it, and a template of one's own reach the credentials.
func TestTemplateSettings(t *testing.T) {
	const alnum = `[A-Za-z0-9]`
	for _, row := range []struct{ name, auth, user, password string }{
		{"preset", `"Provider":"IPRoyal"`, `user`, `secret_session-` + alnum + `{8}_lifetime-10m`},
		{"preset with rules of one's own", `"Provider":"iproyal","SessionAlphabet":"0-9a-f","SessionLength":"12","TTLUnit":"s","TTLMin":"1s","TTLMax":"90s"`,
			`user`, `secret_session-[0-9a-f]{12}_lifetime-90`},
		{"preset without its bound", `"Provider":"geonode","TTLMin":"20m"`, `user-session-` + alnum + `{8}-lifetime-20`, `secret`},
		{"preset with another user name", `"Provider":"iproyal","Template":{"Username":"x-{username}"}`, `x-user`, `secret_session-` + alnum + `{8}_lifetime-10m`},
		{"template", `"Template":{"Username":"{username};{session}[;c={param:country}]","Password":"{password}[/{ttl}]"},"SessionAlphabet":"A-C","TTLUnit":"suffixed"`,
			`user;[A-C]{8}`, `secret/10m`},
		{"template of a password alone", `"Template":{"Password":"{password}+{session}"},"SessionLength":3`, `user`, `secret\+` + alnum + `{3}`},
	} {
		s, err := Parse("f", []byte(`{"Listen":{"Port":1,"StickyProxyLifetime":"10m"},"ProxyServers":{"Items":[{"Host":"a","Port":2},
			{"Host":"b","Port":2,"Username":"other","Password":"word"},{"Host":"c","Port":2,"Username":"user","Password":"secret",`+row.auth+`}]},
			"Authentication":{"SetAuthentication":true,"Username":"user","Password":"secret",`+row.auth+`}}`))
		if err != nil {
			t.Error(row.name, err)
			continue
		}
		plan := s.Config.Mappings[0].Plan
		one, err := plan.New(0, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		for server, account := range []struct{ user, password string }{{"user", "secret"}, {"other", "word"}, {"user", "secret"}} {
			wantUser, wantPassword := strings.Replace(row.user, "user", account.user, 1), strings.Replace(row.password, "secret", account.password, 1)
			user, password, _ := plan.Credentials(one, server, nil)
			if !matches(wantUser, user) || !matches(wantPassword, password) {
				t.Errorf("%s, server %d: got %q, %q; want %q, %q", row.name, server, user, password, wantUser, wantPassword)
			}
		}
	}
}

func matches(pattern, text string) bool {
	return regexp.MustCompile("^" + pattern + "$").MatchString(text)
}

// A provider whose credentials do not have the user name needs none.
func TestProviderWithoutUsername(t *testing.T) {
	s, err := Parse("f", []byte(`{"Listen":{"Port":1,"StickyProxyLifetime":10},"ProxyServers":{"Items":[{"Host":"a","Port":2},
		{"Host":"b","Port":2,"Provider":"scrapeops","Password":"key"}]},"Authentication":{"SetAuthentication":true,"Provider":"scrapeops","Password":"key"}}`))
	if err != nil {
		t.Fatal(err)
	}
	for server := range 2 {
		if user, password, _ := s.Config.Mappings[0].Plan.Credentials(nil, server, nil); !matches(`scrapeops\.sticky_session=[0-9]{4}`, user) || password != "key" {
			t.Errorf("server %d: got %q, %q", server, user, password)
		}
	}
}

// Each preset can be had by its name alone, and check shows what it sends, masked.
func TestEveryProviderInSettings(t *testing.T) {
	for _, p := range credential.Providers() {
		s, err := Parse("f", []byte(`{"Listen":{"Port":1,"StickyProxyLifetime":10},"ProxyServers":{"Items":[{"Host":"a","Port":2}]},
			"Authentication":{"SetAuthentication":true,"Provider":"`+p.Name+`","Username":"customer-name","Password":"secret"}}`))
		if err != nil {
			t.Error(err)
			continue
		}
		var out strings.Builder
		if err := s.Describe(&out); err != nil {
			t.Fatal(err)
		}
		if text := out.String(); strings.Contains(text, "secret") || strings.Contains(text, "customer-name") || !strings.Contains(text, "***") {
			t.Errorf("%s: check prints\n%s", p.Name, text)
		}
	}
}

// Equal servers of rules are one, also with templates of their own.
func TestEqualTemplatesOfRules(t *testing.T) {
	rule := func(provider string) string {
		return `{"HostName":"x` + provider + `","ProxyServer":{"Host":"a","Port":2,"Username":"u","Provider":"` + provider + `"}}`
	}
	s, err := Parse("f", []byte(`{"Listen":{"Port":1,"StickyProxyLifetime":10},"HostRules":{"Items":[`+
		rule("oxylabs")+`,`+rule("Oxylabs")+`,`+rule("soax")+`]}}`))
	if err != nil || len(s.Config.RuleServers) != 2 {
		t.Errorf("got %v, %v; want two servers", s, err)
	}
}
