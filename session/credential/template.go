package credential

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// A Template says how a provider wants the session in the credentials, where it is not -name-value at the end of the
// user name. Placeholders stand for what is known only later:
//
//	{username} {password}  the account's; {password} only in Password
//	{session}              the session's id
//	{ttl}                  the session's lifetime; empty where it is 0
//	{param:x}              the parameter x in the client's user name, else the one given to /session/new, else empty
//	{param:x|y}            the same, else y
//
// A group in brackets vanishes when a placeholder in it is empty. Groups do not nest. Braces and brackets that stand for
// themselves are doubled.
//
// The value of a parameter is made of letters, digits and those of ._~-,+ that neither Username nor Password has between
// its placeholders: so no value can be read as the next parameter. Another one in a client's user name counts as not
// given, and another one given to /session/new is an error.
type Template struct {
	Username string // empty: {username}
	Password string // empty: {password}

	SessionAlphabet string // of ids, as in A-Za-z0-9_; empty: A-Za-z0-9. Of digits alone they do not begin with 0
	SessionLength   int    // of ids; 0: 8

	TTLUnit string // of {ttl}: "s", "m", or "suffixed", as in 10m; empty: m. It is rounded up

	// Bounds of {ttl}; 0: none. TTLMax is how long the provider keeps a session, also where the template has no {ttl}.
	TTLMin, TTLMax time.Duration
}

// punctuation is what values can hold beside letters and digits, unless the template has it itself.
const punctuation = "._~-,+"

// template compiles a Template.
func (b *builder) template(server int, t *Template) *form {
	f := &form{punctuation: punctuation, hasTemplate: true}
	f.user = b.text(server, FieldTemplateUsername, orElse(t.Username, "{username}"), f)
	f.pass = b.text(server, FieldTemplatePassword, orElse(t.Password, "{password}"), f)
	for _, groups := range [][]group{f.user, f.pass} {
		eachPart(groups, func(p *part) { p.value.checked, p.value.legal = true, f.punctuation })
	}
	f.ids = b.idRule(server, t, f)
	f.ttl = b.ttlRule(server, t)
	return f
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// text parses a template's user name or password. What punctuation it has is taken from the form's.
func (b *builder) text(server int, field Field, text string, f *form) []group {
	p := parser{text: text, isUser: field == FieldTemplateUsername}
	if err := p.parse(); err != nil {
		b.fault(server, -1, field, "%v", err)
	}
	eachPart(p.groups, func(p *part) {
		f.punctuation = strings.Map(func(r rune) rune {
			if strings.ContainsRune(p.text, r) {
				return -1
			}
			return r
		}, f.punctuation)
	})
	return p.groups
}

func eachPart(groups []group, do func(*part)) {
	for i := range groups {
		for j := range groups[i].parts {
			do(&groups[i].parts[j])
		}
	}
}

// A parser takes a template apart, once and from left to right. Its errors say where, but not what stands there: it
// could be a part of a password.
type parser struct {
	text   string
	isUser bool
	at     int
	open   int // where the group begins that is being read; -1: none is
	groups []group
}

func (p *parser) parse() error {
	p.open = -1
	if len(p.text) > maxTemplate {
		return fmt.Errorf("is longer than %d bytes", maxTemplate)
	}
	for p.at < len(p.text) {
		if err := p.next(); err != nil {
			return fmt.Errorf("at character %d: %w", utf8.RuneCountInString(p.text[:p.at])+1, err)
		}
	}
	if p.open >= 0 {
		return fmt.Errorf("at character %d: the group does not end; close it with ], or write [[ for a bracket", utf8.RuneCountInString(p.text[:p.open])+1)
	}
	return nil
}

// next reads what stands at p.at, and moves behind it.
func (p *parser) next() error {
	rest := p.text[p.at:]
	c := rest[0]
	switch {
	case strings.IndexByte("{}[]", c) >= 0 && len(rest) > 1 && rest[1] == c:
		p.literal(rest[:1])
		p.at++
	case c == '{':
		return p.placeholder(rest)
	case c == '}':
		return errors.New("a closing brace without an opening one; write }} for a brace")
	case c == '[':
		if p.open >= 0 {
			return errors.New("a group inside a group is not supported; write [[ for a bracket")
		}
		p.open, p.groups = p.at, append(p.groups, group{optional: true})
	case c == ']':
		return p.close()
	default:
		return p.plain(rest)
	}
	p.at++
	return nil
}

// plain reads a character that stands for itself.
func (p *parser) plain(rest string) error {
	r, n := utf8.DecodeRuneInString(rest)
	switch {
	case !isPrintable(rest[:n]):
		return errors.New("control characters are not allowed")
	case r == ':' && p.isUser:
		return errors.New("a user name cannot hold a colon (RFC 7617 section 2)")
	}
	p.literal(rest[:n])
	p.at += n
	return nil
}

// close ends a group. One that holds no placeholder would never vanish, so its brackets are meant to be some.
func (p *parser) close() error {
	if p.open < 0 {
		return errors.New("a closing bracket without an opening one; write ]] for a bracket")
	}
	last := p.groups[len(p.groups)-1]
	if len(last.parts) == 0 || len(last.parts) == 1 && last.parts[0].kind == partLiteral {
		return errors.New("the group that ends here has no placeholder; write [[ and ]] for brackets")
	}
	p.open = -1
	p.at++
	return nil
}

var errPlaceholder = errors.New("no placeholder; allowed are {username}, {password} (in the password), {session}, {ttl}, {param:name} and {param:name|default}; write {{ for a brace")

func (p *parser) placeholder(rest string) error {
	name, _, found := strings.Cut(rest[1:], "}")
	if !found {
		return errors.New("the placeholder does not end; close it with }, or write {{ for a brace")
	}
	var out part
	switch parameter, isParameter := strings.CutPrefix(name, "param:"); {
	case name == "username":
		out.kind = partUsername
	case name == "password" && !p.isUser:
		out.kind = partPassword
	case name == "session":
		out.kind = partID
	case name == "ttl":
		out.kind = partTTL
	case isParameter:
		out.kind = partValue
		out.value.given = true
		out.value.from, out.value.fallback, _ = strings.Cut(parameter, "|")
		if !IsName(out.value.from) || !legal(out.value.fallback, punctuation) {
			return fmt.Errorf("a parameter's name is 1 to %d letters, digits and -._~, its default letters, digits and %s", MaxName, punctuation)
		}
	default:
		return errPlaceholder
	}
	p.add(out)
	p.at += len("{") + len(name) + len("}")
	return nil
}

// literal adds text to the literal before it, if there is one.
func (p *parser) literal(text string) {
	if g := p.group(); len(g.parts) > 0 {
		if last := &g.parts[len(g.parts)-1]; last.kind == partLiteral {
			last.text += text
			return
		}
	}
	p.add(part{text: text})
}

func (p *parser) add(out part) {
	g := p.group()
	g.parts = append(g.parts, out)
}

// group is the one being read. Outside of groups there is one that does not vanish.
func (p *parser) group() *group {
	if n := len(p.groups); n == 0 || p.open < 0 && p.groups[n-1].optional {
		p.groups = append(p.groups, group{})
	}
	return &p.groups[len(p.groups)-1]
}

// legal reports whether s is made of letters, digits and the given punctuation.
func legal(s, punctuation string) bool {
	for i := range len(s) {
		c := s[i]
		if !('a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' || strings.IndexByte(punctuation, c) >= 0) {
			return false
		}
	}
	return true
}
