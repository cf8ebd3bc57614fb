package settings

import "strings"

// userAgent reads what goes out in heads that the relay makes, so it must not hold a line's end.
func (r *reader) userAgent(o *object) string {
	if !o.get("UserAgent").there() {
		return defaultOf[string](o, "UserAgent")
	}
	text := o.text("UserAgent")
	if !isVisible(text, " ") || len(text) > 256 || strings.TrimSpace(text) != text {
		r.fault(o.get("UserAgent"), "value %q: must be at most 256 visible ASCII characters, or empty for none", text[:min(len(text), 80)])
	}
	return text
}

// isVisible reports whether text is of ASCII characters that can be seen, and those of extra.
func isVisible(text, extra string) bool {
	for i := range len(text) {
		if c := text[i]; (c <= ' ' || c > '~') && strings.IndexByte(extra, c) < 0 {
			return false
		}
	}
	return true
}
