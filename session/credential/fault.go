package credential

import "fmt"

// A Field is what a Fault is about. The zero value is none.
type Field uint8

// The fields of an Account, a Parameter, a Template, and of the plan that they belong to.
const (
	_ Field = iota
	FieldUsername
	FieldPassword
	FieldTemplate // as a whole

	FieldName
	FieldValue
	FieldDefault
	FieldSessionTime

	FieldTemplateUsername
	FieldTemplatePassword
	FieldAlphabet
	FieldLength
	FieldTTLUnit
	FieldTTLMin
	FieldTTLMax

	FieldVerify
	FieldLifetime
	FieldJitter
)

var fieldNames = [...]string{
	FieldUsername: "user name", FieldPassword: "password", FieldTemplate: "template",
	FieldName: "name", FieldValue: "value", FieldDefault: "default", FieldSessionTime: "session time",
	FieldTemplateUsername: "template of the user name", FieldTemplatePassword: "template of the password",
	FieldAlphabet: "alphabet of session ids", FieldLength: "length of session ids",
	FieldTTLUnit: "unit of the lifetime", FieldTTLMin: "least lifetime", FieldTTLMax: "greatest lifetime",
	FieldVerify: "verifying of clients", FieldLifetime: "lifetime", FieldJitter: "jitter of the lifetime",
}

// String is what people call the field.
func (f Field) String() string {
	if int(f) < len(fieldNames) {
		return fieldNames[f]
	}
	return ""
}

// A Fault is one thing that is wrong with accounts, or with the plan that they belong to.
type Fault struct {
	Server    int    // index in Servers; -1: Account, or the plan as a whole
	Parameter int    // index in the account's Parameters; -1: the account itself
	Field     Field  // of it
	Reason    string // what is wrong and what is allowed; holds no user name and no password
}

func (f *Fault) Error() string {
	var where string
	if f.Server >= 0 {
		where = fmt.Sprintf("server %d: ", f.Server)
	}
	if f.Parameter >= 0 {
		where += fmt.Sprintf("parameter %d: ", f.Parameter)
	}
	return where + f.Field.String() + ": " + f.Reason
}

// A Doubt is why something that is allowed is hardly meant.
type Doubt uint8

// The doubts about a lifetime and a template, or parameters.
const (
	_                  Doubt = iota
	PrefixTwice              // the user name begins with what the template puts before it
	NoID                     // the provider never sees the session id
	IDOfConnection           // the lifetime is 0, so each client connection has an id of its own
	FewIDs                   // ports can come to share one
	FewPatternIDs            // the same, where the pattern of a SessionID parameter draws them
	NoTTL                    // the lifetime is 0, and the template wants one
	LifetimeOverTTLMax       // the provider's session ends first
	LifetimeUnderTTLMin
)

// A Warning is one of them. What could be changed about it is for whoever knows how it was set.
type Warning struct {
	Doubt Doubt
	Text  string // a sentence without its end
}
