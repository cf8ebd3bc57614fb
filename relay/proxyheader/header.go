package proxyheader

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"
	"strings"
)

const (
	// Max is the most bytes of a header of version 2, what follows the addresses included. HAProxy's own are below 600.
	Max = 4 << 10

	max1 = 107 // bytes of a header of version 1, its CRLF included (section 2.1)

	fixed2 = 16 // bytes of a header of version 2 before its addresses (section 2.2)
)

const (
	signature1 = "PROXY "
	signature2 = "\r\n\r\n\x00\r\nQUIT\n"
)

// What is wrong with a header.
var (
	ErrNone     = errors.New("it does not begin with a PROXY header")
	ErrTooLong1 = errors.New("the line of version 1 does not end within 107 bytes")
	ErrLine     = errors.New("the line of version 1 ends with a CR or LF alone")
	ErrProtocol = errors.New("the protocol of version 1 is none of TCP4, TCP6 and UNKNOWN")
	ErrFields   = errors.New("the line of version 1 is not made of two addresses and two ports")
	ErrAddress  = errors.New("an address of version 1 is none of the line's family")
	ErrPort     = errors.New("a port of version 1 is no number from 0 to 65535")
	ErrVersion  = errors.New("the version of the binary header is not 2")
	ErrCommand  = errors.New("the command of version 2 is neither LOCAL nor PROXY")
	ErrFamily   = errors.New("the family of version 2 is none of TCP over IPv4, TCP over IPv6 and UNSPEC")
	ErrTooLong2 = errors.New("the header of version 2 is longer than 4 KiB")
	ErrShort    = errors.New("the header of version 2 has no room for its addresses")
)

// Parse reads the header at the beginning of b. It returns the client's address and the header's length; the address is
// invalid where the header names none, as for a balancer's own connections, and then the socket's peer is the client. Its
// port may be 0. An IPv4-mapped address is that of IPv4.
func Parse(b []byte) (client netip.AddrPort, n int, err error) {
	switch {
	case begins(b, signature1):
		return parse1(b)
	case begins(b, signature2):
		return parse2(b)
	}
	return client, 0, ErrNone
}

// begins reports whether b begins with the signature, as far as it goes.
func begins(b []byte, signature string) bool {
	n := min(len(b), len(signature))
	return string(b[:n]) == signature[:n]
}

// parse1 reads "PROXY TCP4 source destination port port CRLF", or "PROXY UNKNOWN", whatever follows, and CRLF.
func parse1(b []byte) (client netip.AddrPort, n int, err error) {
	line := b[:min(len(b), max1-1)] // without the LF
	end := bytes.IndexAny(line, "\r\n")
	switch {
	case end < 0 && len(line) == max1-1:
		return client, 0, ErrTooLong1
	case end < 0, end+1 == len(b) && line[end] == '\r':
		return client, 0, nil
	case line[end] == '\n' || b[end+1] != '\n':
		return client, 0, ErrLine
	}
	n = end + len("\r\n")
	protocol, rest, more := strings.Cut(string(line[len(signature1):end]), " ")
	switch {
	case protocol == "UNKNOWN":
		return client, n, nil
	case protocol != "TCP4" && protocol != "TCP6":
		return client, 0, ErrProtocol
	case !more:
		return client, 0, ErrFields
	}
	client, err = addresses1(rest, protocol == "TCP4")
	if err != nil {
		n = 0
	}
	return client, n, err
}

// addresses1 reads "source destination port port". The destination is checked, too.
func addresses1(text string, v4 bool) (client netip.AddrPort, err error) {
	var fields [4]string
	for i := range fields[:3] {
		if fields[i], text, _ = strings.Cut(text, " "); text == "" {
			return client, ErrFields
		}
	}
	if fields[3] = text; strings.Contains(text, " ") {
		return client, ErrFields
	}
	var addrs [2]netip.Addr
	var ports [2]uint16
	for i := range addrs {
		a, err := netip.ParseAddr(fields[i])
		if err != nil || a.Is4() != v4 || a.Zone() != "" {
			return client, ErrAddress
		}
		addrs[i] = a.Unmap()
	}
	for i := range ports {
		p, ok := port1(fields[2+i])
		if !ok {
			return client, ErrPort
		}
		ports[i] = p
	}
	return netip.AddrPortFrom(addrs[0], ports[0]), nil
}

// port1 reads a port in decimal, without zeros before it.
func port1(text string) (port uint16, ok bool) {
	n := 0
	for _, c := range []byte(text) {
		if c < '0' || c > '9' || n > 6553 {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return uint16(n), text != "" && n <= 65535 && (text[0] != '0' || len(text) == 1)
}

// Commands of version 2, beside its version.
const (
	local = 0
	proxy = 1
)

// Families with their protocols of version 2: what this end can make use of.
const (
	unspecified = 0x00
	tcp4        = 0x11
	tcp6        = 0x21
)

// parse2 reads the binary header. What LOCAL and UNSPEC say of addresses is not looked at, nor is what follows the addresses.
func parse2(b []byte) (client netip.AddrPort, n int, err error) {
	const version, family, length = len(signature2), len(signature2) + 1, len(signature2) + 2
	if len(b) <= version {
		return client, 0, nil
	}
	command := b[version] & 0xf
	switch {
	case b[version]>>4 != 2:
		return client, 0, ErrVersion
	case command > proxy:
		return client, 0, ErrCommand
	case len(b) <= family:
		return client, 0, nil
	}
	least := 0
	switch kind := b[family]; {
	case command == local, kind == unspecified:
	case kind == tcp4:
		least = 2*4 + 2*2
	case kind == tcp6:
		least = 2*16 + 2*2
	default:
		return client, 0, ErrFamily
	}
	if len(b) < fixed2 {
		return client, 0, nil
	}
	n = fixed2 + int(binary.BigEndian.Uint16(b[length:]))
	switch {
	case n > Max:
		return client, 0, ErrTooLong2
	case n < fixed2+least:
		return client, 0, ErrShort
	case len(b) < n:
		return client, 0, nil
	}
	return source2(b[fixed2:], least), n, nil
}

// source2 is the first address and the first port of two each, which take size bytes; 0: there are none.
func source2(b []byte, size int) netip.AddrPort {
	if size == 0 {
		return netip.AddrPort{}
	}
	bytes := size/2 - 2
	addr, _ := netip.AddrFromSlice(b[:bytes])
	return netip.AddrPortFrom(addr.Unmap(), binary.BigEndian.Uint16(b[2*bytes:]))
}
