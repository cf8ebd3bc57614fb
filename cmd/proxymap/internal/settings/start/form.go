package start

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"proxymap/cmd/proxymap/internal/settings/layer"
	"proxymap/cmd/proxymap/internal/settings/mask"
)

const emptyText = "is empty: give it a value, or leave it out"

// DefaultDomain is what the Session API answers for where no other domain is given.
const DefaultDomain = "portmapper"

var (
	errPorts      = errors.New("must be a port such as 10201, or the first and the last such as 10201-10300, of 1 to 65535")
	errSessionAPI = errors.New("must be true, false, or the domain that the Session API answers for, such as portmapper")
)

// Settings are what a form stands for, each with its origin. folder is where relative paths begin. Faults are of values from
// which no setting can be made; they come with the settings of all others, so that everything that is wrong can be told at
// once.
func (f *Form) Settings(folder string) ([]layer.Setting, []layer.Fault) {
	m := maker{}
	m.servers(f, folder)
	m.ports(f.ports)
	m.set(f.lifetime, "Listen", "StickyProxyLifetime")
	m.set(f.address, "Listen", "Address")
	m.allowFrom(f.allowFrom)
	m.set(f.provider, "Authentication", "Provider")
	m.sessionAPI(f.sessionAPI)
	return m.list, m.faults
}

// A maker collects settings and faults.
type maker struct {
	list   []layer.Setting
	faults []layer.Fault
}

func (m *maker) fault(g given, format string, args ...any) {
	m.faults = append(m.faults, layer.Fault{From: layer.Origin{Source: &layer.Source{Name: g.from}}, Text: fmt.Sprintf(format, args...)})
}

// usable reports whether a value is given. An empty one is a fault: it is hardly meant to be the default.
func (m *maker) usable(g given) bool {
	if g.there() && g.text == "" {
		m.fault(g, emptyText)
	}
	return g.text != ""
}

// set takes a value as it is.
func (m *maker) set(g given, path ...string) {
	if m.usable(g) {
		m.list = append(m.list, layer.Setting{Path: path, Value: g.text, From: g.from})
	}
}

func (m *maker) put(g given, value string, path ...string) { m.set(given{value, g.from}, path...) }

// clear has what files say at path count no more.
func (m *maker) clear(g given, path ...string) {
	m.list = append(m.list, layer.Setting{Path: path, Whole: true, From: g.from})
}

// unset is clear for a value in the place of another: it is not there then.
func (m *maker) unset(g given, path ...string) {
	m.list = append(m.list, layer.Setting{Path: path, Null: true, Whole: true, From: g.from})
}

// ports replace a Port as well as a PortRange.
func (m *maker) ports(g given) {
	if !g.there() {
		return
	}
	first, last, err := parsePorts(g.text)
	switch {
	case err != nil:
		if m.usable(g) {
			m.fault(g, "value %q: %v", mask.Text(g.text), err)
		}
		m.put(g, "1", "Listen", "Port") // else the settings would say that there is none
	case first == last:
		m.unset(g, "Listen", "PortRange")
		m.put(g, strconv.Itoa(first), "Listen", "Port")
	default:
		m.unset(g, "Listen", "Port")
		m.put(g, strconv.Itoa(first), "Listen", "PortRange", "Start")
		m.put(g, strconv.Itoa(last), "Listen", "PortRange", "End")
	}
}

// parsePorts reads a port, or the first and the last.
func parsePorts(text string) (first, last int, err error) {
	a, b, isRange := strings.Cut(text, "-")
	first, err = parsePort(a)
	if last = first; isRange && err == nil {
		last, err = parsePort(b)
	}
	if err == nil && first > last {
		err = fmt.Errorf("the first port must not be above the last: did you mean %d-%d?", last, first)
	}
	return first, last, err
}

func parsePort(text string) (int, error) {
	n, err := strconv.ParseUint(strings.TrimSpace(text), 10, 16)
	if err != nil || n == 0 {
		return 0, errPorts
	}
	return int(n), nil
}

// allowFrom replaces the list.
func (m *maker) allowFrom(list []given) {
	for i, g := range list {
		if i == 0 && g.text != "" {
			m.clear(g, "Listen", "AllowFrom")
		}
		m.set(g, "Listen", "AllowFrom", strconv.Itoa(i))
	}
}

// sessionAPI switches it on, for the default domain or another, or off.
func (m *maker) sessionAPI(g given) {
	if !m.usable(g) {
		return
	}
	api, err := parseSessionAPI(g.text)
	if err != nil {
		m.fault(g, "value %q: %v", mask.Text(g.text), err)
		return
	}
	m.put(g, strconv.FormatBool(api.enabled), "SessionAPI", "Enabled")
	if api.enabled {
		m.put(g, api.domain, "SessionAPI", "Domain")
	}
}

// A sessionAPI is what is said of the Session API.
type sessionAPI struct {
	enabled bool
	domain  string
}

// parseSessionAPI reads true, false or a domain. What others write for true and false is hardly a domain.
func parseSessionAPI(text string) (sessionAPI, error) {
	switch strings.ToLower(text) {
	case "true":
		return sessionAPI{true, DefaultDomain}, nil
	case "false":
		return sessionAPI{}, nil
	case "0", "1", "no", "yes", "off", "on":
		return sessionAPI{}, errSessionAPI
	}
	return sessionAPI{true, text}, nil
}
