package start

import (
	"errors"
	"strings"
	"unicode"
)

// Flags are those of every command that reads settings; nil and empty: not given. Their tags are kong's. A flag named x-y has
// the variable PROXYMAP_X_Y beside it.
type Flags struct {
	Upstream     []string `type:"texts" help:"Upstream proxy, as http://, socks4:// or socks5://USER:PASSWORD@HOST:PORT; may be given several times. Other users of this machine see a flag's password: the variable hides it ($$PROXYMAP_UPSTREAM)." placeholder:"URL"`
	UpstreamFile *string  `help:"File of upstream proxies, one a line ($$PROXYMAP_UPSTREAM_FILE)." placeholder:"FILE"`
	Ports        *string  `help:"Port to listen on, or the first and the last: 10201-10300 ($$PROXYMAP_PORTS)." placeholder:"PORTS"`
	Lifetime     *string  `help:"Lifetime of a session, such as 10m; without one each connection is a session of its own ($$PROXYMAP_LIFETIME)." placeholder:"TIME"`
	Provider     *string  `help:"Provider whose form of credentials is used; proxymap providers lists them ($$PROXYMAP_PROVIDER)." placeholder:"NAME"`
	Spread       *string  `help:"PerPort: each port has one upstream proxy of the list, with its credentials as they stand ($$PROXYMAP_SPREAD)." placeholder:"HOW"`
	SessionAPI   *string  `type:"optional" name:"session-api" help:"Answer the Session API, for the host portmapper or =DOMAIN ($$PROXYMAP_SESSION_API, true or a domain)."`
	Address      *string  `help:"Local address to listen on, 127.0.0.1 unless given ($$PROXYMAP_ADDRESS)." placeholder:"IP"`
	AllowFrom    []string `type:"texts" help:"Who may connect: addresses and networks such as 172.16.0.0/12; may be given several times ($$PROXYMAP_ALLOW_FROM)." placeholder:"CIDR"`
}

// Alone is what a flag that may stand without a value has then.
const Alone = "true"

// A given is a text and where it came from: "flag --ports", "environment PROXYMAP_PORTS".
type given struct{ text, from string }

func (g given) there() bool { return g.from != "" }

// A Form is what was given, a flag before its variable.
type Form struct {
	upstreams, allowFrom                                                 []given // one for each value
	upstreamFile, ports, lifetime, provider, spread, sessionAPI, address given

	warnings []string
}

// Read takes flags, and of an environment, each NAME=VALUE, the variables of flags that are not given.
func Read(flags Flags, environ []string) *Form {
	vars := variables(environ)
	return &Form{
		upstreams:    vars.all("upstream", flags.Upstream, strings.Fields),
		upstreamFile: vars.one("upstream-file", flags.UpstreamFile),
		ports:        vars.one("ports", flags.Ports),
		lifetime:     vars.one("lifetime", flags.Lifetime),
		provider:     vars.one("provider", flags.Provider),
		spread:       vars.one("spread", flags.Spread),
		sessionAPI:   vars.one("session-api", flags.SessionAPI),
		address:      vars.one("address", flags.Address),
		allowFrom:    vars.all("allow-from", each(flags.AllowFrom, splitList), splitList),
		warnings:     vars.warnings(),
	}
}

// ConfigFile returns the settings file: that of the flag, or of PROXYMAP_CONFIG. Empty: neither is given.
func ConfigFile(flag *string, environ []string) (file string, err error) {
	g := variables(environ).one("config", flag)
	if g.there() && g.text == "" {
		return "", errors.New(g.from + ": " + emptyText)
	}
	return g.text, nil
}

// Warnings are about variables PROXYMAP_… that nobody reads.
func (f *Form) Warnings() []string { return f.warnings }

// Empty reports whether nothing at all was given.
func (f *Form) Empty() bool {
	one := []given{f.upstreamFile, f.ports, f.lifetime, f.provider, f.spread, f.sessionAPI, f.address}
	for _, g := range append(append(one, f.upstreams...), f.allowFrom...) {
		if g.there() {
			return false
		}
	}
	return true
}

// splitList splits a text at commas and white space.
func splitList(text string) []string {
	return strings.FieldsFunc(text, func(c rune) bool { return c == ',' || unicode.IsSpace(c) })
}

// each splits texts further. One of nothing stays.
func each(texts []string, split func(string) []string) (all []string) {
	for _, text := range texts {
		parts := split(text)
		if len(parts) == 0 {
			parts = []string{""}
		}
		all = append(all, parts...)
	}
	return all
}
