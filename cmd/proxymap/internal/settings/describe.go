package settings

import (
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"

	"proxymap/cmd/proxymap/internal/settings/layer"
	"proxymap/relay"
	"proxymap/relay/allow"
	"proxymap/relay/hostrule"
)

// Describe prints the settings as they were understood, and their warnings. Secrets are masked.
func (s *Settings) Describe(w io.Writer) error {
	var out strings.Builder
	ports := 0
	for i := range s.Config.Mappings {
		s.printMapping(&out, i)
		ports += int(s.Config.Mappings[i].Last) - int(s.Config.Mappings[i].First) + 1
	}
	s.printRules(&out)
	if s.hostStats.enabled {
		fmt.Fprintf(&out, "host statistics: on, traffic %s\n", either(s.hostStats.traffic, "on", "off"))
	}
	if s.Admin.Address.IsValid() {
		fmt.Fprintf(&out, "admin: http://%s, %s, for %s\n", s.Admin.Address, either(s.Admin.Token != "", "token ***", "no token"), allowedOf(s.Admin.AllowFrom))
	}
	if s.StateFile != "" {
		fmt.Fprintf(&out, "state: sessions are kept in %s\n", s.StateFile)
	}
	for _, warning := range s.Warnings {
		fmt.Fprintf(&out, "warning: %s\n", warning)
	}
	fmt.Fprintf(&out, "ok: %s, %s\n", count(len(s.Config.Mappings), "mapping"), count(ports, "port"))
	_, err := io.WriteString(w, out.String())
	return err
}

func either(is bool, yes, no string) string {
	if is {
		return yes
	}
	return no
}

func (s *Settings) printMapping(out *strings.Builder, i int) {
	m, set := &s.Config.Mappings[i], &s.mappings[i]
	fmt.Fprintf(out, "mapping %d: %s (%s)\n", i+1, m.Ports(), count(int(m.Last)-int(m.First)+1, "port"))
	if m.BusyPort == relay.SkipBusy {
		fmt.Fprintf(out, "  taken ports  skipped, and tried again until they are free\n")
	}
	fmt.Fprintf(out, "  sessions     %s\n", lifetimeOf(m, &set.rotation))
	if rotation := rotationOf(&set.rotation); rotation != "" {
		fmt.Fprintf(out, "  rotation     %s\n", rotation)
	}
	fmt.Fprintf(out, "  clients      %s\n", clientsOf(&set.auth))
	fmt.Fprintf(out, "  hosts        %s\n", s.hostsOf(m))
	if !slices.Equal(m.AllowFrom, allow.Loopback()) || m.ProxyProtocol {
		fmt.Fprintf(out, "  allowed      %s%s\n", allowedOf(m.AllowFrom),
			either(m.ProxyProtocol, ": balancers, whose PROXY header names the client", ""))
	}
	if m.RejectPlain {
		fmt.Fprintf(out, "  plain HTTP   rejected with 405; CONNECT only\n")
	}
	printUpstreams(out, m, set)
	fmt.Fprintf(out, "  Session API  %s\n", apiOf(m, set.auth.required))
}

// clientsOf says what clients have to bring, and what becomes of it.
func clientsOf(a *authSettings) string {
	text := "need no credentials"
	switch {
	case a.required && a.verify:
		text = "need the Username and the Password"
	case a.required:
		text = "need credentials, any"
	case a.verify:
		text = "need no credentials, but those that they bring must be right"
	}
	if a.parse {
		text += "; parameters are read from the user name"
	}
	return text
}

// hostsOf says what becomes of requests, host rules apart.
func (s *Settings) hostsOf(m *relay.Mapping) string {
	text := map[hostrule.Action]string{
		hostrule.Allow: "Allow: through the upstream", hostrule.Bypass: "Bypass: straight to the target", hostrule.Deny: "Deny: answered 403 denied",
	}[m.Action]
	switch {
	case len(s.rules.list) > 0 && m.IgnoreRules:
		text += "; host rules are ignored"
	case len(s.rules.list) > 0:
		text += ", where no host rule matches"
	}
	if m.AllowLocalTargets != m.Address.IsLoopback() {
		text += "; bypassing to this machine " + either(m.AllowLocalTargets, "allowed", "refused")
	}
	return text
}

// shownRules is how many rules of a file are shown.
const shownRules = 20

// printRules shows the host rules as they stand, file by file.
func (s *Settings) printRules(out *strings.Builder) {
	rules := &s.rules
	if len(rules.list) == 0 {
		return
	}
	fmt.Fprintf(out, "host rules: %d, of which the %s that matches wins\n", len(rules.list), either(rules.last, "last", "first"))
	var in *layer.Source
	shown, left := 0, 0
	more := func() {
		if left > 0 {
			fmt.Fprintf(out, "  and %d more\n", left)
		}
	}
	for i := range rules.list {
		rule := &rules.list[i]
		if at := rule.at.self.from.Source; at != in {
			more()
			fmt.Fprintf(out, "  of %s\n", at.Name)
			in, shown, left = at, 0, 0
		}
		if shown == shownRules {
			left++
			continue
		}
		shown++
		fmt.Fprintf(out, "  %4d  %s\n", i+1, rules.show(&rule.Rule))
	}
	more()
}

// show renders a rule on a line.
func (s *ruleSettings) show(r *hostrule.Rule) string {
	text := map[hostrule.Action]string{hostrule.Allow: "Allow ", hostrule.Bypass: "Bypass", hostrule.Deny: "Deny  "}[r.Action]
	switch {
	case r.Host != "" && r.Pattern != "":
		text += fmt.Sprintf(" %s or %q", r.Host, r.Pattern)
	case r.Pattern != "":
		text += fmt.Sprintf(" %q", r.Pattern)
	case r.Host != "":
		text += " " + r.Host
	default:
		text += " every host"
	}
	if r.Port != 0 {
		text += fmt.Sprintf(", port %d", r.Port)
	}
	if r.OverrideHost != "" {
		text += ", as " + r.OverrideHost
	}
	if r.OverridePort != 0 {
		text += fmt.Sprintf(", as port %d", r.OverridePort)
	}
	if r.Server >= 0 && r.Action == hostrule.Allow {
		text += ", through " + serverOf(s.servers[r.Server].Server)
		if user := s.servers[r.Server].account.Username; user != "" {
			text += " as " + masked(user)
		}
	}
	return text
}

// serverOf shows a server with its protocol.
func serverOf(s relay.Server) string {
	text := map[relay.ServerType]string{relay.HTTP: "http ", relay.SOCKS4: "socks4 ", relay.SOCKS5: "socks5 "}[s.Type] + s.HostPort()
	if s.ResolveIP {
		text += " (names are looked up here)"
	}
	return text
}

// credentialsOf shows credentials as they could be sent, masked: the parameters are what one wants to see.
func credentialsOf(m *relay.Mapping, set *mappingSettings, server int) string {
	if user, password, ok := m.Plan.Example(server); ok {
		return fmt.Sprintf("user name like %s, password %s", user, password)
	}
	if set.auth.remove {
		return "no credentials"
	}
	return "credentials of the clients, if they bring some"
}

// mask hides all but the ends of a user name.
func masked(name string) string {
	runes := []rune(name)
	if len(runes) < 6 {
		return "***"
	}
	return string(runes[:1]) + "***" + string(runes[len(runes)-1:])
}

// apiOf shows how the API is asked. It stands behind the clients' credentials.
func apiOf(m *relay.Mapping, required bool) string {
	var how string
	switch {
	case !m.API.Enabled:
		return "off"
	case m.API.Domain == "":
		how = fmt.Sprintf("curl %shttp://%s:%d/session/", either(required, "-H 'Proxy-Authorization: Basic …' ", ""), hostOf(m), m.First)
	default:
		how = fmt.Sprintf("curl -x http://%s:%d %shttp://%s/session/", hostOf(m), m.First, either(required, "-U USERNAME:PASSWORD ", ""), m.API.Domain)
	}
	if m.API.RequireHeader {
		how += " (new and reset need -H 'X-Proxymap: 1')"
	}
	return how
}

// hostOf is where this machine reaches a mapping.
func hostOf(m *relay.Mapping) string {
	switch {
	case m.Address == netip.IPv4Unspecified():
		return "127.0.0.1"
	case m.Address == netip.IPv6Unspecified():
		return "[::1]"
	case m.Address.Is6():
		return "[" + m.Address.String() + "]"
	}
	return m.Address.String()
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
