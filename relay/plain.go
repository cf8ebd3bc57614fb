package relay

import (
	"unicode/utf8"

	"golang.org/x/net/idna"

	"proxymap/httpparse"
)

// maxGrowth is how many bytes a head that is put right may have more than it came with, mostly: a Host field, and two hosts
// that are longer in ASCII. A head that grows by more costs memory, and nothing else.
const maxGrowth = 3*maxHostName + len("Host: :65535\r\n")

// putRight has r describe head as it goes on, where it cannot as it came. What acts upon the request from here on (rules,
// counters, the Session API, dialling) sees but that. The caller releases plain, which is what r describes.
func putRight(r *httpparse.Request, head []byte, limits httpparse.Limits) (plain buffer, err error) {
	plain.grow(len(head) + maxGrowth)
	plain.b.B, err = r.AppendPlain(plain.b.B, head, appendASCII)
	if err == nil {
		err = r.Parse(plain.bytes(), limits)
	}
	if err != nil {
		plain.release()
	}
	return plain, err
}

// plainAuthority returns the authority text, host:port, as that of a CONNECT goes on, and what describes it. The caller
// releases plain, which is empty after an error.
func plainAuthority(text []byte) (plain buffer, t httpparse.Target, err error) {
	plain.grow(len(text) + maxHostName)
	plain.b.B, err = t.AppendAuthority(plain.b.B, text, appendASCII)
	if err != nil {
		plain.release()
	}
	return plain, t, err
}

// names is how names of hosts that are not ASCII are looked up: the profile idna.Lookup, but that it takes what else may
// stand in the ASCII of a name, the underscore above all. It would take delimiters too, which is for its caller to look at.
var names = idna.New(idna.MapForLookup(), idna.BidiRule(), idna.StrictDomainName(false))

// PlainHost returns host, a name that somebody has written, as requests for it are seen: of a name in UTF-8 its A-labels
// (RFC 5890 section 2.3.2.1). What is none stays as it is.
func PlainHost(host string) string {
	for i := range len(host) {
		if host[i] < utf8.RuneSelf {
			continue
		}
		if plain, err := appendASCII(nil, []byte(host)); err == nil && utf8.ValidString(host) {
			return string(plain)
		}
		break
	}
	return host
}

var errNotIDNA = &httpparse.Error{Status: 400, Reason: "the host is not ASCII, and is no internationalized domain name either (RFC 5891)"}

// appendASCII appends the name, all A-labels (RFC 5890 section 2.3.2.1), that stands in DNS for host, which is valid UTF-8
// beyond ASCII. It may be an IP address: digits come in many widths. Whatever the mapping makes of host, delimiters of a URL
// are no part of a name.
func appendASCII(dst, host []byte) ([]byte, error) {
	name, err := names.ToASCII(string(host))
	if err != nil {
		return dst, errNotIDNA
	}
	whole, _, err := httpparse.SplitHost([]byte(name))
	if err == httpparse.ErrHostLength {
		return dst, err
	}
	if err != nil || len(whole) != len(name) {
		return dst, errNotIDNA
	}
	return append(dst, name...), nil
}
