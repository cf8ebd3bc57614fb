package settings

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// listed reads settings that name a list, and returns its servers as check shows them.
func listed(t testing.TB, name, list, format string) ([]string, *Settings, error) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/"+name, []byte(list), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := Parse(dir+"/my.json", []byte(strings.ReplaceAll(format, "LIST", name)))
	if err != nil {
		return nil, nil, fmt.Errorf("%s", strings.ReplaceAll(err.Error(), dir+"/", ""))
	}
	var shown []string
	m := &s.Config.Mappings[0]
	for i := range m.Servers {
		user, password, _ := m.Plan.Example(i)
		given, secret := m.Plan.Account(i)
		shown = append(shown, strings.TrimSpace(fmt.Sprintln(serverOf(m.Servers[i]), given, secret, user, password)))
	}
	return shown, s, nil
}

const (
	listOnly   = `{"Listen": {"Port": 10201, "StickyProxyLifetime": 1}, "ProxyServers": {"Files": [{"Path": "LIST"}]}}`
	listBeside = `{"Listen": {"Port": 10201, "StickyProxyLifetime": 1}, "ProxyServers": [], "ProxyServersFiles": [{"Path": "LIST"}]}`
)

// A list is read by its name, in any case, whichever form its lines have; its servers follow those of Items.
func TestServerLines(t *testing.T) {
	const list = "\ufeff# from the provider\r\n1.2.3.4:8080\r\n\r\n1.2.3.5:8080:customer-5:p:a@ss#5\r\n" +
		"customer-6:secret@gate.example.com:7000\r\n  socks5h://customer-7:a%40b@[2001:db8::1]:1080/  \nsocks4://1.2.3.8:1080\nbücher.example:80"
	want := []string{
		"http 1.2.3.4:8080",
		"http 1.2.3.5:8080 customer-5 p:a@ss#5 c***5 ***",
		"http gate.example.com:7000 customer-6 secret c***6 ***",
		"socks5 [2001:db8::1]:1080 customer-7 a@b c***7 ***",
		"socks4 1.2.3.8:1080",
		"http xn--bcher-kva.example:80",
	}
	utf16 := []byte("\xff\xfe")
	for _, c := range strings.TrimPrefix(list, "\ufeff") {
		utf16 = append(utf16, byte(c), byte(c>>8))
	}
	for _, row := range []struct{ name, list, format string }{
		{"servers.txt", list, listOnly},
		{"SERVERS.TXT", list, listOnly},
		{"servers.list", list, listOnly},
		{"a.json.List", list, listBeside},
		{"servers.json", list, strings.Replace(listOnly, `"LIST"`, `"LIST", "Format": "text"`, 1)},
		{"utf16.txt", string(utf16), listOnly},
	} {
		got, _, err := listed(t, row.name, row.list, row.format)
		if err != nil {
			t.Errorf("%s: %v", row.name, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", row.name, diff)
		}
	}
	got, _, err := listed(t, "servers.txt", "1.2.3.4:80", strings.Replace(listOnly, `{"Files"`, `{"Items": [{"Host": "first.example", "Port": 1}], "Files"`, 1))
	if err != nil || len(got) != 2 || got[1] != "http 1.2.3.4:80" {
		t.Errorf("Items and a list: %q, %v", got, err)
	}
}

// A server's account without parameters takes those of Authentication, and a server without an account the whole.
func TestServerLinesWithAuthentication(t *testing.T) {
	const format = `{"Listen": {"Port": 10201, "StickyProxyLifetime": 1}, "Authentication": {"SetAuthentication": true, "Username": "mapping", "Password": "m",
		"UsernameParameters": [{"Name": "country", "Value": "us"}]}, "ProxyServers": {"Files": [{"Path": "LIST"}]}}`
	got, _, err := listed(t, "servers.txt", "1.2.3.4:80:customer:secret\n1.2.3.5:80", format)
	want := []string{"http 1.2.3.4:80 customer secret c***r-country-us ***", "http 1.2.3.5:80 mapping m m***g-country-us ***"}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

func TestServerLineFaults(t *testing.T) {
	socks := "socks5://" + strings.Repeat("u", 256) + ":p@1.2.3.4:1080"
	for _, row := range []struct{ name, file, list, want string }{
		{"form", "s.txt", "1.2.3.4:80\nsecret,user\n", "s.txt:2: must be host:port, host:port:user:pass, user:pass@host:port, or a URL such as socks5://user:pass@host:port"},
		{"CRLF and comments count", "s.list", "# a\r\n\r\n\r\nsecret:8o80\r\n", "s.list:4: must be host:port,"},
		{"port", "s.txt", "secret:65536:user:pass", "s.txt:1: the port must be a number from 1 to 65535"},
		{"TLS", "s.txt", "https://user:secret@1.2.3.4:443", "s.txt:1: https://: TLS to the provider is not supported"},
		{"raw character", "s.txt", "http://user:sec@ret@1.2.3.4:80", "s.txt:1: a special character stands raw"},
		{"three parts", "s.txt", "1.2.3.4:80:secret", "s.txt:1: three parts"},
		{"host", "s.txt", "1.2.3.4:80\na" + strings.Repeat("b", 255) + ":80", "s.txt:2: the host is no name"},
		{"colon in a user name", "s.txt", "1.2.3.4:80\nhttp://a%3Ab:secret@1.2.3.4:80", "s.txt:2: Username: a user name cannot hold a colon"},
		{"too long for SOCKS", "s.txt", "1.2.3.4:80\n\n" + socks, "s.txt:3: Username: has 256 bytes"},
		{"circle", "s.txt", "#\n127.0.0.1:10201", "s.txt:2: Port: value \"10201\": is a port of this relay itself"},
		{"empty", "s.txt", "# nothing\n\n", "s.txt:1: the list is empty: it must hold a server a line"},
		{"JSON", "s.txt", "\ufeff\n{\"Items\": [{\"Password\": \"secret\"}]}", "s.txt:1: is JSON, and must be a list with a server a line: give it a name that ends in .json"},
		{"half a character", "s.txt", "\xff\xfea", "s.txt:1: is cut off"},
	} {
		_, _, err := listed(t, row.file, row.list, listOnly)
		if err == nil || !strings.HasPrefix(err.Error(), "my.json: 1 fault; nothing is started\n"+row.want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: got %v; want %s", row.name, err, row.want)
		}
	}
	const asJSON = `{"Listen": {"Port": 10201, "Action": "Bypass"}, "ProxyServers": {"Files": [{"Path": "LIST", "Format": "Json"}]}}`
	if _, _, err := listed(t, "s.txt", "1.2.3.4:80", asJSON); err == nil || !strings.Contains(err.Error(), "s.txt:1: not JSON") {
		t.Errorf("a list that is said to be JSON: %v", err)
	}
	const rules = `{"Listen": {"Port": 10201, "Action": "Bypass"}, "HostRules": {"Files": [{"Path": "LIST", "Format": "Text"}]}}`
	if _, _, err := listed(t, "s.txt", "1.2.3.4:80", rules); err == nil || !strings.Contains(err.Error(), `HostRules.Files[0].Format: value "Text": of proxies alone`) {
		t.Errorf("rules as a list: %v", err)
	}
	_, err := Parse("my.json", []byte(strings.ReplaceAll(listOnly, "LIST", "none.txt")))
	if err == nil || !strings.Contains(err.Error(), `my.json:1: ProxyServers.Files[0].Path: value "none.txt": stat none.txt: no such file or directory; must be a list of servers`) {
		t.Errorf("a list that is not there: %v", err)
	}
}

// Of the faults of a list the first 20 are told, with the number of the others; those of other files are told too.
func TestManyServerLineFaults(t *testing.T) {
	for _, row := range []struct {
		name, line string
		n          int
		more       string
	}{
		{"20", "nothing", 20, ""},
		{"21", "nothing", 21, "\ns.txt: and 1 more fault of this list"},
		{"many", "nothing", 5000, "\ns.txt: and 4980 more faults of this list"},
		{"found later", "http://a%3Ab:x@1.2.3.4:80", 5000, "\ns.txt: and 4980 more faults of this list"},
	} {
		_, _, err := listed(t, "s.txt", strings.Repeat(row.line+"\n", row.n), strings.Replace(listOnly, `"Port": 10201`, `"Port": "x"`, 1))
		if err == nil {
			t.Fatal(row.name, "is taken")
		}
		text := err.Error()
		if !strings.HasPrefix(text, fmt.Sprintf("my.json: %d faults; nothing is started\nmy.json:1: Listen.Port: ", row.n+1)) ||
			strings.Count(text, "\n") != 21+strings.Count(row.more, "\n") || !strings.Contains(text, "\ns.txt:20: ") || strings.Contains(text, "s.txt:21:") ||
			!strings.HasSuffix(text, row.more) {
			t.Errorf("%s: got %s", row.name, text)
		}
	}
}

// Rules are JSON, whatever their file is called.
func TestRulesAreNoList(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "rules.txt", `{"Items": [{"HostName": "a.example", "Action": "Deny"}]}`)
	s, err := Parse(dir+"/my.json", []byte(`{"Listen": {"Port": 1, "Action": "Bypass"}, "HostRules": {"Files": [{"Path": "rules.txt"}]}}`))
	if err != nil || len(s.rules.list) != 1 {
		t.Errorf("got %+v, %v", s, err)
	}
}

// What the page shows as a list is one.
func TestDocumentedList(t *testing.T) {
	_, list, found := strings.Cut(documents(t), "```text\n# a comment")
	list, _, _ = strings.Cut(list, "```")
	got, _, err := listed(t, "servers.txt", "#"+list, listOnly)
	want := []string{
		"http 198.51.100.1:8080",
		"http 198.51.100.2:8080 customer-2 secret c***2 ***",
		"http proxy.example.com:8080 customer-3 secret c***3 ***",
		"http [2001:db8::1]:8080 customer-4 secret c***4 ***",
		"socks5 proxy.example.com:1080 customer-5 p@ss c***5 ***",
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil || !found {
		t.Errorf("%t, %v (-want +got):\n%s", found, err, diff)
	}
}

// A list has a bound, for each server takes memory.
func TestTooManyLines(t *testing.T) {
	r := newReader("f", nil, func(string) ([]byte, error) { return []byte(strings.Repeat("h:1\n", maxLines+1)), nil })
	_, err := r.settings(r.layer(nil, "f", []byte(`{"Listen":{"Port":1},"ProxyServers":{"Files":[{"Path":"list.txt"}]}}`)))
	if err == nil || !strings.HasSuffix(err.Error(), "list.txt:1: has 500001 lines; at most 500000 are allowed: each server takes memory") {
		t.Errorf("got %v", err)
	}
}
