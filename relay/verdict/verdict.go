package verdict

import (
	"bytes"
	"strings"
	"unicode"
	"unicode/utf8"

	"proxymap/httpparse"
)

const (
	shown     = 200     // bytes of the reason phrase, of each field, and of the content, that are shown
	maxFields = 8       // that are shown
	maxRead   = 1 << 10 // bytes of each of them that are looked at: what is shown, and secrets in it that become short
)

// A Verdict is a provider's answer to credentials that it does not take, as far as it has come.
type Verdict struct {
	reason  field // its text alone
	fields  []field
	kind    kind
	body    httpparse.Body
	chunks  httpparse.Chunks
	content []byte
	whole   bool // all of the content is here
	broken  bool // no more can be understood
}

// A field is one that is shown.
type field struct {
	line string // Name: value
	cut  bool   // there was more
}

// A kind is what the content may be.
type kind uint8

const (
	unknown kind = iota // text, if it looks so
	text
	binary
)

// New takes the head at the beginning of buf, which res describes, of a response to a request with that method.
func New(res *httpparse.Response, buf []byte, method httpparse.Method) *Verdict {
	v := &Verdict{}
	var err error
	if v.body, err = res.Body(method); err != nil {
		v.broken = true // nobody can tell where its content ends
	}
	line := buf[:res.LineEnd]
	if len(line) > len("HTTP/1.1 407 ") {
		line = line[len("HTTP/1.1 407 "):]
		v.reason = field{string(line[:min(len(line), maxRead)]), len(line) > maxRead}
	}
	for i := range res.Fields {
		f := &res.Fields[i]
		v.take(f.Name.In(buf), f.Value.In(buf))
	}
	v.whole = v.body.Kind == httpparse.BodyNone && !v.broken
	return v
}

// take takes a field line: what it says of the content, or what is to be shown.
func (v *Verdict) take(name, value []byte) {
	folded := strings.ToLower(string(name))
	switch {
	case folded == "content-type":
		v.kind = max(v.kind, kindOf(value))
	case folded == "content-encoding" && !strings.EqualFold(string(value), "identity"):
		v.kind = binary
	case folded != "proxy-status" && !strings.HasPrefix(folded, "x-"), strings.Contains(folded, "cookie"):
	case len(v.fields) < maxFields:
		v.fields = append(v.fields, field{string(name) + ": " + string(value[:min(len(value), maxRead)]), len(value) > maxRead})
	}
}

// kindOf is what a Content-Type says.
func kindOf(value []byte) kind {
	media, _, _ := bytes.Cut(value, []byte(";"))
	switch media := strings.ToLower(strings.TrimSpace(string(media))); {
	case media == "":
		return unknown
	case strings.HasPrefix(media, "text/"), strings.HasSuffix(media, "json"), strings.HasSuffix(media, "xml"):
		return text
	}
	return binary
}

// Take takes what has come of the content, of which it keeps a copy. It reports whether there is enough.
func (v *Verdict) Take(b []byte) (enough bool) {
	for len(b) > 0 && !v.Enough() {
		n, data, last := v.next(b)
		room := maxRead - len(v.content)
		v.content = append(v.content, data[:min(len(data), room)]...)
		v.whole = last && len(data) <= room
		b = b[n:]
	}
	return v.Enough()
}

// next is the content's next data in b, which takes n bytes of it, and whether it is the last.
func (v *Verdict) next(b []byte) (n int, data []byte, last bool) {
	switch v.body.Kind {
	case httpparse.BodyChunked:
		n, data, err := v.chunks.Next(b)
		if err != nil {
			v.broken = true
			return len(b), nil, false
		}
		return n, data, v.chunks.Done()
	case httpparse.BodyLength:
		n := int(min(int64(len(b)), v.body.Length))
		v.body.Length -= int64(n)
		return n, b[:n], v.body.Length == 0
	}
	return len(b), b, false
}

// End says that the provider's connection has ended.
func (v *Verdict) End() {
	v.whole = v.whole || v.body.Kind == httpparse.BodyUntilClose && len(v.content) < maxRead
	v.broken = true
}

// Enough reports whether no more is wanted.
func (v *Verdict) Enough() bool {
	return v.kind == binary || v.whole || v.broken || len(v.content) == maxRead
}

// Text is what there is to be shown to people, on one line, without the secrets in it: the reason phrase, the fields that say
// why, and the beginning of a text. It has at most 2 KiB, and is empty if the provider said nothing.
func (v *Verdict) Text(secrets ...string) string {
	var said []string
	say := func(text string) {
		if text != "" {
			said = append(said, text)
		}
	}
	say(first(Redact(v.reason.line, v.reason.cut, secrets...)))
	for _, f := range v.fields {
		say(first(Redact(f.line, f.cut, secrets...)))
	}
	if v.isText() {
		if content := first(Redact(string(v.content), !v.whole, secrets...)); content != "" {
			say(`"` + content + `"`)
		}
	}
	text := strings.Join(said, "; ")
	if formsOf(secrets).in(text) {
		return "" // what stands between them has made one
	}
	return text
}

// isText reports whether the content is text.
func (v *Verdict) isText() bool {
	if v.kind != unknown {
		return v.kind == text
	}
	for b := v.content; len(b) > 0; {
		c, n := utf8.DecodeRune(b)
		cut := c == utf8.RuneError && !utf8.FullRune(b) && !v.whole
		if !unicode.IsPrint(c) && !unicode.IsSpace(c) || c == utf8.RuneError && !cut {
			return false
		}
		b = b[n:]
	}
	return true
}

// first is the beginning of s that is shown.
func first(s string) string {
	if len(s) <= shown {
		return s
	}
	for s = s[:shown]; !utf8.ValidString(s); s = s[:len(s)-1] {
	}
	return strings.TrimRight(s, " ")
}
