package schema

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// Every key is there once, has a type and a plain sentence, and a default that its own pattern allows.
func TestTable(t *testing.T) {
	plain := regexp.MustCompile(`^[A-Za-z][^\n]{8,170}[.…]$`)
	for _, s := range Sections() {
		names := slices.Concat(s.Names(), s.Ignored)
		for i, name := range names {
			if slices.ContainsFunc(names[:i], func(other string) bool { return strings.EqualFold(name, other) }) {
				t.Errorf("%s.%s is there twice", s.Name, name)
			}
		}
		for _, k := range s.Keys {
			if !plain.MatchString(k.About) {
				t.Errorf("%s.%s: what an editor shows is %q; want a sentence", s.Name, k.Name, k.About)
			}
			if k.Type == nil {
				t.Errorf("%s.%s has no type", s.Name, k.Name)
			}
			switch d := k.Default.(type) {
			case nil:
			case string:
				if p, ok := k.Type.schema()["pattern"].(string); !ok || !regexp.MustCompile(p).MatchString(d) {
					t.Errorf("%s.%s: the default %q is not allowed", s.Name, k.Name, d)
				}
			case time.Duration:
				if of, ok := k.Type.(Duration); !ok || d < of.Least || d > of.Most {
					t.Errorf("%s.%s: the default %v is not allowed", s.Name, k.Name, d)
				}
			case int:
				schema := k.Type.schema()
				if least, ok := schema["minimum"].(int); !ok || d < least || d > schema["maximum"].(int) {
					t.Errorf("%s.%s: the default %d is not allowed", s.Name, k.Name, d)
				}
			case bool:
				if _, ok := k.Type.(Flag); !ok {
					t.Errorf("%s.%s: the default is %v", s.Name, k.Name, d)
				}
			default:
				t.Errorf("%s.%s: the default is a %T", s.Name, k.Name, d)
			}
		}
	}
}

// Every section that a key leads to is one of Sections.
func TestSections(t *testing.T) {
	for _, s := range Sections() {
		for _, k := range s.Keys {
			of := k.Type
			if list, ok := of.(List); ok {
				of = list.Of
			}
			var section *Section
			switch of := of.(type) {
			case Object:
				section = of.Section
			case Items:
				section = of.Section
			default:
				continue
			}
			if !slices.Contains(Sections(), section) {
				t.Errorf("%s.%s leads to %s, which Sections lacks", s.Name, k.Name, section.Name)
			}
		}
	}
}

func TestAllowed(t *testing.T) {
	for _, row := range []struct{ got, want string }{
		{port.Allowed(), "a whole number from 1 to 65535"},
		{oneOf("a", "b").Allowed(), "a or b"},
		{action.Allowed(), "Allow, Deny or Bypass"},
		{orNever.Allowed(), "a duration such as 500ms, 30s, 5m or 1h30m, of 1ms to 720h, or 0 for never"},
		{lifetime.Allowed(), "a whole number from 0 to 525600, of minutes, or a duration such as 90s, 10m or 12h, of at least 1s"},
		{Short(90 * time.Minute), "1h30m"}, {Short(10 * time.Second), "10s"}, {Short(0), "0s"}, {Short(time.Minute), "1m"}, {Short(75 * time.Second), "1m15s"},
	} {
		if row.got != row.want {
			t.Errorf("got %q; want %q", row.got, row.want)
		}
	}
}

// The default of a choice is its first name, unless something else decides.
func TestShownDefault(t *testing.T) {
	for _, row := range []struct {
		s    *Section
		key  string
		want any
	}{
		{Listen, "Action", "Allow"}, {Authentication, "Provider", nil}, {ProxyServer, "TTLUnit", nil}, {Listen, "DrainTime", "10s"},
		{Listen, "Address", "127.0.0.1"}, {Listen, "RejectHttpProxy", false}, {Limits, "HeadFields", 256}, {Listen, "Port", nil},
	} {
		if got := row.s.Key(row.key).schema()["default"]; got != row.want {
			t.Errorf("%s.%s: the default is shown as %v; want %v", row.s.Name, row.key, got, row.want)
		}
	}
}
