package settings

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"proxymap/relay/allow"
)

const guard = `,"Authentication":{"Required":true,"Verify":true,"Username":"u","Password":"p"}`

// Who may connect is who is named; else this machine on a loopback address, and everyone where credentials guard the ports.
func TestAllowFromDefaults(t *testing.T) {
	for _, row := range []struct{ name, text, want, shown string }{
		{"loopback", `{"Listen":{"Port":1}}`, "127.0.0.0/8 ::1/128", ""},
		{"loopback by IPv6", `{"Listen":{"Port":1,"Address":"::1"}}`, "127.0.0.0/8 ::1/128", ""},
		{"loopback, guarded", `{"Listen":{"Port":1}` + guard + `}`, "127.0.0.0/8 ::1/128", ""},
		{"all addresses, guarded", `{"Listen":{"Port":1,"Address":"0.0.0.0"}` + guard + `}`, "0.0.0.0/0 ::/0", "everyone"},
		{"all addresses, guarded and named", `{"Listen":{"Port":1,"Address":"0.0.0.0","AllowFrom":["10.0.0.0/8"]}` + guard + `}`, "10.0.0.0/8", "10.0.0.0/8"},
		{"all addresses, named", `{"Listen":{"Port":1,"Address":"0.0.0.0","AllowFrom":["172.16.0.0/12","192.0.2.7"]}}`, "172.16.0.0/12 192.0.2.7/32", "172.16.0.0/12, 192.0.2.7"},
		{"an explicit choice", `{"Listen":{"Port":1,"Address":"0.0.0.0","AllowFrom":["0.0.0.0/0"]}}`, "0.0.0.0/0", "0.0.0.0/0"},
		{"both versions", `{"Listen":{"Port":1,"Address":"::","AllowFrom":["0.0.0.0/0","::/0"]}}`, "0.0.0.0/0 ::/0", "everyone"},
		{"mapped", `{"Listen":{"Port":1,"Address":"::","AllowFrom":["::ffff:10.0.0.0/104"]}}`, "10.0.0.0/8", "10.0.0.0/8"},
		{"loopback, named", `{"Listen":{"Port":1,"AllowFrom":["127.0.0.2"]}}`, "127.0.0.2/32", "127.0.0.2"},
		{"null is not there", `{"Listen":{"Port":1,"AllowFrom":null}}`, "127.0.0.0/8 ::1/128", ""},
	} {
		s, err := Parse("f", []byte(row.text))
		if err != nil {
			t.Errorf("%s: %v", row.name, err)
			continue
		}
		if got := prefixes(s.Config.Mappings[0].AllowFrom); got != row.want {
			t.Errorf("%s: got %s; want %s", row.name, got, row.want)
		}
		line := ""
		for text := range strings.Lines(described(t, s)) {
			if strings.HasPrefix(text, "  allowed ") {
				line = strings.TrimSpace(strings.TrimPrefix(text, "  allowed "))
			}
		}
		if line != row.shown {
			t.Errorf("%s: check shows %q; want %q", row.name, line, row.shown)
		}
	}
}

// So it is with the admin listener, which a token guards.
func TestAdminAllowFromDefaults(t *testing.T) {
	for _, row := range []struct{ admin, want, shown string }{
		{`"Address":"127.0.0.1:2"`, "127.0.0.0/8 ::1/128", "no token, for 127.0.0.0/8, ::1"},
		{`"Address":"127.0.0.1:2","Token":"secret-0123456789"`, "0.0.0.0/0 ::/0", "token ***, for everyone"},
		{`"Address":"0.0.0.0:2","Token":"secret-0123456789"`, "0.0.0.0/0 ::/0", "token ***, for everyone"},
		{`"Address":"0.0.0.0:2","AllowFrom":["10.0.0.0/8"]`, "10.0.0.0/8", "no token, for 10.0.0.0/8"},
		{`"Address":"0.0.0.0:2","AllowFrom":["10.0.0.0/8"],"Token":"secret-0123456789"`, "10.0.0.0/8", "token ***, for 10.0.0.0/8"},
	} {
		s, err := Parse("f", []byte(`{"Listen":{"Port":1},"Admin":{`+row.admin+`}}`))
		if err != nil {
			t.Errorf("%s: %v", row.admin, err)
			continue
		}
		if got := prefixes(s.Admin.AllowFrom); got != row.want {
			t.Errorf("%s: got %s; want %s", row.admin, got, row.want)
		}
		if text := described(t, s); !strings.Contains(text, ", "+row.shown+"\n") {
			t.Errorf("%s: check does not show %q: %s", row.admin, row.shown, text)
		}
	}
}

func prefixes(list []netip.Prefix) string {
	var texts []string
	for _, n := range list {
		texts = append(texts, n.String())
	}
	return strings.Join(texts, " ")
}

func described(t *testing.T, s *Settings) string {
	t.Helper()
	var out strings.Builder
	if err := s.Describe(&out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func allowFromFaults() []faultRow {
	const form = "must be an IP address or a network, such as 192.0.2.7, 10.0.0.0/8 or 2001:db8::/32"
	const remedies = "anything but a loopback address needs Listen.AllowFrom, which names who may connect, such as [\"172.16.0.0/12\"], or Authentication.Required and Verify with a Username and a Password, or anybody could use the ports"
	listen := func(s string) string { return `{"Listen":{"Port":1,` + s + `}}` }
	from := func(s string) string { return listen(`"AllowFrom":` + s) }
	admin := func(s string) string { return `{"Listen":{"Port":1},"Admin":{` + s + `}}` }
	return []faultRow{
		{"empty list", from(`[]`), `Listen.AllowFrom: is empty, so nobody could connect; name addresses and networks, such as ["192.0.2.7", "10.0.0.0/8"], or remove it`},
		{"empty list on all addresses", listen(`"Address":"0.0.0.0","AllowFrom":[]`), `Listen.AllowFrom: is empty, so nobody could connect; name addresses and networks, such as ["192.0.2.7", "10.0.0.0/8"], or remove it`},
		{"no list", from(`"10.0.0.0/8"`), `Listen.AllowFrom: a string: must be a list: […]`},
		{"an object", from(`{"a":1}`), `Listen.AllowFrom: value {…}: must be a list: […]`},
		{"host bits", from(`["10.0.0.0/8","192.168.1.5/24"]`), `Listen.AllowFrom[1]: value "192.168.1.5/24": names an address inside of a network: write 192.168.1.0/24 for the network, or 192.168.1.5 for the one address`},
		{"host bits of IPv6", from(`["2001:db8::1/64"]`), `Listen.AllowFrom[0]: value "2001:db8::1/64": names an address inside of a network: write 2001:db8::/64 for the network, or 2001:db8::1 for the one address`},
		{"a name", from(`["localhost"]`), `Listen.AllowFrom[0]: value "localhost": ` + form},
		{"a number", from(`[10]`), `Listen.AllowFrom[0]: value "10": ` + form},
		{"a list in it", from(`[["10.0.0.0/8"]]`), `Listen.AllowFrom[0]: value […]: ` + form},
		{"empty text", from(`[""]`), `Listen.AllowFrom[0]: value "": ` + form},
		{"too many bits", from(`["10.0.0.0/33"]`), `Listen.AllowFrom[0]: value "10.0.0.0/33": ` + form},
		{"a mask", from(`["10.0.0.0/255.0.0.0"]`), `Listen.AllowFrom[0]: value "10.0.0.0/255.0.0.0": ` + form},
		{"a range", from(`["10.0.0.1-10.0.0.9"]`), `Listen.AllowFrom[0]: value "10.0.0.1-10.0.0.9": ` + form},
		{"a zone", from(`["fe80::1%eth0"]`), `Listen.AllowFrom[0]: value "fe80::1%eth0": ` + form},
		{"not given", listen(`"Address":"0.0.0.0"`), `Listen.Address: value "0.0.0.0": ` + remedies},
		{"not given, of IPv6", listen(`"Address":"::"`), `Listen.Address: value "::": ` + remedies},
		{"null", listen(`"Address":"192.0.2.1","AllowFrom":null`), `Listen.Address: value "192.0.2.1": ` + remedies},
		{"not given, with a header", listen(`"Address":"0.0.0.0","ProxyProtocol":true`), `Listen.Address: value "0.0.0.0": ` + remedies},
		{"not given, and Verify alone", `{"Listen":{"Port":1,"Address":"0.0.0.0"},"Authentication":{"Verify":true,"Username":"u"}}`, `Listen.Address: value "0.0.0.0": ` + remedies},
		{"a slip of the pen", listen(`"AllowedFrom":["10.0.0.0/8"]`), `Listen.AllowedFrom: unknown key; did you mean "AllowFrom"?`},
		{"ProxyProtocol", listen(`"ProxyProtocol":"v2"`), `Listen.ProxyProtocol: value "v2": must be true or false`},
		{"admin, empty list", admin(`"Address":"127.0.0.1:2","AllowFrom":[]`), `Admin.AllowFrom: is empty, so nobody could connect; name addresses and networks, such as ["192.0.2.7", "10.0.0.0/8"], or remove it`},
		{"admin, host bits", admin(`"Address":"127.0.0.1:2","AllowFrom":["10.0.0.1/8"]`), `Admin.AllowFrom[0]: value "10.0.0.1/8": names an address inside of a network: write 10.0.0.0/8 for the network, or 10.0.0.1 for the one address`},
		{"admin, not given", admin(`"Address":"0.0.0.0:2"`), `Admin.Address: value "0.0.0.0:2": anything but a loopback address needs Admin.Token, of at least 16 characters, or Admin.AllowFrom, which names who may connect`},
	}
}

// Each fault says what is allowed, or which network is meant, and there is one for each.
func TestAllowFromFaults(t *testing.T) {
	for _, row := range allowFromFaults() {
		_, err := Parse("f", []byte(row.text))
		if err == nil {
			t.Errorf("%s: no fault", row.name)
			continue
		}
		lines := strings.Split(strings.TrimSpace(err.Error()), "\n")
		if len(lines) != 2 || lines[1] != "f:1: "+row.want {
			t.Errorf("%s: got %q; want %q", row.name, lines[1:], row.want)
		}
	}
}

// A long list is not shown whole.
func TestAllowedIsShownInPart(t *testing.T) {
	networks := slices.Repeat([]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, shownNetworks+1)
	if got := allowedOf(networks); !strings.HasSuffix(got, "10.0.0.0/8 and 1 other") || strings.Count(got, "10.0") != shownNetworks {
		t.Errorf("got %s", got)
	}
	if got := allowedOf(allow.Loopback()); got != "127.0.0.0/8, ::1" {
		t.Errorf("got %s", got)
	}
}

// Who asks a port for its session has to know of the header that it wants.
func TestAccessTellsOfTheHeader(t *testing.T) {
	s, err := Parse("f", []byte(`{"ProxyMappings":[{"Listen":{"Port":1,"ProxyProtocol":true}},{"Listen":{"Port":2}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	for port, want := range map[int]bool{1: true, 2: false} {
		if a, known := s.Access(port); !known || a.Header != want {
			t.Errorf("port %d: %+v, %v", port, a, known)
		}
	}
}

// Lists of which nobody can reach the address are told.
func TestAllowFromThatLetsNobodyIn(t *testing.T) {
	loopback := func(at, from string) string {
		return "let nobody in: " + at + " is reached from this machine alone, and Listen.AllowFrom is " + from + "; add " + at + ", or listen on another address"
	}
	version := func(at, of, from string) string {
		return "let nobody in: " + at + " is reached by " + of + " alone, and Listen.AllowFrom is " + from + "; name networks of that version"
	}
	for _, row := range []struct{ address, from, want string }{
		{"127.0.0.1", `["10.0.0.0/8","192.0.2.7"]`, loopback("127.0.0.1", "10.0.0.0/8, 192.0.2.7")},
		{"127.0.0.1", `["::1"]`, loopback("127.0.0.1", "::1")},
		{"127.0.0.1", `["10.0.0.0/8","127.0.0.5"]`, ""},
		{"127.0.0.1", `["0.0.0.0/0"]`, ""},
		{"127.0.0.1", `["::ffff:127.0.0.1"]`, ""},
		{"127.0.0.9", `["::/0"]`, loopback("127.0.0.9", "::/0")},
		{"::1", `["127.0.0.1"]`, loopback("::1", "127.0.0.1")},
		{"::1", `["::/0"]`, ""},
		{"0.0.0.0", `["::/0"]`, version("0.0.0.0", "IPv4", "::/0")},
		{"192.0.2.1", `["2001:db8::/32"]`, version("192.0.2.1", "IPv4", "2001:db8::/32")},
		{"192.0.2.1", `["2001:db8::/32","10.0.0.0/8"]`, ""},
		{"2001:db8::1", `["0.0.0.0/0"]`, version("2001:db8::1", "IPv6", "0.0.0.0/0")},
		{"2001:db8::1", `["::1"]`, ""},
		{"::", `["10.0.0.0/8"]`, ""},
		{"::", `["2001:db8::/32"]`, ""},
	} {
		got := strings.Join(warned(t, `{"Listen":{"Port":1,"Action":"Deny","Address":"`+row.address+`","AllowFrom":`+row.from+`}}`), "\n")
		if got != row.want {
			t.Errorf("%s, %s: got %q; want %q", row.address, row.from, got, row.want)
		}
	}
	got := strings.Join(warned(t, `{"Listen":{"Port":1,"Action":"Deny"},"Admin":{"Address":"127.0.0.1:2","AllowFrom":["10.0.0.0/8"]}}`), "\n")
	if want := strings.Replace(loopback("127.0.0.1", "10.0.0.0/8"), "let nobody in", "the admin listener lets nobody in", 1); got != strings.ReplaceAll(want, "Listen.", "Admin.") {
		t.Errorf("admin: got %q", got)
	}
}
