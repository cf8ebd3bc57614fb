package refusal

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	"proxymap/relay/socks"
)

// Every code has a status, a class, a reply, and something to say.
func TestTableIsComplete(t *testing.T) {
	for c := range Codes() {
		row := &table[c]
		if row.status < 400 || row.status > 599 {
			t.Errorf("code %d: status %d; want an error's", c, row.status)
		}
		if !slices.Contains(Classes[:], row.class) {
			t.Errorf("code %d: class %q is none of Classes", c, row.class)
		}
		if row.reply == socks.Granted || row.reply > socks.AddressUnsupported {
			t.Errorf("code %d: reply %d; want one of RFC 1928 that refuses", c, row.reply)
		}
		if row.fields != "" && (!strings.HasSuffix(row.fields, "\r\n") || strings.Count(row.fields, "\r\n") != 1) {
			t.Errorf("code %d: fields %q; want lines with their CRLF", c, row.fields)
		}
		if got, want := strings.Count(row.text, "%s"), 1; (got == want) != (row.form != unnamed) {
			t.Errorf("code %d: the text %q does not fit its form, %d", c, row.text, row.form)
		}
		r := Refusal{Code: c, Cause: errors.New("because")}
		if text := r.Text(nil); text == "" || strings.Contains(text, "%!") || strings.Contains(text, "\n") {
			t.Errorf("code %d: text %q", c, text)
		}
	}
}

// registered are the error types of RFC 9209 sections 2.3.1 to 2.3.32.
var registered = strings.Fields(`dns_timeout dns_error destination_not_found destination_unavailable
	destination_ip_prohibited destination_ip_unroutable connection_refused connection_terminated connection_timeout
	connection_read_timeout connection_write_timeout connection_limit_reached tls_protocol_error tls_certificate_error
	tls_alert_received http_request_error http_request_denied http_response_incomplete http_response_header_section_size
	http_response_header_size http_response_body_size http_response_trailer_section_size http_response_trailer_size
	http_response_transfer_coding http_response_content_coding http_response_timeout http_upgrade_failed
	http_protocol_error proxy_internal_response proxy_internal_error proxy_configuration_error proxy_loop_detected`)

// Every code's Proxy-Status has a registered error type, and what the intermediary has to be one of: a token.
func TestProxyStatusIsRegistered(t *testing.T) {
	for c := range Codes() {
		status := Refusal{Code: c}.ProxyStatus()
		fault, found := strings.CutPrefix(status, "proxymap; error=")
		fault, received := strings.CutSuffix(fault, "; received-status=407")
		if received != (c == ProviderWantsLogin || c == TargetWantsLogin) {
			t.Errorf("code %d: Proxy-Status %q; want a received status where one has been received", c, status)
		}
		if own := c.Status() < 500; own && (strings.HasPrefix(fault, "http_response") || fault == "http_protocol_error") ||
			!own && strings.HasPrefix(fault, "http_request") {
			t.Errorf("code %d: Proxy-Status %q with the status %d; want requests at fault in 4xx, and responses in 5xx", c, status, c.Status())
		}
		if !found || !slices.Contains(registered, fault) {
			t.Errorf("code %d: Proxy-Status %q; want a registered error type", c, status)
		}
	}
}

// absent is a name server's answer.
type absent struct{}

func (absent) Error() string { return "no such host" }
func (absent) RCode() string { return "NXDOMAIN" }

// A cause that says more than the code decides.
func TestProxyStatusOfCause(t *testing.T) {
	for _, row := range []struct {
		code  Code
		cause error
		want  string
	}{
		{ConnectFailed, errors.New("connection refused"), "connection_refused"},
		{Unroutable, nil, "destination_ip_unroutable"},
		{ConnectTimeout, nil, "connection_timeout"},
		{NameUnknown, &net.DNSError{IsTimeout: true}, "dns_timeout"},
		{NameUnknown, &net.DNSError{IsNotFound: true}, "dns_error"},
		{NameUnknown, fmt.Errorf("look-up: %w", absent{}), `dns_error; rcode="NXDOMAIN"`},
		{SOCKSFailed, &socks.Refusal{Version: 5, Code: 1}, "destination_unavailable"},
		{SOCKSFailed, &socks.Refusal{Version: 5, Code: 3}, "destination_ip_unroutable"},
		{SOCKSFailed, &socks.Refusal{Version: 5, Code: 5}, "connection_refused"},
		{SOCKSDenied, &socks.Refusal{Version: 5, Code: 2}, "http_request_error"},
		{SOCKSTimeout, &socks.Refusal{Version: 5, Code: 6}, "connection_timeout"},
		{ProviderWantsLogin, nil, "proxy_configuration_error; received-status=407"},
		{HandshakeLogin, nil, "proxy_configuration_error"},
		{HandshakeCredentials, nil, "http_request_error"},
		{TargetWantsLogin, nil, "http_protocol_error; received-status=407"},
		{HostDenied, nil, "http_request_denied"},
		{HeadTooLarge, nil, "http_request_error"},
		{Version, nil, "proxy_internal_response"},
		{ResponseMalformed, nil, "http_protocol_error"},
		{ResponseTooLarge, nil, "http_response_header_section_size"},
		{ResponseUnreadable, nil, "http_response_transfer_coding"},
	} {
		if got := (Refusal{Code: row.code, Cause: row.cause}).ProxyStatus(); got != "proxymap; error="+row.want {
			t.Errorf("code %d, %v: got %q; want %q", row.code, row.cause, got, row.want)
		}
	}
}

// Every public class is reached. One belongs to the Session API, which has a table of its own.
func TestEveryClassIsReached(t *testing.T) {
	reached := map[string]bool{forbidden: true}
	for c := range Codes() {
		reached[c.Class()] = true
	}
	for _, class := range Classes {
		if !reached[class] {
			t.Errorf("no code has the class %s", class)
		}
	}
	if len(reached) != len(Classes) {
		t.Errorf("%d classes are reached, %d are listed", len(reached), len(Classes))
	}
}

// What belongs to a class or a status does so in every row.
func TestTableIsConsistent(t *testing.T) {
	statuses := map[string]int{}
	for c := range Codes() {
		row := &table[c]
		if have, known := statuses[row.class]; known && have != row.status {
			t.Errorf("code %d: class %s with the statuses %d and %d", c, row.class, have, row.status)
		}
		statuses[row.class] = row.status
		for field, of := range map[string]int{wantsLogin: 407, allowConnect: 405} {
			if (row.status == of) != (row.fields == field) {
				t.Errorf("code %d: status %d with the fields %q", c, row.status, row.fields)
			}
		}
		want := map[int]uint8{403: socks.NotAllowed, 504: socks.HostUnreachable}[row.status]
		switch row.class {
		case dns:
			want = socks.HostUnreachable
		case refused:
			want = socks.ConnectionRefused
		}
		if want == 0 {
			want = socks.Failed
		}
		if row.reply != want {
			t.Errorf("code %d: reply %d; want %d", c, row.reply, want)
		}
		soon := slices.Contains([]string{tooMany, tooManyLookups, noDescriptors, noSourcePort}, row.class)
		if soon != (row.fields == retrySoon) {
			t.Errorf("code %d: class %s with the fields %q", c, row.class, row.fields)
		}
	}
}

// A text names its subject, says why, what the client can do, and what the operator can, but for a target.
func TestText(t *testing.T) {
	remedies := Remedies{ConnectFailed: "check the list", ResponseMissing: "change it", PlainRejected: "or allow them"}
	cause := errors.New("connection refused")
	for _, row := range []struct {
		of   Refusal
		want string
	}{
		{Refusal{ConnectFailed, Subject{Provider, "a:1"}, cause}, "dial upstream a:1: connection refused; check the list"},
		{Refusal{ConnectFailed, Subject{Target, "b:2"}, cause}, "dial target b:2: connection refused"},
		{Refusal{ConnectTimeout, Subject{Target, "b:2"}, nil}, "dial target b:2: no answer in time"},
		{Refusal{ResponseMissing, Subject{Side: Provider}, nil}, "the provider closed the connection without a response; try again; change it"},
		{Refusal{ResponseMissing, Subject{Side: Target}, nil}, "the target closed the connection without a response; try again"},
		{Refusal{ResponseMalformed, Subject{Side: Target}, cause}, "the target's response is malformed: connection refused"},
		{Refusal{PlainRejected, Subject{}, nil}, "plain requests are switched off on this port; use CONNECT; or allow them"},
		{Refusal{Malformed, Subject{}, cause}, "connection refused"},
		{Refusal{NoHTTP, Subject{}, cause}, "connection refused; this port is an HTTP proxy, with http:// before its address"},
		{Refusal{ConnectionsFull, Subject{Relay, "7 connections"}, nil},
			"the relay serves no more than 7 connections at once, and all are taken; close some, or raise the limit of open files (ulimit -n)"},
		{Refusal{SOCKSFailed, Subject{Provider, "a:1"}, &socks.Refusal{Version: 5, Code: 5}},
			"upstream a:1: the SOCKS5 server refused with code 0x05: connection refused"},
	} {
		if got := row.of.Text(remedies); got != row.want {
			t.Errorf("code %d: got %q; want %q", row.of.Code, got, row.want)
		}
	}
}

// What an upstream SOCKS server has said is what a SOCKS client hears; what it is in HTTP follows from it.
func TestSOCKSRefusal(t *testing.T) {
	for code, want := range map[uint8]struct {
		code   Code
		status int
		class  string
	}{
		socks.Failed: {SOCKSFailed, 502, refused}, socks.NotAllowed: {SOCKSDenied, 403, denied},
		socks.ConnectionRefused: {SOCKSFailed, 502, refused}, socks.TTLExpired: {SOCKSTimeout, 504, timeout},
		socks.AddressUnsupported: {SOCKSFailed, 502, refused},
	} {
		said := &socks.Refusal{Version: socks.V5, Code: code}
		r := Refusal{Code: OfHandshake(said), Cause: fmt.Errorf("upstream: %w", said)}
		if r.Code != want.code || r.Code.Status() != want.status || r.Code.Class() != want.class || r.Reply() != code {
			t.Errorf("code %d: %d %s, code %d, reply %d; want %+v", code, r.Code.Status(), r.Code.Class(), r.Code, r.Reply(), want)
		}
	}
	if r := (Refusal{Code: NameUnknown, Cause: errors.New("no such host")}); r.Reply() != socks.HostUnreachable {
		t.Errorf("reply %d; want the table's", r.Reply())
	}
	for status, want := range map[int]uint8{403: socks.NotAllowed, 504: socks.HostUnreachable, 407: socks.Failed, 502: socks.Failed} {
		if got := ReplyTo(status); got != want {
			t.Errorf("status %d: reply %d; want %d", status, got, want)
		}
	}
}
