package socks

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// A Dial is one handshake with an upstream SOCKS server, from our side: begin says what to send first, and next
// what to do with what comes.
type Dial struct {
	stage    step
	version  uint8
	addr     netip.Addr // of the target, or
	host     []byte     // its name
	port     uint16
	user     string
	password string
}

// A step is what a Dial waits for.
type step uint8

const (
	awaitMethod step = iota // version 5: which of the offered methods
	awaitLogin              // version 5: whether user name and password are accepted
	awaitReply              // the reply to the request
	finished
)

// What can be wrong with a handshake, beside a Refusal.
var (
	ErrCredentials = errors.New("the SOCKS server does not accept the credentials, or wants some")
	ErrMalformed   = errors.New("malformed SOCKS reply")
	errAddress4    = errors.New("SOCKS4 takes IPv4 addresses other than 0.0.0.1-0.0.0.255; others need SOCKS5")
)

// A Refusal is a SOCKS server's refusal of a request.
type Refusal struct {
	Version uint8
	Code    uint8 // of version 5, or one of version 4's own, from 0x5a on
}

func (e *Refusal) Error() string {
	return fmt.Sprintf("the SOCKS%d server refused with code 0x%02x: %s", e.Version, e.Code, e.text())
}

func (e *Refusal) text() string {
	switch e.Code {
	case Failed:
		return "general failure"
	case NotAllowed:
		return "not allowed by its rules"
	case NetUnreachable:
		return "network unreachable"
	case HostUnreachable:
		return "host unreachable"
	case ConnectionRefused:
		return "connection refused"
	case TTLExpired:
		return "TTL expired"
	case CommandUnsupported:
		return "command not supported"
	case AddressUnsupported:
		return "address type not supported"
	case rejected4:
		return "rejected or failed"
	case noIdent4:
		return "it cannot reach identd on this machine"
	case otherUser4:
		return "identd on this machine names another user"
	}
	return "not a code of RFC 1928"
}

// Reply is the code that tells a SOCKS client the same.
func (e *Refusal) Reply() uint8 {
	if e.Version == V5 && e.Code <= AddressUnsupported {
		return e.Code
	}
	return Failed
}

// Begin appends what is to be sent first to dst. The target is addr if that is valid, else host, which may be a name or
// an IP address, without brackets; host must stay as it is until the handshake is over. Version 4 takes the user as its
// user-id and has no place for a password. With credentials a server of version 5 has no choice but to hear them: one that
// took the connection without would never know the session. After an error there is no handshake.
func (s *Dial) Begin(dst []byte, version uint8, host []byte, addr netip.Addr, port uint16, user, password string) ([]byte, error) {
	*s = Dial{awaitMethod, version, addr, host, port, user, password}
	if !addr.IsValid() {
		s.addr = literal(host)
	}
	s.addr = s.addr.Unmap() // an IPv4 address, however it is written
	if !s.addr.IsValid() && !isName(host) {
		return dst, fmt.Errorf("host %q is neither a name of 255 bytes at most nor an IP address; a SOCKS server is not asked for it", host)
	}
	if err := s.checkCredentials(); err != nil {
		return dst, err
	}
	switch {
	case version == V4:
		return s.appendRequest4(dst)
	case s.brings():
		return append(dst, V5, 1, MethodLogin), nil
	}
	return append(dst, V5, 1, MethodNone), nil
}

// brings reports whether there are credentials.
func (s *Dial) brings() bool { return s.user != "" || s.password != "" }

// checkCredentials checks what a message has room for. The errors do not tell what the credentials are.
func (s *Dial) checkCredentials() error {
	switch {
	case len(s.user) > MaxField:
		return fmt.Errorf("the user name has %d bytes, its parameters included, and SOCKS takes 255", len(s.user))
	case s.version == V4 && strings.IndexByte(s.user, 0) >= 0:
		return errors.New("the user name holds a NUL, which SOCKS4 takes for its end")
	case s.version == V5 && len(s.password) > MaxField:
		return fmt.Errorf("the password has %d bytes, and SOCKS takes 255", len(s.password))
	}
	return nil
}

// appendRequest4 appends a request of version 4, or of 4a if the target is a name.
func (s *Dial) appendRequest4(dst []byte) ([]byte, error) {
	s.stage = awaitReply
	ip := [4]byte{0, 0, 0, 1} // a name follows
	if s.addr.IsValid() {
		// An address that says that a name follows would make the server read the tunnel's first bytes as one.
		if !s.addr.Is4() || isMark4A(s.addr) {
			return dst, fmt.Errorf("target %s: %w", s.addr, errAddress4)
		}
		ip = s.addr.As4()
	}
	dst = append(dst, V4, connect)
	dst = binary.BigEndian.AppendUint16(dst, s.port)
	dst = append(dst, ip[:]...)
	dst = append(dst, s.user...)
	dst = append(dst, 0)
	if !s.addr.IsValid() {
		dst = append(dst, s.host...)
		dst = append(dst, 0)
	}
	return dst, nil
}

// Next goes on with what has come. n is how many bytes of b are used up; the others are to be shown again with more
// behind them, and once done, when the tunnel stands, they are the tunnel's. out is dst with what is to be sent appended.
// The error is a *Refusal, ErrCredentials or ErrMalformed, and the connection is of no more use.
func (s *Dial) Next(b, dst []byte) (n int, out []byte, done bool, err error) {
	for s.stage != finished {
		used := 0
		switch s.stage {
		case awaitMethod:
			used, dst, err = s.onMethod(b[n:], dst)
		case awaitLogin:
			used, dst, err = s.onLogin(b[n:], dst)
		default:
			used, err = s.onReply(b[n:])
		}
		n += used
		if err != nil || used == 0 {
			return n, dst, false, err
		}
	}
	return n, dst, true, nil
}

// onMethod reads which method the server has chosen (RFC 1928 section 3).
func (s *Dial) onMethod(b, dst []byte) (int, []byte, error) {
	if len(b) > 0 && b[0] != V5 {
		return 0, dst, fmt.Errorf("%w: version %d, must be 5", ErrMalformed, b[0])
	}
	if len(b) < 2 {
		return 0, dst, nil
	}
	switch method := b[1]; {
	case method == MethodNone && !s.brings():
		s.stage = awaitReply
		return 2, s.appendRequest5(dst), nil
	case method == MethodLogin && s.brings():
		s.stage = awaitLogin
		return 2, s.appendCredentials(dst), nil
	case method == MethodRefused:
		return 0, dst, ErrCredentials
	case method == MethodNone:
		return 0, dst, fmt.Errorf("%w: method 0x00 was not offered, for without credentials the server would not know the session", ErrMalformed)
	default:
		return 0, dst, fmt.Errorf("%w: method 0x%02x was not offered", ErrMalformed, method)
	}
}

// appendCredentials appends user name and password (RFC 1929 section 2).
func (s *Dial) appendCredentials(dst []byte) []byte {
	dst = append(dst, loginVersion, uint8(len(s.user)))
	dst = append(dst, s.user...)
	dst = append(dst, uint8(len(s.password)))
	return append(dst, s.password...)
}

// onLogin reads whether the server accepts the credentials (RFC 1929 section 2). Its status alone counts: for the version,
// which is 1, some servers send that of SOCKS, 5.
func (s *Dial) onLogin(b, dst []byte) (int, []byte, error) {
	if len(b) < 2 {
		return 0, dst, nil
	}
	if b[1] != 0 {
		return 0, dst, ErrCredentials
	}
	s.stage = awaitReply
	return 2, s.appendRequest5(dst), nil
}

// appendRequest5 appends a request of version 5 (RFC 1928 section 4).
func (s *Dial) appendRequest5(dst []byte) []byte {
	dst = append(dst, V5, connect, 0)
	switch {
	case s.addr.Is4():
		ip := s.addr.As4()
		dst = append(append(dst, typeIPv4), ip[:]...)
	case s.addr.Is6():
		ip := s.addr.As16()
		dst = append(append(dst, typeIPv6), ip[:]...)
	default:
		dst = append(append(dst, typeName, uint8(len(s.host))), s.host...)
	}
	return binary.BigEndian.AppendUint16(dst, s.port)
}

// onReply reads the reply to the request. A refusal counts as soon as its code is there: some servers send no more.
func (s *Dial) onReply(b []byte) (int, error) {
	version, granted := uint8(V5), uint8(Granted)
	if s.version == V4 {
		version, granted = 0, granted4 // of the reply, not of the protocol
	}
	if len(b) > 0 && b[0] != version {
		return 0, fmt.Errorf("%w: version %d, must be %d", ErrMalformed, b[0], version)
	}
	if len(b) < 2 {
		return 0, nil
	}
	if code := b[1]; code != granted {
		if s.version == V4 && (code < granted4 || code > otherUser4) {
			return 0, fmt.Errorf("%w: code 0x%02x is none of SOCKS4", ErrMalformed, code)
		}
		return 0, &Refusal{s.version, code}
	}
	n, err := s.replySize(b)
	if n > 0 {
		s.stage = finished
	}
	return n, err
}

// replySize returns how many bytes a reply that grants has, 0 if it is not complete. The address in it is of no use here,
// but may be a name, and so of any length (RFC 1928 section 6).
func (s *Dial) replySize(b []byte) (int, error) {
	size := 8
	if s.version == V5 {
		if len(b) < 4 {
			return 0, nil
		}
		_, n, ok := cutAddr(b[3:])
		if !ok {
			return 0, fmt.Errorf("%w: address type %d, must be 1, 3 or 4", ErrMalformed, b[3])
		}
		if n == 0 {
			return 0, nil
		}
		size = 3 + n + 2
	}
	if len(b) < size {
		return 0, nil
	}
	return size, nil
}
