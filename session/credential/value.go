package credential

import (
	"math/rand/v2"
	"strings"

	"proxymap/session/credential/pattern"
)

// A value is where a parameter's value comes from. The zero value is always empty.
type value struct {
	given       bool
	literal     string
	draw        *pattern.Pattern
	from        string // the name of a parameter in the client's user name, or given to /session/new
	fallback    string
	drawDefault *pattern.Pattern
	checked     bool   // what is given must be of letters, digits and legal
	legal       string // punctuation
}

// takes reports whether a value that was given can be used.
func (v *value) takes(s string) bool { return s != "" && (!v.checked || legal(s, v.legal)) }

// find returns the value for a client with its own parameters, in a session that was given others: a text, or else what
// draws it.
func (v *value) find(own, given []Pair) (text string, draw *pattern.Pattern) {
	switch {
	case v.draw != nil:
		return "", v.draw
	case v.from == "":
		return v.literal, nil
	}
	if s := lookUp(own, v.from); v.takes(s) {
		return s, nil
	}
	if s := lookUp(given, v.from); v.takes(s) {
		return s, nil
	}
	return v.fallback, v.drawDefault
}

// append appends the value that find finds.
func (v *value) append(dst []byte, src rand.Source, own, given []Pair) []byte {
	text, draw := v.find(own, given)
	if draw != nil {
		return draw.Append(dst, src)
	}
	return append(dst, text...)
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
		v.draw = b.generator(server, i, FieldValue, p.Value[1:])
	case strings.HasPrefix(p.Value, "$"):
		v.from = p.Value[1:]
		if strings.HasPrefix(p.Default, "^") {
			v.drawDefault = b.generator(server, i, FieldDefault, p.Default[1:])
		} else {
			v.fallback = p.Default
		}
	default:
		v.literal = p.Value
	}
	for field, literal := range map[Field]string{FieldValue: v.literal, FieldDefault: v.fallback} {
		if !IsClean(literal) {
			b.fault(server, i, field, "value %q: must not hold a colon or a control character", literal)
		}
	}
	return v
}

// generator compiles a regular expression; nil if it cannot be drawn.
func (b *builder) generator(server, i int, field Field, expr string) *pattern.Pattern {
	p, err := pattern.Compile(expr)
	if err != nil {
		b.fault(server, i, field, "value %q: not a regular expression that can be used: %v", "^"+expr, err)
	}
	return p
}
