package settings

import (
	"strings"
	"testing"
)

// Hosts of settings may be in UTF-8: they are what requests for them are seen as.
func TestHostsInUTF8(t *testing.T) {
	s, err := Parse("f", []byte(`{"Listen":{"Port":1},"ProxyServers":{"Items":[{"Host":"Bücher.example","Port":2}]},
		"SessionAPI":{"Enabled":true,"Domain":"bücher.example"},
		"HostRules":{"Items":[{"HostName":"BÜCHER.example","OverrideHostName":"例え.テスト","Action":"Bypass"}]}}`))
	if err != nil {
		t.Fatal(err)
	}
	const label = "xn--bcher-kva.example"
	m := s.Config.Mappings[0]
	rule := s.Config.Rules.Match([]byte(label), 80)
	if m.Servers[0].Host != label || m.API.Domain != label || rule == nil || rule.OverrideHost != "xn--r8jz45g.xn--zckzah" {
		t.Errorf("got server %q, domain %q, rule %+v; want A-labels", m.Servers[0].Host, m.API.Domain, rule)
	}
	for _, bad := range []string{`a／b`, `a\ufffdb`, `bü cher`} {
		_, err := Parse("f", []byte(`{"Listen":{"Port":1,"Action":"Deny"},"HostRules":{"Items":[{"HostName":"`+bad+`"}]}}`))
		if err == nil || !strings.Contains(err.Error(), "HostRules.Items[0].HostName") {
			t.Errorf("%q: got %v; want a fault", bad, err)
		}
	}
}
