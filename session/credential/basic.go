package credential

import (
	"bytes"
	"encoding/base64"
)

// ParseBasic reads the value of a Proxy-Authorization field: Basic credentials (RFC 7617 section 2). The password may
// hold colons and anything else; neither need be UTF-8.
func ParseBasic(value []byte) (user, password string, ok bool) {
	scheme, encoded, _ := bytes.Cut(bytes.Trim(value, " \t"), []byte(" "))
	encoded = bytes.TrimLeft(encoded, " ") // RFC 9110 section 11.4: one space or more
	// The decoder would skip line ends.
	if !bytes.EqualFold(scheme, []byte("Basic")) || bytes.ContainsAny(encoded, "\r\n") {
		return "", "", false
	}
	var decoded [MaxCredentials + len(":") + 2]byte // 2 for what padding adds to DecodedLen
	if base64.StdEncoding.DecodedLen(len(encoded)) > len(decoded) {
		return "", "", false
	}
	n, err := base64.StdEncoding.Decode(decoded[:], encoded)
	name, pass, found := bytes.Cut(decoded[:n], []byte(":"))
	if err != nil || !found || len(name)+len(pass) > MaxCredentials || !IsHarmless(string(name)) {
		return "", "", false
	}
	return string(name), string(pass), true
}

// AppendBasic appends the whole field line for a user name and a password.
func AppendBasic(dst []byte, user, password string) []byte {
	var scratch [256]byte
	both := append(append(scratch[:0], user...), ':')
	return appendField(dst, append(both, password...))
}

// appendField appends the whole field line for a user name, a colon and a password.
func appendField(dst, both []byte) []byte {
	dst = append(dst, "Proxy-Authorization: Basic "...)
	dst = base64.StdEncoding.AppendEncode(dst, both)
	return append(dst, '\r', '\n')
}
