package proxyheader

import (
	"encoding/binary"
	"strings"
	"testing"
)

// v2 is a header of version 2 with whatever follows its length.
func v2(command, family byte, rest string) string {
	head := append([]byte(signature2), command, family)
	return string(binary.BigEndian.AppendUint16(head, uint16(len(rest)))) + rest
}

const (
	addrs4 = "\xc0\x00\x02\x07\x7f\x00\x00\x01\xd4\x31\x27\xd9"                                                      // 192.0.2.7:54321 to 127.0.0.1:10201
	addrs6 = "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01" + "0123456789abcdef\xd4\x31\x27\xd9" // [2001:db8::1]:54321
	mapped = "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xc0\x00\x02\x07" + "0123456789abcdef\xd4\x31\x27\xd9" // [::ffff:192.0.2.7]:54321
	full6  = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"
)

// A header, and what it comes to: the client's address, or a fault. Without both the header names nobody.
type header struct {
	name, bytes, client string
	fault               error
}

var headers = []header{
	{"TCP4", "PROXY TCP4 192.0.2.7 127.0.0.1 54321 10201\r\n", "192.0.2.7:54321", nil},
	{"TCP4, longest", "PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", "255.255.255.255:65535", nil},
	{"TCP4, port 0", "PROXY TCP4 192.0.2.7 127.0.0.1 0 0\r\n", "192.0.2.7:0", nil},
	{"TCP6", "PROXY TCP6 2001:DB8::1 ::1 54321 10201\r\n", "[2001:db8::1]:54321", nil},
	{"TCP6, longest", "PROXY TCP6 " + full6 + " " + full6 + " 65535 65535\r\n", "[" + full6 + "]:65535", nil},
	{"TCP6, mapped", "PROXY TCP6 ::ffff:192.0.2.7 ::ffff:127.0.0.1 54321 10201\r\n", "192.0.2.7:54321", nil},
	{"UNKNOWN", "PROXY UNKNOWN\r\n", "", nil},
	{"UNKNOWN, longest", "PROXY UNKNOWN " + full6 + " " + full6 + " 65535 65535\r\n", "", nil},
	{"UNKNOWN and anything", "PROXY UNKNOWN \x00 192.0.2.7\xff  x\r\n", "", nil},

	{"no header", "GET / HTTP/1.1\r\n", "", ErrNone},
	{"SOCKS5", "\x05\x01\x00", "", ErrNone},
	{"TLS", "\x16\x03\x01", "", ErrNone},
	{"in lower case", "proxy TCP4 192.0.2.7 127.0.0.1 1 2\r\n", "", ErrNone},
	{"another beginning", "PROXZ TCP4 192.0.2.7 127.0.0.1 1 2\r\n", "", ErrNone},
	{"a tab", "PROXY\tTCP4 192.0.2.7 127.0.0.1 1 2\r\n", "", ErrNone},
	{"line of the name alone", "PROXY\r\n", "", ErrNone},
	{"empty protocol", "PROXY \r\n", "", ErrProtocol},
	{"two spaces", "PROXY  TCP4 192.0.2.7 127.0.0.1 1 2\r\n", "", ErrProtocol},
	{"UDP4", "PROXY UDP4 192.0.2.7 127.0.0.1 1 2\r\n", "", ErrProtocol},
	{"protocol in lower case", "PROXY tcp4 192.0.2.7 127.0.0.1 1 2\r\n", "", ErrProtocol},
	{"UNKNOWN with more behind it", "PROXY UNKNOWNS\r\n", "", ErrProtocol},
	{"LF alone", "PROXY TCP4 192.0.2.7 127.0.0.1 1 2\n", "", ErrLine},
	{"CR alone", "PROXY TCP4 192.0.2.7 127.0.0.1 1 2\rX", "", ErrLine},
	{"LF alone in UNKNOWN", "PROXY UNKNOWN\nX\r\n", "", ErrLine},
	{"CR alone in UNKNOWN", "PROXY UNKNOWN\rX\r\n", "", ErrLine},
	{"108 bytes", "PROXY UNKNOWN " + strings.Repeat("x", 92) + "\r\n", "", ErrTooLong1},
	{"108 bytes with an LF as the 107th", "PROXY UNKNOWN " + strings.Repeat("x", 92) + "\n\n", "", ErrTooLong1},
	{"no end", "PROXY TCP4 " + strings.Repeat("1", 200), "", ErrTooLong1},
	{"no fields", "PROXY TCP4\r\n", "", ErrFields},
	{"no ports", "PROXY TCP4 192.0.2.7 127.0.0.1\r\n", "", ErrFields},
	{"one port", "PROXY TCP4 192.0.2.7 127.0.0.1 1\r\n", "", ErrFields},
	{"three ports", "PROXY TCP4 192.0.2.7 127.0.0.1 1 2 3\r\n", "", ErrFields},
	{"space at the end", "PROXY TCP4 192.0.2.7 127.0.0.1 1 2 \r\n", "", ErrFields},
	{"IPv6 for TCP4", "PROXY TCP4 ::1 ::1 1 2\r\n", "", ErrAddress},
	{"IPv4 for TCP6", "PROXY TCP6 192.0.2.7 127.0.0.1 1 2\r\n", "", ErrAddress},
	{"destination of another family", "PROXY TCP4 192.0.2.7 ::1 1 2\r\n", "", ErrAddress},
	{"zeros before a number", "PROXY TCP4 192.0.02.7 127.0.0.1 1 2\r\n", "", ErrAddress},
	{"three numbers", "PROXY TCP4 192.0.2 127.0.0.1 1 2\r\n", "", ErrAddress},
	{"number above 255", "PROXY TCP4 192.0.2.256 127.0.0.1 1 2\r\n", "", ErrAddress},
	{"name for an address", "PROXY TCP4 localhost 127.0.0.1 1 2\r\n", "", ErrAddress},
	{"zone", "PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n", "", ErrAddress},
	{"brackets", "PROXY TCP6 [::1] ::1 1 2\r\n", "", ErrAddress},
	{"port 65536", "PROXY TCP4 192.0.2.7 127.0.0.1 65536 2\r\n", "", ErrPort},
	{"destination's port 65536", "PROXY TCP4 192.0.2.7 127.0.0.1 1 65536\r\n", "", ErrPort},
	{"port of six digits", "PROXY TCP4 192.0.2.7 127.0.0.1 100000 2\r\n", "", ErrPort},
	{"port below 0", "PROXY TCP4 192.0.2.7 127.0.0.1 -1 2\r\n", "", ErrPort},
	{"port with a zero before it", "PROXY TCP4 192.0.2.7 127.0.0.1 01 2\r\n", "", ErrPort},
	{"empty port", "PROXY TCP4 192.0.2.7 127.0.0.1  2\r\n", "", ErrPort},
	{"port in letters", "PROXY TCP4 192.0.2.7 127.0.0.1 http 2\r\n", "", ErrPort},

	{"IPv4", v2(0x21, tcp4, addrs4), "192.0.2.7:54321", nil},
	{"IPv4 and TLVs", v2(0x21, tcp4, addrs4+"\x04\x00\x03abc"), "192.0.2.7:54321", nil},
	{"IPv4 and what is no TLV", v2(0x21, tcp4, addrs4+"\xff\xff\xff"), "192.0.2.7:54321", nil},
	{"IPv6", v2(0x21, tcp6, addrs6), "[2001:db8::1]:54321", nil},
	{"IPv6, mapped", v2(0x21, tcp6, mapped), "192.0.2.7:54321", nil},
	{"4 KiB", v2(0x21, tcp4, addrs4+strings.Repeat("x", Max-fixed2-len(addrs4))), "192.0.2.7:54321", nil},
	{"LOCAL", v2(0x20, 0, ""), "", nil},
	{"LOCAL with addresses", v2(0x20, tcp4, addrs4), "", nil},
	{"LOCAL with another family", v2(0x20, 0x7f, "xyz"), "", nil},
	{"UNSPEC", v2(0x21, unspecified, ""), "", nil},
	{"UNSPEC with bytes", v2(0x21, unspecified, "abc"), "", nil},

	{"another signature", "\r\n\r\n\x00\r\nQUIX\n", "", ErrNone},
	{"version 1 in binary", v2(0x11, tcp4, addrs4), "", ErrVersion},
	{"version 3", v2(0x31, tcp4, addrs4), "", ErrVersion},
	{"command 2", v2(0x22, tcp4, addrs4), "", ErrCommand},
	{"command 15", v2(0x2f, tcp4, addrs4), "", ErrCommand},
	{"UDP over IPv4", v2(0x21, 0x12, addrs4), "", ErrFamily},
	{"UDP over IPv6", v2(0x21, 0x22, addrs6), "", ErrFamily},
	{"AF_UNIX", v2(0x21, 0x31, strings.Repeat("/", 216)), "", ErrFamily},
	{"AF_UNIX, datagrams", v2(0x21, 0x32, strings.Repeat("/", 216)), "", ErrFamily},
	{"IPv4 without a protocol", v2(0x21, 0x10, addrs4), "", ErrFamily},
	{"TCP without a family", v2(0x21, 0x01, addrs4), "", ErrFamily},
	{"family 4", v2(0x21, 0x41, addrs4), "", ErrFamily},
	{"protocol 3", v2(0x21, 0x13, addrs4), "", ErrFamily},
	{"IPv4 cut", v2(0x21, tcp4, addrs4[:11]), "", ErrShort},
	{"IPv6 cut", v2(0x21, tcp6, addrs6[:35]), "", ErrShort},
	{"IPv6 of IPv4's length", v2(0x21, tcp6, addrs4), "", ErrShort},
	{"4 KiB and a byte", v2(0x21, tcp4, addrs4+strings.Repeat("x", Max-fixed2-len(addrs4)+1)), "", ErrTooLong2},
	{"LOCAL of more than 4 KiB", v2(0x20, 0, strings.Repeat("x", Max)), "", ErrTooLong2},
}

func TestParse(t *testing.T) {
	for _, row := range headers {
		for _, behind := range []string{"", "GET http://example.com/ HTTP/1.1\r\n", "\x05\x01\x00", "\r\n"} {
			client, n, err := Parse([]byte(row.bytes + behind))
			want := len(row.bytes)
			if row.fault != nil {
				want = 0
			}
			got := ""
			if client.IsValid() {
				got = client.String()
			}
			if err != row.fault || got != row.client || n != want {
				t.Errorf("%s: got %q, %d bytes, %v; want %q, %d bytes, %v", row.name, got, n, err, row.client, want, row.fault)
			}
		}
	}
}

// However a header is cut, it is the same: before its last byte there is nothing, or the fault that the whole has.
func TestParseByteByByte(t *testing.T) {
	for _, row := range headers {
		pieces(t, []byte(row.bytes), row.name)
	}
}

// pieces checks that what has come so far is never understood in another way than all of it.
func pieces(t *testing.T, b []byte, name string) {
	t.Helper()
	client, n, err := Parse(b)
	most := len(b)
	if n > 0 {
		most = n
	}
	for cut := range most {
		c, k, e := Parse(b[:cut])
		if k != 0 || c.IsValid() || e != nil && e != err {
			t.Fatalf("%s: after %d bytes of %q: %v, %d bytes, %v; the whole has %v, %d bytes, %v", name, cut, b, c, k, e, client, n, err)
		}
	}
}

func FuzzHeader(f *testing.F) {
	for _, row := range headers {
		f.Add([]byte(row.bytes + "GET "))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		pieces(t, b, "input")
		client, n, err := Parse(b)
		switch {
		case n > len(b), n > Max, err != nil && (n != 0 || client.IsValid()), n == 0 && client.IsValid():
			t.Fatalf("%v, %d bytes of %d, %v", client, n, len(b), err)
		case n == 0 && err == nil && len(b) >= Max:
			t.Fatalf("more than %d bytes are wanted", len(b))
		case client.Addr().Is4In6() || client.Addr().Zone() != "":
			t.Fatalf("the address is %v", client)
		}
		if n > 0 { // what is behind the header changes nothing
			if c, k, e := Parse(b[:n]); c != client || k != n || e != nil {
				t.Fatalf("the header alone: %v, %d bytes, %v; want %v, %d", c, k, e, client, n)
			}
		}
	})
}

func BenchmarkParse(b *testing.B) {
	for _, row := range headers {
		if row.name != "TCP4" && row.name != "IPv4" {
			continue
		}
		b.Run(row.name, func(b *testing.B) {
			b.ReportAllocs()
			text := []byte(row.bytes)
			for b.Loop() {
				_, _, _ = Parse(text)
			}
		})
	}
}
