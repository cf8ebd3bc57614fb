package settings

import (
	"strings"

	"proxymap/cmd/proxymap/internal/settings/near"
	"proxymap/cmd/proxymap/internal/settings/schema"
	"proxymap/session/credential"
)

// ruleNames are the keys of an account that belong to its template.
var ruleNames = []string{"SessionAlphabet", "SessionLength", "TTLUnit", "TTLMin", "TTLMax"}

// template reads how a provider wants the session in the credentials: a preset, a form of the file's own, or a preset of
// which the file changes something. nil: neither is there.
func (r *reader) template(o *object) *credential.Template {
	form := r.object(o.get("Template"), schema.Template)
	t, found := r.preset(o)
	if !found && !form.valid {
		for _, key := range ruleNames {
			if n := o.get(key); n.there() {
				r.fault(n, "belongs to a Provider or a Template, and neither is there")
			}
		}
		return nil
	}
	if form.valid && !form.get("Username").there() && !form.get("Password").there() {
		r.fault(form.self, `has neither Username nor Password: one of them must be, such as {"Username": "{username}-session-{session}"}`)
	}
	override(form, "Username", &t.Username, form.text)
	override(form, "Password", &t.Password, form.text)
	override(o, "SessionAlphabet", &t.SessionAlphabet, o.text)
	override(o, "SessionLength", &t.SessionLength, o.number)
	override(o, "TTLUnit", &t.TTLUnit, o.choice)
	override(o, "TTLMin", &t.TTLMin, o.lifetime)
	override(o, "TTLMax", &t.TTLMax, o.lifetime)
	return &t
}

// override reads a member if it is there.
func override[T any](o *object, key string, value *T, read func(key string) T) {
	if o.get(key).there() {
		*value = read(key)
	}
}

// preset reads Provider.
func (r *reader) preset(o *object) (t credential.Template, found bool) {
	n := o.get("Provider")
	name := o.text("Provider")
	if !n.there() || name == "" {
		return t, false
	}
	if p, found := credential.FindProvider(name); found {
		return p.Template, true
	}
	var names []string
	for _, p := range credential.Providers() {
		names = append(names, p.Name)
	}
	if meant := near.Name(name, names); meant != "" {
		r.fault(n, "%s: no such provider; did you mean %q?", n.show(), meant)
	} else {
		r.fault(n, "%s: no such provider; known are %s; others can be had by a Template", n.show(), strings.Join(names, ", "))
	}
	return t, true
}

// orTemplate is the key of what gives an account its template, to tell a fault of it.
func (o *object) orTemplate() node {
	if o.get("Template").there() {
		return o.get("Template")
	}
	return o.get("Provider")
}

// lacksUsername reports whether an account's credentials are made with a user name, and it has none.
func (a *accountSettings) lacksUsername() bool {
	if t := a.Template; t != nil && t.Username != "" && !strings.Contains(t.Username+t.Password, "{username}") {
		return false
	}
	return a.Username == ""
}

// faultNode is where a fault of an account's is to be told.
func (a *accountSettings) faultNode(f *credential.Fault) node {
	o, key := a.at, fieldKeys[f.Field]
	if f.Parameter >= 0 {
		return a.params[f.Parameter].get(key)
	}
	if key == "Template" {
		return o.orTemplate()
	}
	if key, ok := strings.CutPrefix(key, "Template."); ok {
		if n := o.r.object(o.get("Template"), schema.Template).get(key); n.there() {
			return n
		}
		return o.orTemplate()
	}
	return o.get(key)
}
