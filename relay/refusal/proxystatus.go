package refusal

import (
	"errors"

	"proxymap/relay/socks"
)

// A fault is an error type of the Proxy-Status field (RFC 9209 section 2.3), as the registry has it.
type fault string

// The registered error types that answers of the relay can have.
const (
	dnsError               fault = "dns_error"
	dnsTimeout             fault = "dns_timeout"
	destinationNotFound    fault = "destination_not_found"   // there is no next hop in the settings
	destinationUnavailable fault = "destination_unavailable" // it does not do what it is there for
	ipProhibited           fault = "destination_ip_prohibited"
	ipUnroutable           fault = "destination_ip_unroutable"
	connectionRefused      fault = "connection_refused"
	connectionTerminated   fault = "connection_terminated" // before a response was complete
	connectionTimeout      fault = "connection_timeout"
	readTimeout            fault = "connection_read_timeout"
	connectionLimit        fault = "connection_limit_reached"
	httpRequestError       fault = "http_request_error"  // the answer is a 4xx of the relay's own
	httpRequestDenied      fault = "http_request_denied" // the same, because of the settings
	responseIncomplete     fault = "http_response_incomplete"
	headerSectionSize      fault = "http_response_header_section_size"
	headerSize             fault = "http_response_header_size" // one field line is too long
	transferCoding         fault = "http_response_transfer_coding"
	responseTimeout        fault = "http_response_timeout"
	httpProtocolError      fault = "http_protocol_error"     // of the next hop's, if nothing more specific fits
	internalResponse       fault = "proxy_internal_response" // nothing was to be asked of a next hop
	internalError          fault = "proxy_internal_error"
	configurationError     fault = "proxy_configuration_error"
	loopDetected           fault = "proxy_loop_detected"
)

// Two of them with the status that the next hop has answered. Where it does not speak HTTP there is none.
const (
	loginRefused = configurationError + "; received-status=407"
	loginWanted  = httpProtocolError + "; received-status=407"
)

// OwnProxyStatus is the value of the Proxy-Status field of an error that has no code: one of the Session API's own.
var OwnProxyStatus = internalResponse.proxyStatus()

// ProxyStatus is the value of the answer's Proxy-Status field (RFC 9209).
func (r Refusal) ProxyStatus() string {
	f := causedBy(r.Code, r.Cause)
	if f == "" {
		f = table[r.Code].fault
	}
	return f.proxyStatus()
}

// proxyStatus is the field's value: a list of one member, which is who had the fault.
func (f fault) proxyStatus() string { return "proxymap; error=" + string(f) }

// causedBy is the error type of a cause that says more than its code, else none.
func causedBy(code Code, cause error) fault {
	var said *socks.Refusal
	var timeout interface{ Timeout() bool }
	var answered interface{ RCode() string }
	switch {
	case errors.As(cause, &said):
		return faults5[said.Code]
	case code == NameUnknown && errors.As(cause, &answered):
		return dnsError + fault(`; rcode="`+answered.RCode()+`"`)
	case code == NameUnknown && errors.As(cause, &timeout) && timeout.Timeout():
		return dnsTimeout
	}
	return ""
}

// faults5 are those of a SOCKS5 server's reply codes; the others say no more than that it failed.
var faults5 = map[uint8]fault{
	socks.NetUnreachable:    ipUnroutable,
	socks.HostUnreachable:   ipUnroutable,
	socks.ConnectionRefused: connectionRefused,
}
