package verdict

import (
	"strings"
	"testing"

	"proxymap/httpparse"
)

// begin is a Verdict of a response's head, and what stands behind it, in pieces of so many bytes.
func begin(t *testing.T, response string, method httpparse.Method, step int) *Verdict {
	t.Helper()
	var res httpparse.Response
	if err := res.Parse([]byte(response), httpparse.Limits{Head: 1 << 16, Fields: 256}); err != nil {
		t.Fatalf("%q: %v", response, err)
	}
	v := New(&res, []byte(response), method)
	for rest := response[res.End:]; rest != ""; {
		n := min(step, len(rest))
		v.Take([]byte(rest[:n]))
		rest = rest[n:]
	}
	return v
}

// What a provider says is shown as far as it is for people, however it comes.
func TestVerdict(t *testing.T) {
	const head = "HTTP/1.1 407 Proxy Authentication Required\r\n"
	long := strings.Repeat("0123456789", 150)
	for _, row := range []struct{ name, response, want string }{
		{"reason phrase", "HTTP/1.1 407 IP Not Allowed\r\nContent-Length: 0\r\n\r\n", "IP Not Allowed"},
		{"no reason phrase", "HTTP/1.1 407\r\nContent-Length: 0\r\n\r\n", ""},
		{"an empty reason phrase", "HTTP/1.1 407 \r\nContent-Length: 0\r\n\r\n", ""},
		{"a long reason phrase", "HTTP/1.1 407 " + long[:900] + "\r\nContent-Length: 0\r\n\r\n", long[:200]},
		{"an endless reason phrase", "HTTP/1.1 407 " + strings.Repeat("word ", 10_000) + "\r\nContent-Length: 0\r\n\r\n", strings.Repeat("word ", 39) + "word"},
		{"fields", head + "Server: s\r\nX-Error: no traffic left\r\nproxy-status: gw; error=http_request_denied\r\nx-code: 7\r\nX-Empty:\r\nContent-Length: 0\r\n\r\n",
			"Proxy Authentication Required; X-Error: no traffic left; proxy-status: gw; error=http_request_denied; x-code: 7; X-Empty:"},
		{"cookies", head + "X-Cookie: a\r\nSet-Cookie: b\r\nX-Set-Cookie2: c\r\nContent-Length: 0\r\n\r\n", "Proxy Authentication Required"},
		{"many fields", head + strings.Repeat("X-A: b\r\n", 20) + "Content-Length: 0\r\n\r\n", "Proxy Authentication Required" + strings.Repeat("; X-A: b", 8)},
		{"a long field", head + "X-A: " + strings.Repeat("word ", 500) + "\r\nContent-Length: 0\r\n\r\n",
			"Proxy Authentication Required; X-A: " + strings.Repeat("word ", 39)},
		{"content", head + "Content-Type: text/plain\r\nContent-Length: 12\r\n\r\nzone\r\nis offbehind", `Proxy Authentication Required; "zone is off"`},
		{"JSON", head + "Content-Type: application/problem+json; charset=utf-8\r\nContent-Length: 13\r\n\r\n{\"a\": \"no\x00\x01\"}", `Proxy Authentication Required; "{"a": "no "}"`},
		{"chunks", head + "Content-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n<p>\r\n4;x=y\r\nzone\r\n0\r\nX: y\r\n\r\nbehind", `Proxy Authentication Required; "<p>zone"`},
		{"chunks that break off", head + "Content-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nzone is o\r\nxx", `Proxy Authentication Required; "zone is"`},
		{"less than its length", head + "Content-Type: text/plain\r\nContent-Length: 90\r\n\r\nzone is of", `Proxy Authentication Required; "zone is"`},
		{"until the end", head + "Content-Type: text/plain\r\n\r\nzone is off", `Proxy Authentication Required; "zone is off"`},
		{"a long one", head + "Content-Type: text/plain\r\nContent-Length: 1500\r\n\r\n" + strings.Repeat("ab ", 500), `Proxy Authentication Required; "` + strings.Repeat("ab ", 66) + `ab"`},
		{"no type, text", head + "Content-Length: 11\r\n\r\nzone\tis off", `Proxy Authentication Required; "zone is off"`},
		{"no type, text in UTF-8", head + "Content-Length: 6\r\n\r\nn\u00e4chs", `Proxy Authentication Required; "nächs"`},
		{"no type, binary", head + "Content-Length: 11\r\n\r\nzone\x00is off", "Proxy Authentication Required"},
		{"no type, no UTF-8", head + "Content-Length: 11\r\n\r\nzone\xffis off", "Proxy Authentication Required"},
		{"an image", head + "Content-Type: image/png\r\nContent-Length: 4\r\n\r\ntext", "Proxy Authentication Required"},
		{"compressed", head + "Content-Type: text/plain\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\ntext", "Proxy Authentication Required"},
		{"compressed by nothing", head + "Content-Type: text/plain\r\nContent-Encoding: identity\r\nContent-Length: 4\r\n\r\ntext", `Proxy Authentication Required; "text"`},
	} {
		for _, step := range []int{1, 7, 1 << 16} {
			v := begin(t, row.response, httpparse.MethodGet, step)
			v.End()
			if got := v.Text("secret"); got != strings.TrimSuffix(row.want, " ") {
				t.Errorf("%s, in steps of %d: got %q; want %q", row.name, step, got, row.want)
			}
		}
	}
}

// The content is wanted as long as more of it could be shown, and no longer.
func TestVerdictHasEnough(t *testing.T) {
	const head = "HTTP/1.1 407 No\r\nContent-Type: text/plain\r\n"
	for _, row := range []struct {
		name, response string
		method         httpparse.Method
		want           bool
	}{
		{"none", head + "Content-Length: 0\r\n\r\n", httpparse.MethodGet, true},
		{"of HEAD", head + "Content-Length: 9\r\n\r\n", httpparse.MethodHead, true},
		{"before it", head + "Content-Length: 9\r\n\r\n", httpparse.MethodGet, false},
		{"in it", head + "Content-Length: 9\r\n\r\n12345678", httpparse.MethodConnect, false},
		{"all", head + "Content-Length: 9\r\n\r\n123456789", httpparse.MethodConnect, true},
		{"chunks, before the last", head + "Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n", httpparse.MethodGet, false},
		{"chunks, all", head + "Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", httpparse.MethodGet, true},
		{"chunks, malformed", head + "Transfer-Encoding: chunked\r\n\r\nx", httpparse.MethodGet, true},
		{"without end", head + "\r\n" + strings.Repeat("x", maxRead-1), httpparse.MethodGet, false},
		{"much", head + "\r\n" + strings.Repeat("x", maxRead), httpparse.MethodGet, true},
		{"not to be shown", "HTTP/1.1 407 No\r\nContent-Type: image/png\r\nContent-Length: 9\r\n\r\n", httpparse.MethodGet, true},
	} {
		if got := begin(t, row.response, row.method, 1).Enough(); got != row.want {
			t.Errorf("%s: got %v; want %v", row.name, got, row.want)
		}
	}
}

// No part of what is shown holds a secret: not where the content was broken off, and not where it is cut to be shown.
func TestVerdictTellsNoSecret(t *testing.T) {
	const head = "HTTP/1.1 407 No " + user + "\r\nX-" + user + ": 1\r\nX-Password: " + "aGVsbG8\r\n"
	for at := 150; at < 210; at++ { // where the secret begins
		v := begin(t, head+"\r\n"+strings.Repeat("x", at-1)+" "+user+" and more", httpparse.MethodGet, 1<<16)
		for _, ended := range []bool{false, true} {
			if ended {
				v.End()
			}
			text := v.Text(user, password)
			for n := len(user); n > 8; n-- {
				if strings.Contains(text, user[:n]) {
					t.Fatalf("at %d: %q holds %q", at, text, user[:n])
				}
			}
		}
	}
	for n := range len(user) { // and where what has been read ends in it
		v := begin(t, head+"\r\n"+strings.Repeat("ab ", 20)+user[:n], httpparse.MethodGet, 1<<16)
		if text := v.Text(user, password); strings.HasSuffix(text, user[:n]+`"`) && n > 0 {
			t.Fatalf("%d: %q", n, text)
		}
	}
}
