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

	// nested is how many codings in base64 or hexadecimal, one in another, are looked through.
	nested = 2

	// shortForm is the length below which a secret is looked for as a word alone: anywhere else it would be found in what
	// anybody says, most of all in base64, and hide all of it.
	shortForm = 4
)

// Redact returns text with *** in place of each secret, and of what holds one in another form: in other cases of ASCII, with
// escapes of URLs, HTML and JSON, broken by white space, in hexadecimal, and in base64 of either alphabet, alone or in the
// middle of more. One of less than 4 bytes goes where it is a word of its own, and is not looked for in hexadecimal and
// base64. Control characters become spaces, and several spaces one. It is empty if that cannot be had, as where a secret is
// an asterisk. Empty secrets are none.
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
// them, and without any.
type forms struct {
	words  [][]byte // short ones
	long   [][]byte
	dense  [][]byte // without white space, and long all the same
	others [][]byte // of these, those that are not among the long
}

func formsOf(secrets []string) (f forms) {
	for _, s := range secrets {
		for _, s := range []string{s, printable(s), strings.ReplaceAll(s, " ", "+")} {
			if form := lower([]byte(s)); len(form) < shortForm {
				f.words = with(f.words, form)
			} else {
				f.long = with(f.long, form)
			}
			if form := lower(viewOf([]byte(s)).dense().b); len(form) >= shortForm {
				f.dense = with(f.dense, form)
			}
		}
	}
	for _, form := range f.dense {
		if !has(f.long, form) {
			f.others = append(f.others, form)
		}
	}
	return f
}

// with is the list with form, once, if that is not empty.
func with(list [][]byte, form []byte) [][]byte {
	if len(form) == 0 || has(list, form) {
		return list
	}
	return append(list, form)
}

func has(list [][]byte, form []byte) bool {
	return slices.ContainsFunc(list, func(have []byte) bool { return bytes.Equal(have, form) })
}

// shortest is the length of the shortest that is looked for in codings.
func (f forms) shortest() int {
	n := 1 << 30
	for _, list := range [][][]byte{f.long, f.dense} {
		for _, form := range list {
			n = min(n, len(form))
		}
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
	for _, form := range f.long {
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
	r.look(viewOf(r.text), nested)
	return r.hidden
}

// A redactor looks for secrets in a text.
type redactor struct {
	text   []byte
	forms  forms
	least  int    // the shortest form that is looked for in codings, in bytes
	hidden []bool // bytes of the text
}

// look hides what a view shows of secrets, also with escapes resolved and through so many codings.
func (r *redactor) look(v view, depth int) {
	for range rounds + 1 {
		r.plain(v, depth < nested)
		if depth > 0 {
			r.coded(v, depth-1)
			r.hex(v, depth-1)
		}
		next, changed := v.unescaped()
		if !changed {
			return
		}
		v = next
	}
}

// plain hides secrets that stand in the view as they are, in any case, or broken by white space. With coded, what is around
// them in the text is hidden too, as far as it may be base64: their first and last letters are shared with it.
func (r *redactor) plain(v view, coded bool) {
	folded := lower(v.b)
	r.find(v, folded, r.forms.long, coded, false)
	if dense := v.dense(); len(dense.b) < len(v.b) {
		r.find(dense, lower(dense.b), r.forms.dense, coded, false)
	} else {
		r.find(v, folded, r.forms.others, coded, false)
	}
	if !coded {
		r.find(v, folded, r.forms.words, false, true)
	}
}

// find hides the forms that stand in the view, whose bytes in lower case are folded, with words only those that are words of
// their own.
func (r *redactor) find(v view, folded []byte, forms [][]byte, coded, words bool) {
	for _, form := range forms {
		for at := 0; ; at++ {
			i := bytes.Index(folded[at:], form)
			if i < 0 {
				break
			}
			at += i
			if end := at + len(form); !words || endsWord(folded, at) && endsWord(folded, end) {
				r.hide(v.at[at].from, v.at[end-1].to, coded)
			}
		}
	}
}

// endsWord reports whether b[:at] and b[at:] do not share a word.
func endsWord(b []byte, at int) bool {
	return at == 0 || at == len(b) || !inWord(b[at-1]) || !inWord(b[at])
}

func inWord(c byte) bool { return c >= 0x80 || '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z' }

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

// hex looks for secrets in what hexadecimal digits stand for, from each of two places on.
func (r *redactor) hex(v view, depth int) {
	for from := 0; from < len(v.b); {
		to := from
		for to < len(v.b) && isHex(v.b[to]) {
			to++
		}
		for skip := 0; skip < 2 && to-from-skip >= 2*r.least; skip++ {
			r.look(v.unhexed(from+skip, to), depth)
		}
		from = to + 1
	}
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
