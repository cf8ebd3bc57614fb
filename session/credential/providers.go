package credential

import (
	"slices"
	"strings"
	"time"
)

// A Provider is a preset: how a provider of upstream proxies wants the session in the credentials, as its own
// documentation says.
type Provider struct {
	Name     string
	Source   string // the documentation
	Host     string // of its gateway, for information; empty where the documentation read does not name it
	Ports    string // of its gateway, for information
	Account  string // what the account's user name and password are, where they are called something else
	Note     string // what else is to be known; empty: nothing
	Template Template
}

// Providers are all presets, sorted by their names. They are the caller's to change.
func Providers() []Provider { return slices.Clone(providers) }

// FindProvider returns the preset of that name, in any case.
func FindProvider(name string) (p Provider, found bool) {
	for _, p := range providers {
		if strings.EqualFold(p.Name, name) {
			return p, true
		}
	}
	return Provider{}, false
}

const (
	dashCountry = "[-country-{param:country}]"
	minute      = time.Minute
	day         = 24 * time.Hour
)

// providers has those whose forms of user name and password stand in their own documentation. One that is known from
// elsewhere only is not added: an error in it shows as exit addresses that change, or do not, and not as a failure.
var providers = []Provider{
	{
		Name: "brightdata", Source: "docs.brightdata.com/api-reference/proxy/rotate_ips, help.brightdata.com 4413222056849",
		Host: "brd.superproxy.io", Ports: "33335 (HTTP), 22228 (SOCKS5)",
		Account:  "user name brd-customer-ID-zone-ZONE",
		Note:     "a session without traffic for 60 s is dropped; ids are letters and digits only",
		Template: Template{Username: "{username}" + dashCountry + "-session-{session}"},
	},
	{
		Name: "dataimpulse", Source: "docs.dataimpulse.com/proxies/parameters/session-id",
		Note:     "a session is kept for about 30 minutes",
		Template: Template{Username: "{username}__[cr.{param:country};]sessid.{session}", TTLMax: 30 * minute},
	},
	{
		Name: "evomi", Source: "docs.evomi.com proxy-sessions, curl guide",
		Host: "rp.evomi.com", Ports: "1000 (HTTP), 1002 (SOCKS5)",
		Note: "ids are 6 to 10 letters and digits",
		Template: Template{
			Password: "{password}[_country-{param:country}]_session-{session}[_lifetime-{ttl}]", TTLUnit: "m", TTLMax: 120 * minute,
		},
	},
	{
		Name: "geonode", Source: "docs.geonode.com",
		Host: "proxy.geonode.io", Ports: "10000 and up",
		Note:     "ids are 1 to 25 letters, digits and underscores; the ports from 9000 on rotate by themselves",
		Template: Template{Username: "{username}-session-{session}[-lifetime-{ttl}]", TTLUnit: "m", TTLMin: 3 * minute, TTLMax: day},
	},
	{
		Name: "illusory", Source: "illusory.io/docs",
		Host: "proxy.illusory.io", Ports: "1080",
		Template: Template{
			Username: "{username}" + dashCountry + "-session-{session}[-sesstime-{ttl}]", TTLUnit: "m", TTLMin: 3 * minute, TTLMax: day,
		},
	},
	{
		Name: "iproyal", Source: "docs.iproyal.com/proxies/residential/proxy/rotation",
		Note: "ids are exactly 8 letters and digits",
		Template: Template{
			Password:      "{password}[_country-{param:country}]_session-{session}[_lifetime-{ttl}]",
			SessionLength: 8, TTLUnit: "suffixed", TTLMin: time.Second, TTLMax: 7 * day,
		},
	},
	{
		Name: "massive", Source: "docs.joinmassive.com sticky-sessions",
		Host: "network.joinmassive.com", Ports: "65534 (HTTP), 65533 (SOCKS5)",
		Account:  "password: the API key",
		Note:     "a session without a lifetime is kept for 15 minutes",
		Template: Template{Username: "{username}" + dashCountry + "-session-{session}[-sessionttl-{ttl}]", TTLUnit: "m", TTLMax: 60 * minute},
	},
	{
		Name: "netnut", Source: "help.netnut.io residential initial-setup",
		Host: "gw.netnut.net", Ports: "5959",
		Note:     "for residential addresses",
		Template: Template{Username: "{username}-res-{param:country|any}-sid-{session}"},
	},
	{
		Name: "oxylabs", Source: "developers.oxylabs.io session-control",
		Host: "pr.oxylabs.io", Ports: "7777",
		Account: "user name without customer-",
		Note:    "a session without a lifetime is kept for 10 minutes, or 60 s without traffic; country codes are in capitals",
		Template: Template{
			Username: "customer-{username}[-cc-{param:country}]-sessid-{session}[-sesstime-{ttl}]", TTLUnit: "m", TTLMin: minute, TTLMax: day,
		},
	},
	{
		Name: "proxy-seller", Source: "docs.proxy-seller.com api-tool",
		Host: "res.proxy-seller.com", Ports: "10000-10999",
		Template: Template{Username: "{username}[_c_{param:country}]_s_{session}[_ttl_{ttl}]", TTLUnit: "suffixed"},
	},
	{
		Name: "scrapeops", Source: "scrapeops.io",
		Host: "residential-proxy.scrapeops.io", Ports: "8181",
		Account:  "password: the API key; the user name is not sent",
		Note:     "ids are numbers up to 10000; a session without traffic for 10 minutes is dropped",
		Template: Template{Username: "scrapeops.sticky_session={session}", SessionAlphabet: "0-9", SessionLength: 4},
	},
	{
		Name: "soax", Source: "helpcenter.soax.com 6723733, 7035059, 9939557",
		Host: "proxy.soax.com", Ports: "5000",
		Account: "user name: the package's id, without package-; password: the package's key",
		Template: Template{
			Username: "package-{username}" + dashCountry + "-sessionid-{session}[-sessionlength-{ttl}]", TTLUnit: "s", TTLMax: day,
		},
	},
	{
		Name: "thordata", Source: "doc.thordata.com making-request, session-control",
		Host: "t.pr.thordata.net", Ports: "9999 (residential), 5555 (mobile)",
		Account: "user name without td-customer-",
		Note:    "a session without a lifetime is kept for 10 minutes, or 60 to 90 s without traffic",
		Template: Template{
			Username: "td-customer-{username}" + dashCountry + "-sessid-{session}[-sesstime-{ttl}]", TTLUnit: "m", TTLMin: minute, TTLMax: 90 * minute,
		},
	},
	{
		Name: "webshare", Source: "apidocs.webshare.io/proxy-connection",
		Host: "p.webshare.io", Ports: "80, 1080, 3128, 9999-19999",
		Note:     "ids are numbers",
		Template: Template{Username: "{username}[-{param:country}]-{session}", SessionAlphabet: "0-9", SessionLength: 8},
	},
}
