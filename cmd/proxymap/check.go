package main

import (
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"proxymap/relay"
	"proxymap/session"
)

// Run prints a settings file as it was understood. Its secrets are masked.
func (c checkCommand) Run(s streams) error {
	set, err := loadSettings(c.Config)
	if err != nil {
		return err
	}
	room, err := set.config.Budget()
	if err != nil {
		return err
	}
	set.warnings = append(set.warnings, machineWarnings(&set.config)...)
	if err := set.print(s.out); err != nil {
		return err
	}
	_, err = fmt.Fprintf(s.out, "this machine's limit of %d open files has room for %s at once\n", room.Descriptors, count(room.Connections, "connection"))
	return err
}

func (s *settings) print(w io.Writer) error {
	var out strings.Builder
	ports := 0
	for i := range s.config.Mappings {
		s.printMapping(&out, i)
		ports += int(s.config.Mappings[i].Last) - int(s.config.Mappings[i].First) + 1
	}
	for _, warning := range s.warnings {
		fmt.Fprintf(&out, "warning: %s\n", warning)
	}
	fmt.Fprintf(&out, "ok: %s, %s\n", count(len(s.config.Mappings), "mapping"), count(ports, "port"))
	_, err := io.WriteString(w, out.String())
	return err
}

func (s *settings) printMapping(out *strings.Builder, i int) {
	m, set := &s.config.Mappings[i], &s.mappings[i]
	fmt.Fprintf(out, "mapping %d: %s (%s)\n", i+1, portsOf(m), count(int(m.Last)-int(m.First)+1, "port"))
	fmt.Fprintf(out, "  sessions     %s\n", lifetimeOf(m))
	if m.RejectPlain {
		fmt.Fprintf(out, "  plain HTTP   rejected with 405; CONNECT only\n")
	}
	for n := range set.servers {
		fmt.Fprintf(out, "  upstream %-3d %s, %s\n", n+1, hostPort(m.Servers[n]), credentialsOf(m, set, n))
	}
	if len(set.servers) == 0 {
		fmt.Fprintf(out, "  upstream     none: requests are answered 502 no-upstream\n")
	}
	fmt.Fprintf(out, "  Session API  %s\n", apiOf(m))
}

func lifetimeOf(m *relay.Mapping) string {
	if d := m.Plan.Lifetime(); d > 0 {
		return fmt.Sprintf("%v min from their creation", d.Minutes())
	}
	return "one for each client connection (lifetime 0)"
}

func hostPort(s relay.Server) string {
	return "http " + net.JoinHostPort(s.Host, strconv.Itoa(int(s.Port)))
}

// credentialsOf shows a user name as it could be sent, its base masked: the parameters are what one wants to see.
func credentialsOf(m *relay.Mapping, set *mappingSettings, server int) string {
	if !m.Plan.Sets(server) {
		return "no credentials"
	}
	base := set.servers[server].account.Username
	if base == "" {
		base = set.account.Username
	}
	var example *session.Session
	example, _ = m.Plan.New(time.Now().UnixNano(), nil, nil) // there is no error without given parameters
	user, _, _ := m.Plan.Credentials(example, server, nil)
	return fmt.Sprintf("user name like %s, password ***", mask(base)+strings.TrimPrefix(user, base))
}

// mask hides all but the ends of a user name.
func mask(name string) string {
	if len(name) < 6 {
		return "***"
	}
	return name[:1] + "***" + name[len(name)-1:]
}

func apiOf(m *relay.Mapping) string {
	var how string
	switch {
	case !m.API.Enabled:
		return "off"
	case m.API.Domain == "":
		how = fmt.Sprintf("curl http://%s:%d/session/", hostOf(m), m.First)
	default:
		how = fmt.Sprintf("curl -x http://%s:%d http://%s/session/", hostOf(m), m.First, m.API.Domain)
	}
	if m.API.RequireHeader {
		how += " (new and reset need -H 'X-Proxymap: 1')"
	}
	return how
}

func hostOf(m *relay.Mapping) string {
	if m.Address.Is6() {
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
