package settings

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"proxymap/cmd/proxymap/internal/settings/change"
	"proxymap/cmd/proxymap/internal/settings/schema"
	"proxymap/session/wire"
)

// parse reads settings of a test, beside whose file others may be.
func parse(t testing.TB, folder, text string) *Settings {
	t.Helper()
	s, err := Parse(folder+"/f", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// answer is what a reload from one to the other is answered, without the time that it took.
func answer(from, to *Settings) string {
	text := string(wire.Line(change.Between(from.Digests(), to.Digests()).Answer()))
	text, _, _ = strings.Cut(text, `,"took_ms"`)
	return strings.TrimPrefix(text, `{"added":[],"removed":[],"changed":[`)
}

// Each difference is told by the name of its key, for its ports, with what becomes of sessions; what says the same in another
// form is none.
func TestDifferences(t *testing.T) {
	const (
		none     = `],"unchanged":100`
		base     = `{"ProxyMappings":[{"Listen":{"PortRange":{"Start":1001,"End":1100},"StickyProxyLifetime":10},"Authentication":{"SetAuthentication":true,"Username":"user-name","Password":"old-secret","UsernameParameters":[{"Name":"country","Value":"de"},{"Name":"session","Value":"^[a-z]{8}","SessionId":true}]},"ProxyServers":{"Items":[{"Host":"a","Port":1,"Username":"own","Password":"p"},{"Host":"b","Port":2}]}}]}`
		template = `{"Listen":{"Port":7,"StickyProxyLifetime":10},"Authentication":{"SetAuthentication":true,"Username":"u","Password":"p","Provider":"iproyal"},"ProxyServers":[{"Host":"a","Port":1}]}`
		asked    = `{"Listen":{"Port":7,"StickyProxyLifetime":10},"Authentication":{"SetAuthentication":true,"ParseUsernameParameters":true,"Username":"u","Password":"p","UsernameParameters":[{"Name":"session","Value":"$session","SessionId":true}]},"ProxyServers":[{"Host":"a","Port":1}]}`
		minutes  = `{"Listen":{"Port":7},"Authentication":{"SetAuthentication":true,"Username":"u","UsernameParameters":[{"Name":"t","Value":"^[1-9]","SessionTime":true}]},"ProxyServers":[{"Host":"a","Port":1}]}`
		plain    = `{"Listen":{"Port":7,"Action":"Deny"},"Admin":{"Address":"127.0.0.1:9"}}`
		ruled    = `{"Listen":{"Port":7,"StickyProxyLifetime":10,"Action":"Deny"},"HostRules":[{"HostName":"h","ProxyServer":{"Host":"r","Port":3,"Username":"u","UsernameParameters":[{"Name":"s","Value":"^[a-z]{8}","SessionId":true}]}}]}`
	)
	one := func(what, rest string) string {
		return `{"ports":"7","what":["` + what + `"]` + rest + `}],"unchanged":0`
	}
	all := func(what, rest string) string {
		return `{"ports":"1001-1100","what":["` + what + `"]` + rest + `}],"unchanged":0`
	}
	const kept, renamed, replaced, misfit = `,"session":"kept"`, `,"session":"changed"`, `,"session":"replaced"`, `,"replaced_if":["misfit"]`
	for _, row := range []struct{ name, settings, old, new, want string }{
		{"itself", base, "", "", none},
		{"name of a server in capitals", base, `"Host":"b"`, `"Host":"B"`, none},
		{"default written out", base, `"StickyProxyLifetime":10`, `"StickyProxyLifetime":"10m","OnRotate":"Keep","DrainTime":"10s","Address":"127.0.0.1","AllowFrom":["127.0.0.0/8","::1"]`, none},
		{"form of a list", base, `"ProxyServers":{"Items":[{"Host":"a","Port":1,"Username":"own","Password":"p"},{"Host":"b","Port":2}]}`, `"ProxyServers":[{"Host":"a","Port":1,"Username":"own","Password":"p"},{"Host":"b","Port":2}]`, none},
		{"key without effect", base, `"StickyProxyLifetime":10`, `"StickyProxyLifetime":10,"DecryptSSL":true`, none},
		{"limit written out", base, `}}]}`, `}}],"Limits":{"IdleTime":"75s"}}`, none},

		{"password", base, "old-secret", "new-secret", all("Authentication.Password", kept)},
		{"user name", base, "user-name", "user-other", all("Authentication.Username", renamed)},
		{"country", base, `"de"`, `"fr"`, all("Authentication.UsernameParameters", renamed)},
		{"pattern of ids", base, `{8}`, `{9}`, all("Authentication.UsernameParameters", renamed+misfit)},
		{"two keys", base, `"SetAuthentication":true,"Username":"user-name"`, `"SetAuthentication":false,"Username":"user-other"`, all(`Authentication.SetAuthentication","Authentication.Username`, renamed)},
		{"who may connect", base, `"StickyProxyLifetime":10`, `"StickyProxyLifetime":10,"AllowFrom":["10.0.0.0/8"]`, all("Listen.AllowFrom", kept)},
		{"signals", base, `"StickyProxyLifetime":10`, `"StickyProxyLifetime":10,"RotateOn":[{"Status":[403]}]`, all("Listen.RotateOn", kept)},
		{"longer lifetime", base, `"StickyProxyLifetime":10`, `"StickyProxyLifetime":11`, all("Listen.StickyProxyLifetime", kept)},
		{"shorter lifetime", base, `"StickyProxyLifetime":10`, `"StickyProxyLifetime":9`, all("Listen.StickyProxyLifetime", kept+`,"replaced_if":["outlives"]`)},
		{"lifetime to 0", base, `"StickyProxyLifetime":10`, `"StickyProxyLifetime":0`, all("Listen.StickyProxyLifetime", replaced)},
		{"password of a server", base, `"Password":"p"`, `"Password":"q"`, all("ProxyServers.Password", kept)},
		{"protocol of a server", base, `"Host":"b"`, `"ProxyType":"Socks5","Host":"b"`, all("ProxyServers.ProxyType", kept)},
		{"host of a server", base, `"Host":"b"`, `"Host":"c"`, all("ProxyServers", kept+`,"servers":true`)},
		{"one more server", base, `{"Host":"b","Port":2}`, `{"Host":"b","Port":2},{"Host":"b","Port":3}`, all("ProxyServers", kept+`,"servers":true`)},
		{"other order of servers", base, `{"Host":"a","Port":1,"Username":"own","Password":"p"},{"Host":"b","Port":2}`, `{"Host":"b","Port":2},{"Host":"a","Port":1,"Username":"own","Password":"p"}`, all("ProxyServers", kept+`,"servers":true`)},
		{"spread", base, `"ProxyServers":{`, `"ProxyServers":{"Spread":"PerPort",`, all("ProxyServers.Spread", kept+`,"servers":true`)},
		{"address", base, `"StickyProxyLifetime":10`, `"StickyProxyLifetime":10,"Address":"0.0.0.0","AllowFrom":["127.0.0.0/8","::1"],"AllowLocalTargets":true`, all("Listen.Address", kept+`,"bind":true`)},
		{"address, and what follows from it", base, `"StickyProxyLifetime":10`, `"StickyProxyLifetime":10,"Address":"127.0.0.2"`, all("Listen.Address", kept+`,"bind":true`)},

		{"preset", template, "iproyal", "oxylabs", one("Authentication.Provider", replaced)},
		{"preset in capitals", template, "iproyal", "IPROYAL", `],"unchanged":1`},
		{"alphabet", template, `"iproyal"`, `"iproyal","SessionAlphabet":"a-z"`, one("Authentication.SessionAlphabet", kept+misfit)},
		{"length", template, `"iproyal"`, `"iproyal","SessionLength":9`, one("Authentication.SessionLength", kept+misfit)},
		{"bound of the lifetime that is told", template, `"iproyal"`, `"iproyal","TTLMin":"2m"`, one("Authentication.TTLMin", renamed)},
		{"id that clients may choose", asked, `"p"`, `"q"`, one("Authentication.Password", kept+`,"replaced_if":["chosen"]`)},
		{"nothing about ids that clients may choose", asked, `"Port":7`, `"Port":7,"RejectHttpProxy":true`, one("Listen.RejectHttpProxy", kept)},
		{"lifetime that is drawn", minutes, "", "", `],"unchanged":1`},
		{"shorter lifetimes that are drawn", minutes, `[1-9]`, `[1-5]`, one("Authentication.UsernameParameters", renamed+`,"replaced_if":["outlives"]`)},
		{"no sessions", plain, `"Deny"`, `"Bypass"`, one("Listen.Action", "")},

		{"limit", plain, `,"Admin"`, `,"Limits":{"IdleTime":"74s"},"Admin"`, `],"unchanged":1,"global":["Limits.IdleTime"]`},
		{"limit from which another follows", plain, `,"Admin"`, `,"Limits":{"HeadBytes":2048},"Admin"`, `],"unchanged":1,"global":["Limits.HeadBytes"]`},
		{"admin address", plain, `127.0.0.1:9`, `127.0.0.1:10`, `],"unchanged":1,"global":["Admin.Address"]`},
		{"admin token, and who follows from it", plain, `127.0.0.1:9"`, `127.0.0.1:9","Token":"0123456789abcdef"`, `],"unchanged":1,"global":["Admin.Token"]`},
		{"rules", plain, `,"Admin"`, `,"HostRules":[{"HostName":"h","Action":"Deny"}],"Admin"`, `],"unchanged":1,"global":["HostRules"]`},
		{"rule for no host", plain, `,"Admin"`, `,"HostRules":[{"Action":"Deny"}],"Admin"`, `],"unchanged":1`},
		{"password of a rule's server", ruled, `"Username":"u"`, `"Username":"u","Password":"p"`, `],"unchanged":1,"global":["HostRules"]`},
		{"rule's server that makes the ids", ruled, `{8}`, `{9}`, `{"ports":"7","what":["HostRules"],"session":"kept","replaced_if":["misfit"]}],"unchanged":0,"global":["HostRules"]`},
		{"state", plain, `,"Admin"`, `,"State":{"File":"x"},"Admin"`, `],"unchanged":1,"refused":["State.File"]`},
	} {
		t.Run(row.name, func(t *testing.T) {
			if row.old != "" && strings.Count(row.settings, row.old) != 1 {
				t.Fatalf("%s is there %d times", row.old, strings.Count(row.settings, row.old))
			}
			dir := t.TempDir()
			old, new := parse(t, dir, row.settings), parse(t, dir, strings.Replace(row.settings, row.old, row.new, 1))
			if got := answer(old, new); got != row.want {
				t.Errorf("got  %s\nwant %s", got, row.want)
			}
		})
	}
}

// Ports are compared by what they have, however mappings and files are cut.
func TestDifferencesOfPorts(t *testing.T) {
	mapping := func(first, last int, more string) string {
		return fmt.Sprintf(`{"Listen":{"PortRange":{"Start":%d,"End":%d}},"ProxyServers":{%s}}`, first, last, more)
	}
	of := func(mappings ...string) string { return `{"ProxyMappings":[` + strings.Join(mappings, ",") + `]}` }
	const own = `"Spread":"PerPort","Items":[%s]`
	server := func(port int) string { return fmt.Sprintf(`{"Host":"s","Port":%d,"Username":"u"}`, port) }
	servers := func(first, last int) string {
		var list []string
		for p := first; p <= last; p++ {
			list = append(list, server(p))
		}
		return fmt.Sprintf(own, strings.Join(list, ","))
	}
	same, listed := `"Files":[{"Path":"a.txt"}]`, `"Files":[{"Path":"b.txt"},{"Path":"c.json"}]`
	at := func(address string, port int) string {
		return fmt.Sprintf(`{"Listen":{"Port":%d,"Address":%q,"AllowFrom":["0.0.0.0/0","::/0"],"Action":"Deny","AllowLocalTargets":false}}`, port, address)
	}
	for _, row := range []struct{ name, old, new, want string }{
		{"split in two", of(mapping(1, 10, same)), of(mapping(6, 10, same), mapping(1, 5, same)), `{"added":[],"removed":[],"changed":[],"unchanged":10}`},
		{"servers of other files", of(mapping(1, 10, same)), of(mapping(1, 10, listed)), `{"added":[],"removed":[],"changed":[],"unchanged":10}`},
		{"more and fewer ports", of(mapping(5, 10, same)), of(mapping(8, 12, same), mapping(20, 20, same)), `{"added":["11-12","20"],"removed":["5-7"],"changed":[],"unchanged":3}`},
		{"one part changed", of(mapping(1, 10, same)), of(mapping(1, 3, same), mapping(4, 5, ""), mapping(6, 8, same), mapping(9, 9, ""), mapping(10, 10, same)),
			`{"added":[],"removed":[],"changed":[{"ports":"4-5,9","what":["ProxyServers"],"servers":true}],"unchanged":7}`},

		{"a server each, split with its list", of(mapping(1, 10, servers(1, 10))), of(mapping(1, 4, servers(1, 4)), mapping(5, 10, servers(5, 10))), `{"added":[],"removed":[],"changed":[],"unchanged":10}`},
		{"a server each, split with the whole list", of(mapping(1, 10, servers(1, 10))), of(mapping(1, 4, servers(1, 10)), mapping(5, 10, servers(1, 10))),
			`{"added":[],"removed":[],"changed":[{"ports":"5-10","what":["ProxyServers"],"servers":true}],"unchanged":4}`},
		{"a server each, one of them changed", of(mapping(1, 10, servers(1, 10))), of(mapping(1, 10, strings.Replace(servers(1, 10), server(7), server(77), 1))),
			`{"added":[],"removed":[],"changed":[{"ports":"7","what":["ProxyServers"],"servers":true}],"unchanged":9}`},
		{"a server each, one user name changed", of(mapping(1, 10, servers(1, 10))), of(mapping(1, 10, strings.Replace(servers(1, 10), server(7), strings.Replace(server(7), `"u"`, `"v"`, 1), 1))),
			`{"added":[],"removed":[],"changed":[{"ports":"7","what":["ProxyServers.Username"]}],"unchanged":9}`},
		{"a server each, one more port at the front", of(mapping(2, 4, servers(1, 3))), of(mapping(1, 4, servers(0+9, 12))),
			`{"added":["1"],"removed":[],"changed":[{"ports":"2-4","what":["ProxyServers"],"servers":true}],"unchanged":0}`},
		{"a server each, more ports than servers", of(mapping(1, 4, servers(1, 4))), of(mapping(1, 4, servers(1, 2))),
			`{"added":[],"removed":[],"changed":[{"ports":"3-4","what":["ProxyServers"],"servers":true}],"unchanged":2}`},

		{"port at one more address", of(at("127.0.0.1", 1)), of(at("127.0.0.1", 1), at("::1", 1)), `{"added":["[::1]:1"],"removed":[],"changed":[],"unchanged":1}`},
		{"ports at several addresses", of(at("127.0.0.2", 1), at("127.0.0.2", 2)), of(at("127.0.0.1", 1), at("127.0.0.3", 1), at("127.0.0.1", 2)),
			`{"added":["127.0.0.1:1","127.0.0.3:1"],"removed":["127.0.0.2:1"],"changed":[{"ports":"2","what":["Listen.Address"],"bind":true}],"unchanged":0}`},
		{"to every address", of(at("127.0.0.1", 1)), of(at("0.0.0.0", 1)), `{"added":[],"removed":[],"changed":[{"ports":"1","what":["Listen.Address"],"bind":true}],"unchanged":0}`},
		{"last port of all", of(at("127.0.0.1", 65535)), of(at("127.0.0.1", 65534)), `{"added":["65534"],"removed":["65535"],"changed":[],"unchanged":0}`},
	} {
		t.Run(row.name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, "a.txt", "s:1:u:p\ns:2:u:p\n")
			write(t, dir, "b.txt", "# other\ns:1:u:p\n")
			write(t, dir, "c.json", `{"Items":[{"Host":"s","Port":2,"Username":"u","Password":"p"}]}`)
			c := change.Between(parse(t, dir, row.old).Digests(), parse(t, dir, row.new).Digests())
			got := strings.TrimSpace(string(wire.Line(c.Answer())))
			if got = strings.Replace(got, `,"took_ms":0`, "", 1); got != row.want {
				t.Errorf("got  %s\nwant %s", got, row.want)
			}
		})
	}
}

// Every key that means something is compared.
func TestEveryKeyIsCompared(t *testing.T) {
	compared := map[string]bool{}
	for _, keys := range [][]change.Key{comparedKeys.Mapping, comparedKeys.Server, comparedKeys.Global} {
		for _, k := range keys {
			compared[k.Name] = true
		}
	}
	elsewhere := []string{ // compared as ports, addresses and lists of servers
		"Listen.Port", "Listen.PortRange", "Listen.Address", "ProxyServers.Host", "ProxyServers.Port",
	}
	for _, in := range []struct {
		prefix  string
		section *schema.Section
	}{
		{inListen, schema.Listen}, {inAuthentication, schema.Authentication}, {inServers, schema.ProxyServer}, {"SessionAPI.", schema.SessionAPI},
		{"HTTP.", schema.HTTP}, {"Limits.", schema.Limits}, {"HostStats.", schema.HostStats}, {"Admin.", schema.Admin}, {"State.", schema.State},
	} {
		for _, key := range in.section.Names() {
			name := in.prefix + key
			if key == "Template" {
				name += ".Username"
			}
			if !compared[name] && !slices.Contains(elsewhere, name) {
				t.Errorf("%s is not compared: give it a row in digestkeys.go", name)
			}
		}
	}
	for _, section := range schema.Root.Names() { // a new one needs rows
		if !slices.Contains([]string{"ProxyMappings", "Listen", "Authentication", "ProxyServers", "ProxyServersFiles", "ProxyServersSpread", "HostRules", "HostRulesFiles",
			"SessionAPI", "HTTP", "Limits", "HostStats", "Admin", "State"}, section) {
			t.Errorf("of the section %s nothing is compared: give its keys rows in digestkeys.go, and name it here", section)
		}
	}
}

// No answer has a value.
func TestDifferencesHaveNoValues(t *testing.T) {
	every := loadEvery(t)
	other := parse(t, t.TempDir(), `{"Listen":{"PortRange":{"Start":10201,"End":10300},"Action":"Deny"},"Authentication":{"Username":"other-name","Password":"other-secret"}}`)
	for _, text := range []string{answer(every, other), answer(other, every)} {
		for _, value := range []string{"secret", "customer", "other", "example", "portmapper", "/"} {
			if strings.Contains(text, value) {
				t.Errorf("%q is in %s", value, text)
			}
		}
	}
}

// manySettings are settings with many ports in some mappings, and as many servers.
func manySettings(t testing.TB, ports, mappings, servers int, password string) *Settings {
	folder := t.TempDir()
	var list, text strings.Builder
	for i := range servers {
		fmt.Fprintf(&list, "10.%d.%d.%d:8000:user%d:%s\n", i>>16, i>>8&255, i&255, i, password)
	}
	file := ""
	if servers > 0 {
		file = `,"ProxyServers":{"Files":[{"Path":"list.txt"}]}`
		write(t, folder, "list.txt", list.String())
	}
	each := ports / mappings
	for i := range mappings {
		fmt.Fprintf(&text, `,{"Listen":{"PortRange":{"Start":%d,"End":%d},"StickyProxyLifetime":10,"Action":"Bypass"},"Authentication":{"Username":"u%d","Password":%q}%s}`,
			10001+i*each, 10000+(i+1)*each, i, password, file)
	}
	return parse(t, folder, `{"ProxyMappings":[`+text.String()[1:]+`]}`)
}

// processorTime is what the process has used; the time that passes says little on a machine with other work.
func processorTime(b *testing.B) time.Duration {
	var used unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// A reload compares what an operator may have in no time beside that of reading it.
func BenchmarkDifferences(b *testing.B) {
	for _, row := range []struct {
		name                     string
		ports, mappings, servers int
	}{{"1 mapping", 10_000, 1, 0}, {"10000 mappings", 10_000, 10_000, 0}, {"100000 servers", 10_000, 1, 100_000}} {
		b.Run(row.name, func(b *testing.B) {
			old, new := manySettings(b, row.ports, row.mappings, row.servers, "a"), manySettings(b, row.ports, row.mappings, row.servers, "b")
			was := old.Digests()
			began := processorTime(b)
			for b.Loop() {
				_ = change.Between(was, new.Digests()).Answer()
			}
			b.ReportMetric(float64((processorTime(b)-began).Microseconds())/1000/float64(b.N), "cpu-ms/op")
		})
	}
}
