package credential

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"proxymap/session/credential/pattern"
)

// An idRule says what session ids a template draws.
type idRule struct {
	alphabet string
	length   int
}

const (
	defaultAlphabet = "A-Za-z0-9"
	defaultLength   = 8
)

// idRule compiles a template's rule for ids, and makes it the plan's if the template is the first with a {session}.
func (b *builder) idRule(server int, t *Template, f *form) idRule {
	rule := idRule{length: t.SessionLength}
	if rule.length == 0 {
		rule.length = defaultLength
	}
	if rule.length < 0 || rule.length > MaxIDLength {
		b.fault(server, -1, FieldLength, "value %d: must be 1 to %d", t.SessionLength, MaxIDLength)
	}
	var err error
	if rule.alphabet, err = parseAlphabet(orElse(t.SessionAlphabet, defaultAlphabet)); err != nil {
		b.fault(server, -1, FieldAlphabet, "value %q: %v", t.SessionAlphabet, err)
	} else if !legal(rule.alphabet, f.punctuation) {
		b.fault(server, -1, FieldAlphabet, "value %q: holds a character that the template has between its placeholders", t.SessionAlphabet)
	}
	switch {
	case !f.has(partID):
	case !b.id.given:
		b.id, b.ids = value{given: true, draw: rule.pattern()}, rule
	case b.ids != rule:
		b.fault(server, -1, FieldAlphabet, "the mapping's ids are drawn by another rule; a session has one id for all servers, so give all the same alphabet and length")
	}
	return rule
}

// parseAlphabet reads characters and ranges of them.
func parseAlphabet(class string) (string, error) {
	var out []byte
	for i := 0; i < len(class); i++ {
		first, last := class[i], class[i]
		if i+2 < len(class) && class[i+1] == '-' {
			last = class[i+2]
			i += 2
			if first > last || !legal(string([]byte{first, last}), "") || kindOf(first) != kindOf(last) {
				return "", fmt.Errorf("%q is no range; allowed are such as a-z, A-F and 0-9", class[i-2:i+1])
			}
		}
		for c := int(first); c <= int(last); c++ {
			if !slices.Contains(out, byte(c)) {
				out = append(out, byte(c))
			}
		}
	}
	if len(out) < 2 || !legal(string(out), punctuation) {
		return "", fmt.Errorf("must be two or more letters, digits and %s, or ranges such as A-Za-z0-9; a dash stands at an end", punctuation)
	}
	return string(out), nil
}

// kindOf tells digits, capitals and small letters apart.
func kindOf(c byte) byte { return c >> 5 }

// pattern draws ids by a rule that is without fault; by another nobody draws.
func (r idRule) pattern() *pattern.Pattern {
	first := r.alphabet
	if r.isNumber() {
		first = strings.ReplaceAll(first, "0", "")
	}
	p, err := pattern.Compile(fmt.Sprintf("%s%s{%d}", class(first), class(r.alphabet), r.length-1))
	if err != nil {
		return defaultIDs()
	}
	return p
}

// defaultIDs draws the ids of accounts that do not say how theirs are: 8 letters.
func defaultIDs() *pattern.Pattern {
	p, err := pattern.Compile("[A-Za-z]{8}")
	if err != nil {
		panic(err) // the expression is ours
	}
	return p
}

// class is the regular expression for one of some characters.
func class(chars string) string {
	var out strings.Builder
	for _, c := range []byte(chars) {
		fmt.Fprintf(&out, `\x%02x`, c)
	}
	return "[" + out.String() + "]"
}

// isNumber reports whether ids are numbers, which have no zeros in front.
func (r idRule) isNumber() bool { return strings.Trim(r.alphabet, "0123456789") == "" }

// count is how many ids there are.
func (r idRule) count() float64 {
	n := math.Pow(float64(len(r.alphabet)), float64(r.length))
	if r.isNumber() && strings.Contains(r.alphabet, "0") {
		n -= n / float64(len(r.alphabet))
	}
	return n
}

// A ttlRule says how a template tells the provider a session's lifetime.
type ttlRule struct {
	unit     time.Duration
	suffixed bool
	min, max time.Duration // 0: none
}

func (b *builder) ttlRule(server int, t *Template) ttlRule {
	rule := ttlRule{unit: time.Minute, min: t.TTLMin, max: t.TTLMax}
	switch t.TTLUnit {
	case "", "m":
	case "s":
		rule.unit = time.Second
	case "suffixed":
		rule.unit, rule.suffixed = time.Second, true
	default:
		b.fault(server, -1, FieldTTLUnit, "value %q: must be s, m or suffixed", t.TTLUnit)
	}
	check := func(field Field, bound time.Duration) {
		if bound < 0 || bound%rule.unit != 0 {
			b.fault(server, -1, field, "value %v: must be whole units of %v, or 0 for no bound", bound, rule.unit)
		}
	}
	check(FieldTTLMin, t.TTLMin)
	check(FieldTTLMax, t.TTLMax)
	if t.TTLMax > 0 && t.TTLMin > t.TTLMax {
		b.fault(server, -1, FieldTTLMin, "value %v: must not be more than the greatest lifetime, %v", t.TTLMin, t.TTLMax)
	}
	return rule
}

// clamp keeps a lifetime within the rule's bounds.
func (r *ttlRule) clamp(d time.Duration) time.Duration {
	d = max(d, r.min)
	if r.max > 0 {
		d = min(d, r.max)
	}
	return d
}

// append appends a lifetime; nothing for 0. It is rounded up: the provider's session must not end before ours.
func (r *ttlRule) append(dst []byte, d time.Duration) []byte {
	if d <= 0 {
		return dst
	}
	d = r.clamp(d)
	unit, suffix := r.unit, ""
	if r.suffixed {
		suffix = "s"
		if d%time.Minute == 0 {
			unit, suffix = time.Minute, "m"
		}
	}
	dst = strconv.AppendInt(dst, int64((d+unit-1)/unit), 10)
	return append(dst, suffix...)
}

// fewIDs is how many ids are too few: of 1,000 ports, two would share one with a likelihood of 0.4.
const fewIDs = 1_000_000

// fewText says that there are no more ids than that.
func fewText(count float64) string {
	if count == 1 {
		return "there is one session id only: all ports have it, and so the same exit address, and new does not change it"
	}
	return fmt.Sprintf("there are %.0f session ids only: two ports can come to have the same one, and so the same exit address", count)
}

// warnings are those of a SessionID parameter's value, for sessions of that lifetime.
func (v *value) warnings(lifetime time.Duration) []Warning {
	draw, where := v.draw, ""
	if draw == nil {
		draw, where = v.drawDefault, "where none is given, "
	}
	if draw == nil || lifetime == 0 || draw.Count() >= fewIDs || isNothing(draw) {
		return nil
	}
	return []Warning{{FewPatternIDs, where + fewText(draw.Count())}}
}

// isNothing reports whether a pattern makes nothing, and so leaves the id to letters, which are enough.
func isNothing(p *pattern.Pattern) bool {
	return p.Count() == 1 && len(p.Append(nil, runtimeSource{})) == 0
}

// warnings are what is allowed but hardly meant, for sessions of that lifetime.
func (t *template) warnings(lifetime time.Duration) (out []Warning) {
	f := t.form
	warn := func(doubt Doubt, format string, args ...any) {
		out = append(out, Warning{doubt, fmt.Sprintf(format, args...)})
	}
	if prefix := f.prefix(); prefix != "" && strings.HasPrefix(t.username, prefix) {
		warn(PrefixTwice, "the user name begins with %s, which the credentials template puts in front of it once more; leave it out", prefix)
	}
	switch {
	case !f.has(partID):
		warn(NoID, "the credentials template has no {session}: the provider does not see which session a request belongs to, and new does not change the exit address")
	case lifetime == 0:
		warn(IDOfConnection, "the lifetime is 0 and the credentials template has {session}: each client connection has an id of its own")
	case f.ids.count() < fewIDs:
		warn(FewIDs, "%s", fewText(f.ids.count()))
	}
	tells, minutes := f.has(partTTL), lifetime.Minutes()
	switch {
	case lifetime == 0:
		if tells && !f.vanishes(partTTL) {
			warn(NoTTL, "{ttl} is empty where the lifetime is 0; put it into a group, as in [-ttl-{ttl}]")
		}
	case f.ttl.max > 0 && lifetime > f.ttl.max:
		warn(LifetimeOverTTLMax, "the lifetime of %v min is longer than the provider keeps a session, %v min: the exit address changes unseen in between",
			minutes, f.ttl.max.Minutes())
	case tells && lifetime < f.ttl.min:
		warn(LifetimeUnderTTLMin, "the lifetime of %v min is shorter than the provider takes, so {ttl} says %v min", minutes, f.ttl.min.Minutes())
	}
	return out
}

// has reports whether there is a part of that kind.
func (f *form) has(kind partKind) (found bool) {
	for _, groups := range [][]group{f.user, f.pass} {
		eachPart(groups, func(p *part) { found = found || p.kind == kind })
	}
	return found
}

// vanishes reports whether parts of that kind are all in optional groups.
func (f *form) vanishes(kind partKind) bool {
	for _, groups := range [][]group{f.user, f.pass} {
		for _, g := range groups {
			for _, p := range g.parts {
				if p.kind == kind && !g.optional {
					return false
				}
			}
		}
	}
	return true
}

// prefix is what stands before the account's user name.
func (f *form) prefix() string {
	if len(f.user) > 0 {
		if parts := f.user[0].parts; len(parts) > 1 && parts[0].kind == partLiteral && parts[1].kind == partUsername {
			return parts[0].text
		}
	}
	return ""
}
