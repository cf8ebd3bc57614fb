package refusal

import (
	"iter"

	"proxymap/relay/socks"
)

// A Code is why a request is refused.
type Code uint8

// The codes, in the order of a connection's life. 0 is none.
const (
	_ Code = iota

	// Of the request.
	Malformed          // its head breaks a rule of HTTP/1
	SecureScheme       // its target is https:// or wss://
	OtherScheme        // its target is of a scheme that is neither that nor http nor ws
	BadUserinfo        // its target or Host has user information that must not be there
	BadHost            // its target's host, or Host, is none
	NoHTTP             // its first line does so from the first bytes on: it may be another protocol
	NoTLS              // it is TLS
	TargetTooLong      // its request-target is over the limit
	HeadTooLarge       // its head is over the limit
	Version            // it is neither HTTP/1.0 nor 1.1
	HeadTimeout        // its head did not come in time
	ContentMalformed   // its content breaks a rule of HTTP/1
	ContentTimeout     // its content stopped coming
	NoTarget           // its target is in origin-form, and names no host
	NoHost             // its target is *
	UnfitName          // its name, from SOCKS, does not fit in a CONNECT
	TooManyCredentials // more Proxy-Authorization fields than can be taken out
	TooManyOptions     // Connection lists more than can be looked through
	CredentialsMissing // the port wants some
	CredentialsWrong   // the port wants others
	PlainRejected      // the port takes CONNECT alone
	HostDenied         // by a host rule
	AllDenied          // by the port, for want of a rule
	OwnPort            // its target is the relay itself
	LocalTarget        // its target is this machine or its link
	ConnectionsLimited // no room above a limit that somebody has set
	ConnectionsFull    // no room above what descriptors allow
	NotAPI             // of the Session API's domain, and for nothing there
	APIContentTooLarge // for the Session API
	APIContentTimeout  // for the Session API
	NotConfirmed       // the Session API's change is made, but not all that should hold then does
	NotConfirmedInTime // likewise, for all that is known

	// Of reaching upstream.
	NoUpstream    // there is none
	NameUnknown   // the name has no address
	ConnectFailed // the address takes no connection
	Unroutable    // no route leads there
	ConnectTimeout
	Abandoned      // the client has ended its side, and the tunnel is not there in time
	NoSourcePort   // no local port is left
	NoDescriptors  // no descriptor, or memory, is left
	TooManyLookups // names, that wait to be looked up

	// Of the handshake with an upstream SOCKS server.
	HandshakeTimeout
	HandshakeClosed
	HandshakeMalformed
	HandshakeUnfit       // SOCKS cannot say it
	HandshakeCredentials // the server refuses the client's own
	HandshakeLogin       // the server refuses the port's own
	SOCKSFailed          // the server's reply
	SOCKSDenied          // likewise, by its rules
	SOCKSTimeout         // likewise, by its time

	// Of the response.
	ResponseMalformed
	ResponseTooLarge   // its head is over a limit
	ResponseUnreadable // its transfer coding
	ResponseCut        // it ended within its head
	ResponseMissing    // the connection ended without one
	ResponseTimeout    // none came in time
	TooManyInterim     // 1xx without end
	SwitchedUnasked    // 101 that nobody asked for
	TargetWantsLogin   // 407 from what is no proxy
	ResponseTooComplex // Connection lists more than can be looked through
	SpokeFirst         // before the request
	ProviderWantsLogin // 407 to the port's own credentials

	numCodes
)

// The classes of refusals: the value of their X-Proxymap-Error field, for scripts. Forbidden is the Session API's alone.
const (
	badRequest       = "bad-request"
	targetTooLong    = "target-too-long"
	headTooLarge     = "head-too-large"
	headTimeout      = "head-timeout"
	version          = "version-not-supported"
	methodNotAllowed = "method-not-allowed"
	notFound         = "not-found"
	contentTooLarge  = "content-too-large"
	noUpstream       = "no-upstream"
	refused          = "upstream-refused"
	dns              = "upstream-dns"
	timeout          = "upstream-timeout"
	auth             = "upstream-auth"
	closed           = "upstream-closed"
	badResponse      = "upstream-bad-response"
	contentTimeout   = "content-timeout"
	noDescriptors    = "no-descriptors"
	tooManyLookups   = "too-many-lookups"
	noSourcePort     = "no-source-port"
	tooMany          = "too-many-connections"
	denied           = "denied"
	proxyAuth        = "proxy-auth"
	unsupported      = "upstream-unsupported"
	notConfirmed     = "session-not-confirmed"
	forbidden        = "forbidden"
)

// Classes are all of them, as they are counted.
var Classes = [...]string{
	badRequest, targetTooLong, headTooLarge, headTimeout, version, methodNotAllowed, notFound, contentTooLarge, noUpstream,
	refused, dns, timeout, auth, closed, badResponse, contentTimeout, noDescriptors, tooManyLookups, noSourcePort, tooMany,
	denied, proxyAuth, unsupported, notConfirmed, forbidden,
}

// A row is what clients are told of a code.
type row struct {
	status int
	class  string
	fault  fault  // for Proxy-Status, unless the cause says more
	reply  uint8  // to a SOCKS5 client; SOCKS4 has one for all refusals
	fields string // more field lines, each with its CRLF
	text   string // what is wrong; %s is the subject, as form says
	form   form
	hint   string // what the client can do, empty: nothing
}

// A form is how a text names the subject.
type form uint8

const (
	unnamed form = iota // not at all
	byName              // upstream 192.0.2.1:8080
	bySide              // provider
)

const (
	retrySoon    = "Retry-After: 1\r\n" // second
	wantsLogin   = "Proxy-Authenticate: Basic realm=\"proxymap\"\r\n"
	allowConnect = "Allow: CONNECT\r\n"
)

// loginHint is for what providers mean as well by refusing credentials.
const loginHint = "it may also be that this address is not allowed, a zone is off, or no traffic is left"

// useConnect is for clients that ask a proxy for https as for http. The one that does so most is named.
const useConnect = "use CONNECT, as curl and browsers do; axios does with the options proxy: false and " +
	"httpsAgent: new HttpsProxyAgent('http://HOST:PORT'), of the package https-proxy-agent"

var table = [numCodes]row{
	Malformed:          {400, badRequest, httpRequestError, socks.Failed, "", "", unnamed, ""},
	SecureScheme:       {400, badRequest, httpRequestError, socks.Failed, "", "the request-target begins with https:// or wss://, which no proxy can fetch without reading it", unnamed, useConnect},
	OtherScheme:        {400, badRequest, httpRequestError, socks.Failed, "", "the request-target's scheme is neither http nor ws", unnamed, "use CONNECT for all others"},
	BadUserinfo:        {400, badRequest, httpRequestError, socks.Failed, "", "", unnamed, "send the host without a user name and a password: those for the target go in Authorization, those for this port in Proxy-Authorization"},
	BadHost:            {400, badRequest, httpRequestError, socks.Failed, "", "", unnamed, "a host is a name of letters, digits, -, _ and dots, or an IP address, IPv6 in brackets"},
	NoHTTP:             {400, badRequest, httpRequestError, socks.Failed, "", "", unnamed, "this port is an HTTP proxy, with http:// before its address"},
	NoTLS:              {400, badRequest, httpRequestError, socks.Failed, "", "this is TLS; this port is an HTTP proxy", unnamed, "put http:// before its address, not https://"},
	TargetTooLong:      {414, targetTooLong, httpRequestError, socks.Failed, "", "", unnamed, ""},
	HeadTooLarge:       {431, headTooLarge, httpRequestError, socks.Failed, "", "", unnamed, ""},
	Version:            {505, version, internalResponse, socks.Failed, "", "", unnamed, ""},
	HeadTimeout:        {408, headTimeout, httpRequestError, socks.Failed, "", "the request head was not complete in time", unnamed, ""},
	ContentMalformed:   {400, badRequest, httpRequestError, socks.Failed, "", "", unnamed, ""},
	ContentTimeout:     {408, contentTimeout, httpRequestError, socks.Failed, "", "the request's content stopped coming", unnamed, ""},
	NoTarget:           {400, badRequest, httpRequestError, socks.Failed, "", "this is a proxy port", unnamed, "send an absolute request-target (http://host/path) or CONNECT"},
	NoHost:             {400, badRequest, httpRequestError, socks.Failed, "", "OPTIONS * names no host to forward it to", unnamed, ""},
	UnfitName:          {400, badRequest, httpRequestError, socks.Failed, "", "the SOCKS request cannot be made a CONNECT", unnamed, ""},
	TooManyCredentials: {400, badRequest, httpRequestError, socks.Failed, "", "more than 4 Proxy-Authorization field lines", unnamed, ""},
	TooManyOptions:     {400, badRequest, httpRequestError, socks.Failed, "", "Connection lists more than can be looked through", unnamed, ""},
	CredentialsMissing: {407, proxyAuth, httpRequestDenied, socks.Failed, wantsLogin, "this port wants a user name and a password", unnamed, "send Proxy-Authorization"},
	CredentialsWrong:   {407, proxyAuth, httpRequestDenied, socks.Failed, wantsLogin, "the user name or the password is wrong", unnamed, ""},
	PlainRejected:      {405, methodNotAllowed, httpRequestDenied, socks.Failed, allowConnect, "plain requests are switched off on this port", unnamed, "use CONNECT"},
	HostDenied:         {403, denied, httpRequestDenied, socks.NotAllowed, "", "the host rules deny this host", unnamed, ""},
	AllDenied:          {403, denied, httpRequestDenied, socks.NotAllowed, "", "this port denies all hosts that no host rule names", unnamed, ""},
	OwnPort:            {403, denied, loopDetected, socks.NotAllowed, "", "the target is a port of this relay itself", unnamed, ""},
	LocalTarget:        {403, denied, ipProhibited, socks.NotAllowed, "", "the target is an address of this machine or its link", unnamed, ""},
	ConnectionsLimited: {503, tooMany, connectionLimit, socks.Failed, retrySoon, "the relay serves no more than %s at once, and all are taken", byName, "close some"},
	ConnectionsFull:    {503, tooMany, connectionLimit, socks.Failed, retrySoon, "the relay serves no more than %s at once, and all are taken", byName, "close some, or raise the limit of open files (ulimit -n)"},
	NotAPI:             {404, notFound, internalResponse, socks.Failed, "", "the Session API is on port 80 of its domain and nowhere else, and nothing else is there", unnamed, ""},
	APIContentTooLarge: {413, contentTooLarge, httpRequestError, socks.Failed, "", "the content is larger than 64 KiB; the Session API takes a few parameters", unnamed, ""},
	APIContentTimeout:  {408, headTimeout, httpRequestError, socks.Failed, "", "the request's content was not complete in time", unnamed, ""},
	NotConfirmed:       {503, notConfirmed, internalError, socks.Failed, "", "the session has changed, but not all that it should", unnamed, ""},
	NotConfirmedInTime: {503, notConfirmed, internalError, socks.Failed, "", "the session has changed, but it took too long to confirm that", unnamed, "ask /session/ again"},

	NoUpstream:     {502, noUpstream, destinationNotFound, socks.Failed, "", "this port has no upstream proxy", unnamed, ""},
	NameUnknown:    {502, dns, dnsError, socks.HostUnreachable, "", "look up %s", byName, ""},
	ConnectFailed:  {502, refused, connectionRefused, socks.ConnectionRefused, "", "dial %s", byName, ""},
	Unroutable:     {502, refused, ipUnroutable, socks.ConnectionRefused, "", "dial %s", byName, ""},
	ConnectTimeout: {504, timeout, connectionTimeout, socks.HostUnreachable, "", "dial %s: no answer in time", byName, ""},
	Abandoned:      {504, timeout, connectionTimeout, socks.HostUnreachable, "", "the client has ended its side, and the tunnel was not granted soon after", unnamed, ""},
	NoSourcePort:   {503, noSourcePort, internalError, socks.Failed, retrySoon, "no local port is free to dial from", unnamed, "close connections or try again later"},
	NoDescriptors:  {503, noDescriptors, internalError, socks.Failed, retrySoon, "out of descriptors or memory", unnamed, "raise the limit of open files, or try again later"},

	TooManyLookups: {503, tooManyLookups, internalError, socks.Failed, retrySoon, "too many names wait to be looked up", unnamed, "try again later, and check that the resolver answers"},

	HandshakeTimeout:     {504, timeout, readTimeout, socks.HostUnreachable, "", "%s did not answer the SOCKS handshake in time", byName, ""},
	HandshakeClosed:      {502, closed, connectionTerminated, socks.Failed, "", "%s closed the connection within the SOCKS handshake", byName, "try again"},
	HandshakeMalformed:   {502, badResponse, destinationUnavailable, socks.Failed, "", "%s", byName, ""},
	HandshakeUnfit:       {502, unsupported, configurationError, socks.Failed, "", "%s", byName, ""},
	HandshakeCredentials: {407, proxyAuth, httpRequestError, socks.Failed, wantsLogin, "%s does not accept the client's credentials, or wants some", byName, ""},
	HandshakeLogin:       {502, auth, configurationError, socks.Failed, "", "the %s refuses this port's credentials", bySide, loginHint},
	SOCKSFailed:          {502, refused, destinationUnavailable, socks.ConnectionRefused, "", "%s", byName, ""},
	SOCKSDenied:          {403, denied, httpRequestError, socks.NotAllowed, "", "%s", byName, ""},
	SOCKSTimeout:         {504, timeout, connectionTimeout, socks.HostUnreachable, "", "%s", byName, ""},

	ResponseMalformed:  {502, badResponse, httpProtocolError, socks.Failed, "", "the %s's response is malformed", bySide, ""},
	ResponseTooLarge:   {502, badResponse, headerSectionSize, socks.Failed, "", "the %s's response is too large", bySide, ""},
	ResponseUnreadable: {502, badResponse, transferCoding, socks.Failed, "", "the %s's response is malformed", bySide, ""},
	ResponseCut:        {502, badResponse, responseIncomplete, socks.Failed, "", "the %s's response ended within its head", bySide, ""},
	ResponseMissing:    {502, closed, connectionTerminated, socks.Failed, "", "the %s closed the connection without a response", bySide, "try again"},
	ResponseTimeout:    {504, timeout, responseTimeout, socks.HostUnreachable, "", "the %s did not answer in time", bySide, ""},
	TooManyInterim:     {502, badResponse, httpProtocolError, socks.Failed, "", "the %s sent more than 16 interim responses", bySide, ""},
	SwitchedUnasked:    {502, badResponse, httpProtocolError, socks.Failed, "", "the %s switched protocols without having been asked to", bySide, ""},
	TargetWantsLogin:   {502, badResponse, loginWanted, socks.Failed, "", "the %s asks for a proxy's credentials (407), as if it were one", bySide, ""},
	ResponseTooComplex: {502, badResponse, headerSize, socks.Failed, "", "the %s's response lists more in Connection than can be looked through", bySide, ""},
	SpokeFirst:         {502, badResponse, httpProtocolError, socks.Failed, "", "the %s sent something before the request", bySide, ""},
	ProviderWantsLogin: {502, auth, loginRefused, socks.Failed, "", "the %s refuses this port's credentials", bySide, loginHint},
}

// Codes are all codes, in their order.
func Codes() iter.Seq[Code] {
	return func(yield func(Code) bool) {
		for c := Code(1); c < numCodes && yield(c); c++ {
		}
	}
}

// Status is the status of the answer in HTTP.
func (c Code) Status() int { return table[c].status }

// Class is the answer's class, one of Classes.
func (c Code) Class() string { return table[c].class }

// Fields are the field lines of the answer that belong to its status, each with its CRLF.
func (c Code) Fields() string { return table[c].fields }
