package httpparse

// Some requests have one plain meaning and are all the same not what a proxy may pass on. They are put right first, so
// that whoever acts upon them sees them as they go on.

// IsPlain reports whether the head can go on as it came. If not, AppendPlain makes one that can.
func (r *Request) IsPlain() bool {
	t := &r.Target
	return r.Odd == 0 && !t.Unicode && !r.hostUnicode && t.Userinfo.End == 0 && t.Fragment.End == 0 && !r.lacksHost() &&
		(r.Method != MethodConnect || r.length < 0)
}

// AppendPlain appends the request head that buf holds, which r describes, without what must not go on and with what has
// to. Nothing else of it changes.
//
//   - User information and a fragment are cut off the target (RFC 9110 section 4.2.4 and 4.2.5).
//   - An HTTP/1.1 request without Host gets the target's authority as one, in first place (RFC 9110 section 7.2).
//   - A CONNECT loses its Content-Length, which is 0: it has no content (RFC 9110 section 9.3.6).
//   - Lines that end with LF alone, which only those of a CONNECT may, end with CRLF (RFC 9112 section 2.2).
//   - Hosts in UTF-8, the target's and Host's, become what appendHost appends for them, which must be a name in ASCII. An
//     error of its is returned, and what has been appended by then is of no use.
func (r *Request) AppendPlain(dst, buf []byte, appendHost func(dst, host []byte) ([]byte, error)) (plain []byte, err error) {
	t := &r.Target
	from, to := r.Start, int(t.All.End)
	if t.Fragment.End != 0 {
		to = int(t.Fragment.Start)
	}
	authority := len(dst) // where it begins in dst
	behind := authority
	if t.Authority.End != 0 {
		dst = append(dst, buf[from:t.schemeEnd()]...)
		authority = len(dst)
		if dst, err = appendAuthority(dst, t.Authority.In(buf), t.Unicode, appendHost); err != nil {
			return dst, err
		}
		from, behind = int(t.Authority.End), len(dst)
	}
	dst = append(dst, buf[from:to]...)
	dst = append(appendLine(dst, buf[t.All.End:r.LineEnd]), "\r\n"...)
	if r.lacksHost() {
		dst = append(append(append(dst, "Host: "...), dst[authority:behind]...), "\r\n"...)
	}
	for i := range r.Fields {
		f := &r.Fields[i]
		switch {
		case f.Kind == KindContentLength && r.Method == MethodConnect:
		case f.Kind == KindHost && r.hostUnicode:
			dst = append(dst, buf[f.Name.Start:f.Value.Start]...)
			if dst, err = appendAuthority(dst, f.Value.In(buf), true, appendHost); err != nil {
				return dst, err
			}
			dst = append(appendLine(dst, buf[f.Value.End:f.End]), "\r\n"...)
		default:
			dst = appendField(dst, buf, f)
		}
	}
	return append(dst, "\r\n"...), nil
}

// AppendAuthority appends b, an authority-form (RFC 9112 section 3.2.3) that has come in another protocol than HTTP, as that
// of a CONNECT goes on, and has t describe it where it stands in the result. It is refused for what a CONNECT's is. A host in
// UTF-8 becomes what appendHost appends for it, as in AppendPlain.
func (t *Target) AppendAuthority(dst, b []byte, appendHost func(dst, host []byte) ([]byte, error)) (plain []byte, err error) {
	from := len(dst)
	if err := t.parse(b, from, MethodConnect); err != nil {
		return dst, err
	}
	if !t.Unicode {
		return append(dst, b...), nil
	}
	if dst, err = appendAuthority(dst, b, true, appendHost); err != nil {
		return dst, err
	}
	return dst, t.parse(dst[from:], from, MethodConnect)
}

// schemeEnd is where what stands before the authority ends, without user information.
func (t *Target) schemeEnd() int32 {
	if t.Userinfo.End != 0 {
		return t.Userinfo.Start
	}
	return t.Authority.Start
}

// appendAuthority appends host[:port], the host as appendHost has it if it is UTF-8.
func appendAuthority(dst, b []byte, unicode bool, appendHost func(dst, host []byte) ([]byte, error)) ([]byte, error) {
	if !unicode {
		return append(dst, b...), nil
	}
	host, _, _, err := splitHost(b)
	if err != nil {
		return dst, err
	}
	if dst, err = appendHost(dst, host); err != nil {
		return dst, err
	}
	return append(dst, b[len(host):]...), nil
}
