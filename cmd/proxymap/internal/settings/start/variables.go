package start

import (
	"regexp"
	"slices"
	"strings"

	"proxymap/cmd/proxymap/internal/settings/near"
)

const prefix = "PROXYMAP_"

// otherVariables are read elsewhere: by ServeFlags, by the settings' layers, by the session command, by the tests.
var otherVariables = []string{"CONFIG", "GRACE", "LOG_LEVEL", "ENVIRONMENT", "USER", "TOKEN", "LONG"}

// flagVariables are those that Read reads.
var flagVariables = []string{
	"UPSTREAM", "UPSTREAM_FILE", "PORTS", "LIFETIME", "PROVIDER", "SPREAD", "SESSION_API", "ADDRESS", "ALLOW_FROM",
}

// serviceLink is what Kubernetes puts into the environment of every pod for a service named proxymap, or proxymap-something.
var serviceLink = regexp.MustCompile(`^PROXYMAP_(\w+_)?` +
	`((SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)=|PORT=(tcp|udp|sctp)://)`)

// variables are those of an environment that begin with PROXYMAP_, each NAME=VALUE.
type variables []string

// lookup returns the value of a variable. Of two with one name the first counts, as for the C library.
func (v variables) lookup(name string) (value string, ok bool) {
	for _, variable := range v {
		if value, ok := strings.CutPrefix(variable, name+"="); ok {
			return value, true
		}
	}
	return "", false
}

// variableOf is the variable beside a flag.
func variableOf(flag string) string {
	return prefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// one is the value of a flag or else of its variable.
func (v variables) one(flag string, value *string) given {
	if value != nil {
		return given{strings.TrimSpace(*value), "flag --" + flag}
	}
	name := variableOf(flag)
	if value, ok := v.lookup(name); ok {
		return given{strings.TrimSpace(value), "environment " + name}
	}
	return given{}
}

// all are the values of a flag or else of its variable, which split cuts into several. A variable of nothing is one empty
// value.
func (v variables) all(flag string, values []string, split func(string) []string) (list []given) {
	for _, value := range values {
		list = append(list, given{strings.TrimSpace(value), "flag --" + flag})
	}
	if len(list) > 0 {
		return list
	}
	name := variableOf(flag)
	value, ok := v.lookup(name)
	if !ok {
		return nil
	}
	parts := split(value)
	if len(parts) == 0 {
		parts = []string{""}
	}
	for _, part := range parts {
		list = append(list, given{part, "environment " + name})
	}
	return list
}

// warnings name the variables that look like ours and are not read. They are no fault: the environment belongs to others
// too, who may have a use for the name.
func (v variables) warnings() (list []string) {
	known := slices.Concat(flagVariables, otherVariables)
	for _, variable := range slices.Sorted(slices.Values(v)) {
		name, _, _ := strings.Cut(variable, "=")
		if len(name) < len(prefix) || !strings.EqualFold(name[:len(prefix)], prefix) || serviceLink.MatchString(variable) ||
			strings.HasPrefix(name, prefix) && slices.Contains(known, name[len(prefix):]) {
			continue
		}
		text := "environment " + name + " is not known and has no effect"
		if meant := near.Name(name[len(prefix):], known); meant != "" {
			text += "; did you mean " + prefix + meant + "?"
		}
		list = append(list, text)
	}
	return list
}
