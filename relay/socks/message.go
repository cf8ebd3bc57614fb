package socks

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"unicode/utf8"
	"unsafe"
)

// Versions of the protocol: a client's first byte.
const (
	V4 = 4
	V5 = 5
)

const (
	connect = 1 // the command; 2 is BIND, 3 UDP ASSOCIATE

	loginVersion = 1 // RFC 1929 section 2
)

// MaxField is how many bytes a name, a user name or a password may have: what a length byte can tell; version 4 alike.
const MaxField = 255

// Methods of authentication (RFC 1928 section 3).
const (
	MethodNone    = 0x00
	MethodLogin   = 0x02 // user name and password
	MethodRefused = 0xff // none of the offered ones will do
)

// Types of addresses (RFC 1928 section 5).
const (
	typeIPv4 = 1
	typeName = 3
	typeIPv6 = 4
)

// Codes of replies (RFC 1928 section 6).
const (
	Granted            = 0x00
	Failed             = 0x01
	NotAllowed         = 0x02
	NetUnreachable     = 0x03
	HostUnreachable    = 0x04
	ConnectionRefused  = 0x05
	TTLExpired         = 0x06
	CommandUnsupported = 0x07
	AddressUnsupported = 0x08
)

// Codes of replies of version 4.
const (
	granted4   = 0x5a
	rejected4  = 0x5b
	noIdent4   = 0x5c // the server asked the client's identd and had no answer
	otherUser4 = 0x5d // identd named another user
)

// A Fault is why a client's message is refused.
type Fault struct {
	Code   uint8  // of the reply, for AppendReply; a request alone has one
	Reason string // lower case, no full stop; holds nothing of the message
}

func (f *Fault) Error() string { return f.Reason }

var (
	errVersion      = &Fault{Failed, "the SOCKS version is neither 4 nor 5, or changes on the way"}
	errLoginVersion = &Fault{Failed, "the version of the SOCKS user name and password is not 1"}
	errCommand      = &Fault{CommandUnsupported, "the SOCKS command is not CONNECT, the only one there is here"}
	errAddressType  = &Fault{AddressUnsupported, "the SOCKS address is of none of the types 1, 3 and 4"}
	errHost         = &Fault{Failed, "the host of the SOCKS request is neither a name nor an IP address"}
	errPort         = &Fault{Failed, "the port of the SOCKS request is 0; it must be from 1 to 65535"}
	errUser         = &Fault{Failed, "the user-id of the SOCKS request is longer than 255 bytes"}
)

// A Request is what a client wants. Slices are parts of the buffers that were parsed, and valid as long as those.
type Request struct {
	Version  uint8
	Command  uint8
	Addr     netip.Addr // of the target, or
	Host     []byte     // its name
	Port     uint16
	User     []byte // of version 4 the user-id
	Password []byte
}

// Parse4 parses a request of version 4, which is all that its client says before the tunnel.
func (r *Request) Parse4(b []byte) (int, error) {
	const fixed = 8
	switch {
	case len(b) > 0 && b[0] != V4:
		return 0, errVersion
	case len(b) > 1 && b[1] != connect:
		return 0, errCommand
	case len(b) < 4:
		return 0, nil
	}
	port := binary.BigEndian.Uint16(b[2:])
	if port == 0 {
		return 0, errPort
	}
	if len(b) < fixed {
		return 0, nil
	}
	user, n, ok := cutNUL(b[fixed:])
	if !ok {
		return 0, errUser
	}
	if n == 0 {
		return 0, nil
	}
	n += fixed
	addr, host := netip.AddrFrom4([4]byte(b[4:])), []byte(nil)
	if isMark4A(addr) {
		name, m, ok := cutNUL(b[n:])
		if m == 0 && ok {
			return 0, nil
		}
		if addr, host = addrOrName(name); host == nil && !addr.IsValid() {
			return 0, errHost
		}
		n += m
	}
	*r = Request{Version: V4, Command: connect, Addr: addr, Host: host, Port: port, User: user}
	return n, nil
}

// isMark4A reports whether the address says that a name follows: 0.0.0.x with an x that is not 0.
func isMark4A(addr netip.Addr) bool {
	a := addr.As4()
	return a[0] == 0 && a[1] == 0 && a[2] == 0 && a[3] != 0
}

// cutNUL cuts a field off b that ends with NUL. n counts the NUL too, and is 0 if that has not come; ok is false if the
// field is too long.
func cutNUL(b []byte) (field []byte, n int, ok bool) {
	i := bytes.IndexByte(b[:min(len(b), MaxField+1)], 0)
	if i < 0 {
		return nil, 0, len(b) <= MaxField
	}
	return b[:i:i], i + 1, true
}

// cutCounted cuts a field off b that begins with its length. n counts that too, and is 0 if the field is not complete.
func cutCounted(b []byte) (field []byte, n int) {
	if len(b) == 0 || len(b) <= int(b[0]) {
		return nil, 0
	}
	n = 1 + int(b[0])
	return b[1:n:n], n
}

// isName reports whether b may stand for a host in a request-target, as it will when the upstream is an HTTP proxy: SOCKS
// can carry any bytes, spaces and line ends included.
func isName(b []byte) bool {
	for _, c := range b {
		if lower := c | 0x20; (lower < 'a' || lower > 'z') && (c < '0' || c > '9') && c != '-' && c != '.' && c != '_' && c != '~' {
			return false
		}
	}
	return len(b) > 0 && len(b) <= MaxField
}

// addrOrName tells IP addresses from names: one of the two is returned, or none if b is neither. Clients that are given an
// IPv6 address where they know of names alone write it as one, with or without the brackets of a URL. A name may be in
// UTF-8: what stands for it in DNS is for the caller to find out.
func addrOrName(b []byte) (netip.Addr, []byte) {
	inner, bracketed := bytes.CutPrefix(b, []byte("["))
	if bracketed {
		if inner, bracketed = bytes.CutSuffix(inner, []byte("]")); bracketed {
			if addr := literal(inner); addr.Is6() {
				return addr, nil
			}
		}
		return netip.Addr{}, nil
	}
	if addr := literal(b); addr.IsValid() {
		return addr, nil
	}
	if isName(b) || isUnicode(b) {
		return netip.Addr{}, b
	}
	return netip.Addr{}, nil
}

// isUnicode reports whether b is UTF-8 whose ASCII is that of names.
func isUnicode(b []byte) bool {
	for i, c := range b {
		if c < utf8.RuneSelf && !isName(b[i:i+1]) {
			return false
		}
	}
	return len(b) > 0 && len(b) <= MaxField && utf8.Valid(b)
}

// literal returns the IP address that b spells, or none. What cannot be one is not tried, for an error of netip's takes
// memory.
func literal(b []byte) netip.Addr {
	able := "0123456789." // to spell an IPv4 address, or an IPv6 one
	colons := bytes.Count(b, []byte(":"))
	if colons > 0 {
		able = "0123456789.:abcdefABCDEF"
	}
	if len(b) == 0 || colons == 1 || len(bytes.Trim(b, able)) > 0 {
		return netip.Addr{}
	}
	addr, err := netip.ParseAddr(unsafe.String(&b[0], len(b))) // the string does not outlive the call
	if err != nil || addr.Zone() != "" {
		return netip.Addr{}
	}
	return addr
}

// A Need is what a client's credentials are to who chooses a method.
type Need uint8

const (
	Required Need = iota // there must be some
	Welcome              // they are not required, and mean something if there are any
	Ignored              // they mean nothing
)

// ChooseMethod parses the methods that a client of version 5 offers (RFC 1928 section 3) and chooses one. Where credentials
// are welcome they are asked for if they can be had; where they are ignored, only if nothing else is offered, which saves a
// round trip. It is MethodRefused if nothing that will do is offered.
func ChooseMethod(b []byte, need Need) (n int, method uint8, err error) {
	if len(b) == 0 {
		return 0, 0, nil
	}
	if b[0] != V5 {
		return 0, 0, errVersion
	}
	methods, n := cutCounted(b[1:])
	if n == 0 {
		return 0, 0, nil
	}
	login, none := bytes.IndexByte(methods, MethodLogin) >= 0, bytes.IndexByte(methods, MethodNone) >= 0
	switch {
	case none && (need == Ignored || need == Welcome && !login):
		method = MethodNone
	case login:
		method = MethodLogin
	default:
		method = MethodRefused
	}
	return 1 + n, method, nil
}

// ParseLogin parses user name and password (RFC 1929 section 2). They may be empty, though the RFC wants a byte at least:
// there are clients that have a user name only.
func (r *Request) ParseLogin(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	if b[0] != loginVersion {
		return 0, errLoginVersion
	}
	user, n := cutCounted(b[1:])
	if n == 0 {
		return 0, nil
	}
	password, m := cutCounted(b[1+n:])
	if m == 0 {
		return 0, nil
	}
	r.User, r.Password = user, password
	return 1 + n + m, nil
}

// Parse5 parses a request of version 5 (RFC 1928 section 4); user and password stay as they are. The reserved byte must
// be 0, but says nothing, so it may be anything.
func (r *Request) Parse5(b []byte) (int, error) {
	switch {
	case len(b) > 0 && b[0] != V5:
		return 0, errVersion
	case len(b) > 1 && b[1] != connect:
		return 0, errCommand
	case len(b) < 4:
		return 0, nil
	}
	field, n, ok := cutAddr(b[3:])
	if !ok {
		return 0, errAddressType
	}
	if n == 0 {
		return 0, nil
	}
	n += 3
	var addr netip.Addr
	var host []byte
	if b[3] == typeName {
		if addr, host = addrOrName(field); host == nil && !addr.IsValid() {
			return 0, errHost
		}
	} else {
		addr, _ = netip.AddrFromSlice(field)
	}
	if len(b) < n+2 {
		return 0, nil
	}
	port := binary.BigEndian.Uint16(b[n:])
	if port == 0 {
		return 0, errPort
	}
	r.Version, r.Command, r.Addr, r.Host, r.Port = V5, connect, addr, host, port
	return n + 2, nil
}

// cutAddr cuts an address, type and all, off b, which is not empty (RFC 1928 section 5). field is what it consists
// of; n is 0 if it is not complete; ok is false if there is no such type.
func cutAddr(b []byte) (field []byte, n int, ok bool) {
	size := 0
	switch b[0] {
	case typeIPv4:
		size = 4
	case typeIPv6:
		size = 16
	case typeName:
		if field, n = cutCounted(b[1:]); n == 0 {
			return nil, 0, true
		}
		return field, 1 + n, true
	default:
		return nil, 0, false
	}
	if len(b) < 1+size {
		return nil, 0, true
	}
	return b[1 : 1+size], 1 + size, true
}

// AppendMethod appends the answer to a client's methods (RFC 1928 section 3).
func AppendMethod(dst []byte, method uint8) []byte { return append(dst, V5, method) }

// AppendLogin appends the answer to user name and password (RFC 1929 section 2). If they are not ok the connection
// must be closed behind it.
func AppendLogin(dst []byte, ok bool) []byte {
	if ok {
		return append(dst, loginVersion, 0)
	}
	return append(dst, loginVersion, 1)
}

// AppendReply appends the answer to a request of either version. code is one of version 5's (RFC 1928 section 6);
// version 4 tells no reasons. The address that we are bound to is nobody's business.
func AppendReply(dst []byte, version, code uint8) []byte {
	if version == V5 {
		return append(dst, V5, code, 0, typeIPv4, 0, 0, 0, 0, 0, 0)
	}
	if code == Granted {
		return append(dst, 0, granted4, 0, 0, 0, 0, 0, 0)
	}
	return append(dst, 0, rejected4, 0, 0, 0, 0, 0, 0)
}
