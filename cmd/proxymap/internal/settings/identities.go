package settings

import (
	"fmt"
	"strings"
)

// A plainList is a list in plain text, and which of a mapping's servers are its own: those from first to end, without end.
type plainList struct {
	file       string // as the settings name it
	first, end int
}

// identitiesWarning says that lines of a list, which may be an identity each, get a session's id in their credentials; empty:
// they do not.
func identitiesWarning(m *mappingSettings) string {
	key := m.appendsID()
	if m.perPort || key == "" {
		return ""
	}
	for _, list := range m.lists {
		if !severalUsers(m.servers[list.first:list.end]) {
			continue
		}
		remedy := "set ProxyServers.Spread to PerPort and remove " + key
		if key == byFlag {
			remedy = "use --spread PerPort, and no id is appended"
		}
		return fmt.Sprintf("append a session's id to the user names of %s, several of which are for one host and port: if each line is one identity already, %s",
			list.file, remedy)
	}
	return ""
}

// byFlag stands for the parameter that comes with a flag or its variable, which nobody has written.
const byFlag = "--upstream-file"

// appendsID returns the key by which a session's id gets into credentials; empty: it does not.
func (m *mappingSettings) appendsID() string {
	a := &m.auth.account
	if t := a.Template; t != nil {
		if !strings.Contains(t.Username+t.Password, "{session}") {
			return ""
		}
		return a.at.orTemplate().key
	}
	for i := range a.Parameters {
		if !a.Parameters[i].SessionID {
			continue
		}
		if from := a.params[i].get("SessionId").from.Source; strings.HasPrefix(from.Name, "flag ") || strings.HasPrefix(from.Name, "environment PROXYMAP_") {
			return byFlag
		}
		return "UsernameParameters"
	}
	return ""
}

// severalUsers reports whether servers have different user names at one host and port.
func severalUsers(servers []serverSettings) bool {
	type endpoint struct {
		host string
		port uint16
	}
	users := map[endpoint]string{}
	for i := range servers {
		s := &servers[i]
		if s.account.Username == "" {
			continue
		}
		at := endpoint{s.Host, s.Port}
		if user, known := users[at]; known && user != s.account.Username {
			return true
		}
		users[at] = s.account.Username
	}
	return false
}
