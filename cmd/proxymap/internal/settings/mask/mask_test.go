package mask

import "testing"

func TestText(t *testing.T) {
	for text, want := range map[string]string{
		``:                             ``,
		`value "http"`:                 `value "http"`,
		`value "u:secret@a"`:           `value "***@a"`,
		`value "http://u:secret@a:1"`:  `value "http://***@a:1"`,
		`value "http://u:sec/ret@a:1"`: `value "http://***@a:1"`,
		`stat /tmp/http:/u:secret@a:1: no such file`: `stat /tmp/http:/***@a:1: no such file`,
		`value "u@v:secret@a:1"`:                     `value "***@a:1"`,
		`value "a:1:u:secret"`:                       `value "a:1:***"`,
		`value "http://a:1:u:secret"`:                `value "http://a:1:***"`,
		`value "[2001:db8::1]:1:u:secret"`:           `value "[2001:db8::1]:1:***"`,
		`value "7000:u:secret"`:                      `value "7000:***"`,
		`value "a:1"`:                                `value "a:1"`,
		`value "2001:10:20::1/12": no`:               `value "2001:10:20::1/12": no`,
		`2001:10:20::1: no`:                          `2001:10:20::1: no`,
		`fe80::1%eth0`:                               `fe80::1%eth0`,
		`/etc/proxymap/list.txt`:                     `/etc/proxymap/list.txt`,
		`https://example.com/`:                       `https://example.com/`,
		`unix:/run/x`:                                `unix:/run/x`,
	} {
		if got := Text(text); got != want {
			t.Errorf("%q: got %q; want %q", text, got, want)
		}
	}
}
