package schema

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Section is an object of the settings.
type Section struct {
	Name    string // of its definition in the JSON Schema
	Keys    []Key  // in the order in which they are shown
	Ignored []string
}

// A Key is one that means something. Ignored ones, which only ProxyMapService has a use for, are names alone.
type Key struct {
	Name    string
	Type    Type
	Default any    // a string, number, boolean or time.Duration; nil: there is none, or it depends
	About   string // what an editor shows
}

// A Type is what a key's value may be. Numbers and booleans may be strings too.
type Type interface {
	// schema is the type as a JSON Schema. null is allowed everywhere: it is like a key that is not there.
	schema() object
}

type (
	Text        struct{}                  // any string
	Visible     struct{ Least, Most int } // visible ASCII characters with spaces between, or none at all
	Path        struct{}                  // of a file; a relative one begins at the settings file's folder
	Host        struct{}                  // a name or an IP address, without a port
	Address     struct{}                  // an IP address
	AddressPort struct{}                  // an IP address and a port
	Network     struct{}                  // an IP address, or a network as in 10.0.0.0/8
	Secret      struct{ Least, Most int } // a string; of so many visible ASCII characters, unless Most is 0
	Flag        struct{}                  // true or false
	Number      struct{ Least, Most int } // a whole one
	Lifetime    struct{ Most int }        // whole minutes, or a length of time of at least MinLifetime; 0 for none
	List        struct {                  // an array
		Of    Type
		Most  int // items; 0: any number
		Least int // items, where it is there
	}
	// A Choice is a name of several, in any case, or its index.
	Choice struct {
		Names   []string
		Refused string // one more name, which is known in order to be refused in its own words
		Open    bool   // the first name is no default: without the key something else decides
	}
	// A Duration is a length of time with its unit.
	Duration struct {
		Least, Most time.Duration
		Never       bool // 0 is allowed, and means never
	}
	// An Object is a section.
	Object struct{ *Section }
	// Items are a section with a list Items, or the list in its place.
	Items struct{ *Section }
)

// MinLifetime is the shortest lifetime but 0.
const MinLifetime = time.Second

// Has reports whether a key, in any case, means something here.
func (s *Section) Has(name string) bool {
	return s.find(name) != nil || slices.ContainsFunc(s.Keys, func(k Key) bool { return strings.EqualFold(k.Name, name) })
}

// Key returns one that the section has, in its own spelling.
func (s *Section) Key(name string) *Key {
	k := s.find(name)
	if k == nil {
		panic("settings: " + s.Name + " has no key " + name)
	}
	return k
}

func (s *Section) find(name string) *Key {
	for i := range s.Keys {
		if s.Keys[i].Name == name {
			return &s.Keys[i]
		}
	}
	return nil
}

// Ignores reports whether a key, in any case, is known and without effect.
func (s *Section) Ignores(name string) bool {
	return slices.ContainsFunc(s.Ignored, func(ignored string) bool { return strings.EqualFold(ignored, name) })
}

// Names are those of the keys that mean something.
func (s *Section) Names() []string {
	names := make([]string, len(s.Keys))
	for i := range s.Keys {
		names[i] = s.Keys[i].Name
	}
	return names
}

// Allowed says what the value must be.
func (n Number) Allowed() string { return fmt.Sprintf("a whole number from %d to %d", n.Least, n.Most) }

// Allowed says what the value must be.
func (c Choice) Allowed() string {
	last := len(c.Names) - 1
	return strings.Join(c.Names[:last], ", ") + " or " + c.Names[last]
}

// Find returns the name that text says, in any case or by its index, and the one that is refused too.
func (c Choice) Find(text string) (name string, found bool) {
	for i, name := range c.Names {
		if strings.EqualFold(text, name) || text == strconv.Itoa(i) {
			return name, true
		}
	}
	if c.Refused != "" && (strings.EqualFold(text, c.Refused) || text == strconv.Itoa(len(c.Names))) {
		return c.Refused, true
	}
	return "", false
}

// Allowed says what the value must be.
func (d Duration) Allowed() string {
	text := fmt.Sprintf("a duration such as 500ms, 30s, 5m or 1h30m, of %s to %s", Short(d.Least), Short(d.Most))
	if d.Never {
		text += ", or 0 for never"
	}
	return text
}

// Allowed says what the value must be.
func (l Lifetime) Allowed() string {
	return fmt.Sprintf("a whole number from 0 to %d, of minutes, or a duration such as 90s, 10m or 12h, of at least %s", l.Most, Short(MinLifetime))
}

// Short renders a length of time without the units of which there are none: 1h30m, not 1h30m0s.
func Short(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
