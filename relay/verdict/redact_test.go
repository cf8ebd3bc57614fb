package verdict

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

const (
	user     = "customer-jane-session-LZpmRqdu"
	password = "s3cr&t 100%/+"
)

// Whatever a provider repeats of the credentials goes, and what is about it stays.
func TestRedact(t *testing.T) {
	both := user + ":" + password
	std, web := base64.StdEncoding.EncodeToString, base64.RawURLEncoding.EncodeToString
	asJSON, _ := json.Marshal(password)
	for _, row := range []struct{ name, text, want string }{
		{"nothing of them", "IP 192.0.2.7 is not allowed", "IP 192.0.2.7 is not allowed"},
		{"user name", "no user " + user + " here", "no user *** here"},
		{"user name in quotes", `no user "` + user + `".`, `no user "***".`},
		{"user name in a longer one", "zone-" + user + "-sessTime-10 is off", "zone-***-sessTime-10 is off"},
		{"password", "wrong password " + password + "!", "wrong password ***!"},
		{"both", both, "***:***"},
		{"twice", user + user, "***"},
		{"in capitals", "NO USER " + strings.ToUpper(user), "NO USER ***"},
		{"base64 of both", "Basic " + std([]byte(both)) + " is unknown", "Basic *** is unknown"},
		{"base64 of the user name", "a=" + std([]byte(user)) + "; b", "a=***; b"},
		{"base64 of the password", "<" + std([]byte(password)) + ">", "<***>"},
		{"base64 of the web", "<" + web([]byte(both)) + ">", "<***>"},
		{"base64 in the middle of more, shifted by 1", "<" + std([]byte("x"+both+"y")) + ">", "<***>"},
		{"base64 in the middle of more, shifted by 2", "<" + std([]byte("xx"+both+"y")) + ">", "<***>"},
		{"base64 twice", "<" + std([]byte("id "+std([]byte(both)))) + ">", "<***>"},
		{"base64 on two lines", "<" + std([]byte(both))[:20] + "\r\n " + std([]byte(both))[20:] + ">", "<***>"},
		{"base64 without spaces around", "xBasic" + std([]byte(both)), "***"},
		{"base64 of escapes", "<" + std([]byte(url.QueryEscape(password))) + ">", "<***>"},
		{"escaped base64", "?a=" + url.QueryEscape(std([]byte(both))) + "&b=1", "?a=***%3D&b=1"},
		{"hexadecimal", "<" + hex.EncodeToString([]byte(password)) + ">", "<***>"},
		{"hexadecimal in capitals, in the middle of more", "id=abc" + strings.ToUpper(hex.EncodeToString([]byte(user))) + "0; b", "id=***; b"},
		{"hexadecimal of base64", "<" + hex.EncodeToString([]byte(std([]byte(both)))) + ">", "<***>"},
		{"broken by a line end", "no user " + user[:7] + "\r\n\t" + user[7:] + " here", "no user *** here"},
		{"broken by line ends, in a form", "u=" + url.QueryEscape(password[:5]) + "\n" + url.QueryEscape(password[5:]) + "&x", "u=***&x"},
		{"a line end as an escape", "no user " + user[:7] + "%0D%0A" + user[7:] + " here", "no user *** here"},
		{"base64 of what is broken by a line end", "<" + std([]byte(user[:7]+"\r\n"+user[7:])) + ">", "<***>"},
		{"percent signs", "/?u=" + url.PathEscape(password) + "&x=1", "/?u=***&x=1"},
		{"a form", "u=" + url.QueryEscape(password) + "&x=1", "u=***&x=1"},
		{"every byte with a percent sign", "<" + percent(user) + ">", "<***>"},
		{"percent signs twice", "<" + url.QueryEscape(url.QueryEscape(password)) + ">", "<***>"},
		{"HTML", "<b>" + html.EscapeString(password) + "</b>", "<b>***</b>"},
		{"HTML, numbers", "<b>&#115;3cr&#x26;t 100%/+</b>", "<b>***</b>"},
		{"JSON", `{"p":` + string(asJSON) + `}`, `{"p":"***"}`},
		{"JSON, other escapes", `{"p":"\x73\u0033cr&t 100%\/+"}`, `{"p":"***"}`},
		{"JSON, each as an escape", `{"p":"` + unicoded(password) + `"}`, `{"p":"***"}`},
		{"control characters", "a\r\nb\x00\x1b[31mc\td", "a b [31mc d"},
		{"control characters within", "s3cr&t\t100%/+", "***"},
		{"no UTF-8", "caf\xe9 ü", "caf ü"},
		{"an escape that is none", "50% of %zz &; &#xzz; \\u12 \\", "50% of %zz &; &#xzz; \\u12 \\"},
		{"empty", "", ""},
	} {
		if got := Redact(row.text, false, user, password, ""); got != row.want {
			t.Errorf("%s: got %q; want %q", row.name, got, row.want)
		}
	}
}

// A short secret goes where it is a word, and hides nothing of what only holds its letters.
func TestRedactShort(t *testing.T) {
	for _, row := range []struct{ name, text, want string }{
		{"no word of it", "IP is not in a joint list, zone major", "IP is not in a joint list, zone major"},
		{"a word", `no user jo, "JO" or jo-1 here`, `no user ***, "***" or ***-1 here`},
		{"with a password", "jo:x1 jo=x1", "*** ***=***"},
		{"escaped", "u=%6Ao&v=1", "u=***&v=1"},
		{"in base64", "Basic " + base64.StdEncoding.EncodeToString([]byte("jo:x1")) + " is unknown", "Basic *** is unknown"},
		{"in hexadecimal", "<" + hex.EncodeToString([]byte("jo:x1")) + ">", "<***>"},
		{"letters of base64", "Rm9vYmFyam9iam8= request deadbeef6a6f", "Rm9vYmFyam9iam8= request deadbeef6a6f"},
		{"in a word of other letters", "ä" + "jo" + "ö", "ä" + "jo" + "ö"},
	} {
		if got := Redact(row.text, false, "jo", "x1", "jo:x1"); got != row.want {
			t.Errorf("%s: got %q; want %q", row.name, got, row.want)
		}
	}
}

// unicoded is s with each letter as an escape of JSON.
func unicoded(s string) string {
	var b strings.Builder
	for _, c := range s {
		fmt.Fprintf(&b, `\u%04X`, c)
	}
	return b.String()
}

func percent(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		b.WriteString("%" + string("0123456789abcdef"[c>>4]) + string("0123456789abcdef"[c&15]))
	}
	return b.String()
}

// A text that was broken off may end within a secret.
func TestRedactCut(t *testing.T) {
	for n := range len(user) {
		if got := Redact("no user "+user[:n], true, user); got != "no user" && (n > 0 || got != "no") {
			t.Errorf("%d bytes: got %q; want none of them", n, got)
		}
	}
	for n := range len(password) {
		if got := Redact("it is "+password[:n], true, password); got != "it is" && (n > 0 || got != "it") {
			t.Errorf("%d bytes: got %q; want none of them", n, got)
		}
	}
	if got := Redact("oneword", true, user); got != "" {
		t.Errorf("got %q; want nothing", got)
	}
	if got := Redact("oneword", false, user); got != "oneword" {
		t.Errorf("got %q; want it whole", got)
	}
}

// What cannot be hidden is not shown at all.
func TestRedactHopeless(t *testing.T) {
	for _, secret := range []string{"*", "**", "***"} {
		if got := Redact("a*b", false, secret, "b"); got != "" && strings.Contains(got, secret) {
			t.Errorf("%q: got %q", secret, got)
		}
	}
}

// hasWord reports whether text has the word, which is one of its own there.
func hasWord(text, word string) bool {
	for at := 0; word != ""; at++ {
		i := strings.Index(text[at:], word)
		if i < 0 {
			break
		}
		at += i
		if b := []byte(text); endsWord(b, at) && endsWord(b, at+len(word)) {
			return true
		}
	}
	return false
}

// capitals are those of ASCII.
func capitals(s string) string {
	return strings.Map(func(c rune) rune {
		if 'a' <= c && c <= 'z' {
			return c - 'a' + 'A'
		}
		return c
	}, s)
}

// halfEscape is the beginning of an escape of URLs, at the end of a text.
var halfEscape = regexp.MustCompile(`%[0-9A-Fa-f]?$`)

// FuzzRedact has a provider repeat credentials in whatever text and coding. None is left in any form that can be read.
func FuzzRedact(f *testing.F) {
	f.Add("no user ", " here", user, password, uint8(0), false)
	f.Add("Basic ", "", user, password, uint8(1), false)
	f.Add("?a=", "&b", user, password, uint8(2), true)
	f.Add("%", "=", "%41", "A", uint8(9), false)
	f.Add("*", "*", "*", "a b", uint8(4), false)
	f.Fuzz(func(t *testing.T, before, after, user, password string, coding uint8, cut bool) {
		if len(before)+len(after)+len(user)+len(password) > 2000 {
			return
		}
		if halfEscape.MatchString(before) {
			return // a secret's first letters may be read as the rest of an escape
		}
		codings := []func(string) string{
			func(s string) string { return s },
			func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) },
			func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) },
			url.QueryEscape, url.PathEscape, percent, capitals, html.EscapeString,
			func(s string) string { return base64.StdEncoding.EncodeToString([]byte("." + s + ".")) },
			func(s string) string { return url.QueryEscape(base64.StdEncoding.EncodeToString([]byte(s))) },
			func(s string) string { return hex.EncodeToString([]byte(s)) },
			func(s string) string { return strings.ToUpper(hex.EncodeToString([]byte(s))) },
			func(s string) string { return s[:len(s)/2] + "\r\n " + s[len(s)/2:] },
			func(s string) string { b, _ := json.Marshal(s); return string(b) },
			func(s string) string { return base64.URLEncoding.EncodeToString([]byte(s)) },
			unicoded,
		}
		code := codings[int(coding)%len(codings)]
		got := Redact(before+code(user+":"+password)+after, cut, user, password, user+":"+password)
		for _, secret := range []string{user, password, user + ":" + password} {
			if len(secret) < shortForm {
				if hasWord(got, secret) {
					t.Fatalf("%q is left of %q as a word", got, secret)
				}
				continue
			}
			if dense := strings.ReplaceAll(printable(secret), " ", ""); len(dense) >= shortForm && strings.Contains(strings.ReplaceAll(got, " ", ""), dense) {
				t.Fatalf("%q is left of %q, with spaces", got, secret)
			}
			for name, form := range map[string]string{
				"as it is": secret, "in lower case": string(lower([]byte(secret))), "printable": printable(secret),
				"percent": percent(secret), "form": url.QueryEscape(secret), "path": url.PathEscape(secret), "HTML": html.EscapeString(secret),
				"hexadecimal": hex.EncodeToString([]byte(secret)), "in capitals": capitals(secret),
				"base64": base64.RawStdEncoding.EncodeToString([]byte(secret)), "base64 of the web": base64.RawURLEncoding.EncodeToString([]byte(secret)),
			} {
				if len(form) >= shortForm && strings.Contains(got, form) {
					t.Fatalf("%q is left of %q, %s: %q", got, secret, name, form)
				}
			}
		}
		if again := Redact(got, false, user, password, user+":"+password); again != got {
			t.Fatalf("%q becomes %q when it is done again", got, again)
		}
		if strings.ContainsAny(got, "\r\n\x00\x1b") {
			t.Fatalf("%q holds a control character", got)
		}
	})
}
