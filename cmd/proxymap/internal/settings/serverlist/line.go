package serverlist

import (
	"errors"
	"net/netip"
	"strconv"
	"strings"
)

// A Type is the protocol that a server speaks.
type Type uint8

// The protocols of servers.
const (
	HTTP Type = iota
	SOCKS4
	SOCKS5
)

// A Server is what a line of a list says.
type Server struct {
	Type     Type
	Host     string // name or IP address, without brackets
	Port     uint16 // never 0
	Username string // empty: the server has no account of its own, and no Password
	Password string // may be empty
}

var (
	errForm   = errors.New("must be host:port, host:port:user:pass, user:pass@host:port, or a URL such as socks5://user:pass@host:port")
	errHost   = errors.New("the host must be a name or an IP address, an IPv6 address in brackets, as in [2001:db8::1]:8080")
	errPort   = errors.New("the port must be a number from 1 to 65535")
	errHash   = errors.New("# begins a comment at the start of a line alone; the port must be a number from 1 to 65535")
	errTurned = errors.New("the address seems to stand in the account's place: must be host:port:user:pass or user:pass@host:port; a URL says which is which")
	errHalf   = errors.New("three parts: must be host:port or host:port:user:pass")
	errUser   = errors.New("has a password without a user name")
	errByte   = errors.New("the user name or the password holds a control character")
)

// Parse reads one line, without its end and without spaces around it:
//
//	host:port
//	host:port:user:pass   split at the first three colons: the rest, whatever it holds, is the password
//	user:pass@host:port   split at the last @, and what is before it at the first colon
//	scheme://user:pass@host:port   see parseURL
//
// The host of the first three is an HTTP proxy's, and user names and passwords are taken as they stand. What begins with
// a host, a colon and a number that ends at a colon or at the end is of the first two forms, even where the third would
// fit too: in user:80:x@host:8080 the host is "user". Such a password fits into a URL.
//
// An error says what is wrong, and repeats nothing of the line.
func Parse(line string) (s Server, err error) {
	if scheme, rest, ok := cutScheme(line); ok {
		s, err = parseURL(scheme, rest)
	} else {
		s, err = parsePlain(line)
	}
	if err == nil {
		err = s.check()
	}
	if err != nil {
		return Server{}, err
	}
	return s, nil
}

func parsePlain(line string) (s Server, err error) {
	if a, err := netip.ParseAddr(line); err == nil && a.Is6() {
		return s, errHost
	}
	if host, port, rest, ok := cutAddress(line); ok {
		if err := s.setAddress(host, port); err != nil || rest == "" {
			return s, err
		}
		user, password, ok := strings.Cut(rest[1:], ":")
		if !ok {
			return s, errHalf
		}
		s.Username, s.Password = user, password
		if isAddress(user, password) && !strings.Contains(host, ".") {
			return s, errTurned
		}
		return s, nil
	}
	at := strings.LastIndexByte(line, '@')
	switch {
	case at < 0 && strings.Contains(line, " #"):
		return s, errHash
	case at < 0:
		return s, errForm
	}
	s.Username, s.Password, _ = strings.Cut(line[:at], ":")
	if _, err := netip.ParseAddr(s.Username); err == nil && isPort(s.Password) || strings.HasPrefix(line, "[") && strings.Contains(line[:at], "]:") {
		return s, errTurned
	}
	return s, s.parseAddress(line[at+1:])
}

// isAddress reports whether host and port look like a server's: an IP address or a name of several labels, and a port.
func isAddress(host, port string) bool {
	last := host[strings.LastIndexByte(host, '.')+1:]
	return last != host && last != "" && isName(host) && isPort(port)
}

func isPort(text string) bool {
	n, err := strconv.ParseUint(text, 10, 16)
	return err == nil && n > 0
}

// parseAddress reads host:port, and nothing after it.
func (s *Server) parseAddress(text string) error {
	host, port, rest, ok := cutAddress(text)
	if !ok || rest != "" {
		return errForm
	}
	return s.setAddress(host, port)
}

// cutAddress cuts host:port off the beginning of text, if it begins so; rest is empty or begins with a colon.
func cutAddress(text string) (host, port, rest string, ok bool) {
	end := strings.IndexByte(text, ':')
	if strings.HasPrefix(text, "[") {
		end = strings.Index(text, "]:") + 1
	}
	if end <= 0 || strings.IndexByte(text[:end], '@') >= 0 {
		return "", "", "", false
	}
	host, port = text[:end], text[end+1:]
	if i := strings.IndexByte(port, ':'); i >= 0 {
		port, rest = port[:i], port[i:]
	}
	return host, port, rest, port != "" && strings.Trim(port, "0123456789") == ""
}

func (s *Server) setAddress(host, port string) error {
	if inner, ok := strings.CutPrefix(host, "["); ok {
		inner = strings.TrimSuffix(inner, "]")
		if a, err := netip.ParseAddr(inner); err != nil || !a.Is6() || a.Zone() != "" {
			return errHost
		}
		host = inner
	} else if !isName(host) {
		return errHost
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return errPort
	}
	s.Host, s.Port = host, uint16(n)
	return nil
}

// isName reports whether host may be a name or an IPv4 address: the bytes of RFC 3986's unreserved characters, and those
// beyond ASCII, of internationalized names.
func isName(host string) bool {
	for i := range len(host) {
		if !isUnreserved(host[i]) && host[i] < 0x80 {
			return false
		}
	}
	return true
}

func isUnreserved(b byte) bool {
	return 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z' || '0' <= b && b <= '9' || strings.IndexByte("-._~", b) >= 0
}

// check looks at what the forms have in common.
func (s *Server) check() error {
	if s.Username == "" && s.Password != "" {
		return errUser
	}
	for _, text := range []string{s.Username, s.Password} {
		for i := range len(text) {
			if text[i] < ' ' || text[i] == 0x7f {
				return errByte
			}
		}
	}
	return nil
}
