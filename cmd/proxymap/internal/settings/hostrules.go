package settings

import (
	"fmt"
	"strconv"
	"strings"

	"proxymap/cmd/proxymap/internal/settings/schema"
	"proxymap/relay"
	"proxymap/relay/hostrule"
	"proxymap/session/credential"
)

// ruleSettings are the host rules in their order.
type ruleSettings struct {
	last    bool // of several that match, the last one wins
	list    []ruleItem
	servers []serverSettings // of rules; the same for all whose ProxyServer is the same
}

// A ruleItem is a rule and where it stands.
type ruleItem struct {
	hostrule.Rule
	at *object
}

// hostRules reads the rules of a settings file and of those that it names.
func (r *reader) hostRules(o *object) (s ruleSettings) {
	known := map[string]int{} // indices in s.servers
	list := r.included(o, "HostRules", schema.HostRules, func(items []node) {
		for _, item := range items {
			rule := r.object(item, schema.HostRule)
			if !rule.valid {
				continue
			}
			out := ruleItem{r.rule(rule), rule}
			if server := r.object(rule.get("ProxyServer"), schema.ProxyServer); server.valid {
				out.Server = s.server(r.server(server), known)
			}
			s.list = append(s.list, out)
		}
	}, nil)
	s.last = list.choice("Order") == "Last"
	return s
}

func (r *reader) rule(o *object) hostrule.Rule {
	return hostrule.Rule{
		Host: relay.PlainHost(o.text("HostName")), Port: uint16(o.number("HostPort")), Pattern: strings.TrimSpace(o.text("Pattern")),
		Action: r.action(o), Server: -1,
		OverrideHost: relay.PlainHost(o.text("OverrideHostName")), OverridePort: uint16(o.number("OverrideHostPort")),
	}
}

// server returns the index of a rule's server. Each costs every session something, so equal ones are one.
func (s *ruleSettings) server(server serverSettings, known map[string]int) int {
	account := server.account.Account
	var template credential.Template
	if account.Template != nil {
		template, account.Template = *account.Template, nil
	}
	id := fmt.Sprintf("%#v %#v %#v %v", server.Server, account, template, server.account.Template != nil)
	if i, ok := known[id]; ok {
		return i
	}
	known[id] = len(s.servers)
	s.servers = append(s.servers, server)
	return known[id]
}

// addRules makes the relay's rules.
func (r *reader) addRules(s *Settings) {
	var rules []hostrule.Rule
	var at []int // where they stand in the list
	var nowhere []string
	for i := range s.rules.list {
		rule := &s.rules.list[i].Rule
		if rule.Host == "" && rule.Pattern == "" {
			nowhere = append(nowhere, strconv.Itoa(i+1))
			continue
		}
		rules, at = append(rules, *rule), append(at, i)
	}
	for i := range s.rules.servers {
		s.Config.RuleServers = append(s.Config.RuleServers, s.rules.servers[i].Server)
	}
	if n := len(nowhere); n > 0 {
		const shown = 20
		numbers := strings.Join(nowhere[:min(n, shown)], ", ")
		if n > shown {
			numbers += ", …"
		}
		s.Warnings = append(s.Warnings, fmt.Sprintf("%s neither HostName nor Pattern, and so for no host (number %s): write \"Pattern\": \".\" for every host",
			countHave(n, "host rule"), numbers))
	}
	if warning := hiddenRules(rules, at); warning != "" && !s.rules.last {
		s.Warnings = append(s.Warnings, warning)
	}
	var err error
	s.Config.Rules, err = hostrule.New(rules, s.rules.last)
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			f := e.(*hostrule.Fault)
			r.fault(s.rules.list[at[f.Index]].at.get(ruleKey(f.Key)), "value %s", f.Reason)
		}
	}
}

// ruleKey is the settings' key of a field of a hostrule.Rule.
func ruleKey(field string) string {
	switch field {
	case "Host":
		return "HostName"
	case "OverrideHost":
		return "OverrideHostName"
	}
	return field
}

func countHave(n int, what string) string {
	if n == 1 {
		return "1 " + what + " has"
	}
	return fmt.Sprintf("%d %ss have", n, what)
}
