package httpparse

import (
	"net/url"
	"strconv"
	"strings"
	"testing"
)

// RFC 3986 section 3.2, RFC 9110 section 4.2 and 7.2.
func TestSplitHost(t *testing.T) {
	label := strings.Repeat("a", 63)
	long := strings.Repeat(label+".", 3) + strings.Repeat("a", 61) // 253 bytes
	for _, row := range []struct {
		in, host string
		port     uint16
		want     error
	}{
		{"a", "a", 0, nil},
		{"a:", "a", 0, nil}, // RFC 3986 section 3.2.3: the same as none
		{"a:1", "a", 1, nil},
		{"a:65535", "a", 65535, nil},
		{"A-b_c.d~e.:80", "A-b_c.d~e.", 80, nil},
		{"127.0.0.1:80", "127.0.0.1", 80, nil},
		{"[::]", "::", 0, nil},
		{"[::1]:", "::1", 0, nil},
		{"[::ffff:1.2.3.4]:80", "::ffff:1.2.3.4", 80, nil},
		{"[2001:DB8:1111:2222:3333:4444:5555:6666]:443", "2001:DB8:1111:2222:3333:4444:5555:6666", 443, nil},
		{label + ":80", label, 80, nil},
		{label + ".", label + ".", 0, nil},
		{label + "." + label, label + "." + label, 0, nil},
		{long, long, 0, nil},
		{long + ".:80", long + ".", 80, nil},
		{label + "a", "", 0, ErrHostLength}, // a label of 64
		{label + "a.a", "", 0, ErrHostLength},
		{"a." + label + "a", "", 0, ErrHostLength},
		{"a." + label + "a.:80", "", 0, ErrHostLength},
		{long + "a", "", 0, ErrHostLength}, // a name of 254
		{long + "a.", "", 0, ErrHostLength},
		{strings.Repeat("a.", 128), "", 0, ErrHostLength},
		{"", "", 0, ErrHost},
		{":", "", 0, ErrHost},
		{":80", "", 0, ErrHost},
		{"a:0", "", 0, errPort},
		{"a:00", "", 0, errPort},
		{"a:080", "", 0, errPort},
		{"a:65536", "", 0, errPort},
		{"a:123456", "", 0, errPort},
		{"a:8 0", "", 0, errPort},
		{"a: 80", "", 0, errPort},
		{"a:80:81", "", 0, errPort},
		{"a:-1", "", 0, errPort},
		{"a:0x50", "", 0, errPort},
		{"a:٣", "", 0, errPort}, // a digit elsewhere
		{"a b", "", 0, ErrHost},
		{"a%2eb", "", 0, ErrHost},
		{"a@b", "", 0, ErrHost},
		{"ä.example", "", 0, ErrHost}, // splitHost takes it
		{"[", "", 0, ErrHost},
		{"[]", "", 0, ErrHost},
		{"[::1", "", 0, ErrHost},
		{"[::1]a", "", 0, ErrHost},
		{"[::1]80", "", 0, ErrHost},
		{"[[::1]]", "", 0, ErrHost},
		{"[:::]", "", 0, ErrHost},
		{"[1.2.3.4]", "", 0, ErrHost},
		{"[a]", "", 0, ErrHost},
		{"[v1.fe]", "", 0, ErrHost},        // IPvFuture
		{"[fe80::1%eth0]", "", 0, ErrHost}, // RFC 6874: a zone means something on one machine only
		{"[fe80::1%25eth0]", "", 0, ErrHost},
		{"[::1]:0", "", 0, errPort},
		{"::1", "", 0, ErrHost},
		{"2001:db8::1", "", 0, errPort},
	} {
		host, port, err := SplitHost([]byte(row.in))
		if string(host) != row.host || port != row.port || err != row.want {
			t.Errorf("%q: got %q, %d, %v; want %q, %d, %v", row.in, host, port, err, row.host, row.port, row.want)
		}
	}
}

// Every part of every form, as text: spans are right only if the bytes are.
func TestTargetParts(t *testing.T) {
	type parts struct {
		form                         Form
		authority, host, path, query string
		port                         uint16
	}
	for _, row := range []struct {
		method Method
		target string
		want   parts
	}{
		{MethodGet, "/", parts{OriginForm, "", "", "/", "", 0}},
		{MethodGet, "/a/b?c=d?e", parts{OriginForm, "", "", "/a/b", "c=d?e", 0}},
		{MethodGet, "/a?", parts{OriginForm, "", "", "/a", "", 0}},
		{MethodGet, "//b/c", parts{OriginForm, "", "", "//b/c", "", 0}},
		{MethodOptions, "/a", parts{OriginForm, "", "", "/a", "", 0}},
		{MethodOptions, "*", parts{AsteriskForm, "", "", "", "", 0}},
		{MethodConnect, "a:443", parts{AuthorityForm, "a:443", "a", "", "", 443}},
		{MethodConnect, "[::1]:443", parts{AuthorityForm, "[::1]:443", "::1", "", "", 443}},
		{MethodGet, "http://a", parts{AbsoluteForm, "a", "a", "", "", 80}},
		{MethodGet, "http://a:/", parts{AbsoluteForm, "a:", "a", "/", "", 80}},
		{MethodGet, "http://a?b", parts{AbsoluteForm, "a", "a", "", "b", 80}},
		{MethodGet, "http://a?b/c", parts{AbsoluteForm, "a", "a", "", "b/c", 80}},
		{MethodGet, "hTTp://[::1]:8080/b?c", parts{AbsoluteForm, "[::1]:8080", "::1", "/b", "c", 8080}},
		{MethodOther, "http://a/b@c:d", parts{AbsoluteForm, "a", "a", "/b@c:d", "", 80}},
		{MethodOther, "http://a?b@c", parts{AbsoluteForm, "a", "a", "", "b@c", 80}},
	} {
		const before = "METHOD "
		buf := []byte(before + row.target + " HTTP/1.1")
		var target Target
		if err := target.parse(buf[len(before):len(before)+len(row.target)], len(before), row.method); err != nil {
			t.Errorf("%s: %v", row.target, err)
			continue
		}
		text := func(s Span) string { return string(s.In(buf)) }
		got := parts{target.Form, text(target.Authority), text(target.Host), text(target.Path), text(target.Query), target.Port}
		if got != row.want || text(target.All) != row.target {
			t.Errorf("%s: got %+v of %q; want %+v", row.target, got, text(target.All), row.want)
		}
	}
}

// FuzzTargetURL: each form stands only where it is allowed, and the host and port of an accepted absolute-form or
// authority-form are those that net/url finds: two readers that disagree here would send a request to two places.
func FuzzTargetURL(f *testing.F) {
	for _, s := range []string{
		"http://a/b?c", "http://[::1]:8080/", "http://a:80@b/", "http://a\\@b/", "http://a?@b", "HTTP://A:", "http://a/%zz", "http://a//b:c@d/",
		"/a?b", "*", "a:443", "[::1]:443",
	} {
		for _, m := range []Method{MethodGet, MethodConnect, MethodOptions} {
			f.Add(s, uint8(m))
		}
	}
	f.Fuzz(func(t *testing.T, s string, method uint8) {
		const before = "METHOD "
		m := Method(method) % (MethodPost + 1)
		var target Target
		if target.parse([]byte(s), len(before), m) != nil {
			return
		}
		if target.Fragment.End != 0 { // net/url takes it for a part of the path
			s = s[:int(target.Fragment.Start)-len(before)]
		}
		allowed := map[Form]bool{
			OriginForm:    m != MethodConnect && s[0] == '/',
			AbsoluteForm:  m != MethodConnect && (strings.HasPrefix(strings.ToLower(s), "http://") || strings.HasPrefix(strings.ToLower(s), "ws://")),
			AuthorityForm: m == MethodConnect,
			AsteriskForm:  m == MethodOptions && s == "*",
		}
		if !allowed[target.Form] {
			t.Fatalf("%q to method %d has form %d", s, m, target.Form)
		}
		text := func(span Span) string { return string(span.In([]byte(before + s))) }
		switch target.Form {
		case OriginForm, AsteriskForm:
			path, query, _ := strings.Cut(strings.TrimPrefix(s, "*"), "?")
			if text(target.Path) != path || text(target.Query) != query || target.Host.Len() != 0 || target.Port != 0 {
				t.Fatalf("%q: got %+v", s, target)
			}
		case AuthorityForm:
			sameURL(t, "http://"+s, text(target.Host), text(target.Query), target.Port, false)
		case AbsoluteForm:
			sameURL(t, s, text(target.Host), text(target.Query), target.Port, target.Userinfo.Len() > 0)
		}
	})
}

// sameURL checks that net/url finds that host, query and port, and user information if there is some, or refuses the URL
// for what it decodes and we do not: an escape of its path or query, or user information, which we cut off.
func sameURL(t *testing.T, s, host, query string, port uint16, userinfo bool) {
	t.Helper()
	u, err := url.ParseRequestURI(s)
	if err != nil {
		if !strings.Contains(err.Error(), "invalid URL escape") && !(userinfo && strings.Contains(err.Error(), "invalid userinfo")) {
			t.Fatalf("net/url refuses %q: %v", s, err)
		}
		return
	}
	theirs := u.Port()
	if theirs == "" {
		theirs = "80"
	}
	if host != u.Hostname() || (u.User != nil) != userinfo || theirs != strconv.Itoa(int(port)) || query != u.RawQuery {
		t.Fatalf("%q: got %q port %d, query %q; net/url has %q port %q, query %q", s, host, port, query, u.Hostname(), theirs, u.RawQuery)
	}
}
