package httpparse

import (
	"bytes"
	"cmp"
	"strconv"
	"strings"
)

// A Span is a part of the caller's buffer, from Start up to, not including, End.
type Span struct{ Start, End int32 }

// In returns the span's bytes, a sub-slice of b.
func (s Span) In(b []byte) []byte { return b[s.Start:s.End] }

// Len is the span's length in bytes.
func (s Span) Len() int { return int(s.End - s.Start) }

// A Field is one field line (RFC 9112 section 5): it begins at Name.Start and ends, its CRLF included, at End.
type Field struct {
	Name, Value Span // the value without the white space around it
	End         int32
	Kind        Kind
}

// A Kind is a field name that something depends on: HTTP/1 itself, or the caller.
type Kind uint8

// The field names that framing, routing and persistence depend on. KindNamed is the first of a caller's Names; all others
// are KindOther.
const (
	KindOther Kind = iota
	KindHost
	KindExpect
	KindUpgrade
	KindConnection
	KindContentLength
	KindProxyConnection
	KindTransferEncoding
	KindTrailer
	KindProxyAuthorization
	KindMaxForwards
	KindNamed
)

// kindNames are in lower case.
var kindNames = [KindNamed]string{
	KindHost:               "host",
	KindExpect:             "expect",
	KindUpgrade:            "upgrade",
	KindConnection:         "connection",
	KindContentLength:      "content-length",
	KindProxyConnection:    "proxy-connection",
	KindTransferEncoding:   "transfer-encoding",
	KindTrailer:            "trailer",
	KindProxyAuthorization: "proxy-authorization",
	KindMaxForwards:        "max-forwards",
}

// kindOf names a field of HTTP/1's own. The length decides first, so most names cost no comparison.
func kindOf(name []byte) Kind {
	switch len(name) {
	case 4:
		return sameName(name, KindHost)
	case 6:
		return sameName(name, KindExpect)
	case 7:
		return sameName(name, KindUpgrade) | sameName(name, KindTrailer)
	case 10:
		return sameName(name, KindConnection)
	case 12:
		return sameName(name, KindMaxForwards)
	case 14:
		return sameName(name, KindContentLength)
	case 16:
		return sameName(name, KindProxyConnection)
	case 17:
		return sameName(name, KindTransferEncoding)
	case 19:
		return sameName(name, KindProxyAuthorization)
	}
	return KindOther
}

// sameName returns k if name is its name, else KindOther, which is 0: results of different names can be or-ed.
func sameName(name []byte, k Kind) Kind {
	if EqualFold(name, kindNames[k]) {
		return k
	}
	return KindOther
}

// Names are field names that a caller wants told apart beside those of HTTP/1's own. They never change, and may be used
// from any goroutine; nil has none.
type Names struct {
	list    []string // in lower case
	lengths uint64   // bit n: there is one of n bytes
}

// maxName is the longest name, in bytes, that a caller may want.
const maxName = 63

// NewNames makes Names, written in any case: a field with the i-th of them is of the kind KindNamed + i. One that HTTP/1
// acts upon itself, or is no field name, or longer than 63 bytes, is a mistake of the program: it panics.
func NewNames(names ...string) *Names {
	n := &Names{}
	for _, name := range names {
		if !IsToken([]byte(name)) || len(name) > maxName || kindOf([]byte(name)) != KindOther {
			panic("httpparse: " + strconv.Quote(name) + " cannot be told apart: it is HTTP/1's own, or no short field name")
		}
		n.list = append(n.list, strings.ToLower(name))
		n.lengths |= 1 << len(name)
	}
	return n
}

// kindOf names the field. Most names cost no comparison.
func (n *Names) kindOf(name []byte) Kind {
	if n == nil || len(name) > maxName || n.lengths>>len(name)&1 == 0 {
		return KindOther
	}
	for i, want := range n.list {
		if EqualFold(name, want) {
			return KindNamed + Kind(i)
		}
	}
	return KindOther
}

// EqualFold reports whether b is lower, which must be ASCII in lower case, in any mix of cases.
func EqualFold(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i := range b {
		if toLower(b[i]) != lower[i] {
			return false
		}
	}
	return true
}

func toLower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c | 0x20
	}
	return c
}

// Byte classes.
const (
	classToken  = 1 << iota // tchar, RFC 9110 section 5.6.2
	classText               // HTAB, SP, VCHAR and obs-text: what a field value may hold, RFC 9110 section 5.5
	classTarget             // VCHAR, and obs-text, which browsers' users paste into paths: RFC 9112 section 3.2
	classHost               // letters, digits, "-", ".", "_" and "~": what names of hosts are made of
	classDigit
)

var classes = func() (t [256]uint8) {
	for c := range 256 {
		switch {
		case c == '\t':
			t[c] = classText
		case c < ' ' || c == 0x7f:
		case c == ' ':
			t[c] = classText
		default:
			t[c] = classText | classTarget
		}
	}
	for _, c := range []byte("!#$%&'*+-.^_`|~") {
		t[c] |= classToken
	}
	for _, c := range []byte("-._~") {
		t[c] |= classHost
	}
	for c := '0'; c <= '9'; c++ {
		t[c] |= classToken | classHost | classDigit
	}
	for c := 'a'; c <= 'z'; c++ {
		t[c] |= classToken | classHost
		t[c-0x20] |= classToken | classHost
	}
	return t
}()

// all reports whether every byte of b is of the class.
func all(b []byte, class uint8) bool {
	for _, c := range b {
		if classes[c]&class == 0 {
			return false
		}
	}
	return true
}

// IsToken reports whether b is a token (RFC 9110 section 5.6.2).
func IsToken(b []byte) bool { return len(b) > 0 && all(b, classToken) }

// line returns the end of the line that begins at pos, before its CRLF, and where the next one begins. The line may hold
// any byte but CR and LF.
func (h *head) line(buf []byte, pos int) (end, next int, err error) {
	n := bytes.IndexByte(buf[pos:], '\n')
	if n < 0 {
		return 0, 0, h.partialLine(buf[pos:])
	}
	end = pos + n
	if n > 0 && buf[end-1] == '\r' {
		return end - 1, end + 1, nil
	}
	// RFC 9112 section 2.2 lets a recipient accept it; those that do and those that do not disagree.
	return end, end + 1, h.find(OddLineEnd)
}

// partialLine looks at the beginning of a line whose end has not come: other protocols are refused at their first bytes.
func (h *head) partialLine(b []byte) error {
	if n := len(b); n > 0 && b[n-1] == '\r' {
		b = b[:n-1]
	}
	if err := h.text(b); err != nil {
		return err
	}
	return ErrNeedMore
}

// text checks that b holds no control characters but HTAB (RFC 9110 section 5.5, RFC 9112 section 2.2).
func (h *head) text(b []byte) error {
	for i, c := range b {
		if classes[c]&classText == 0 {
			return h.controls(b[i:])
		}
	}
	return nil
}

// controls looks at text that begins with a control character. NUL and CR are never taken: what follows them is another
// text to some readers.
func (h *head) controls(b []byte) error {
	for _, c := range b {
		switch {
		case classes[c]&classText != 0:
		case c == '\r':
			return errBareCR
		case c == 0:
			return errControl
		default:
			if err := h.find(OddControl); err != nil {
				return err
			}
		}
	}
	return nil
}

// fieldLine parses the field line buf[pos:end], without its line end; the next line begins at next. A line that is dropped
// has no name.
//
//	field-line = field-name ":" OWS field-value OWS
func (h *head) fieldLine(buf []byte, pos, end, next int) (f Field, err error) {
	f.End = int32(next)
	i := pos
	for i < end && classes[buf[i]]&classToken != 0 {
		i++
	}
	f.Name = Span{int32(pos), int32(i)}
	if i == end || buf[i] != ':' || i == pos {
		if i, err = h.oddName(buf, &f, i, end); err != nil || f.Name.Len() == 0 {
			return f, err
		}
	}
	start := i + 1
	for start < end && isSpace(buf[start]) {
		start++
	}
	stop := end
	for stop > start && isSpace(buf[stop-1]) {
		stop--
	}
	if err := h.text(buf[start:stop]); err != nil {
		return f, err
	}
	f.Value = Span{int32(start), int32(stop)}
	f.Kind = kindOf(f.Name.In(buf))
	return f, nil
}

// oddName reads the name of a field line that does not begin with a token and a colon. The token ends at i, the line at
// end. It returns where the colon is, and sets the name: to none if the line is dropped.
func (h *head) oddName(buf []byte, f *Field, i, end int) (colon int, err error) {
	pos := int(f.Name.Start)
	f.Name.End = f.Name.Start
	if isSpace(buf[pos]) { // it goes on with no field: behind a start line, or behind a line that was dropped
		return 0, cmp.Or(h.find(OddFold), h.text(buf[pos:end]), h.aboutFraming(lineKind(buf[pos:end])))
	}
	if err := h.text(buf[i:end]); err != nil {
		return 0, err
	}
	if !h.takes.Has(OddName) {
		return 0, badName(buf[i:end], i == pos)
	}
	n := bytes.IndexByte(buf[pos:end], ':')
	if n < 0 {
		return 0, h.find(OddNoColon)
	}
	name := bytes.TrimRight(buf[pos:pos+n], " \t")
	switch {
	case n == 0:
		return 0, h.find(OddNoName)
	case !IsToken(name):
		err = h.find(OddName)
	}
	if len(name) < n {
		err = cmp.Or(err, h.find(OddSpaceColon))
	}
	f.Name.End = int32(pos + len(name))
	return pos + n, cmp.Or(err, h.aboutFraming(nearKind(name)))
}

// nearKind is the kind of name, or of what some readers make of it who cut off what is not allowed in a name.
func nearKind(name []byte) Kind {
	return kindOf(bytes.TrimFunc(name, func(c rune) bool { return c >= 0x80 || classes[c]&classToken == 0 }))
}

// lineKind is the kind of what some readers make of a line that begins with white space and goes on with no field: a field
// line of its own.
func lineKind(line []byte) Kind {
	name, _, _ := bytes.Cut(line, []byte(":"))
	return nearKind(name)
}

// aboutFraming notes that what is odd is about a field of kind k, if framing depends on those.
func (h *head) aboutFraming(k Kind) error {
	if k == KindContentLength || k == KindTransferEncoding {
		return h.find(OddFramingField)
	}
	return nil
}

// badName says what is wrong with a field line whose name ends where rest begins.
func badName(rest []byte, empty bool) error {
	switch {
	case len(rest) == 0:
		return errNoColon
	case !empty && isSpace(rest[0]):
		return errSpaceColon // RFC 9112 section 5.1
	}
	return errFieldName
}

// folds takes the lines that f goes on with, at most most (RFC 9112 section 5.2). It returns how many there are.
func (h *head) folds(buf []byte, f *Field, most int) (n int, err error) {
	for int(f.End) < len(buf) && isSpace(buf[f.End]) {
		if n++; n > most {
			return n, errTooManyFields
		}
		pos := int(f.End)
		end, next, err := h.line(buf, pos)
		if err != nil {
			return n, err
		}
		kind := f.Kind
		if f.Name.Len() == 0 {
			kind = lineKind(buf[pos:end])
		}
		if err := cmp.Or(h.find(OddFold), h.text(buf[pos:end]), h.aboutFraming(kind)); err != nil {
			return n, err
		}
		f.End = int32(next)
		start, stop := pos, end
		if f.Value.Len() > 0 {
			start = int(f.Value.Start)
		}
		for start < stop && isSpace(buf[start]) {
			start++
		}
		for stop > start && isFold(buf[stop-1]) {
			stop--
		}
		f.Value = Span{int32(start), int32(stop)}
	}
	return n, nil
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' }

// isFold reports whether c is white space in the value of a folded line: no other value has CR or LF.
func isFold(c byte) bool { return isSpace(c) || c == '\r' || c == '\n' }

// trim returns b, a part of a value, without the white space around it.
func trim(b []byte) []byte {
	for len(b) > 0 && isFold(b[0]) {
		b = b[1:]
	}
	for len(b) > 0 && isFold(b[len(b)-1]) {
		b = b[:len(b)-1]
	}
	return b
}
