package serverlist

import (
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for _, row := range []struct {
		line string
		want Server
	}{
		{"gate.example.com:7000", Server{HTTP, "gate.example.com", 7000, "", ""}},
		{"1.2.3.4:1", Server{HTTP, "1.2.3.4", 1, "", ""}},
		{"1.2.3.4:08080", Server{HTTP, "1.2.3.4", 8080, "", ""}},
		{"a_b-c.example:65535", Server{HTTP, "a_b-c.example", 65535, "", ""}},
		{"bücher.example:80", Server{HTTP, "bücher.example", 80, "", ""}},
		{"[2001:db8::1]:8080", Server{HTTP, "2001:db8::1", 8080, "", ""}},

		{"1.2.3.4:8080:user:pass", Server{HTTP, "1.2.3.4", 8080, "user", "pass"}},
		{"1.2.3.4:8080:user:", Server{HTTP, "1.2.3.4", 8080, "user", ""}},
		{"1.2.3.4:8080::", Server{HTTP, "1.2.3.4", 8080, "", ""}},
		{"1.2.3.4:8080:user:p:a:s:s", Server{HTTP, "1.2.3.4", 8080, "user", "p:a:s:s"}},
		{"1.2.3.4:8080:user:p@ss", Server{HTTP, "1.2.3.4", 8080, "user", "p@ss"}},
		{"1.2.3.4:8080:user:p@ss:80", Server{HTTP, "1.2.3.4", 8080, "user", "p@ss:80"}},
		{"1.2.3.4:8080:user:p#ss #2", Server{HTTP, "1.2.3.4", 8080, "user", "p#ss #2"}},
		{"1.2.3.4:8080:user:a://b", Server{HTTP, "1.2.3.4", 8080, "user", "a://b"}},
		{"1.2.3.4:8080:me@example.com:pass", Server{HTTP, "1.2.3.4", 8080, "me@example.com", "pass"}},
		{"1.2.3.4:8080:user:%40", Server{HTTP, "1.2.3.4", 8080, "user", "%40"}}, // nothing is decoded
		{"[2001:db8::1]:8080:user:pass", Server{HTTP, "2001:db8::1", 8080, "user", "pass"}},

		{"user:pass@1.2.3.4:8080", Server{HTTP, "1.2.3.4", 8080, "user", "pass"}},
		{"user:@1.2.3.4:8080", Server{HTTP, "1.2.3.4", 8080, "user", ""}},
		{"user@1.2.3.4:8080", Server{HTTP, "1.2.3.4", 8080, "user", ""}},
		{"user:p@ss@host:8080", Server{HTTP, "host", 8080, "user", "p@ss"}},
		{"user:p:a:ss@host:8080", Server{HTTP, "host", 8080, "user", "p:a:ss"}},
		{"user:1234@host:8080", Server{HTTP, "host", 8080, "user", "1234"}},
		{"user:p://ss@host:8080", Server{HTTP, "host", 8080, "user", "p://ss"}},
		{"me@example.com:80:pass@host:8080", Server{HTTP, "host", 8080, "me@example.com", "80:pass"}}, // no host holds an @
		{"user:pass@[2001:db8::1]:8080", Server{HTTP, "2001:db8::1", 8080, "user", "pass"}},
		{"[user:pass@host:8080", Server{HTTP, "host", 8080, "[user", "pass"}},

		// of two readings, the one that begins with host:port
		{"user:80:x@host:8080", Server{HTTP, "user", 80, "x@host", "8080"}},

		{"http://1.2.3.4:8080", Server{HTTP, "1.2.3.4", 8080, "", ""}},
		{"HTTP://1.2.3.4:8080/", Server{HTTP, "1.2.3.4", 8080, "", ""}},
		{"socks4://1.2.3.4:1080", Server{SOCKS4, "1.2.3.4", 1080, "", ""}},
		{"socks4a://user@1.2.3.4:1080", Server{SOCKS4, "1.2.3.4", 1080, "user", ""}},
		{"socks5://user:pass@[2001:db8::1]:1080/", Server{SOCKS5, "2001:db8::1", 1080, "user", "pass"}},
		{"socks5h://user:a%40b%3A%2f%23%25@host:1080", Server{SOCKS5, "host", 1080, "user", "a@b:/#%"}},
		{"http://us%20er:a:b!$&'()*+,;=@host:80", Server{HTTP, "host", 80, "us er", "a:b!$&'()*+,;="}},
		{"http://%C3%BC:x@host:80", Server{HTTP, "host", 80, "ü", "x"}},
	} {
		if got, err := Parse(row.line); err != nil || got != row.want {
			t.Errorf("Parse(%q): got %+v, %v; want %+v", row.line, got, err, row.want)
		}
	}
}

func TestParseFaults(t *testing.T) {
	for _, row := range []struct {
		line string
		want error
	}{
		{"", errForm},
		{"host", errForm},
		{"1.2.3.4:8080@alice:1234", errTurned},
		{"[2001:db8::1]:8080@alice:1234", errTurned},
		{"alice:1234:gate.example.com:8080", errTurned},
		{"alice:1234:1.2.3.4:8080", errTurned},
		{"host:80 # mine", errHash},
		{"http://a:1,http://b:2", errTwo},
		{"http://u:p@a:1 socks5://u:p@b:2", errTwo},
		{"host:", errForm},
		{":8080", errForm},
		{"host:8o80", errForm},
		{"host 8080", errForm},
		{"host,8080,user,pass", errForm},
		{"user:pass:host:8080", errForm},
		{"user:pass@host", errForm},
		{"user:pass@host:8080:more", errForm},
		{"user:pass@", errForm},
		{"@host:", errForm},
		{"host:0", errPort},
		{"host:65536", errPort},
		{"host:99999999999999999999:user:pass", errPort},
		{"user:pass@host:0", errPort},
		{"host:8080:user", errHalf},
		{"host:8080:", errHalf},
		{"host:8080::pass", errUser},
		{":pass@host:8080", errUser},
		{"http://:pass@host:8080", errUser},
		{"host:8080:user:pa\x00ss", errByte},
		{"user:pa\tss@host:8080", errByte},
		{"http://user:a%0Ab@host:8080", errByte},
		{"http://user:a%7f@host:8080", errByte},

		{"2001:db8::1", errHost},
		{"2001:db8::1:8080", errHost},
		{"2001:80::1:8080", errHost},
		{"[2001:db8::1", errForm},
		{"[2001:db8::1]", errForm},
		{"[2001:db8::1]8080", errForm},
		{"[1.2.3.4]:8080", errHost},
		{"[fe80::1%eth0]:8080", errHost},
		{"[]:8080", errHost},
		{"my host:8080", errHost},
		{"ho/st:8080", errHost},
		{"user:pass@ho%73t:8080", errHost},

		{"https://user:pass@host:8080", errTLS},
		{"ftp://user:pass@host:8080", errScheme},
		{"user://pass@host:8080", errScheme},
		{"http://host", errNoPort},
		{"http://user:pass@host", errNoPort},
		{"http://[2001:db8::1]", errNoPort},
		{"http://", errNoPort},
		{"http://host:", errForm},
		{"http://host:80:user:pass", errForm},
		{"http://host:0", errPort},
		{"http://ho%73t:80", errHost},
		{"http://host:80/path", errTail},
		{"http://host:80//", errTail},
		{"http://host:80?query", errTail},
		{"http://host:80#fragment", errTail},
		{"http://user:p@ss@host:80", errRaw},
		{"http://user:p/ss@host:80", errRaw},
		{"http://user:p?ss@host:80", errRaw},
		{"http://user:p#ss@host:80", errRaw},
		{"http://user:100%@host:80", errRaw},
		{"http://user:%4@host:80", errRaw},
		{"http://user:%zz@host:80", errRaw},
		{"http://us er:pass@host:80", errRaw},
		{"http://user:p^ss@host:80", errRaw},
		{"http://ü:pass@host:80", errRaw},
	} {
		got, err := Parse(row.line)
		if err != row.want || got != (Server{}) {
			t.Errorf("Parse(%q): got %+v, %v; want %v", row.line, got, err, row.want)
		}
	}
}

// FuzzParse looks for a line that is read wrongly: what is read can be written as a URL and read again, and no fault holds
// a part of the line.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"1.2.3.4:8080", "[2001:db8::1]:8080:user:p@ss", "user:p:a@host:80", "socks5h://us%20er:%40@host:1080/", "https://x", "a:80:x@b:80",
		"[::1]:x@h:1", "://", "a://b", "::", "#", "\xff:1:\xff:\x7f",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		s, err := Parse(line)
		if err != nil {
			if len(line) > 40 && strings.Contains(err.Error(), line) {
				t.Errorf("Parse(%q): the fault repeats the line: %v", line, err)
			}
			return
		}
		if s.Port == 0 || s.Host == "" || s.Username == "" && s.Password != "" {
			t.Fatalf("Parse(%q): got %+v", line, s)
		}
		if again, err := Parse(asURL(s)); err != nil || again != s {
			t.Errorf("Parse(%q): got %+v; as a URL %q it is %+v, %v", line, s, asURL(s), again, err)
		}
	})
}
