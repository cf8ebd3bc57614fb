package credential

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// The exact user name and password of each preset, for an account u with the password p, a session S1 of 10 minutes.
// One without a country, one with de, and one of a connection of its own, which has no lifetime.
func TestProviders(t *testing.T) {
	for _, row := range []struct{ name, plain, country, alone, id string }{
		{"brightdata", "u-session-S1:p", "u-country-de-session-S1:p", "u-session-S1:p", `[A-Za-z0-9]{8}`},
		{"dataimpulse", "u__sessid.S1:p", "u__cr.de;sessid.S1:p", "u__sessid.S1:p", `[A-Za-z0-9]{8}`},
		{"evomi", "u:p_session-S1_lifetime-10", "u:p_country-de_session-S1_lifetime-10", "u:p_session-S1", `[A-Za-z0-9]{8}`},
		{"geonode", "u-session-S1-lifetime-10:p", "u-session-S1-lifetime-10:p", "u-session-S1:p", `[A-Za-z0-9]{8}`},
		{"illusory", "u-session-S1-sesstime-10:p", "u-country-de-session-S1-sesstime-10:p", "u-session-S1:p", `[A-Za-z0-9]{8}`},
		{"iproyal", "u:p_session-S1_lifetime-10m", "u:p_country-de_session-S1_lifetime-10m", "u:p_session-S1", `[A-Za-z0-9]{8}`},
		{"massive", "u-session-S1-sessionttl-10:p", "u-country-de-session-S1-sessionttl-10:p", "u-session-S1:p", `[A-Za-z0-9]{8}`},
		{"netnut", "u-res-any-sid-S1:p", "u-res-de-sid-S1:p", "u-res-any-sid-S1:p", `[A-Za-z0-9]{8}`},
		{"oxylabs", "customer-u-sessid-S1-sesstime-10:p", "customer-u-cc-de-sessid-S1-sesstime-10:p", "customer-u-sessid-S1:p", `[A-Za-z0-9]{8}`},
		{"proxy-seller", "u_s_S1_ttl_10m:p", "u_c_de_s_S1_ttl_10m:p", "u_s_S1:p", `[A-Za-z0-9]{8}`},
		{"scrapeops", "scrapeops.sticky_session=S1:p", "scrapeops.sticky_session=S1:p", "scrapeops.sticky_session=S1:p", `[1-9][0-9]{3}`},
		{"soax", "package-u-sessionid-S1-sessionlength-600:p", "package-u-country-de-sessionid-S1-sessionlength-600:p", "package-u-sessionid-S1:p", `[A-Za-z0-9]{8}`},
		{"thordata", "td-customer-u-sessid-S1-sesstime-10:p", "td-customer-u-country-de-sessid-S1-sesstime-10:p", "td-customer-u-sessid-S1:p", `[A-Za-z0-9]{8}`},
		{"webshare", "u-S1:p", "u-de-S1:p", "u-S1:p", `[1-9][0-9]{7}`},
	} {
		t.Run(row.name, func(t *testing.T) {
			p := providerAccounts(t, row.name, 10*time.Minute)
			if id := p.ID(nil, nil, nil); !regexp.MustCompile("^" + row.id + "$").MatchString(id) {
				t.Errorf("got id %q; want %s", id, row.id)
			}
			p.id.draw = draws(t, "S1")
			germany := Pair{"country", "de"}
			checkSent(t, p, session(t, p), row.plain)
			checkSent(t, p, session(t, p).with(germany), row.country)
			checkSent(t, p, session(t, p, germany), row.country)
			p = providerAccounts(t, row.name, 0)
			p.id.draw = draws(t, "S1")
			checkSent(t, p, Binding{Alone: true}, row.alone)
		})
	}
}

func providerAccounts(t *testing.T, name string, lifetime time.Duration) *Accounts {
	t.Helper()
	preset, found := FindProvider(name)
	if !found {
		t.Fatalf("there is no %q", name)
	}
	return mustCompile(t, Config{
		Lifetime: lifetime, Set: true, ParseParameters: true, Servers: []*Account{nil},
		Account: &Account{Username: "u", Password: "p", Template: &preset.Template},
	})
}

// What providers take of a lifetime: the shortest, the longest, and whether more is warned of.
func TestProvidersLifetimes(t *testing.T) {
	for _, row := range []struct {
		name     string
		lifetime time.Duration
		want     string // at the end of the user name or the password
		warns    bool
	}{
		{"dataimpulse", 30 * time.Minute, "", false},
		{"dataimpulse", 31 * time.Minute, "", true},
		{"evomi", 120 * time.Minute, "_lifetime-120", false},
		{"evomi", 121 * time.Minute, "_lifetime-120", true},
		{"geonode", time.Minute, "-lifetime-3", true},
		{"geonode", 1441 * time.Minute, "-lifetime-1440", true},
		{"illusory", time.Minute, "-sesstime-3", true},
		{"illusory", 1441 * time.Minute, "-sesstime-1440", true},
		{"iproyal", 10080 * time.Minute, "_lifetime-10080m", false},
		{"iproyal", 10081 * time.Minute, "_lifetime-10080m", true},
		{"massive", 61 * time.Minute, "-sessionttl-60", true},
		{"oxylabs", time.Minute, "-sesstime-1", false},
		{"oxylabs", 1441 * time.Minute, "-sesstime-1440", true},
		{"soax", 1440 * time.Minute, "-sessionlength-86400", false},
		{"soax", 1441 * time.Minute, "-sessionlength-86400", true},
		{"thordata", 91 * time.Minute, "-sesstime-90", true},
		{"webshare", 10000 * time.Minute, "", false},
	} {
		p := providerAccounts(t, row.name, row.lifetime)
		user, password, _ := p.Credentials(nil, 0, session(t, p))
		if !strings.HasSuffix(user, row.want) && !strings.HasSuffix(password, row.want) {
			t.Errorf("%s, %v: got %s:%s; want one to end with %s", row.name, row.lifetime, user, password, row.want)
		}
		if got := p.Warnings(); (len(got) == 1) != row.warns {
			t.Errorf("%s, %v: got warnings %q; want some %v", row.name, row.lifetime, got, row.warns)
		}
	}
}

// Presets are found in any case, listed in order, each with its source, and none can be changed from outside.
func TestProvidersList(t *testing.T) {
	list := Providers()
	if !slices.IsSortedFunc(list, func(a, b Provider) int { return strings.Compare(a.Name, b.Name) }) || len(list) != 14 {
		t.Errorf("%d presets; want 14, sorted by their names", len(list))
	}
	for i := range list {
		if p := &list[i]; p.Source == "" || (p.Host == "") != (p.Ports == "") || p.Name != strings.ToLower(p.Name) {
			t.Errorf("%+v: needs a source, a host with ports or neither, and a name in small letters", p)
		}
	}
	list[0].Template.Username = "changed"
	if p, found := FindProvider("BrightData"); !found || p.Template.Username == "changed" {
		t.Errorf("got %+v, %v; want the preset", p, found)
	}
	for _, name := range []string{"", "decodo", "922proxy", "nobody"} {
		if _, found := FindProvider(name); found {
			t.Errorf("there is a %q; it has no verified form", name)
		}
	}
}
