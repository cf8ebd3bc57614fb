package serverlist

import (
	"encoding/hex"
	"errors"
	"strings"
)

var (
	errScheme = errors.New("the scheme before :// must be http, socks4, socks4a, socks5 or socks5h")
	errTLS    = errors.New("https://: TLS to the provider is not supported; use http:// with a port of the provider's that takes it")
	errRaw    = errors.New("a special character stands raw in the user name or the password: in a URL it must be percent-encoded (@ is %40, : is %3A, / is %2F, # is %23, % is %25)")
	errTail   = errors.New("a path, query or fragment means nothing to a proxy: the URL must end after the port")
	errTwo    = errors.New("there is a second URL in it: one URL each")
	errNoPort = errors.New("the port is missing: must be a URL such as http://user:pass@host:port")
)

// cutScheme cuts a scheme (RFC 3986 section 3.1) and :// off line.
func cutScheme(line string) (scheme, rest string, ok bool) {
	scheme, rest, ok = strings.Cut(line, "://")
	for i := range len(scheme) {
		if b := scheme[i] | 0x20; ('a' > b || b > 'z') && (i == 0 || !isUnreserved(scheme[i]) && scheme[i] != '+') {
			return "", "", false
		}
	}
	return scheme, rest, ok && scheme != ""
}

// parseURL reads what follows a scheme: [user[:pass]@]host:port, and a lone / at the end. User name and password are
// percent-encoded (RFC 3986 section 3.2.1). The server looks up targets' names whether socks4 or socks4a, socks5 or
// socks5h is said.
func parseURL(scheme, rest string) (s Server, err error) {
	switch strings.ToLower(scheme) {
	case "http":
		s.Type = HTTP
	case "socks4", "socks4a":
		s.Type = SOCKS4
	case "socks5", "socks5h":
		s.Type = SOCKS5
	case "https":
		return s, errTLS
	default:
		return s, errScheme
	}
	authority, tail := rest, ""
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		authority, tail = rest[:i], rest[i:]
	}
	switch {
	case strings.Contains(rest, "://"):
		return s, errTwo
	case strings.Contains(tail, "@"):
		return s, errRaw
	case tail != "" && tail != "/":
		return s, errTail
	}
	if at := strings.LastIndexByte(authority, '@'); at >= 0 {
		user, password, _ := strings.Cut(authority[:at], ":")
		var ok, ok2 bool
		s.Username, ok = unescape(user)
		s.Password, ok2 = unescape(password)
		if !ok || !ok2 {
			return s, errRaw
		}
		authority = authority[at+1:]
	}
	if strings.IndexByte(authority[strings.LastIndexByte(authority, ']')+1:], ':') < 0 {
		return s, errNoPort
	}
	return s, s.parseAddress(authority)
}

// unescape decodes text. It is false where a character stands raw that may not: only unreserved ones, sub-delims and the
// colon may.
func unescape(text string) (string, bool) {
	out := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		switch b := text[i]; {
		case isUnreserved(b) || strings.IndexByte("!$&'()*+,;=:", b) >= 0:
			out = append(out, b)
		case b == '%' && i+2 < len(text):
			var err error
			if out, err = hex.AppendDecode(out, []byte(text[i+1:i+3])); err != nil {
				return "", false
			}
			i += 2
		default:
			return "", false
		}
	}
	return string(out), true
}
