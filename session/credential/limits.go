package credential

import (
	"strings"
	"unicode/utf8"
)

// What bounds credentials and what stands in them. Whoever takes a name or a value from outside checks it against these.
const (
	MaxCredentials = 1024   // bytes of a client's user name and password together, and of a session's id
	MaxParameters  = 32     // in a client's user name, or of a session
	MaxName        = 64     // bytes of a parameter's name
	MaxValue       = 256    // bytes of a parameter's value
	MaxMinutes     = 525600 // of a lifetime: a year
	MaxIDLength    = 64     // characters of the ids that a template draws
	maxTemplate    = 1024   // bytes of a template's user name, and of its password
)

// IsName reports whether s can be the name of a parameter.
func IsName(s string) bool {
	if s == "" || len(s) > MaxName {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if !('a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0) {
			return false
		}
	}
	return true
}

// IsClean reports whether s can be part of a user-id of ours: UTF-8, no colon, which would end it, and no control
// characters.
func IsClean(s string) bool { return isPrintable(s) && !strings.Contains(s, ":") }

func isPrintable(s string) bool {
	for _, r := range s {
		if r < ' ' || r == 0x7f || r == utf8.RuneError {
			return false
		}
	}
	return true
}

// IsHarmless reports whether a client's text can stand in a user name: no colon, which would end it, and no control
// characters. It need not be UTF-8.
func IsHarmless(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == 0x7f || c == ':' {
			return false
		}
	}
	return true
}
