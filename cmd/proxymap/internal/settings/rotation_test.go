package settings

import (
	"testing"
	"time"
)

// A lifetime is in minutes unless it has a unit.
func TestLifetimeUnits(t *testing.T) {
	for text, want := range map[string]time.Duration{
		`10`: 10 * time.Minute, `"10"`: 10 * time.Minute, `"10m"`: 10 * time.Minute, `"90s"`: 90 * time.Second, `"1h30m"`: 90 * time.Minute,
		`0`: 0, `525600`: 365 * 24 * time.Hour, `"8760h"`: 365 * 24 * time.Hour, `"1s"`: time.Second, `null`: 0,
	} {
		s, err := Parse("f", []byte(`{"Listen":{"Port":1,"Action":"Deny","StickyProxyLifetime":`+text+`}}`))
		if err != nil {
			t.Error(text, err)
			continue
		}
		if got := s.Config.Mappings[0].Plan.Lifetime(); got != want {
			t.Errorf("StickyProxyLifetime %s: got %v; want %v", text, got, want)
		}
	}
}

// A lifetime that calls give makes sessions that can be idle, though there is none without.
func TestIdleLifetimeOfCalls(t *testing.T) {
	s, err := Parse("f", []byte(`{"Listen":{"Port":1,"Action":"Deny","IdleLifetime":1},
		"Authentication":{"UsernameParameters":[{"Name":"t","Value":"$t","SessionTime":true}]}}`))
	if err != nil || s.Config.Mappings[0].IdleLifetime != time.Minute || len(s.Warnings) > 0 {
		t.Errorf("got %+v, %v; want a minute and no warning", s, err)
	}
}
