package layer

import (
	"slices"
	"strings"
)

// A Setting is one value, as a variable or a flag gives it.
type Setting struct {
	Path  []string // Listen, PortRange, Start; an item of a list is its number: Items, 0, Host
	Value string   // numbers and booleans as text too
	Null  bool     // what earlier layers have there counts no more; Value is empty then
	Whole bool     // what earlier layers have at Path and below counts no more; Path may be that of an object, and Value is empty then
	From  string   // its origin: environment Listen__Port, flag --ports

	// Unless are paths of which none may be there in earlier layers, or the setting does not count.
	Unless [][]string
}

// Counting are the settings of a list that count over base, which may be nil: see Setting.Unless. Those that unset what is
// not there do not.
func Counting(list []Setting, base *Value) []Setting {
	return slices.DeleteFunc(slices.Clone(list), func(s Setting) bool {
		return slices.ContainsFunc(s.Unless, base.has) || s.Null && !base.has(s.Path)
	})
}

// has reports whether there is a value at path, and not null.
func (v *Value) has(path []string) bool {
	for _, key := range path {
		if v == nil {
			return false
		}
		i := v.find(key)
		if i < 0 {
			return false
		}
		v = v.Members[i].Value
	}
	return v != nil && v.Kind != Null
}

// FromEnvironment returns the settings among the variables of an environment, each NAME=VALUE: those of which the name has
// parts with __ between them, and a first part that is a section's name. They are in the order of their names.
func FromEnvironment(environ []string, section func(name string) bool) []Setting {
	var list []Setting
	for _, variable := range slices.Sorted(slices.Values(environ)) {
		name, value, _ := strings.Cut(variable, "=")
		path := strings.Split(name, "__")
		if len(path) > 1 && section(path[0]) {
			list = append(list, Setting{Path: path, Value: value, From: "environment " + name})
		}
	}
	return list
}

// Of makes a layer of single settings; the first is the order'th source.
func Of(settings []Setting, order int) (*Value, []Fault) {
	root := &Value{Kind: Object, From: Origin{Source: &Source{Name: "settings", Order: order}}}
	var faults []Fault
	for i := range settings {
		s := &settings[i]
		from := Origin{Source: &Source{Name: s.From, Order: order + i}}
		if text := root.put(s, from); text != "" {
			faults = append(faults, Fault{from, pathOf(s.Path), text})
		}
	}
	return root, faults
}

// put adds a setting, and returns what is wrong with it.
func (v *Value) put(s *Setting, from Origin) (fault string) {
	for depth, name := range s.Path {
		i, last := v.find(name), depth == len(s.Path)-1
		switch {
		case i < 0 && last:
			v.add(Member{name, from, s.value(from)})
			return ""
		case i < 0:
			i = len(v.Members)
			v.add(Member{name, from, &Value{Kind: Object, From: from}})
		case last:
			other := v.Members[i].Value.From
			if v.Members[i].Value.Kind == Object {
				return "is a value, and " + other.String() + " puts a key under it: use one of the two"
			}
			return "is there more than once: " + other.String() + " is the same key (keys are the same in any case)"
		case v.Members[i].Value.Kind != Object:
			return "is a key under " + v.Members[i].Value.From.String() + ", which is a value: use one of the two"
		}
		v = v.Members[i].Value
	}
	return ""
}

func (s *Setting) value(from Origin) *Value {
	v := &Value{Kind: String, Text: s.Value, From: from, whole: s.Whole}
	switch {
	case s.Null:
		v.Kind = Null
	case s.Whole && s.Value == "":
		v.Kind = Object
	}
	return v
}
