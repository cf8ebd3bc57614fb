package credential

import (
	"strings"
	"unicode/utf8"
)

// A value is where a parameter's value comes from. The zero value is always empty.
type value struct {
	given       bool
	literal     string
	draw        func() string
	from        string // the name of a parameter in the client's user name, or given to /session/new
	fallback    string
	drawDefault func() string
	checked     bool   // what is given must be of letters, digits and legal
	legal       string // punctuation
}

// takes reports whether a value that was given can be used.
func (v *value) takes(s string) bool { return s != "" && (!v.checked || legal(s, v.legal)) }

// resolve returns the value for a client with its own parameters, in a session that was given others.
func (v *value) resolve(own, given []Pair) string {
	switch {
	case v.draw != nil:
		return v.draw()
	case v.from == "":
		return v.literal
	}
	if s := lookUp(own, v.from); v.takes(s) {
		return s
	}
	if s := lookUp(given, v.from); v.takes(s) {
		return s
	}
	if v.drawDefault != nil {
		return v.drawDefault()
	}
	return v.fallback
}

// lookUp returns the first value of that name that is not empty.
func lookUp(pairs []Pair, name string) string {
	for _, p := range pairs {
		if strings.EqualFold(p.Name, name) && p.Value != "" {
			return p.Value
		}
	}
	return ""
}

func (v *value) random() bool { return v.draw != nil || v.drawDefault != nil }

// value compiles a parameter's Value and Default.
func (b *builder) value(server, i int, p *Parameter) value {
	v := value{given: true}
	switch {
	case strings.HasPrefix(p.Value, "^"):
		v.draw = b.generator(server, i, "Value", p.Value[1:])
	case strings.HasPrefix(p.Value, "$"):
		v.from = p.Value[1:]
		if strings.HasPrefix(p.Default, "^") {
			v.drawDefault = b.generator(server, i, "Default", p.Default[1:])
		} else {
			v.fallback = p.Default
		}
	default:
		v.literal = p.Value
	}
	for key, literal := range map[string]string{"Value": v.literal, "Default": v.fallback} {
		if !IsClean(literal) {
			b.fault(server, i, key, "value %q: must not hold a colon or a control character", literal)
		}
	}
	return v
}

// generator compiles a regular expression. Whatever it makes is cut free of what a user name cannot hold.
func (b *builder) generator(server, i int, key, pattern string) func() string {
	generate, err := b.compile(pattern)
	if err != nil {
		b.fault(server, i, key, "value %q: not a regular expression that can be used: %v", "^"+pattern, err)
		return func() string { return "" }
	}
	if s := generate(); !IsClean(s) {
		b.fault(server, i, key, "value %q: makes strings with a colon or a control character", "^"+pattern)
	}
	return func() string {
		s := generate()
		if IsClean(s) {
			return s
		}
		return strings.Map(func(r rune) rune {
			if r == ':' || r < ' ' || r == 0x7f || r == utf8.RuneError {
				return -1
			}
			return r
		}, s)
	}
}
