package settings

import (
	"bytes"
	"regexp"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/tailscale/hujson"

	"proxymap/cmd/proxymap/internal/settings/schema"
)

// compiledSchema is the JSON Schema of the settings. Compiling holds it against that of its draft.
func compiledSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	text, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema.JSON()))
	if err != nil {
		t.Fatal(err)
	}
	if got := text.(map[string]any)["$schema"]; got != "https://json-schema.org/draft/2020-12/schema" {
		t.Fatalf("the schema is of %v", got)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("proxymap.schema.json", text); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("proxymap.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// spelled is a settings file with the keys in the spelling of the documents; not ok: it is not JSON.
func spelled(t *testing.T, text string) (v any, ok bool) {
	t.Helper()
	standard, err := hujson.Standardize(append([]byte(strings.TrimPrefix(text, "\xef\xbb\xbf")), '\n'))
	if err != nil {
		return nil, false
	}
	v, err = jsonschema.UnmarshalJSON(bytes.NewReader(standard))
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]string{}
	for _, s := range schema.Sections() {
		for _, name := range append(s.Names(), s.Ignored...) {
			names[strings.ToLower(name)] = name
		}
	}
	return spell(v, names), true
}

func spell(v any, names map[string]string) any {
	switch v := v.(type) {
	case []any:
		for i := range v {
			v[i] = spell(v[i], names)
		}
	case map[string]any:
		for key, value := range v {
			name, known := names[strings.ToLower(key)]
			if value = spell(value, names); known {
				delete(v, key)
				key = name
			}
			v[key] = value
		}
	}
	return v
}

// What is a settings file is one by the schema: the samples, and what the documents show.
func TestSchemaTakesSettings(t *testing.T) {
	s := compiledSchema(t)
	samples := []string{
		articleSettings, fullSettings, everySetting, shippedSample, ownSample, manualSample, earlierSample,
		`{"$schema": "./proxymap.schema.json", "Listen": {"Port": "10201"}, "Limits": {"AbandonTime": 0, "KeepAliveTime": " 0 ", "DialTime": "+1.5s"}}`,
		`{"SessionAPI:Enabled": true, "ProxyMappings": {"0": {"Listen:Port": 1}, "1": {"ProxyServers": {"Items": {"0": {"Host": "a", "Port": 1}}}}}}`,
		`{"Authentication": {"Username": {"Env": "NAME"}, "Password": {"File": "/run/secrets/password"}}, "Admin": {"Token": {"File": "t"}}}`,
		`{"Listen": {"OnRotate": "dRAIN", "Action": 2, "BusyPort": "", "Address": ""}, "SessionAPI": null, "HostRules": null, "ProxyServers": null}`,
	}
	blocks := regexp.MustCompile("(?s)```json\n(.*?)```").FindAllStringSubmatch(documents(t), -1)
	if len(blocks) < 8 {
		t.Fatalf("%d blocks of settings", len(blocks))
	}
	for _, block := range blocks {
		samples = append(samples, block[1])
	}
	for _, text := range samples {
		v, ok := spelled(t, text)
		if !ok {
			t.Errorf("not JSON: %s", text)
			continue
		}
		if err := s.Validate(v); err != nil {
			t.Errorf("%s\n%v", text, err)
		}
	}
}

// plain are what the reader says of faults of type, range and name. A schema sees these; what they mean together it does not.
var plain = regexp.MustCompile(`unknown key; |no such provider|: must be (an object|a list|a whole number|a duration|true or false|an IP address|a string|\w+ or \w|\w+, [\w-]+( or \w|,)|a host name|\d+ to \d+ visible|at most \d+ visible)|: has \d+ items; at most| is neither a name nor an IP address| has a port; that|value "File": a relay serves no files|AllowFrom: is empty, so nobody could connect`)

// blind are faults of these kinds that the schema takes all the same.
var blind = map[string]string{
	"keep-alive of more than Linux takes": "it is a sum of two units",
	"no host":                             "no key is required, as another layer may have it",
	"rule's server without a host":        "no key is required, as another layer may have it",
	"admin without an address":            "no key is required, as another layer may have it",
}

// Of the faults of the reader's table, the schema sees those of type, range and name, and no others.
func TestSchemaSeesFaults(t *testing.T) {
	s := compiledSchema(t)
	seen, unseen := 0, 0
	for _, row := range append(faultRows(), allowFromFaults()...) {
		v, ok := spelled(t, row.text)
		if !ok {
			continue
		}
		_, fault := Parse("f", []byte(row.text))
		err := s.Validate(v)
		want := plain.MatchString(fault.Error())
		if blind[row.name] != "" {
			if !want {
				t.Errorf("%s: the schema could not see it anyway", row.name)
			}
			want = false
			unseen++
		}
		if got := err != nil; got != want {
			t.Errorf("%s: %s\n%v\nthe schema says %v", row.name, row.text, fault, err)
		}
		if err != nil {
			seen++
		}
	}
	if seen < 60 || unseen != len(blind) {
		t.Errorf("the schema has seen %d faults; of those that it is blind to there are %d of %d", seen, unseen, len(blind))
	}
}

// What check takes of a list's forms, and of a secret's, the schema takes, and what it refuses the schema refuses.
func TestSchemaAgreesOnForms(t *testing.T) {
	s := compiledSchema(t)
	with := func(more string) string { return `{"Listen":{"Port":1},` + more + `}` }
	const server, rule = `{"Host":"a","Port":2}`, `{"HostName":"a"}`
	for _, row := range []struct {
		text  string
		taken bool
	}{
		{with(`"ProxyServers":{"0":` + server + `,"1":` + server + `}`), true},
		{with(`"ProxyServers":{"00":` + server + `}`), false},
		{with(`"ProxyServers":{"0":` + server + `,"Items":[]}`), false},
		{with(`"ProxyServers":{"0":{"Hots":"a","Port":2}}`), false},
		{with(`"ProxyServers":{"Items":{"0":` + server + `}}`), true},
		{with(`"ProxyServers":{"Items":{"00":` + server + `}}`), false},
		{with(`"ProxyServers":{}`), true},
		{with(`"HostRules":{"0":` + rule + `}`), true},
		{with(`"HostRules":{"0":` + rule + `,"Order":"Last"}`), false},
		{with(`"HostRules":{"Items:0:HostName":"a","Order":"Last"}`), true},
		{with(`"HostRules":{"0:HostName":"a"}`), true},
		{with(`"HostRules":{"0:HostName":"a","1":` + rule + `}`), true},
		{`{"Listen":{"Port":1,"AllowFrom":[]}}`, false},
		{`{"Listen":{"Port":1,"AllowFrom":{}}}`, false},
		{`{"Listen":{"Port":1,"AllowFrom":null}}`, true},
		{`{"Listen":{"Port":1,"AllowFrom":{"0":"10.0.0.0/8"}}}`, true},
		{with(`"Admin":{"Address":"127.0.0.1:2","AllowFrom":[]}`), false},
		{with(`"Authentication":{"Username":{}}`), false},
		{with(`"Authentication":{"Username":{"Env":null}}`), false},
		{with(`"Authentication":{"Username":{"Env":"A"}}`), true},
		{with(`"Authentication":{"Username":{"Env":"A","File":null}}`), true},
		{with(`"Authentication":{"Username":{"File":"B"}}`), true},
		{with(`"Authentication":{"Username":{"Env":"A","File":"B"}}`), false},
		{with(`"Authentication":{"Username":{"Env":["A"]}}`), false},
		{with(`"Authentication":{"Username":{"Evn":"A"}}`), false},
		{with(`"Authentication":{"Username":["A"]}`), false},
		{with(`"Authentication":{"Username":7,"Password":null}`), true},
		{with(`"Admin":{"Address":"127.0.0.1:2","Token":{"Env":"A","File":"B"}}`), false},
		{with(`"Admin":{"Address":"127.0.0.1:2","Token":"short"}`), false},
	} {
		r := newReader("f", []string{"A=secret-0123456789"}, func(string) ([]byte, error) { return []byte("secret"), nil })
		_, fault := r.settings(r.layer(nil, "f", []byte(row.text)))
		v, err := jsonschema.UnmarshalJSON(strings.NewReader(row.text))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Validate(v); (fault == nil) != row.taken || (err == nil) != row.taken {
			t.Errorf("%s: check says %v, the schema %v; want it taken: %t", row.text, fault, err, row.taken)
		}
	}
}

// values are some that a key may have, or may not. What a schema cannot tell is not among them: sums and fractions of
// times, and numbers such as 1e3.
var values = strings.Fields(`null true false "true" "FALSE" "yes" "" [] {} [1] {"0":1} 0 1 -1 1.5 "1.5" "x" "0" "1" "+1" "-1" "-0" "007" 2 3 "2" "3" 15 16 64 "64" 65
	90 91 99 100 255 256 "599" 599 600 1000 1001 1023 1024 4096 4097 65535 "65535" 65536 "65536" 525600 "525600" 525601 "525601" 1048576 1048577
	1000000000 1000000001 "30" "30s" "+30s" "-30s" "30S" "1d" "0s" "0h" "1ms" "999ms" "1000ms" "1s" "9h" "10h" "540m" "541m" "720h" "721h"
	"43200m" "43201m" "2592000s" "2592001s" "8760h" "8761h" "525600m" "525601m" "1h30m" "90m0s" "allow" "BYPASS" "File" "Keep" "m" "S" "oxylabs" "Socks5"`)

// reads reads a key as its type wants it; not ok: it is of none that all keys of that type are read alike.
func (o *object) reads(k *schema.Key) (ok bool) {
	switch k.Type.(type) {
	case schema.Number:
		o.number(k.Name)
	case schema.Choice:
		if k.Name == "Provider" {
			return false // a name without an index
		}
		if o.choice(k.Name) == "File" {
			o.r.fault(o.get(k.Name), "a relay serves no files")
		}
	case schema.Duration:
		o.duration(k.Name)
	case schema.Lifetime:
		o.lifetime(k.Name)
	case schema.Flag:
		o.flag(k.Name)
	default:
		return false
	}
	return true
}

// What the reader takes of a key the schema takes, and what it refuses the schema refuses.
func TestSchemaAgreesWithReader(t *testing.T) {
	text, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema.JSON()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("s", text); err != nil {
		t.Fatal(err)
	}
	compared := map[bool]int{}
	for _, section := range schema.Sections() {
		if section == schema.Root || section == schema.Included || section == schema.SecretSource {
			continue // no key of theirs is read so
		}
		s, err := c.Compile("s#/$defs/" + section.Name)
		if err != nil {
			t.Fatal(err)
		}
		for i := range section.Keys {
			k := &section.Keys[i]
			for _, value := range append(values, `" 1 "`, `" 30s "`) {
				file := `{"` + k.Name + `":` + value + `}`
				r := newReader("f", nil, nil)
				root, _ := r.parse("f", []byte(file), false)
				root.value = root.value.Settle()
				if !r.object(root, section).reads(k) {
					break
				}
				v, err := jsonschema.UnmarshalJSON(strings.NewReader(file))
				if err != nil {
					t.Fatal(err)
				}
				taken := len(r.faults.list) == 0
				if err := s.Validate(v); (err == nil) != taken {
					t.Errorf("%s%s: the reader says %v, the schema %v", section.Name, file, r.faults.Error(), err)
				}
				compared[taken]++
			}
		}
	}
	if compared[true] < 500 || compared[false] < 2000 {
		t.Errorf("compared were %v", compared)
	}
}
