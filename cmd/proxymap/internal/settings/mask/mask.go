package mask

import (
	"net/netip"
	"regexp"
	"strings"
)

const masked = "***"

var (
	// word is what stands between white space and quotes.
	word = regexp.MustCompile(`[^\s"]+`)

	// address is what begins a line host:port:user:pass, and port:user:pass.
	address = regexp.MustCompile(`^((\[[^\]]*\]|[^:]*):)?\d{1,5}:`)
)

// Text returns text with *** for what is behind an address, as in host:port:user:pass, and before an @, as in
// scheme://user:pass@host. Addresses of IPv6 stay as they are.
func Text(text string) string { return word.ReplaceAllStringFunc(text, one) }

func one(text string) string {
	scheme, rest := "", text
	if i := strings.Index(text, ":/"); i >= 0 {
		n := len(text[i+1:]) - len(strings.TrimLeft(text[i+1:], "/"))
		scheme, rest = text[:i+1+n], text[i+1+n:]
	}
	if at := strings.LastIndexByte(rest, '@'); at >= 0 {
		return scheme + masked + rest[at:]
	}
	if isNetwork(rest) {
		return text
	}
	if end := address.FindString(rest); end != "" && len(end) < len(rest) {
		return scheme + end + masked
	}
	return text
}

// isNetwork reports whether text is an IP address, perhaps with a length behind it, and what a sentence puts there.
func isNetwork(text string) bool {
	text = strings.TrimRight(text, `.,:;)\`)
	text, _, _ = strings.Cut(text, "/")
	_, err := netip.ParseAddr(text)
	return err == nil
}
