package verdict

import (
	"bytes"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	mask = "***" // in place of a secret

	// rounds is how many times a text is read anew with its escapes resolved: for percent signs, for a percent sign that
	// was escaped itself, and for what stands in JSON or HTML.
	rounds = 3

	// nested is how many base64 codings, one in another, are looked through.
	nested = 2
)

// Redact returns text with *** in place of each secret, and of what holds one in another form: in other cases, with
// escapes of URLs, HTML and JSON, and in base64 of either alphabet, alone or in the middle of more. Control characters
// become spaces, and several spaces one. It is empty if that cannot be had, as where a secret is an asterisk. Empty secrets
// are none.
//
// cut says that the text was broken off: its last word goes, for it may be the beginning of a secret.
func Redact(text string, cut bool, secrets ...string) string {
	forms := formsOf(secrets)
	text = printable(text)
	if cut {
		text = forms.whole(text)
	}
	text = redact(text, forms)
	if forms.in(text) {
		return "" // *** has made one, or is one
	}
	return text
}

// printable returns text without what cannot be printed, and with single spaces.
func printable(text string) string {
	shown := strings.Map(func(c rune) rune {
		if c == utf8.RuneError || !unicode.IsPrint(c) {
			return ' '
		}
		return c
	}, text)
	return strings.Join(strings.Fields(shown), " ")
}

// forms are secrets as they are looked for: in lower case, none empty, those with spaces also as forms of the web have
// them.
type forms [][]byte

func formsOf(secrets []string) (f forms) {
	for _, s := range secrets {
		for _, s := range []string{s, printable(s), strings.ReplaceAll(s, " ", "+")} {
			form := lower([]byte(s))
			if len(form) > 0 && !slices.ContainsFunc(f, func(have []byte) bool { return bytes.Equal(have, form) }) {
				f = append(f, form)
			}
		}
	}
	return f
}

// shortest is the length of the shortest of them.
func (f forms) shortest() int {
	n := 1 << 30
	for _, form := range f {
		n = min(n, len(form))
	}
	return n
}

// in reports whether text holds a secret, in whatever form.
func (f forms) in(text string) bool {
	return slices.Contains(hiddenIn(text, f), true)
}

// whole is text without a last word that may have more behind it, and without the beginning of a secret at its end.
func (f forms) whole(text string) string {
	text = text[:strings.LastIndexByte(text, ' ')+1]
	folded := lower([]byte(text))
	end := len(text)
	for _, form := range f {
		for n := min(len(form), len(text)); n > 0; n-- {
			if bytes.HasSuffix(folded, form[:n]) {
				end = min(end, len(text)-n)
				break
			}
		}
	}
	return strings.TrimRight(text[:end], " ")
}

// redact puts *** in the place of what must not be seen.
func redact(text string, f forms) string {
	hidden := hiddenIn(text, f)
	var b strings.Builder
	for i := range len(text) {
		switch {
		case !hidden[i]:
			b.WriteByte(text[i])
		case i == 0 || !hidden[i-1]:
			b.WriteString(mask)
		}
	}
	return strings.ToValidUTF8(b.String(), "?")
}

// hiddenIn tells of each byte of text whether it must not be seen.
func hiddenIn(text string, f forms) []bool {
	r := redactor{text: []byte(text), forms: f, least: f.shortest(), hidden: make([]bool, len(text))}
	if len(f) > 0 {
		r.look(viewOf(r.text), nested)
	}
	return r.hidden
}

// A redactor looks for secrets in a text.
type redactor struct {
	text   []byte
	forms  forms
	least  int    // the shortest form, in bytes
	hidden []bool // bytes of the text
}

// look hides what a view shows of secrets, also with escapes resolved and through so many codings in base64.
func (r *redactor) look(v view, depth int) {
	for range rounds + 1 {
		r.plain(v, depth < nested)
		if depth > 0 {
			r.coded(v, depth-1)
		}
		next, changed := v.unescaped()
		if !changed {
			return
		}
		v = next
	}
}

// plain hides secrets that stand in the view as they are, in any case. With coded, what is around them in the text is
// hidden too, as far as it may be base64: their first and last letters are shared with it.
func (r *redactor) plain(v view, coded bool) {
	folded := lower(v.b)
	for _, form := range r.forms {
		for at := 0; ; at++ {
			i := bytes.Index(folded[at:], form)
			if i < 0 {
				break
			}
			at += i
			r.hide(v.at[at].from, v.at[at+len(form)-1].to, coded)
		}
	}
}

// hide hides text[from:to], and with wide the letters of base64 around it.
func (r *redactor) hide(from, to int, wide bool) {
	for ; wide && from > 0 && sextet(r.text[from-1]) >= 0; from-- {
	}
	for ; wide && to < len(r.text) && (sextet(r.text[to]) >= 0 || r.text[to] == '='); to++ {
	}
	for i := from; i < to; i++ {
		r.hidden[i] = true
	}
}

// coded looks for secrets in what letters of base64 stand for, from each of four places on, for what stands before them may
// be no part of it. Spaces between them do not count: lines may have been broken.
func (r *redactor) coded(v view, depth int) {
	var at []int // the letters' places in v.b
	end := func() {
		for skip := 0; skip < 4 && len(at)-skip >= r.least*4/3; skip++ {
			r.look(v.decoded(at[skip:]), depth)
		}
		at = at[:0]
	}
	for i, c := range v.b {
		switch {
		case sextet(c) >= 0:
			at = append(at, i)
		case c != ' ':
			end()
		}
	}
	end()
}

// lower is b with ASCII letters in lower case: bytes stay where they are.
func lower(b []byte) []byte {
	b = bytes.Clone(b)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c | 0x20
		}
	}
	return b
}
