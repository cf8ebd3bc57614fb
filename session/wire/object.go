package wire

import (
	"bytes"
	"regexp"
)

// go-json takes more than JSON (numbers such as 01, members without commas between them), and gives neither the order of
// members nor their repeats. What clients send is read by this reader, which is strict, and knows as much of the grammar as
// there is in objects of scalars (RFC 8259). The strings in them are go-json's again.

// A reader stands before what is left of a text.
type reader struct{ rest []byte }

// take takes c, and the white space before it.
func (r *reader) take(c byte) bool {
	if !r.before(c) {
		return false
	}
	r.rest = r.rest[1:]
	return true
}

// before reports whether c comes next, after white space.
func (r *reader) before(c byte) bool {
	r.rest = bytes.TrimLeft(r.rest, " \t\r\n")
	return len(r.rest) > 0 && r.rest[0] == c
}

// end reports whether nothing is left but white space.
func (r *reader) end() bool {
	r.rest = bytes.TrimLeft(r.rest, " \t\r\n")
	return len(r.rest) == 0
}

// object reads an object. each is called for every member's name, with the reader before its value, and says whether it
// has read that.
func (r *reader) object(each func(name string) bool) bool {
	if !r.take('{') {
		return false
	}
	if r.take('}') {
		return true
	}
	for {
		name, ok := r.text()
		if !ok || !r.take(':') || !each(name) {
			return false
		}
		if !r.take(',') {
			return r.take('}')
		}
	}
}

// text reads a string.
func (r *reader) text() (text string, ok bool) {
	if !r.take('"') {
		return "", false
	}
	n := 0
	for ; n < len(r.rest) && r.rest[n] != '"'; n++ {
		switch {
		case r.rest[n] < ' ':
			return "", false
		case r.rest[n] == '\\':
			n++
		}
	}
	if n >= len(r.rest) {
		return "", false
	}
	quoted := append(append([]byte{'"'}, r.rest[:n]...), '"')
	r.rest = r.rest[n+1:]
	if err := decode(quoted, &text); err != nil {
		return "", false
	}
	return string([]rune(text)), true // each byte that is not UTF-8 is U+FFFD from here on
}

var literal = regexp.MustCompile(`^(?:true|false|null|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)`)

// scalar reads a string, a number, true or false, as text, or null as nothing.
func (r *reader) scalar() (text string, ok bool) {
	if r.before('"') {
		return r.text()
	}
	found := literal.Find(r.rest)
	r.rest = r.rest[len(found):]
	if text = string(found); text == "null" {
		return "", true
	}
	return text, found != nil
}
