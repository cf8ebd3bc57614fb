package settings

import (
	"path/filepath"
	"slices"
	"strings"

	"proxymap/cmd/proxymap/internal/settings/layer"
	"proxymap/cmd/proxymap/internal/settings/schema"
)

const secretForms = `a string, {"Env": "NAME"} or {"File": "PATH"}`

// NotRead is what stands for a secret that could not be read. It is never one.
const NotRead = "a-secret-that-was-not-read"

// secret reads a string that may stand elsewhere: in a variable of the environment, or in a file. Where that cannot be read
// NotRead stands for it, lest there be a second fault for what is not there.
func (o *object) secret(key string) string {
	_ = typeOf[schema.Secret](o, key)
	n := o.get(key)
	if !n.there() || n.value.Kind != layer.Object {
		text, _, _ := o.literal(key, secretForms)
		return text
	}
	s := o.r.object(n, schema.SecretSource)
	env, file := s.get("Env"), s.get("File")
	switch {
	case env.there() && file.there():
		o.r.fault(file, "stands beside Env: use one of the two")
	case env.there():
		return s.secretOfEnv()
	case file.there():
		return s.secretOfFile()
	case !slices.ContainsFunc(n.value.Members, func(m layer.Member) bool { return !schema.SecretSource.Has(m.Name) }): // else that is the fault
		o.r.fault(n, "has neither Env nor File: must be %s", secretForms)
	}
	return NotRead
}

// notRead notes why a secret cannot be read, unless that is no fault.
func (o *object) notRead(key, format string, args ...any) string {
	if !o.r.lackSecrets {
		o.r.fault(o.get(key), format, args...)
	}
	return NotRead
}

func (o *object) secretOfEnv() string {
	name := o.text("Env")
	switch value, found := o.r.variable(name); {
	case !found:
		return o.notRead("Env", "value %q: no such variable of the environment; set it, or name another", name)
	case value == "":
		return o.notRead("Env", "value %q: the variable of the environment is empty", name)
	default:
		return value
	}
}

// credentials is the variable that names the folder of a systemd unit's credentials.
const credentials = "CREDENTIALS_DIRECTORY"

func (o *object) secretOfFile() string {
	name := o.text("File")
	if name == "" {
		o.r.fault(o.get("File"), "is empty: must be the path of a file that holds the secret")
		return NotRead
	}
	path := o.r.pathOf(name)
	if rest, ok := strings.CutPrefix(name, "$"+credentials+"/"); ok {
		folder, _ := o.r.variable(credentials)
		if folder == "" {
			return o.notRead("File", "value %q: %s is not set; systemd sets it for a unit that has LoadCredential=", name, credentials)
		}
		path = filepath.Join(folder, rest)
	}
	text, err := o.r.read(path)
	if err != nil {
		return o.notRead("File", "value %q: %v; must be a file that holds the secret, its path relative to the settings file's folder", name, err)
	}
	secret, ended := strings.CutSuffix(strings.TrimPrefix(string(text), "\ufeff"), "\n")
	if ended {
		secret = strings.TrimSuffix(secret, "\r")
	}
	if secret == "" {
		return o.notRead("File", "value %q: the file is empty; it must hold the secret", name)
	}
	return secret
}
