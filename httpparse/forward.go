package httpparse

import "bytes"

// maxConnectionBytes bounds what Connection may list in a request that AppendOriginForm takes: each field name is looked
// for in it.
const maxConnectionBytes = 1 << 10

// AppendOriginForm appends the request head that buf holds, which r describes, as a proxy sends it to the target itself:
// with a request-target in origin-form (RFC 9112 section 3.2.1; asterisk-form for OPTIONS without a path, section 3.2.4),
// with authority as its Host in first place (RFC 9110 section 7.2), and without hop-by-hop fields, those that Connection
// names included (RFC 9110 section 7.6.1). Of these only what speaks of this message remains: Transfer-Encoding, for the
// content passes as it is framed, and Upgrade with its connection option. Connection: close is sent where the client
// means to end its connection.
//
// The request must be in absolute-form. ok is false, and nothing appended, if Connection lists more than can be looked
// through.
func (r *Request) AppendOriginForm(dst, buf, authority []byte) (head []byte, ok bool) {
	listed := 0
	for i := range r.Fields {
		if r.Fields[i].Kind == KindConnection {
			listed += len(r.Fields[i].Value.In(buf))
		}
	}
	if listed > maxConnectionBytes {
		return dst, false
	}
	dst = append(dst, r.MethodName.In(buf)...)
	dst = append(dst, ' ')
	dst = r.appendOriginTarget(dst, buf)
	dst = append(dst, " HTTP/1."...)
	dst = append(dst, '0'+r.Minor)
	dst = append(dst, "\r\nHost: "...)
	dst = append(dst, authority...)
	dst = append(dst, "\r\n"...)
	for i := range r.Fields {
		if f := &r.Fields[i]; r.endToEnd(f, buf) {
			dst = append(dst, buf[f.Name.Start:f.End]...)
		}
	}
	switch {
	case r.HasUpgrade():
		dst = append(dst, "Connection: Upgrade\r\n"...)
	case !r.Persists():
		dst = append(dst, "Connection: close\r\n"...)
	}
	return append(dst, "\r\n"...), true
}

func (r *Request) appendOriginTarget(dst, buf []byte) []byte {
	path, query := r.Target.Path.In(buf), r.Target.Query
	switch {
	case len(path) > 0:
		dst = append(dst, path...)
	case r.Method == MethodOptions && query.Start == 0:
		return append(dst, '*')
	default:
		dst = append(dst, '/')
	}
	if query.Start != 0 {
		dst = append(dst, '?')
		dst = append(dst, query.In(buf)...)
	}
	return dst
}

// endToEnd reports whether a field goes on to the target.
func (r *Request) endToEnd(f *Field, buf []byte) bool {
	name := f.Name.In(buf)
	switch f.Kind {
	case KindHost, KindConnection, KindProxyConnection, KindProxyAuthorization:
		return false
	case KindContentLength, KindTransferEncoding:
		return true
	case KindUpgrade:
		return r.HasUpgrade()
	}
	if EqualFold(name, "keep-alive") || EqualFold(name, "te") || len(name) > 6 && EqualFold(name[:6], "proxy-") {
		return false
	}
	for i := range r.Fields {
		if r.Fields[i].Kind == KindConnection && lists(r.Fields[i].Value.In(buf), name) {
			return false
		}
	}
	return true
}

// lists reports whether a comma-separated list holds name, in any case.
func lists(list, name []byte) bool {
	for len(list) > 0 {
		member := list
		if i := bytes.IndexByte(list, ','); i >= 0 {
			member, list = list[:i], list[i+1:]
		} else {
			list = nil
		}
		if bytes.EqualFold(trim(member), name) {
			return true
		}
	}
	return false
}
