package session

import (
	"bytes"
	"net/netip"
	"strings"
)

// crossSite says why a call that changes something is refused, or nothing. A web page that a browser shows through the
// port must not rotate it. RequireHeader closes what CrossSite leaves open: a page cannot send the field without a
// preflight, and OPTIONS is refused.
func (a *API) crossSite(r *Request) string {
	if a.RequireHeader && string(r.Header) != "1" {
		return `send the field "X-Proxymap: 1"; the settings demand it`
	}
	if why := CrossSite(r.Host, r.FetchSite, r.Origin, r.Referer); why != "" {
		return why + " (a web page is not allowed to change a session)"
	}
	return ""
}

// CrossSite says by which of its fields a request to host shows that a web page of another site has made it, or nothing.
// Fields that the request does not have are nil. Browsers tell where a request comes from: by Sec-Fetch-Site (to
// trustworthy origins only), by Origin (not with an image or a link), by Referer (unless the page hides it). Of a
// redirect from an address that no page led to they tell nothing, or "none".
func CrossSite(host, fetchSite, from, referer []byte) string {
	switch {
	case fetchSite != nil && string(fetchSite) != "none" && string(fetchSite) != "same-origin":
		return "Sec-Fetch-Site says that the request comes from another site"
	case from != nil && !sameOrigin(from, host):
		return "Origin is another one than that of this address"
	case referer != nil && !sameOrigin(origin(referer), host):
		return "Referer is another site than this address"
	}
	return ""
}

// origin cuts a URL behind its authority.
func origin(u []byte) []byte {
	start := bytes.Index(u, []byte("://"))
	if start < 0 {
		return nil
	}
	start += len("://")
	if end := bytes.IndexAny(u[start:], "/?#\\"); end >= 0 {
		return u[:start+end]
	}
	return u
}

// sameOrigin reports whether an origin is http at host[:port]. "null", what cannot be read, and https are not.
func sameOrigin(o, host []byte) bool {
	const scheme = "http://"
	if len(o) < len(scheme) || !strings.EqualFold(string(o[:len(scheme)]), scheme) {
		return false
	}
	return bytes.EqualFold(withoutDefaultPort(o[len(scheme):]), withoutDefaultPort(host))
}

func withoutDefaultPort(host []byte) []byte { return bytes.TrimSuffix(host, []byte(":80")) }

// LocalHost reports whether a Host is no name that somebody else's resolver could have made up: an IP address,
// localhost, or the listen address, each with or without a port (DNS rebinding).
func LocalHost(host []byte, listen netip.AddrPort) bool {
	text := string(host)
	if ap, err := netip.ParseAddrPort(text); err == nil {
		return tellsSite(ap.Addr())
	}
	if name, _, found := strings.Cut(text, ":"); found && !strings.HasPrefix(text, "[") {
		text = name
	}
	text = strings.TrimSuffix(strings.TrimPrefix(text, "["), "]")
	if addr, err := netip.ParseAddr(text); err == nil {
		return tellsSite(addr)
	}
	return strings.EqualFold(text, "localhost") || text == listen.Addr().String()
}

// tellsSite reports whether addr is no other spelling of a loopback address: 0.0.0.0, [::] and [::ffff:127.0.0.1] lead to
// one too, but are no trustworthy origins to browsers, which therefore send them no Sec-Fetch-Site.
func tellsSite(addr netip.Addr) bool { return !addr.IsUnspecified() && !addr.Is4In6() }
