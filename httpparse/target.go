package httpparse

import (
	"bytes"
	"net/netip"
	"unicode/utf8"
	"unsafe"
)

// A Form is one of the four forms of request-target (RFC 9112 section 3.2).
type Form uint8

// The forms of a request-target.
const (
	OriginForm    Form = iota // "/path?query"
	AbsoluteForm              // "http://host[:port][/path][?query]", or the same of ws
	AuthorityForm             // "host:port", of CONNECT and nothing else
	AsteriskForm              // "*", of OPTIONS and nothing else
)

// A Target is a request-target. Spans are empty where the form does not have the part. User information and a fragment
// are no parts of a request-target, but have one plain meaning: they stand there, and are for nobody else.
type Target struct {
	Form      Form
	Unicode   bool   // the host is UTF-8 beyond ASCII
	All       Span   // as it came
	Userinfo  Span   // of an absolute-form, with its "@"
	Authority Span   // host[:port] as it stands there
	Host      Span   // a name or an IP address, without brackets
	Port      uint16 // 80 if an absolute-form names none; 0 in origin-form and asterisk-form
	Path      Span   // without the query; empty if an absolute-form has none
	Query     Span   // without the "?"
	Fragment  Span   // with its "#"
}

// Errors that a caller has more to say about than their reason.
var (
	ErrRequestLine       = malformed("the first line is not an HTTP request line")
	ErrTargetForm        = malformed("the request-target has none of the forms of RFC 9112 section 3.2")
	ErrSecureScheme      = malformed("the request-target's scheme is https or wss, which go through CONNECT")
	ErrScheme            = malformed("the request-target's scheme is neither http nor ws")
	ErrUserinfo          = malformed("the request-target's user information holds another @, a backslash or a bracket, so readers differ about the host")
	ErrUserinfoOfConnect = malformed("CONNECT needs host:port, without user information")
	ErrUserinfoOfHost    = malformed("Host is not host or host:port: it has user information")
	ErrHost              = malformed("the request-target's host is neither a name nor an IP address")
	ErrHostLength        = malformed("the host's name is longer than names are: 63 bytes between dots, 253 in all (RFC 1035 section 2.3.4)")
	ErrHostValue         = malformed("Host is not host or host:port")
)

var (
	errTarget      = malformed("the request-target holds a character that is not allowed in one")
	errConnectForm = malformed("CONNECT needs host:port, with a port from 1 to 65535")
	errPort        = malformed("the request-target's port is not a number from 1 to 65535")
)

// parse parses b, which stands at offset pos of the buffer.
func (t *Target) parse(b []byte, pos int, m Method) error {
	*t = Target{All: Span{int32(pos), int32(pos + len(b))}}
	if len(b) == 0 || !all(b, classTarget) {
		return errTarget
	}
	switch {
	case m == MethodConnect:
		return t.authority(b, pos)
	case b[0] == '/':
		t.path(b, 0)
		return nil
	case m == MethodOptions && string(b) == "*":
		t.Form = AsteriskForm
		return nil
	}
	return t.absolute(b, pos)
}

// authority parses an authority-form (RFC 9112 section 3.2.3).
func (t *Target) authority(b []byte, pos int) error {
	t.Form = AuthorityForm
	host, port, unicode, err := splitHost(b)
	if err != nil && bytes.IndexByte(b, '@') >= 0 {
		return ErrUserinfoOfConnect
	}
	if err != nil {
		return err
	}
	if port == 0 {
		return errConnectForm // RFC 9110 section 9.3.6
	}
	t.Authority = t.All
	t.Host = spanOf(b, host, pos)
	t.Port, t.Unicode = port, unicode
	return nil
}

// absolute parses an absolute-form (RFC 9112 section 3.2.2) with the scheme http, or with ws, whose handshake is a request
// of http (RFC 6455 section 3): clients send it to proxies as it stands in their URLs.
func (t *Target) absolute(b []byte, pos int) error {
	t.Form = AbsoluteForm
	i := bytes.IndexByte(b, ':')
	if i <= 0 || len(b) < i+3 || b[i+1] != '/' || b[i+2] != '/' {
		return ErrTargetForm
	}
	if err := checkScheme(b[:i]); err != nil {
		return err
	}
	start := i + 3
	end := start
	for end < len(b) && b[end] != '/' && b[end] != '?' && b[end] != '#' {
		end++
	}
	if at := bytes.IndexByte(b[start:end], '@'); at >= 0 {
		if !isUserinfo(b[start:start+at], b[start+at+1:end]) {
			return ErrUserinfo
		}
		t.Userinfo = Span{int32(pos + start), int32(pos + start + at + 1)}
		start += at + 1
	}
	host, port, unicode, err := splitHost(b[start:end])
	if err != nil {
		return err
	}
	if port == 0 {
		port = 80
	}
	t.Authority = Span{int32(pos + start), int32(pos + end)}
	t.Host = spanOf(b, host, pos)
	t.Port, t.Unicode = port, unicode
	t.path(b, end)
	return nil
}

func checkScheme(b []byte) error {
	switch {
	case EqualFold(b, "http"), EqualFold(b, "ws"):
		return nil
	case EqualFold(b, "https"), EqualFold(b, "wss"):
		return ErrSecureScheme
	}
	return ErrScheme
}

// isUserinfo reports whether all readers take b for user information and behind, after its "@", for host and port. A
// sender ought not to write any (RFC 9110 section 4.2.4), and one that hides the host in some is what readers differ about.
func isUserinfo(b, behind []byte) bool {
	return bytes.IndexByte(behind, '@') < 0 && !bytes.ContainsAny(b, `\[]`)
}

// path splits b[from:], which is the end of the target, at the "?" and at the "#" behind it.
func (t *Target) path(b []byte, from int) {
	pos := int(t.All.Start)
	end := len(b)
	if f := bytes.IndexByte(b[from:], '#'); f >= 0 {
		end = from + f
		t.Fragment = Span{int32(pos + end), t.All.End} // RFC 9110 section 4.2.5: no part of a target
	}
	if q := bytes.IndexByte(b[from:end], '?'); q >= 0 {
		t.Query = Span{int32(pos + from + q + 1), int32(pos + end)}
		end = from + q
	}
	t.Path = Span{int32(pos + from), int32(pos + end)}
}

// spanOf returns where part, a sub-slice of b, stands if b begins at pos.
func spanOf(b, part []byte, pos int) Span {
	off := pos + cap(b) - cap(part)
	return Span{int32(off), int32(off + len(part))}
}

// SplitHost splits host[:port] (RFC 3986 section 3.2). host is a sub-slice of b without brackets; port is 0 if there is
// none, or an empty one. Names are letters, digits, "-", ".", "_" and "~": no name that resolves holds anything else, and
// what holds a percent sign or another delimiter is read differently by different readers. An IPv6 address stands in
// brackets and has no zone, which would mean an interface of the provider's machine.
func SplitHost(b []byte) (host []byte, port uint16, err error) {
	host, port, unicode, err := splitHost(b)
	if unicode {
		return nil, 0, ErrHost
	}
	return host, port, err
}

// splitHost is SplitHost, but takes names in UTF-8 too, which unicode reports. What of them are names is for who knows
// Unicode's tables.
func splitHost(b []byte) (host []byte, port uint16, unicode bool, err error) {
	rest := b
	if len(b) > 0 && b[0] == '[' {
		end := bytes.IndexByte(b, ']')
		if end < 0 {
			return nil, 0, false, ErrHost
		}
		host, rest = b[1:end], b[end+1:]
		if !isIPv6(host) {
			return nil, 0, false, ErrHost
		}
	} else {
		end := bytes.IndexByte(b, ':')
		if end < 0 {
			end = len(b)
		}
		host, rest = b[:end], b[end:]
		unicode = !all(host, classHost)
		if len(host) == 0 || unicode && !isUnicode(host) {
			return nil, 0, false, ErrHost
		}
		if len(host) > maxUnicode || !unicode && isTooLong(host) {
			return nil, 0, false, ErrHostLength
		}
	}
	if len(rest) == 0 {
		return host, 0, unicode, nil
	}
	if rest[0] != ':' {
		return nil, 0, false, ErrHost
	}
	if len(rest) == 1 {
		return host, 0, unicode, nil // RFC 3986 section 3.2.3: the same as none
	}
	port, ok := parsePort(rest[1:])
	if !ok {
		return nil, 0, false, errPort
	}
	return host, port, unicode, nil
}

// The greatest lengths, in bytes. What is written as 253 letters takes 255 bytes in DNS (RFC 1035 section 2.3.4).
const (
	maxLabel   = 63
	maxHost    = 253 // without a dot at its end
	maxUnicode = 255 // of a name in UTF-8, whose length in DNS is another
)

// isTooLong reports whether no name in DNS is like name, by its length or a label's.
func isTooLong(name []byte) bool {
	if len(name) <= maxLabel {
		return false
	}
	if name[len(name)-1] == '.' {
		name = name[:len(name)-1]
	}
	for rest := name; len(rest) > maxLabel; {
		dot := bytes.IndexByte(rest[:maxLabel+1], '.')
		if dot < 0 {
			return true
		}
		rest = rest[dot+1:]
	}
	return len(name) > maxHost
}

// isUnicode reports whether b is UTF-8 whose ASCII is that of names.
func isUnicode(b []byte) bool {
	for _, c := range b {
		if c < utf8.RuneSelf && classes[c]&classHost == 0 {
			return false
		}
	}
	return utf8.Valid(b)
}

func isIPv6(b []byte) bool {
	if len(b) == 0 {
		return false
	}
	a, err := netip.ParseAddr(unsafe.String(&b[0], len(b))) // the string does not outlive the call
	return err == nil && a.Is6() && a.Zone() == ""
}

// parsePort reads 1 to 65535 without leading zeros.
func parsePort(b []byte) (uint16, bool) {
	n, ok := decimal(b, 5)
	return uint16(n), ok && n > 0 && n <= 65535 && b[0] != '0'
}
