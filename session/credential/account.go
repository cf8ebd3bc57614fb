package credential

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"proxymap/session/credential/pattern"
)

// An Account is a user name with its parameters and its password, as the settings give them.
type Account struct {
	Username, Password string
	Parameters         []Parameter
	Template           *Template // in place of Parameters
}

// A Parameter becomes -Name-value at the end of a user name.
type Parameter struct {
	Name    string
	Value   string // a literal; $name, a parameter in the client's user name or given to /session/new; or ^regex, a random string that matches it
	Default string // a literal or ^regex, in place of a $name that was not given

	SessionID   bool // its value is the session's id
	SessionTime bool // its value is the session's lifetime in minutes
}

// A Pair is a parameter with its value: one that was given to /session/new, or that stands in a client's user name.
type Pair struct{ Name, Value string }

// A Config is what Compile makes Accounts of.
type Config struct {
	Lifetime time.Duration // of sessions whose parameters do not say it; 0: each client connection is a session of its own

	Account *Account // the mapping's; its parameters make ids and lifetimes even where it is not set
	Set     bool     // requests carry Account upstream

	// Servers has an entry for each upstream server, in the list's order: an account of its own, or nil. One with a
	// user name or a template comes before the mapping's, with its own template or parameters if it has any, else with
	// the mapping's.
	Servers []*Account

	ParseParameters bool // clients' user names hold parameters, and $name reads them
}

// Compile checks accounts and makes them ready. The error joins all faults, each a *Fault.
func Compile(cfg Config) (*Accounts, error) {
	b := builder{}
	a := &Accounts{lifetime: cfg.Lifetime, parse: cfg.ParseParameters, letters: defaultIDs()}
	own := b.account(-1, cfg.Account)
	a.templates = slices.Grow(a.templates, len(cfg.Servers))
	for i, account := range cfg.Servers {
		t := template{}
		if cfg.Set {
			t = own
		}
		if account != nil && (account.Username != "" || account.Template != nil) {
			t = b.account(i, account)
			if len(account.Parameters) == 0 && account.Template == nil && own.form != nil {
				t.form = own.form
			}
		}
		a.templates = append(a.templates, t)
	}
	a.id, a.minutes = b.id, b.minutes
	for i := range a.templates {
		if form := a.templates[i].form; form != nil {
			eachPart(form.user, a.markClient)
			eachPart(form.pass, a.markClient)
			form.perConnection = differs(form.user) || differs(form.pass)
		}
	}
	if len(b.faults) == 0 {
		a.warn()
	}
	return a, errors.Join(b.faults...)
}

// markClient notes whether a client's user name decides the part. The names that make a session's id and lifetime are
// read when it is made, and whoever comes to it later does not change them.
func (a *Accounts) markClient(part *part) {
	from := part.value.from
	part.client = a.parse && from != "" && from != a.id.from && from != a.minutes.from
}

// warn collects the warnings of all templates and parameters that are in use, each once.
func (a *Accounts) warn() {
	_, lifetime, _ := a.Lifetime(nil, nil, nil)
	for i := range a.templates {
		t := &a.templates[i]
		if !t.sets {
			continue
		}
		warnings := a.id.warnings(lifetime)
		switch {
		case t.hasTemplate:
			warnings = t.warnings(lifetime)
		case !t.has(partID):
			warnings = nil // the ids do not leave
		}
		for _, w := range warnings {
			if !slices.Contains(a.warnings, w) {
				a.warnings = append(a.warnings, w)
			}
		}
	}
}

// A builder collects what an account's parameters say of sessions, and every fault.
type builder struct {
	id, minutes value  // of the first parameter that has the flag, or the first template that has {session}
	ids         idRule // what id is drawn by, if it is a template's
	faults      []error
}

func (b *builder) fault(server, parameter int, field Field, format string, args ...any) {
	b.faults = append(b.faults, &Fault{server, parameter, field, fmt.Sprintf(format, args...)})
}

// account compiles an account.
func (b *builder) account(server int, a *Account) template {
	if a == nil {
		return template{}
	}
	t := template{sets: true, username: a.Username, password: a.Password}
	if strings.Contains(a.Username, ":") {
		b.fault(server, -1, FieldUsername, "a user name cannot hold a colon (RFC 7617 section 2)")
	}
	for field, text := range map[Field]string{FieldUsername: a.Username, FieldPassword: a.Password} {
		if !isPrintable(text) {
			b.fault(server, -1, field, "control characters are not allowed, nor is what is not UTF-8")
		}
	}
	if a.Template == nil {
		t.form = b.parameters(server, a.Parameters)
		return t
	}
	if len(a.Parameters) > 0 {
		b.fault(server, -1, FieldTemplate, "stands beside parameters of the user name; remove one of the two: a template has {param:name} for parameters")
	}
	t.form = b.template(server, a.Template)
	return t
}

// parameters compiles them to what stands behind the user name.
func (b *builder) parameters(server int, params []Parameter) *form {
	f := &form{user: []group{{parts: []part{{kind: partUsername}}}}, pass: []group{{parts: []part{{kind: partPassword}}}}}
	for i := range params {
		p := &params[i]
		value := b.parameter(server, i, p)
		if strings.EqualFold(p.Name, "account") {
			continue // reference to the client's own account, never part of a user name
		}
		f.user = append(f.user, group{optional: true, parts: []part{{text: "-" + p.Name + "-"}, value}})
	}
	return f
}

// parameter compiles what stands for a parameter's value.
func (b *builder) parameter(server, i int, p *Parameter) part {
	if !IsName(p.Name) {
		b.fault(server, i, FieldName, "value %q: must be a token without a colon, of at most %d bytes", p.Name, MaxName)
	}
	v := b.value(server, i, p)
	switch {
	case p.SessionID && p.SessionTime:
		b.fault(server, i, FieldSessionTime, "a parameter cannot be both the session's id and its lifetime")
	case p.SessionID && !b.id.given:
		b.id = v
	case p.SessionTime && !b.minutes.given:
		b.minutes = v
		b.checkMinutes(server, i, FieldValue, p.Value, v.literal, v.draw)
		b.checkMinutes(server, i, FieldDefault, p.Default, v.fallback, v.drawDefault)
	}
	switch {
	case p.SessionID:
		return part{kind: partID}
	case p.SessionTime:
		return part{kind: partMinutes}
	}
	return part{kind: partValue, value: v}
}

// checkMinutes tries what a SessionTime parameter has without a client: a literal or what is drawn; empty is nothing.
func (b *builder) checkMinutes(server, i int, field Field, setting, minutes string, draw *pattern.Pattern) {
	if draw != nil {
		minutes = string(draw.Append(nil, runtimeSource{}))
	}
	if _, err := ParseMinutes(minutes); err != nil && minutes != "" {
		b.fault(server, i, field, "value %q: %v", setting, err)
	}
}
