package verdict

import (
	"bytes"
	"strconv"
	"unicode/utf8"
)

// A view is a text as somebody may read it, with the place that each of its bytes comes from.
type view struct {
	b  []byte
	at []place
}

// A place is bytes from..to of the text itself.
type place struct{ from, to int }

// viewOf is a text as it is.
func viewOf(text []byte) view {
	v := view{b: text, at: make([]place, len(text))}
	for i := range text {
		v.at[i] = place{i, i + 1}
	}
	return v
}

// room is an empty view that has room for n bytes.
func room(n int) view { return view{make([]byte, 0, n), make([]place, 0, n)} }

// unescaped is the view with the escapes of URLs, HTML, JSON and JavaScript resolved, once.
func (v view) unescaped() (out view, changed bool) {
	if !bytes.ContainsAny(v.b, `%&\`) {
		return v, false
	}
	out = room(len(v.b))
	for i := 0; i < len(v.b); {
		c, n := escape(v.b[i:])
		if n == 0 {
			c, n = v.b[i:i+1], 1
		} else {
			changed = true
		}
		out.add(c, place{v.at[i].from, v.at[i+n-1].to})
		i += n
	}
	return out, changed
}

// decoded is what the letters of base64 at these places of the view stand for.
func (v view) decoded(at []int) (out view) {
	out = room(len(at))
	bits, have, from := 0, 0, 0
	for _, i := range at {
		if have == 0 {
			from = v.at[i].from
		}
		bits, have = bits<<6|sextet(v.b[i]), have+6
		if have < 8 {
			continue
		}
		have -= 8
		out.add([]byte{byte(bits >> have)}, place{from, v.at[i].to})
		bits &= 1<<have - 1
		from = v.at[i].from // its last bits belong to the next byte
	}
	return out
}

// dense is the view without white space and control characters, as far as they are ASCII.
func (v view) dense() (out view) {
	if bytes.IndexFunc(v.b, func(c rune) bool { return c <= ' ' || c == 0x7f }) < 0 {
		return v
	}
	out = room(len(v.b))
	for i, c := range v.b {
		if c > ' ' && c != 0x7f {
			out.b, out.at = append(out.b, c), append(out.at, v.at[i])
		}
	}
	return out
}

// unhexed is what the hexadecimal digits v.b[from:to] stand for.
func (v view) unhexed(from, to int) (out view) {
	out = room((to - from) / 2)
	for i := from; i+1 < to; i += 2 {
		c, _ := hexByte(v.b[i:i+2], 0)
		out.add(c, place{v.at[i].from, v.at[i+1].to})
	}
	return out
}

func isHex(c byte) bool { return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'f' }

// add adds what a place stands for.
func (v *view) add(b []byte, from place) {
	for _, c := range b {
		v.b, v.at = append(v.b, c), append(v.at, from)
	}
}

// sextet is the value of a letter of base64, of both its alphabets (RFC 4648 sections 4 and 5); -1: it is none.
func sextet(c byte) int {
	switch {
	case 'A' <= c && c <= 'Z':
		return int(c - 'A')
	case 'a' <= c && c <= 'z':
		return int(c-'a') + 26
	case '0' <= c && c <= '9':
		return int(c-'0') + 52
	case c == '+', c == '-':
		return 62
	case c == '/', c == '_':
		return 63
	}
	return -1
}

// escape is what the escape at the beginning of b stands for, and how many bytes it has; 0: there is none.
func escape(b []byte) (c []byte, n int) {
	switch {
	case len(b) < 2:
	case b[0] == '%':
		return hexByte(b, 1)
	case b[0] == '\\' && b[1] == 'x':
		return hexByte(b, 2)
	case b[0] == '\\' && b[1] == 'u' && len(b) >= 6:
		if code, err := strconv.ParseUint(string(b[2:6]), 16, 32); err == nil {
			return utf8.AppendRune(nil, rune(code)), 6
		}
	case b[0] == '\\' && (b[1] == '\\' || b[1] == '/' || b[1] == '"' || b[1] == '\''):
		return b[1:2], 2
	case b[0] == '&':
		return entity(b)
	}
	return nil, 0
}

// hexByte reads the two hexadecimal digits that stand after so many bytes of b.
func hexByte(b []byte, after int) (c []byte, n int) {
	if len(b) < after+2 {
		return nil, 0
	}
	code, err := strconv.ParseUint(string(b[after:after+2]), 16, 8)
	if err != nil {
		return nil, 0
	}
	return []byte{byte(code)}, after + 2
}

// entities are the character references of HTML that stand for what has a meaning there.
var entities = map[string]string{"amp": "&", "lt": "<", "gt": ">", "quot": `"`, "apos": "'", "nbsp": " "}

// maxEntity is the longest character reference, in bytes.
const maxEntity = 10

// entity reads a character reference of HTML.
func entity(b []byte) (c []byte, n int) {
	end := bytes.IndexByte(b[:min(len(b), maxEntity)], ';')
	if end < 2 {
		return nil, 0
	}
	name := string(b[1:end])
	if text, known := entities[name]; known {
		return []byte(text), end + 1
	}
	if name[0] != '#' {
		return nil, 0
	}
	digits, base := name[1:], 10
	if len(digits) > 1 && (digits[0] == 'x' || digits[0] == 'X') {
		digits, base = digits[1:], 16
	}
	code, err := strconv.ParseUint(digits, base, 32)
	if err != nil || code > utf8.MaxRune {
		return nil, 0
	}
	return utf8.AppendRune(nil, rune(code)), end + 1
}
