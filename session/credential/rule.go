package credential

import (
	"strconv"

	"proxymap/session/credential/pattern"
)

// A Rule says how a part of sessions comes about: accounts whose rules are equal could have made each other's. It is for
// comparing, and may hold what the settings have of credentials, so it is not to be shown.
type Rule struct {
	Text  string
	Given bool // a client's user name, or a call of the Session API, can say it
}

// IDRule says how session ids come about: by their alphabet and length, by a pattern, or by a name that clients give.
func (a *Accounts) IDRule() Rule { return a.id.rule(a.letters) }

// LifetimeRule says how lifetimes come about.
func (a *Accounts) LifetimeRule() Rule {
	r := a.minutes.rule(nil)
	r.Text += " " + a.lifetime.String()
	return r
}

// rule is that of a value, in whose place there is what orElse draws where it is empty; nil: nothing.
func (v *value) rule(orElse *pattern.Pattern) Rule {
	text := make([]byte, 0, 64)
	for _, part := range [...]string{v.literal, drawn(v.draw), v.from, v.fallback, drawn(v.drawDefault), v.legal, drawn(orElse)} {
		text = append(strconv.AppendQuote(text, part), ' ')
	}
	return Rule{Text: string(strconv.AppendBool(text, v.checked)), Given: v.from != ""}
}

// drawn is what draws, as the expression of a setting; empty: nothing does.
func drawn(p *pattern.Pattern) string {
	if p == nil {
		return ""
	}
	return "^" + p.String()
}
