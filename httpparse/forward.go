package httpparse

import (
	"bytes"
	"strconv"
)

// maxConnectionBytes bounds what Connection may list in a request that AppendOriginForm takes: each field name is looked
// for in it.
const maxConnectionBytes = 1 << 10

// maxForwards is the greatest value of Max-Forwards that is sent.
const maxForwards = 1<<31 - 1

// MaxForwards returns how many times a proxy may still forward the request that buf holds, from its Max-Forwards (RFC
// 9110 section 7.6.2): at most 2^31, so that one less is no more than what is sent; -1 if the field is not there. An *Error
// says that it is there twice, or no number. It means something for OPTIONS and TRACE alone, which is for the caller to know.
func (r *Request) MaxForwards(buf []byte) (n int64, err error) {
	n = -1
	for i := range r.Fields {
		f := &r.Fields[i]
		if f.Kind != KindMaxForwards {
			continue
		}
		if n >= 0 {
			return -1, errForwardsTwice
		}
		value := f.Value.In(buf)
		if len(value) == 0 || !all(value, classDigit) {
			return -1, errForwardsValue
		}
		n = 0
		for _, c := range value {
			n = min(n*10+int64(c-'0'), maxForwards+1)
		}
	}
	return n, nil
}

// AppendTrace appends the request head that buf holds as the content of an answer to TRACE, a message/http: as it came,
// without empty lines before it and without the fields that hold credentials (RFC 9110 section 9.3.8).
func (r *Request) AppendTrace(dst, buf []byte) []byte {
	dst = append(dst, buf[r.Start:r.LineEnd]...)
	for i := range r.Fields {
		f := &r.Fields[i]
		name := f.Name.In(buf)
		if f.Kind != KindProxyAuthorization && !EqualFold(name, "authorization") && !EqualFold(name, "cookie") {
			dst = append(dst, buf[f.Name.Start:f.End]...)
		}
	}
	return append(dst, "\r\n"...)
}

// AppendOriginForm appends the request head that buf holds, which r describes, as a proxy sends it to the target itself:
// with a request-target in origin-form (RFC 9112 section 3.2.1; asterisk-form for OPTIONS without a path, section 3.2.4),
// with authority as its Host in first place (RFC 9110 section 7.2), and without hop-by-hop fields, those that Connection
// names included (RFC 9110 section 7.6.1). Of these only what speaks of this message remains: Transfer-Encoding, for the
// content passes as it is framed, and Upgrade with its connection option. Connection: close is sent where the client
// means to end its connection, and keep-alive where one of HTTP/1.0 means to use it again, for a server takes the version
// alone as the end (RFC 9112 section 9.3). A Max-Forwards gets the value forwards, unless that is negative.
//
// The request must be in absolute-form. ok is false, and nothing appended, if Connection lists more than can be looked
// through.
func (r *Request) AppendOriginForm(dst, buf, authority []byte, forwards int64) (head []byte, ok bool) {
	if !r.canBeLookedThrough(buf) {
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
		f := &r.Fields[i]
		switch {
		case f.Kind == KindHost || !r.endToEnd(f, buf):
		case f.Kind == KindMaxForwards && forwards >= 0:
			dst = append(dst, buf[f.Name.Start:f.Value.Start]...)
			dst = append(strconv.AppendInt(dst, forwards, 10), "\r\n"...)
		default:
			dst = append(dst, buf[f.Name.Start:f.End]...)
		}
	}
	switch {
	case r.HasUpgrade():
		dst = append(dst, "Connection: Upgrade\r\n"...)
	case !r.Persists():
		dst = append(dst, "Connection: close\r\n"...)
	case r.Minor == 0:
		dst = append(dst, "Connection: keep-alive\r\n"...)
	}
	return append(dst, "\r\n"...), true
}

// canBeLookedThrough reports whether what Connection lists is short enough.
func (h *head) canBeLookedThrough(buf []byte) bool {
	listed := 0
	for i := range h.Fields {
		if h.Fields[i].Kind == KindConnection {
			listed += len(h.Fields[i].Value.In(buf))
		}
	}
	return listed <= maxConnectionBytes
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

// endToEnd reports whether a field goes on. Of what is hop-by-hop, what speaks of this message does.
func (h *head) endToEnd(f *Field, buf []byte) bool {
	name := f.Name.In(buf)
	switch f.Kind {
	case KindConnection, KindProxyConnection, KindProxyAuthorization:
		return false
	case KindContentLength, KindTransferEncoding, KindHost:
		return true
	case KindUpgrade:
		return h.HasUpgrade()
	}
	if EqualFold(name, "keep-alive") || EqualFold(name, "te") || len(name) > 6 && EqualFold(name[:6], "proxy-") {
		return false
	}
	for i := range h.Fields {
		if h.Fields[i].Kind == KindConnection && lists(h.Fields[i].Value.In(buf), name) {
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
