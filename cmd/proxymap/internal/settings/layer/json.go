package layer

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/tailscale/hujson"
)

// NewSource is a text that settings are read from. A byte-order mark says whether it is UTF-8 or UTF-16.
func NewSource(name string, text []byte, order int) (*Source, error) {
	s := &Source{Name: name, Text: text, Order: order}
	switch {
	case bytes.HasPrefix(text, []byte("\xef\xbb\xbf")):
		s.Text = text[3:]
	case bytes.HasPrefix(text, []byte("\xff\xfe")):
		return s.decode(text[2:], binary.LittleEndian)
	case bytes.HasPrefix(text, []byte("\xfe\xff")):
		return s.decode(text[2:], binary.BigEndian)
	}
	if s.Text == nil {
		s.Text = []byte{}
	}
	return s, nil
}

var errHalfUTF16 = errors.New("is cut off: its byte-order mark says UTF-16, and it has an odd number of bytes")

func (s *Source) decode(text []byte, order binary.ByteOrder) (*Source, error) {
	s.Text = make([]byte, 0, len(text))
	if len(text)%2 != 0 {
		return s, errHalfUTF16
	}
	units := make([]uint16, len(text)/2)
	for i := range units {
		units[i] = order.Uint16(text[2*i:])
	}
	for _, r := range utf16.Decode(units) {
		s.Text = utf8.AppendRune(s.Text, r)
	}
	return s, nil
}

// Parse reads a text as JSON with comments and trailing commas. A name "A:B" is the key B of A. nil with faults, if it is no
// JSON.
func Parse(in *Source) (*Value, []Fault) {
	text := in.Text
	if at := tooDeep(text); at >= 0 {
		return nil, []Fault{{From: Origin{in, at}, Text: fmt.Sprintf("objects and lists are nested deeper than %d", maxDepth)}}
	}
	value, err := hujson.Parse(text)
	if err != nil { // for hujson a comment must end in a line's end, and for .NET in the file's
		if v, e := hujson.Parse(append(slices.Clip(text), '\n')); e == nil {
			value, err = v, nil
		}
	}
	switch {
	case err == nil:
		p := parser{in: in}
		v := p.value(&value)
		return v, p.faults
	case len(bytes.TrimSpace(text)) == 0:
		return nil, []Fault{{From: Origin{Source: in}, Text: "the file is empty: it must hold JSON"}}
	}
	line := 1
	if _, e := fmt.Sscanf(err.Error(), "hujson: line %d", &line); e != nil {
		line = 1
	}
	return nil, []Fault{{From: Origin{in, offset(text, line)}, Text: "not JSON: " + withoutValue(err.Error())}}
}

// maxDepth is how deep objects and lists may be nested, as in .NET. Parsing deeper ones takes a stack without a bound.
const maxDepth = 64

// tooDeep is where a text is nested too deeply; -1: it is not. Brackets in strings and comments do not count.
func tooDeep(text []byte) int {
	depth := 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			for i++; i < len(text) && text[i] != '"'; i++ {
				if text[i] == '\\' {
					i++
				}
			}
		case '/':
			i += commentIn(text[i:])
		case '[', '{':
			if depth++; depth > maxDepth {
				return i
			}
		case ']', '}':
			depth--
		}
	}
	return -1
}

// commentIn is the length of the comment that text begins with, but for its last byte.
func commentIn(text []byte) int {
	end, n := -1, 0
	switch {
	case bytes.HasPrefix(text, []byte("//")):
		end, n = bytes.IndexByte(text, '\n'), 0
	case bytes.HasPrefix(text, []byte("/*")):
		if end = bytes.Index(text[2:], []byte("*/")); end >= 0 {
			end, n = end+2, 1
		}
	default:
		return 0
	}
	if end < 0 {
		return len(text) // it does not end
	}
	return end + n
}

// offset is where a line begins.
func offset(text []byte, line int) int {
	at := 0
	for ; line > 1; line-- {
		next := bytes.IndexByte(text[at:], '\n')
		if next < 0 {
			break
		}
		at += next + 1
	}
	return at
}

// withoutValue cuts the text at fault off an error of hujson, which may be a password without its quotes:
// "hujson: line 1, column 2: invalid literal: text".
func withoutValue(text string) string {
	parts := strings.SplitN(strings.TrimPrefix(text, "hujson: "), ": ", 3)
	return strings.Join(parts[:min(len(parts), 2)], ": ")
}

// A parser makes values of hujson's.
type parser struct {
	in     *Source
	path   []string
	faults []Fault

	spare []Value           // of which the next ones are made
	names map[string]string // that have been seen: most objects have the same ones
}

// newValue makes values many at a time, which takes a large file's most time otherwise.
func (p *parser) newValue() *Value {
	if len(p.spare) == 0 {
		p.spare = make([]Value, min(max(len(p.in.Text)/64, 1), 256))
	}
	v := &p.spare[0]
	p.spare = p.spare[1:]
	return v
}

// nameOf is what a key says.
func (p *parser) nameOf(l hujson.Literal) string {
	if name, ok := p.names[string(l)]; ok {
		return name
	}
	name := textOf(l)
	if p.names == nil {
		p.names = map[string]string{}
	}
	p.names[string(l)] = name
	return name
}

func (p *parser) value(v *hujson.Value) *Value {
	out := p.newValue()
	out.From = Origin{p.in, v.StartOffset}
	switch of := v.Value.(type) {
	case hujson.Literal:
		if out.Kind = kinds[of.Kind()]; out.Kind != Null {
			out.Text = textOf(of)
		}
	case *hujson.Array:
		out.Kind, out.Items = List, make([]*Value, len(of.Elements))
		for i := range of.Elements {
			p.path = append(p.path, strconv.Itoa(i))
			out.Items[i] = p.value(&of.Elements[i])
			p.path = p.path[:len(p.path)-1]
		}
	case *hujson.Object:
		out.Kind, out.Members = Object, make([]Member, 0, len(of.Members))
		for i := range of.Members {
			p.member(out, &of.Members[i])
		}
	}
	return out
}

var kinds = [256]Kind{'n': Null, 't': Bool, 'f': Bool, '0': Number, '"': String}

// textOf is what a literal says. Mostly it stands there as it is, and need not be decoded: that takes most of the time of a
// large file.
func textOf(l hujson.Literal) string {
	if l[0] == '"' && bytes.IndexByte(l, '\\') < 0 && utf8.Valid(l) {
		return string(l[1 : len(l)-1])
	}
	return l.String()
}

func (p *parser) member(of *Value, m *hujson.ObjectMember) {
	name := p.nameOf(m.Name.Value.(hujson.Literal))
	from := Origin{p.in, m.Name.StartOffset}
	depth := len(p.path)
	parts := strings.Split(name, ":")
	if len(parts) > maxDepth {
		p.faults = append(p.faults, Fault{from, pathOf(append(p.path, parts[0], "…")), fmt.Sprintf("objects are nested deeper than %d", maxDepth)})
		return
	}
	for _, part := range parts[:len(parts)-1] {
		p.path = append(p.path, part)
		of = p.under(of, part, from)
	}
	last := parts[len(parts)-1]
	p.path = append(p.path, last)
	p.add(of, Member{last, from, p.value(&m.Value)}, len(parts) > 1)
	p.path = p.path[:depth]
}

// add adds a member to an object. One that is there already is none of its own, if its name was split, or that of the
// other: {"A:B": 1, "A:C": 2} has one A.
func (p *parser) add(of *Value, m Member, split bool) {
	i := of.find(m.Name)
	if i < 0 {
		m.Value.split = split
		of.add(m)
		return
	}
	there := of.Members[i].Value
	if !split && !there.split || there.Kind != Object || m.Value.Kind != Object {
		p.twice(m.From)
		return
	}
	for _, member := range m.Value.Members {
		p.path = append(p.path, member.Name)
		p.add(there, member, true)
		p.path = p.path[:len(p.path)-1]
	}
}

// under returns the object that is the member of another, and makes it.
func (p *parser) under(of *Value, name string, from Origin) *Value {
	if i := of.find(name); i >= 0 && of.Members[i].Value.Kind == Object {
		return of.Members[i].Value
	}
	v := &Value{Kind: Object, From: from}
	p.add(of, Member{name, from, v}, true)
	return v
}

func (p *parser) twice(from Origin) {
	p.faults = append(p.faults, Fault{from, pathOf(p.path), "the key is there more than once (keys are the same in any case)"})
}
