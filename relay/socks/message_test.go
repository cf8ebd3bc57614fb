package socks

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"proxymap/httpparse"
)

// name255 and long255 are a host name and credentials of the greatest length.
var (
	name255 = strings.Repeat("a.", 127) + "b"
	long255 = strings.Repeat("\xff:", 127) + "p"
)

// message is a message of a client. What it means is text, which tests compare.
type message struct {
	name, bytes, want string
	fault             error
}

// parser parses one message and tells in text what it has read.
type parser func(b []byte) (n int, means string, err error)

func (r *Request) String() string {
	return fmt.Sprintf("%d %d %v %q %d %q %q", r.Version, r.Command, r.Addr, r.Host, r.Port, r.User, r.Password)
}

func parse4(b []byte) (int, string, error) {
	var r Request
	n, err := r.Parse4(b)
	return n, r.String(), err
}

func parse5(b []byte) (int, string, error) {
	r := Request{User: []byte("u"), Password: []byte("p")}
	n, err := r.Parse5(b)
	return n, r.String(), err
}

func parseLogin(b []byte) (int, string, error) {
	var r Request
	n, err := r.ParseLogin(b)
	return n, r.String(), err
}

func chooseMethod(need Need) parser {
	return func(b []byte) (int, string, error) {
		n, method, err := ChooseMethod(b, need)
		return n, fmt.Sprint(method), err
	}
}

// exact is a copy of b without room behind it.
func exact(b []byte) []byte { return bytes.Clone(b)[:len(b):len(b)] }

// pieces shows the parser ever longer beginnings of b until it comes to a verdict, and checks that the whole has the same.
func pieces(t *testing.T, parse parser, b []byte) (int, string, error) {
	t.Helper()
	n, means, err := parse(exact(b))
	if n < 0 || n > len(b) || n > 0 && err != nil {
		t.Fatalf("%q: %d bytes of %d, %v", b, n, len(b), err)
	}
	for i := range len(b) + 1 {
		m, early, fault := parse(exact(b[:i]))
		if m == 0 && fault == nil {
			continue
		}
		if m != n || fault != err || err == nil && (early != means || i != n) {
			t.Fatalf("%q: %d bytes mean %d, %s, %v; all of them %d, %s, %v", b, i, m, early, fault, n, means, err)
		}
		return n, means, err
	}
	if n != 0 || err != nil {
		t.Fatalf("%q: the whole means %d, %s, %v; in pieces it needs more", b, n, means, err)
	}
	return 0, means, nil
}

// checkAll checks each message as it is, cut everywhere, and with the tunnel's first bytes behind it.
func checkAll(t *testing.T, parse parser, rows []message) {
	t.Helper()
	for _, row := range rows {
		for _, behind := range []string{"", "\x00", "\x05\x01\x00GET / HTTP/1.1\r\n"} {
			n, means, err := pieces(t, parse, []byte(row.bytes+behind))
			if row.fault != nil {
				if err != row.fault {
					t.Errorf("%s: %d, %s, %v; want fault %v", row.name, n, means, err, row.fault)
				}
			} else if n != len(row.bytes) || means != row.want || err != nil {
				t.Errorf("%s: %d, %s, %v; want %d, %s", row.name, n, means, err, len(row.bytes), row.want)
			}
		}
	}
}

// Both SOCKS4 memos.
var messages4 = []message{
	{"an address", "\x04\x01\x00\x50\x01\x02\x03\x04\x00", `4 1 1.2.3.4 "" 80 "" ""`, nil},
	{"a user-id", "\x04\x01\xff\xff\x7f\x00\x00\x01me\x00", `4 1 127.0.0.1 "" 65535 "me" ""`, nil},
	{"a user-id of 1", "\x04\x01\x00\x50\x01\x02\x03\x04m\x00", `4 1 1.2.3.4 "" 80 "m" ""`, nil},
	{"a user-id of 255", "\x04\x01\x00\x50\x01\x02\x03\x04" + long255 + "\x00", `4 1 1.2.3.4 "" 80 ` + fmt.Sprintf("%q", long255) + ` ""`, nil},
	{"zeros are an address", "\x04\x01\x00\x50\x00\x00\x00\x00\x00", `4 1 0.0.0.0 "" 80 "" ""`, nil},
	{"three zeros make a name, two do not", "\x04\x01\x00\x50\x00\x00\x01\x01\x00", `4 1 0.0.1.1 "" 80 "" ""`, nil},
	{"the last three bytes do not make a name", "\x04\x01\x00\x50\x01\x00\x00\x01\x00", `4 1 1.0.0.1 "" 80 "" ""`, nil},
	{"a name", "\x04\x01\x01\xbb\x00\x00\x00\x01\x00a.example\x00", `4 1 invalid IP "a.example" 443 "" ""`, nil},
	{"a name, x is 255", "\x04\x01\x01\xbb\x00\x00\x00\xffme\x00a\x00", `4 1 invalid IP "a" 443 "me" ""`, nil},
	{"a name of 255", "\x04\x01\x01\xbb\x00\x00\x00\x01" + long255 + "\x00" + name255 + "\x00", fmt.Sprintf(`4 1 invalid IP %q 443 %q ""`, name255, long255), nil},
	{"a name that is an address", "\x04\x01\x01\xbb\x00\x00\x00\x01\x001.2.3.4\x00", `4 1 1.2.3.4 "" 443 "" ""`, nil},
	{"a name of digits that is no address", "\x04\x01\x01\xbb\x00\x00\x00\x01\x001.2.3\x00", `4 1 invalid IP "1.2.3" 443 "" ""`, nil},
	{"BIND", "\x04\x02\x00\x50\x01\x02\x03\x04\x00", "", errCommand},
	{"port 0", "\x04\x01\x00\x00\x01\x02\x03\x04\x00", "", errPort},
	{"a user-id of 256", "\x04\x01\x00\x50\x01\x02\x03\x04" + long255 + "x\x00", "", errUser},
	{"a name of 256", "\x04\x01\x00\x50\x00\x00\x00\x01\x00" + name255 + "b\x00", "", errHost},
	{"an empty name", "\x04\x01\x00\x50\x00\x00\x00\x01\x00\x00", "", errHost},
	{"a name with a port", "\x04\x01\x00\x50\x00\x00\x00\x01\x00a:80\x00", "", errHost},
	{"a name with a colon", "\x04\x01\x00\x50\x00\x00\x00\x01\x00a:\x00", "", errHost},
	{"a name with a line end", "\x04\x01\x00\x50\x00\x00\x00\x01\x00a\r\nb\x00", "", errHost},
	{"an IPv6 address as a name", "\x04\x01\x00\x50\x00\x00\x00\x01\x00::1\x00", `4 1 ::1 "" 80 "" ""`, nil},
	{"the same in brackets", "\x04\x01\x00\x50\x00\x00\x00\x01\x00[::1]\x00", `4 1 ::1 "" 80 "" ""`, nil},
	{"an IPv6 address with a zone as a name", "\x04\x01\x00\x50\x00\x00\x00\x01\x00fe80::1%lo\x00", "", errHost},
	{"HTTP", "GET / HTTP/1.1\r\n", "", errVersion},
	{"version 5", "\x05\x01\x00\x50\x01\x02\x03\x04\x00", "", errVersion},
}

func Test4Request(t *testing.T) { checkAll(t, parse4, messages4) }

// RFC 1928 section 4 and 5.
var messages5 = []message{
	{"IPv4", "\x05\x01\x00\x01\x01\x02\x03\x04\x00\x50", `5 1 1.2.3.4 "" 80 "u" "p"`, nil},
	{"IPv6", "\x05\x01\x00\x04\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x01\xbb", `5 1 2001:db8::1 "" 443 "u" "p"`, nil},
	{"IPv4 as IPv6", "\x05\x01\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\x01\x02\x03\x04\xff\xff", `5 1 ::ffff:1.2.3.4 "" 65535 "u" "p"`, nil},
	{"a name", "\x05\x01\x00\x03\x09a.example\x00\x01", `5 1 invalid IP "a.example" 1 "u" "p"`, nil},
	{"a name of 1", "\x05\x01\x00\x03\x01a\x00\x50", `5 1 invalid IP "a" 80 "u" "p"`, nil},
	{"a name of 255", "\x05\x01\x00\x03\xff" + name255 + "\x00\x50", fmt.Sprintf(`5 1 invalid IP %q 80 "u" "p"`, name255), nil},
	{"a name that is an address", "\x05\x01\x00\x03\x071.2.3.4\x00\x50", `5 1 1.2.3.4 "" 80 "u" "p"`, nil},
	{"the reserved byte", "\x05\x01\xff\x01\x01\x02\x03\x04\x00\x50", `5 1 1.2.3.4 "" 80 "u" "p"`, nil},
	{"BIND", "\x05\x02\x00\x01\x01\x02\x03\x04\x00\x50", "", errCommand},
	{"UDP ASSOCIATE", "\x05\x03\x00\x01\x01\x02\x03\x04\x00\x50", "", errCommand},
	{"port 0", "\x05\x01\x00\x01\x01\x02\x03\x04\x00\x00", "", errPort},
	{"port 0 of a name", "\x05\x01\x00\x03\x01a\x00\x00", "", errPort},
	{"an empty name", "\x05\x01\x00\x03\x00\x00\x50", "", errHost},
	{"a name with a port", "\x05\x01\x00\x03\x04a:80\x00\x50", "", errHost},
	{"a name with a NUL", "\x05\x01\x00\x03\x02a\x00\x00\x50", "", errHost},
	{"a name with a line end", "\x05\x01\x00\x03\x04a\r\nb\x00\x50", "", errHost},
	{"an IPv6 address as a name", "\x05\x01\x00\x03\x03::1\x00\x50", `5 1 ::1 "" 80 "u" "p"`, nil},
	{"the same in brackets", "\x05\x01\x00\x03\x05[::1]\x00\x50", `5 1 ::1 "" 80 "u" "p"`, nil},
	{"an IPv6 address and half of its brackets", "\x05\x01\x00\x03\x04[::1\x00\x50", "", errHost},
	{"an IPv6 address and the other half", "\x05\x01\x00\x03\x04::1]\x00\x50", "", errHost},
	{"an IPv6 address and a port", "\x05\x01\x00\x03\x08[::1]:80\x00\x50", "", errHost},
	{"an IPv4 address in brackets", "\x05\x01\x00\x03\x09[1.2.3.4]\x00\x50", "", errHost},
	{"empty brackets", "\x05\x01\x00\x03\x02[]\x00\x50", "", errHost},
	{"one bracket", "\x05\x01\x00\x03\x01[\x00\x50", "", errHost},
	{"a name in UTF-8", "\x05\x01\x00\x03\x07mü.a_b\x00\x50", `5 1 invalid IP "mü.a_b" 80 "u" "p"`, nil},
	{"a name in UTF-8 that is cut short", "\x05\x01\x00\x03\x02m\xc3\x00\x50", "", errHost},
	{"a name in UTF-8 with a delimiter", "\x05\x01\x00\x03\x04mü/\x00\x50", "", errHost},
	{"address type 0", "\x05\x01\x00\x00\x01\x02\x03\x04\x00\x50", "", errAddressType},
	{"version 4", "\x04\x01\x00\x50\x01\x02\x03\x04\x00", "", errVersion},
}

func Test5Request(t *testing.T) { checkAll(t, parse5, messages5) }

// RFC 1928 section 3; rows with and without credentials required.
var methodsOpen, methodsClosed = []message{
	{"none", "\x05\x01\x00", "0", nil},
	{"login", "\x05\x01\x02", "2", nil},
	{"login is chosen wherever it stands", "\x05\x03\x00\x01\x02", "2", nil},
	{"login first", "\x05\x02\x02\x00", "2", nil},
	{"GSSAPI", "\x05\x01\x01", "255", nil},
	{"no method", "\x05\x00", "255", nil},
	{"none behind others", "\x05\x03\x01\x80\x00", "0", nil},
	{"255 methods", "\x05\xff" + strings.Repeat("\x80", 254) + "\x02", "2", nil},
	{"version 4", "\x04\x01\x00", "", errVersion},
}, []message{
	{"none", "\x05\x01\x00", "255", nil},
	{"login", "\x05\x02\x00\x02", "2", nil},
	{"no method", "\x05\x00", "255", nil},
}

// methodsIdle are chosen where credentials mean nothing.
var methodsIdle = []message{
	{"none", "\x05\x01\x00", "0", nil},
	{"none beside login", "\x05\x02\x02\x00", "0", nil},
	{"login alone", "\x05\x01\x02", "2", nil},
	{"GSSAPI", "\x05\x01\x01", "255", nil},
}

func TestMethod(t *testing.T) {
	checkAll(t, chooseMethod(Welcome), methodsOpen)
	checkAll(t, chooseMethod(Required), methodsClosed)
	checkAll(t, chooseMethod(Ignored), methodsIdle)
}

// RFC 1929 section 2.
var logins = []message{
	{"both", "\x01\x02me\x06secret", `0 0 invalid IP "" 0 "me" "secret"`, nil},
	{"of 1", "\x01\x01m\x01s", `0 0 invalid IP "" 0 "m" "s"`, nil},
	{"empty", "\x01\x00\x00", `0 0 invalid IP "" 0 "" ""`, nil},
	{"no password", "\x01\x02me\x00", `0 0 invalid IP "" 0 "me" ""`, nil},
	{"no user name", "\x01\x00\x01s", `0 0 invalid IP "" 0 "" "s"`, nil},
	{"any bytes", "\x01\x03:\x00\n\x02\xff\r", `0 0 invalid IP "" 0 ":\x00\n" "\xff\r"`, nil},
	{"of 255", "\x01\xff" + long255 + "\xff" + long255, fmt.Sprintf(`0 0 invalid IP "" 0 %q %q`, long255, long255), nil},
	{"version 5", "\x05\x02me\x06secret", "", errLoginVersion},
}

func TestLogin(t *testing.T) { checkAll(t, parseLogin, logins) }

// Every value of every byte that has few good ones gives the verdict that it should, and faults name the reply.
func TestEveryValue(t *testing.T) {
	for _, row := range []struct {
		name    string
		parse   parser
		message string
		at      int
		good    string // the values that are taken
		fault   *Fault
		code    uint8
	}{
		{"version 4", parse4, "\x04\x01\x00\x50\x01\x02\x03\x04\x00", 0, "\x04", errVersion, Failed},
		{"command 4", parse4, "\x04\x01\x00\x50\x01\x02\x03\x04\x00", 1, "\x01", errCommand, CommandUnsupported},
		{"version of methods", chooseMethod(Welcome), "\x05\x01\x00", 0, "\x05", errVersion, Failed},
		{"version of the login", parseLogin, "\x01\x01m\x01s", 0, "\x01", errLoginVersion, Failed},
		{"version 5", parse5, "\x05\x01\x00\x03\x01a\x00\x50", 0, "\x05", errVersion, Failed},
		{"command 5", parse5, "\x05\x01\x00\x03\x01a\x00\x50", 1, "\x01", errCommand, CommandUnsupported},
		// Types 1 and 4 lack bytes here, and so are no fault.
		{"address type", parse5, "\x05\x01\x00\x03\x01a\x00\x50", 3, "\x01\x03\x04", errAddressType, AddressUnsupported},
	} {
		if row.fault.Code != row.code {
			t.Errorf("%s: the fault's code is %d, want %d", row.name, row.fault.Code, row.code)
		}
		for v := range 256 {
			b := []byte(row.message)
			b[row.at] = byte(v)
			_, _, err := pieces(t, row.parse, b)
			if good := strings.IndexByte(row.good, byte(v)) >= 0; good != (err == nil) || !good && err != error(row.fault) {
				t.Errorf("%s: %d: %v", row.name, v, err)
			}
		}
	}
}

// Of all methods only two count, alone and beside each other.
func TestEveryMethod(t *testing.T) {
	for v := range 256 {
		for _, need := range []Need{Required, Welcome, Ignored} {
			want := uint8(MethodRefused)
			switch {
			case v == MethodLogin:
				want = MethodLogin
			case v == MethodNone && need != Required:
				want = MethodNone
			}
			if n, got, err := ChooseMethod([]byte{5, 1, byte(v)}, need); n != 3 || got != want || err != nil {
				t.Errorf("method %d, need %d: %d, %d, %v; want %d", v, need, n, got, err, want)
			}
			if want = MethodLogin; v == MethodNone && need == Ignored {
				want = MethodNone
			}
			if n, got, err := ChooseMethod([]byte{5, 2, byte(v), 2}, need); n != 4 || got != want || err != nil {
				t.Errorf("methods %d and 2, need %d: %d, %d, %v; want %d", v, need, n, got, err, want)
			}
		}
	}
}

func TestReplies(t *testing.T) {
	check := func(what string, got []byte, want string) {
		if string(got) != "x"+want {
			t.Errorf("%s: %q, want %q behind what was there", what, got, want)
		}
	}
	dst := []byte("x")
	check("method", AppendMethod(dst, MethodLogin), "\x05\x02")
	check("no method", AppendMethod(dst, MethodRefused), "\x05\xff")
	check("login accepted", AppendLogin(dst, true), "\x01\x00")
	check("login refused", AppendLogin(dst, false), "\x01\x01")
	for code := range 256 {
		check("version 5", AppendReply(dst, V5, uint8(code)), "\x05"+string([]byte{byte(code)})+"\x00\x01\x00\x00\x00\x00\x00\x00")
		want := "\x00\x5b\x00\x00\x00\x00\x00\x00"
		if code == Granted {
			want = "\x00\x5a\x00\x00\x00\x00\x00\x00"
		}
		check("version 4", AppendReply(dst, V4, uint8(code)), want)
	}
}

// Slices of a request have no room behind them, so appending to one does not overwrite the tunnel's bytes.
func TestSlicesEnd(t *testing.T) {
	b := []byte("\x04\x01\x01\xbb\x00\x00\x00\x01me\x00a\x00tunnel")
	var r Request
	if n, err := r.Parse4(b); n != 13 || err != nil {
		t.Fatal(n, err)
	}
	var login, named Request
	c := []byte("\x01\x01m\x01stunnel")
	d := []byte("\x05\x01\x00\x03\x01a\x00\x50tunnel")
	_, err := login.ParseLogin(c)
	_, err2 := named.Parse5(d)
	if err = errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	for what, s := range map[string][]byte{"user-id": r.User, "4a name": r.Host, "user": login.User, "password": login.Password, "name": named.Host} {
		if len(s) == 0 || cap(s) != len(s) {
			t.Errorf("%s: %q has a capacity of %d", what, s, cap(s))
		}
	}
}

func TestNoAllocations(t *testing.T) {
	var r Request
	out := make([]byte, 0, 64)
	for _, row := range []struct {
		name  string
		parse func(b []byte) (int, error)
		rows  []message
	}{
		{"SOCKS4 request", r.Parse4, messages4},
		{"SOCKS5 request", r.Parse5, messages5},
		{"login", r.ParseLogin, logins},
		{"methods", func(b []byte) (int, error) { n, _, err := ChooseMethod(b, Welcome); return n, err }, methodsOpen},
	} {
		for _, m := range row.rows {
			b := []byte(m.bytes)
			if n := testing.AllocsPerRun(10, func() { _, _ = row.parse(b) }); n != 0 && !strings.Contains(m.name, "digits") {
				t.Errorf("%s, %s: %v allocations", row.name, m.name, n)
			}
		}
	}
	if n := testing.AllocsPerRun(10, func() {
		b := AppendLogin(AppendMethod(out, MethodLogin), true)
		_ = AppendReply(AppendReply(b, V5, Granted), V4, Granted)
	}); n != 0 {
		t.Errorf("replies: %v allocations", n)
	}
}

// fuzzCuts checks that cuts do not change what is read.
func fuzzCuts(f *testing.F, parse parser, rows []message) {
	for _, row := range rows {
		f.Add([]byte(row.bytes))
	}
	f.Fuzz(func(t *testing.T, b []byte) { pieces(t, parse, b) })
}

func FuzzLogin(f *testing.F)  { fuzzCuts(f, parseLogin, logins) }
func FuzzMethod(f *testing.F) { fuzzCuts(f, chooseMethod(Welcome), methodsOpen) }

func Fuzz4Request(f *testing.F) {
	fuzzCuts(f, checkedRequest((*Request).Parse4), messages4)
}
func Fuzz5Request(f *testing.F) {
	fuzzCuts(f, checkedRequest((*Request).Parse5), messages5)
}

// checkedRequest panics if what is taken is not what it should be: one of address and name, and a port.
func checkedRequest(parse func(*Request, []byte) (int, error)) parser {
	return func(b []byte) (int, string, error) {
		var r Request
		n, err := parse(&r, b)
		if n > 0 {
			_, notAddr := netip.ParseAddr(string(r.Host))
			if r.Addr.IsValid() == (r.Host != nil) || notAddr == nil || r.Port == 0 || r.Command != connect ||
				bytes.ContainsAny(r.Host, ": \r\n\x00/@") || len(r.Host) > 255 {
				panic(r.String())
			}
		}
		return n, r.String(), err
	}
}

// A name that is taken here is one that a request-target may hold: HTTP proxies are asked for the same ones.
func TestNamesAreThoseOfHTTP(t *testing.T) {
	for c := range 256 {
		for _, name := range []string{string([]byte{byte(c)}), string([]byte{'a', byte(c), 'b'})} {
			host, _, err := httpparse.SplitHost([]byte(name))
			if want := err == nil && string(host) == name; isName([]byte(name)) != want {
				t.Errorf("%q is a name: %v; want %v", name, !want, want)
			}
		}
	}
}
