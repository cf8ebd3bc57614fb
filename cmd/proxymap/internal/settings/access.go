package settings

import (
	"net/netip"
	"net/url"

	"proxymap/session"
)

// Access is what it takes to ask a port about its session.
type Access struct {
	Address netip.Addr    // that the port is on
	API     session.API   // that answers there
	User    *url.Userinfo // credentials that it wants; nil: none
	Header  bool          // it wants a PROXY header
}

// Access returns that of a port; false: no mapping has it.
func (s *Settings) Access(port int) (a Access, known bool) {
	for i := range s.mappings {
		if !s.mappings[i].listen.holds(port) {
			continue
		}
		auth := &s.mappings[i].auth
		a = Access{Address: s.Config.Mappings[i].Address, API: s.Config.Mappings[i].API, Header: s.Config.Mappings[i].ProxyProtocol}
		if (auth.required || auth.verify) && auth.account.Username != NotRead && auth.account.Password != NotRead {
			a.User = url.UserPassword(auth.account.Username, auth.account.Password)
		}
		return a, true
	}
	return a, false
}
