package settings

import (
	"proxymap/cmd/proxymap/internal/settings/schema"
	"proxymap/session/credential"
)

// authSettings say what clients have to bring, and what goes upstream.
type authSettings struct {
	required, verify, set, remove, parse bool
	account                              accountSettings
}

// accountSettings are an account and where it stands.
type accountSettings struct {
	credential.Account
	at     *object
	params []*object // of Account.Parameters
}

func (r *reader) authentication(o *object) authSettings {
	a := authSettings{
		required: o.flag("Required"), verify: o.flag("Verify"), set: o.flag("SetAuthentication"), remove: o.flag("RemoveAuthentication"),
		parse: o.flag("ParseUsernameParameters"), account: r.account(o),
	}
	if a.set && a.account.lacksUsername() {
		r.fault(o.get("SetAuthentication"), "is true, but Username is empty")
	}
	return a
}

func (r *reader) account(o *object) accountSettings {
	a := accountSettings{Account: credential.Account{Username: o.secret("Username"), Password: o.secret("Password"), Template: r.template(o)}, at: o}
	for _, item := range o.list("UsernameParameters") {
		p := r.object(item, schema.UsernameParameter)
		if !p.valid {
			continue
		}
		if !p.get("Name").there() {
			r.fault(p.get("Name"), "is missing: the parameter's name")
			continue
		}
		a.params = append(a.params, p)
		a.Parameters = append(a.Parameters, credential.Parameter{
			Name: p.text("Name"), Value: p.text("Value"), Default: p.text("Default"),
			SessionID: p.flag("SessionId"), SessionTime: p.flag("SessionTime"),
		})
	}
	return a
}
