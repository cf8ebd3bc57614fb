package relay

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"unsafe"

	"proxymap/httpparse"
)

// The SOCKS protocols: version 5 (RFC 1928) with user name and password (RFC 1929), version 4 (Ying-Da Lee, "SOCKS: A
// protocol for TCP proxy across firewall") and its extension to names (the same, "SOCKS 4A: A Simple Extension to SOCKS
// 4 Protocol"). This file has the side that clients speak to, socksdial.go the one that speaks to an upstream proxy.
// Bytes in, verdicts and bytes out: there are no sockets here.
//
// What parses takes what has come so far and returns how many bytes the message has, 0 if it is not complete yet, or a
// *socksFault. It is to be called again with the same bytes and more; bytes behind the message are not looked at.
// Checks go in the order of the bytes, so a fault is the same however the message was cut.
const (
	socks4 = 4
	socks5 = 5

	socksConnect = 1 // the command; 2 is BIND, 3 UDP ASSOCIATE

	socksLoginVersion = 1   // RFC 1929 section 2
	socksMaxField     = 255 // bytes of a name, a user name or a password: what a length byte can tell; version 4 alike
)

// Methods of authentication (RFC 1928 section 3).
const (
	socksMethodNone  = 0x00
	socksMethodLogin = 0x02 // user name and password
	socksMethodNo    = 0xff // none of the offered ones will do
)

// Types of addresses (RFC 1928 section 5).
const (
	socksIPv4 = 1
	socksName = 3
	socksIPv6 = 4
)

// Codes of replies (RFC 1928 section 6).
const (
	socksGranted            = 0x00
	socksFailed             = 0x01
	socksNotAllowed         = 0x02
	socksNetUnreachable     = 0x03
	socksHostUnreachable    = 0x04
	socksRefused            = 0x05
	socksTTLExpired         = 0x06
	socksCommandUnsupported = 0x07
	socksAddressUnsupported = 0x08
)

// Codes of replies of version 4.
const (
	socks4Granted   = 0x5a
	socks4Rejected  = 0x5b
	socks4NoIdent   = 0x5c // the server asked the client's identd and had no answer
	socks4OtherUser = 0x5d // identd named another user
)

// A socksFault is why a client's message is refused.
type socksFault struct {
	code   uint8  // of the reply, for appendSocksReply; a request alone has one
	reason string // lower case, no full stop; holds nothing of the message
}

func (f *socksFault) Error() string { return f.reason }

var (
	errSocksVersion      = &socksFault{socksFailed, "the SOCKS version is neither 4 nor 5, or changes on the way"}
	errSocksLoginVersion = &socksFault{socksFailed, "the version of the SOCKS user name and password is not 1"}
	errSocksCommand      = &socksFault{socksCommandUnsupported, "the SOCKS command is not CONNECT, the only one there is here"}
	errSocksAddressType  = &socksFault{socksAddressUnsupported, "the SOCKS address is of none of the types 1, 3 and 4"}
	errSocksHost         = &socksFault{socksFailed, "the host of the SOCKS request is neither a name nor an IP address"}
	errSocksPort         = &socksFault{socksFailed, "the port of the SOCKS request is 0; it must be from 1 to 65535"}
	errSocksUser         = &socksFault{socksFailed, "the user-id of the SOCKS request is longer than 255 bytes"}
)

// A socksRequest is what a client wants. Slices are parts of the buffers that were parsed, and valid as long as those.
type socksRequest struct {
	version  uint8
	command  uint8
	addr     netip.Addr // of the target, or
	host     []byte     // its name
	port     uint16
	user     []byte // of version 4 the user-id
	password []byte
}

// parse4 parses a request of version 4, which is all that its client says before the tunnel.
func (r *socksRequest) parse4(b []byte) (int, error) {
	const fixed = 8
	switch {
	case len(b) > 0 && b[0] != socks4:
		return 0, errSocksVersion
	case len(b) > 1 && b[1] != socksConnect:
		return 0, errSocksCommand
	case len(b) < 4:
		return 0, nil
	}
	port := binary.BigEndian.Uint16(b[2:])
	if port == 0 {
		return 0, errSocksPort
	}
	if len(b) < fixed {
		return 0, nil
	}
	user, n, ok := cutNUL(b[fixed:])
	if !ok {
		return 0, errSocksUser
	}
	if n == 0 {
		return 0, nil
	}
	n += fixed
	addr, host := netip.AddrFrom4([4]byte(b[4:])), []byte(nil)
	if isSocks4A(addr) {
		name, m, ok := cutNUL(b[n:])
		if !ok || m > 0 && !isName(name) {
			return 0, errSocksHost
		}
		if m == 0 {
			return 0, nil
		}
		n += m
		addr, host = addrOrName(name)
	}
	*r = socksRequest{version: socks4, command: socksConnect, addr: addr, host: host, port: port, user: user}
	return n, nil
}

// isSocks4A reports whether the address says that a name follows: 0.0.0.x with an x that is not 0.
func isSocks4A(addr netip.Addr) bool {
	a := addr.As4()
	return a[0] == 0 && a[1] == 0 && a[2] == 0 && a[3] != 0
}

// cutNUL cuts a field off b that ends with NUL. n counts the NUL too, and is 0 if that has not come; ok is false if the
// field is too long.
func cutNUL(b []byte) (field []byte, n int, ok bool) {
	i := bytes.IndexByte(b[:min(len(b), socksMaxField+1)], 0)
	if i < 0 {
		return nil, 0, len(b) <= socksMaxField
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
	host, _, err := httpparse.SplitHost(b)
	return err == nil && len(host) == len(b) // else it has brackets or a colon
}

// addrOrName tells IP addresses from names: one of the two is returned.
func addrOrName(b []byte) (netip.Addr, []byte) {
	if addr := literal(b); addr.IsValid() {
		return addr, nil
	}
	return netip.Addr{}, b
}

// literal returns the IP address that b spells, or none. What cannot be one is not tried, for an error of netip's takes
// memory.
func literal(b []byte) netip.Addr {
	if len(b) == 0 || bytes.IndexByte(b, ':') < 0 && len(bytes.Trim(b, "0123456789.")) > 0 {
		return netip.Addr{}
	}
	addr, err := netip.ParseAddr(unsafe.String(&b[0], len(b))) // the string does not outlive the call
	if err != nil || addr.Zone() != "" {
		return netip.Addr{}
	}
	return addr
}

// chooseSocksMethod parses the methods that a client of version 5 offers (RFC 1928 section 3) and chooses one: user name
// and password whenever that is offered, for they may hold parameters; none at all if open, that is, if no credentials
// are required; else socksMethodNo.
func chooseSocksMethod(b []byte, open bool) (n int, method uint8, err error) {
	if len(b) == 0 {
		return 0, 0, nil
	}
	if b[0] != socks5 {
		return 0, 0, errSocksVersion
	}
	methods, n := cutCounted(b[1:])
	switch {
	case n == 0:
		return 0, 0, nil
	case bytes.IndexByte(methods, socksMethodLogin) >= 0:
		method = socksMethodLogin
	case open && bytes.IndexByte(methods, socksMethodNone) >= 0:
		method = socksMethodNone
	default:
		method = socksMethodNo
	}
	return 1 + n, method, nil
}

// parseLogin parses user name and password (RFC 1929 section 2). They may be empty, though the RFC wants a byte at least:
// there are clients that have a user name only.
func (r *socksRequest) parseLogin(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	if b[0] != socksLoginVersion {
		return 0, errSocksLoginVersion
	}
	user, n := cutCounted(b[1:])
	if n == 0 {
		return 0, nil
	}
	password, m := cutCounted(b[1+n:])
	if m == 0 {
		return 0, nil
	}
	r.user, r.password = user, password
	return 1 + n + m, nil
}

// parse5 parses a request of version 5 (RFC 1928 section 4); user and password stay as they are. The reserved byte must
// be 0, but says nothing, so it may be anything.
func (r *socksRequest) parse5(b []byte) (int, error) {
	switch {
	case len(b) > 0 && b[0] != socks5:
		return 0, errSocksVersion
	case len(b) > 1 && b[1] != socksConnect:
		return 0, errSocksCommand
	case len(b) < 4:
		return 0, nil
	}
	field, n, ok := cutSocksAddr(b[3:])
	if !ok {
		return 0, errSocksAddressType
	}
	if n == 0 {
		return 0, nil
	}
	n += 3
	var addr netip.Addr
	var host []byte
	if b[3] == socksName {
		if !isName(field) {
			return 0, errSocksHost
		}
		addr, host = addrOrName(field)
	} else {
		addr, _ = netip.AddrFromSlice(field)
	}
	if len(b) < n+2 {
		return 0, nil
	}
	port := binary.BigEndian.Uint16(b[n:])
	if port == 0 {
		return 0, errSocksPort
	}
	r.version, r.command, r.addr, r.host, r.port = socks5, socksConnect, addr, host, port
	return n + 2, nil
}

// cutSocksAddr cuts an address, type and all, off b, which is not empty (RFC 1928 section 5). field is what it consists
// of; n is 0 if it is not complete; ok is false if there is no such type.
func cutSocksAddr(b []byte) (field []byte, n int, ok bool) {
	size := 0
	switch b[0] {
	case socksIPv4:
		size = 4
	case socksIPv6:
		size = 16
	case socksName:
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

// appendSocksMethod appends the answer to a client's methods (RFC 1928 section 3).
func appendSocksMethod(dst []byte, method uint8) []byte { return append(dst, socks5, method) }

// appendSocksLogin appends the answer to user name and password (RFC 1929 section 2). If they are not ok the connection
// must be closed behind it.
func appendSocksLogin(dst []byte, ok bool) []byte {
	if ok {
		return append(dst, socksLoginVersion, 0)
	}
	return append(dst, socksLoginVersion, 1)
}

// appendSocksReply appends the answer to a request of either version. code is one of version 5's (RFC 1928 section 6);
// version 4 tells no reasons. The address that we are bound to is nobody's business.
func appendSocksReply(dst []byte, version, code uint8) []byte {
	if version == socks5 {
		return append(dst, socks5, code, 0, socksIPv4, 0, 0, 0, 0, 0, 0)
	}
	if code == socksGranted {
		return append(dst, 0, socks4Granted, 0, 0, 0, 0, 0, 0)
	}
	return append(dst, 0, socks4Rejected, 0, 0, 0, 0, 0, 0)
}
