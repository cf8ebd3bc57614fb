package credential

import (
	"encoding/base64"
	"strings"
	"testing"
)

func TestParseBasic(t *testing.T) {
	encode := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	long := strings.Repeat("x", MaxCredentials)
	for _, row := range []struct {
		name, value    string
		user, password string
		ok             bool
	}{
		{"the example of RFC 7617", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "Aladdin", "open sesame", true},
		{"the scheme in any case", "bAsIc " + encode("a:b"), "a", "b", true},
		{"more spaces", "  Basic   " + encode("a:b") + " \t", "a", "b", true},
		{"colons in the password", "Basic " + encode("a:b:c:"), "a", "b:c:", true},
		{"empty ones", "Basic " + encode(":"), "", "", true},
		{"no password", "Basic " + encode("a:"), "a", "", true},
		{"not UTF-8", "Basic " + encode("\xff:\xfe"), "\xff", "\xfe", true},
		{"control characters in the password", "Basic " + encode("a:\r\n\x00"), "a", "\r\n\x00", true},
		{"1024 bytes", "Basic " + encode(long[1:]+":x"), long[1:], "x", true},
		{"1025 bytes", "Basic " + encode(long+":x"), "", "", false},
		{"far too many", "Basic " + strings.Repeat("QUFB", 10_000), "", "", false},
		{"no colon", "Basic " + encode("ab"), "", "", false},
		{"control character in the user name", "Basic " + encode("a\x00:b"), "", "", false},
		{"line end in the user name", "Basic " + encode("a\n:b"), "", "", false},
		{"DEL in the user name", "Basic " + encode("a\x7f:b"), "", "", false},
		{"no base64", "Basic a:b", "", "", false},
		{"base64 with a hole", "Basic QTp C", "", "", false},
		{"base64 that breaks off", "Basic QTpCQ", "", "", false},
		{"base64 over two lines", "Basic QTp\r\nC", "", "", false},
		{"nothing behind the scheme", "Basic", "", "", false},
		{"another scheme", "Bearer " + encode("a:b"), "", "", false},
		{"a scheme that begins so", "Basics " + encode("a:b"), "", "", false},
		{"nothing", "", "", "", false},
	} {
		t.Run(row.name, func(t *testing.T) {
			user, password, ok := ParseBasic([]byte(row.value))
			if user != row.user || password != row.password || ok != row.ok {
				t.Errorf("got %q, %q, %v; want %q, %q, %v", user, password, ok, row.user, row.password, row.ok)
			}
		})
	}
}

// What is read can be passed on: written again and read again it is the same.
func FuzzParseBasic(f *testing.F) {
	f.Fuzz(func(t *testing.T, value []byte) {
		user, password, ok := ParseBasic(value)
		if !ok {
			if user != "" || password != "" {
				t.Fatalf("got %q and %q of what is malformed", user, password)
			}
			return
		}
		line := AppendBasic(nil, user, password)
		checkLine(t, line)
		if u, w, ok := ParseBasic(line[len("Proxy-Authorization: ") : len(line)-len("\r\n")]); !ok || u != user || w != password {
			t.Fatalf("got %q, %q, %v; want %q, %q again", u, w, ok, user, password)
		}
	})
}

// checkLine checks that nothing breaks out of a field line, nor out of the user name in it, and returns the user name.
func checkLine(t *testing.T, line []byte) (user string) {
	user, _, found := strings.Cut(userOf(t, line), ":")
	if !found || !IsHarmless(user) || !IsHarmless(strings.Replace(string(line[:len(line)-2]), ":", "", 1)) {
		t.Fatalf("got %q of %q; want one line, and no control character in the user name", line, user)
	}
	return user
}
