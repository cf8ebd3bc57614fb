package settings

import (
	"fmt"
	"io"
	"strings"
	"testing"
)

// BenchmarkCheck reads settings with 100,000 servers and prints them, as check does.
func BenchmarkCheck(b *testing.B) {
	const n = 100_000
	var items, lines, socks strings.Builder
	for i := range n {
		host := fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255)
		fmt.Fprintf(&items, `,{"Host": %q, "Port": 8080, "Username": "customer-%d", "Password": "secret-%d"}`, host, i, i)
		fmt.Fprintf(&lines, "%s:8080:customer-%d:secret-%d\n", host, i, i)
		fmt.Fprintf(&socks, "socks4://customer-%d:secret-%d@%s:8080\n", i, i, host)
	}
	files := map[string]string{"servers.json": `{"Items": [` + items.String()[1:] + `]}`, "servers.txt": lines.String(), "socks.txt": socks.String()}
	for name := range files {
		b.Run(name, func(b *testing.B) {
			text := fmt.Sprintf(`{"Listen": {"PortRange": {"Start": 10001, "End": 20000}, "StickyProxyLifetime": 10}, "ProxyServers": {"Files": [{"Path": %q}]}}`, name)
			b.ReportAllocs()
			for b.Loop() {
				r := newReader("my.json", nil, func(file string) ([]byte, error) { return []byte(files[file]), nil })
				s, err := r.settings(r.layer(nil, "my.json", []byte(text)))
				if err != nil {
					b.Fatal(err)
				}
				if err := s.Describe(io.Discard); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// What is to be said of many servers is said of the first 20, and how many others there are.
func TestManyServersAreWarnedOfInPart(t *testing.T) {
	var lines strings.Builder
	for i := range 250 {
		fmt.Fprintf(&lines, "socks4://customer:secret@10.0.0.%d:1080\n", i)
	}
	const template = `{"Listen": {"Port": 10201, "StickyProxyLifetime": 10}, "Authentication": {"Provider": "iproyal", "Username": "u"},
		"ProxyServers": {"Files": [{"Path": "LIST"}]}}`
	for _, row := range []struct{ name, list, format, first, rest string }{
		{"passwords", lines.String(), listOnly, "no password goes to upstream 10.0.0.0:1080, for", "no password goes to 230 upstreams more, for"},
		{"credentials", strings.ReplaceAll(lines.String(), "customer:secret@", ""), template,
			"ports 127.0.0.1:10201 have credentials in Authentication that do not go to upstream 10.0.0.0:1080: ",
			"ports 127.0.0.1:10201 have credentials in Authentication that do not go to 230 upstreams more: "},
	} {
		_, s, err := listed(t, "s.txt", row.list, row.format)
		if err != nil {
			t.Fatal(err)
		}
		if w := s.Warnings; len(w) != 21 || !strings.HasPrefix(w[0], row.first) || !strings.HasPrefix(w[20], row.rest) {
			t.Errorf("%s: %d warnings: %s", row.name, len(w), strings.Join(w, "\n"))
		}
	}
}
