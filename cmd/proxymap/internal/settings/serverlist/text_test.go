package serverlist

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// asURL writes a server as the standard library writes URLs.
func asURL(s Server) string {
	u := url.URL{Scheme: []string{"http", "socks4", "socks5"}[s.Type], Host: net.JoinHostPort(s.Host, strconv.Itoa(int(s.Port)))}
	if s.Username != "" {
		u.User = url.UserPassword(s.Username, s.Password)
	}
	return u.Scheme + "://" + strings.TrimPrefix(u.User.String()+"@", "@") + u.Host
}

func TestLines(t *testing.T) {
	text := "\ufeff# a comment\r\n\r\n  1.2.3.4:80 \r\n\t\n #another\nhost:80:user:p#ss\n1.2.3.4:81#no comment\nlast:80"
	var got []string
	for line := range Lines(text) {
		got = append(got, fmt.Sprintf("%d %s", line.Number, line.Text))
		if n := 1 + strings.Count(text[:line.At], "\n"); n != line.Number || !strings.HasPrefix(strings.TrimSpace(text[line.At:]), line.Text) {
			t.Errorf("line %d begins at %d, in line %d", line.Number, line.At, n)
		}
	}
	want := []string{"3 1.2.3.4:80", "6 host:80:user:p#ss", "7 1.2.3.4:81#no comment", "8 last:80"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q; want %q", got, want)
	}
	for line := range Lines("a\nb\n") {
		if line.Number == 2 {
			t.Error("goes on after it was stopped")
		}
		break
	}
}

// BenchmarkList reads a list of 100,000 lines.
func BenchmarkList(b *testing.B) {
	var text strings.Builder
	for i := range 100_000 {
		fmt.Fprintf(&text, "10.%d.%d.%d:8080:customer-%d:secret-%d\r\n", i>>16, i>>8&255, i&255, i, i)
	}
	b.ReportAllocs()
	b.SetBytes(int64(text.Len()))
	for b.Loop() {
		for line := range Lines(text.String()) {
			if _, err := Parse(line.Text); err != nil {
				b.Fatal(line.Number, err)
			}
		}
	}
}
