package settings

import (
	"strings"

	"proxymap/httpparse"
	"proxymap/relay"
	"proxymap/session"
)

func (r *reader) sessionAPI(o *object) session.API {
	a := session.API{
		Enabled: o.flag("Enabled"), Domain: strings.ToLower(relay.PlainHost(o.text("Domain"))), RequireHeader: o.flag("RequireHeader"),
	}
	if host, port, err := httpparse.SplitHost([]byte(a.Domain)); a.Domain != "" && (err != nil || port != 0 || string(host) != a.Domain) {
		r.fault(o.get("Domain"), "value %q: must be a host name without a port, or empty for the ports themselves", a.Domain)
	}
	return a
}
