package layer

import (
	"bytes"
	"fmt"
	"strings"
)

// A Kind is what a value is.
type Kind uint8

const (
	Null Kind = iota
	Bool
	Number
	String
	List
	Object
)

// A Value is a value of the settings, with what is in it.
type Value struct {
	Kind    Kind
	Text    string   // of a string, number or boolean
	Members []Member // of an object, in the order in which layers brought them; no two names are equal but for case
	Items   []*Value // of a list
	From    Origin

	whole bool  // it replaces what is under it
	split bool  // it was named by a part of a name such as A:B
	rare  *rare // nil: nothing of it
}

// A rare is what few values have.
type rare struct {
	numbers []int          // of the items, rising, where a list has gaps; nil: 0, 1, 2 and so on
	byName  map[string]int // indices of Members by name in lower case, of an object with many
}

func (v *Value) numbers() []int {
	if v.rare == nil {
		return nil
	}
	return v.rare.numbers
}

func (v *Value) byName() map[string]int {
	if v.rare == nil {
		return nil
	}
	return v.rare.byName
}

// A Member is a key of an object, and its value.
type Member struct {
	Name  string
	From  Origin // of the name
	Value *Value
}

// A Source is a text that settings are read from, or what else gave one.
type Source struct {
	Name  string
	Text  []byte // UTF-8; nil: there is no text, and Name alone says where to look
	Order int    // of reading, which the caller gives

	Included bool // it is no layer, but a file that one names
}

// An Origin is where a value stands: a source, and an offset in its text in bytes.
type Origin struct {
	Source *Source
	At     int
}

// Line is the number of the line of an origin, from 1; 0: its source has no lines.
func (o Origin) Line() int {
	if o.Source == nil || o.Source.Text == nil {
		return 0
	}
	return 1 + bytes.Count(o.Source.Text[:min(o.At, len(o.Source.Text))], []byte("\n"))
}

// String is "appsettings.json:12", or the source's name alone.
func (o Origin) String() string {
	switch line := o.Line(); {
	case o.Source == nil:
		return ""
	case line > 0:
		return fmt.Sprintf("%s:%d", o.Source.Name, line)
	}
	return o.Source.Name
}

// A Fault is what is wrong with a layer in itself.
type Fault struct {
	From Origin
	Path string // of the key: Listen.Port; empty for the layer as a whole
	Text string
}

// Literal reports whether v is a string, number or boolean.
func (v *Value) Literal() bool { return v.Kind == Bool || v.Kind == Number || v.Kind == String }

// Number is the number of an item of a list, as its layers wrote it.
func (v *Value) Number(item int) int {
	if numbers := v.numbers(); numbers != nil {
		return numbers[item]
	}
	return item
}

// Find returns the member of an object whose name is key in any case; nil: there is none.
func (v *Value) Find(key string) *Member {
	if i := v.find(key); i >= 0 {
		return &v.Members[i]
	}
	return nil
}

// fewMembers is how many members are looked through one by one.
const fewMembers = 24

func (v *Value) find(key string) int {
	if byName := v.byName(); byName != nil {
		if i, ok := byName[strings.ToLower(key)]; ok {
			return i
		}
		return -1
	}
	for i := range v.Members {
		if strings.EqualFold(v.Members[i].Name, key) {
			return i
		}
	}
	return -1
}

func (v *Value) add(m Member) {
	v.Members = append(v.Members, m)
	switch n := len(v.Members); {
	case v.rare != nil:
		v.rare.byName[strings.ToLower(m.Name)] = n - 1
	case n > fewMembers:
		v.rare = &rare{byName: make(map[string]int, 2*n)}
		for i := range v.Members {
			v.rare.byName[strings.ToLower(v.Members[i].Name)] = i
		}
	}
}

// pathOf writes a path as messages have it.
func pathOf(parts []string) string {
	var out strings.Builder
	for i, part := range parts {
		switch _, isIndex := index(part); {
		case isIndex && i > 0:
			out.WriteString("[" + part + "]")
		case i > 0:
			out.WriteString("." + part)
		default:
			out.WriteString(part)
		}
	}
	return out.String()
}
