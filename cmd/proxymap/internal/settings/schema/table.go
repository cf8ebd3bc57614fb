package schema

import (
	"math"
	"slices"
	"time"

	"proxymap/relay"
	"proxymap/session"
	"proxymap/session/credential"
)

// MaxDuration is the longest time that may be set, but for lifetimes.
const MaxDuration = 30 * 24 * time.Hour

// Types that several keys have.
var (
	port     = Number{1, math.MaxUint16}
	duration = Duration{Least: time.Millisecond, Most: MaxDuration}
	orNever  = Duration{Least: time.Millisecond, Most: MaxDuration, Never: true}
	lifetime = Lifetime{credential.MaxMinutes}
	action   = Choice{Names: []string{"Allow", "Deny", "Bypass"}, Refused: "File"} // ProxyMapService's File would need what a relay does not do
	spread   = oneOf("Turn", "PerPort")
	limits   = relay.DefaultLimits()
)

func oneOf(names ...string) Choice { return Choice{Names: names} }

// Root is the settings as a whole.
var Root = &Section{
	Name: "Settings",
	Keys: []Key{
		{"ProxyMappings", List{Of: Object{Mapping}}, nil, "Mappings of local ports to upstream proxies. For a single one Listen, Authentication and ProxyServers may stand here instead."},
		{"Listen", Object{Listen}, nil, "The local ports, and how their sessions live: the form for a single mapping."},
		{"Authentication", Object{Authentication}, nil, "What clients must bring, and your account at the provider."},
		{"ProxyServers", Items{ProxyServers}, nil, "The upstream proxies."},
		{"ProxyServersFiles", List{Of: Object{File}}, nil, "Files with more upstream proxies, where ProxyServers is a list."},
		{"ProxyServersSpread", spread, nil, "Spread, where ProxyServers is a list."},
		{"HostRules", Items{HostRules}, nil, "What becomes of requests for some hosts, for all mappings."},
		{"HostRulesFiles", List{Of: Object{File}}, nil, "Files with more host rules, where HostRules is a list."},
		{"SessionAPI", Object{SessionAPI}, nil, "Requests that show, replace and remove a port's session, through the port itself."},
		{"HTTP", Object{HTTP}, nil, "Heads that the relay makes itself."},
		{"Limits", Object{Limits}, nil, "Sizes and times."},
		{"HostStats", Object{HostStats}, nil, "Statistics for each host."},
		{"Admin", Object{Admin}, nil, "The admin listener: statistics, metrics, and the sessions of many ports."},
		{"State", Object{State}, nil, "What survives a restart."},
	},
	Ignored: []string{
		"Logging", "AllowedHosts", "CorsSettings", "Security", "Dashboard", "Routing", "DetailedLogging", "WebSocketMonitoring",
		"SslClientOptions", "SslServerOptions", "Cache", "CacheRules", "Kestrel", "Serilog", "Urls", "ConnectionStrings",
	},
}

// Mapping is an item of ProxyMappings.
var Mapping = &Section{
	Name: "Mapping",
	Keys: []Key{
		{"Listen", Object{Listen}, nil, "The local ports, and how their sessions live."},
		{"Authentication", Object{Authentication}, nil, "What clients must bring, and your account at the provider."},
		{"ProxyServers", Items{ProxyServers}, nil, "The upstream proxies."},
		{"ProxyServersFiles", List{Of: Object{File}}, nil, "Files with more upstream proxies, where ProxyServers is a list."},
		{"ProxyServersSpread", spread, nil, "Spread, where ProxyServers is a list."},
	},
	Ignored: []string{"CacheRules"},
}

var tls = []string{"DecryptSSL", "SslMode", "UpstreamSslMode", "CertificatePath", "CertificatePassword", "RootDir"}

// Listen is where a mapping listens, and how its sessions live.
var Listen = &Section{
	Name: "Listen",
	Keys: []Key{
		{"Port", port, nil, "The port to listen on; or give a PortRange."},
		{"PortRange", Object{PortRange}, nil, "The ports to listen on; each is a session of its own."},
		{"Address", Address{}, "127.0.0.1", "Local address to listen on, or 0.0.0.0 or :: for all. Any but a loopback address needs AllowFrom, or Authentication.Required and Verify."},
		{"AllowFrom", List{Of: Network{}, Least: 1}, nil, "Addresses and networks that may connect. Default: this machine on a loopback address, everyone where Authentication.Required and Verify guard the ports."},
		{"ProxyProtocol", Flag{}, false, "Each connection begins with a PROXY header, version 1 or 2, of a load balancer. AllowFrom is about the balancers then."},
		{"StickyProxyLifetime", lifetime, 0, "Lifetime of a session from its creation, in minutes or as in 90s. 0: each client connection is a session of its own."},
		{"RejectHttpProxy", Flag{}, false, "Answer requests other than CONNECT with 405. The Session API still works."},
		{"Action", action, nil, "What becomes of requests that no host rule matches: through the upstream, refused, or straight to the target."},
		{"IgnoreHostRules", Flag{}, false, "No host rule matches requests to these ports."},
		{"AllowLocalTargets", Flag{}, nil, "Bypassing may lead to loopback and link-local addresses of this machine. Default: true on a loopback address."},
		{"BusyPort", oneOf("Fail", "Skip"), nil, "What becomes of ports that others have: the relay does not start, or starts without them and tries again."},
		{"OnRotate", oneOf("Keep", "Drain", "Close"), nil, "What becomes of open connections when their session ends."},
		{"DrainTime", duration, 10 * time.Second, "How long OnRotate Drain leaves connections that are at work."},
		{"LifetimeJitter", Number{0, session.MaxJitter}, 0, "Sessions end up to so many percent earlier, so that ports do not all rotate at once."},
		{"IdleLifetime", lifetime, 0, "A session ends after so long without traffic, in minutes or as in 60s."},
		{"MaxRequests", Number{1, 1_000_000_000}, nil, "A session ends after so many requests. Default: never."},
		{"RotateOn", List{Of: Object{Signal}, Most: relay.MaxSignals}, nil, "Statuses and errors that end a session."},
		{"RotateMinInterval", duration, 5 * time.Second, "RotateOn ends no two sessions of a port within this time."},
	},
	Ignored: tls,
}

// PortRange is that of Listen.
var PortRange = &Section{
	Name: "PortRange",
	Keys: []Key{
		{"Start", port, nil, "The first port."},
		{"End", port, nil, "The last port, included."},
	},
}

// UpstreamError are the errors that a signal may be.
var UpstreamError = oneOf("refused", "timeout", "reset-before-first-byte")

// Signal is an item of Listen.RotateOn.
var Signal = &Section{
	Name: "Signal",
	Keys: []Key{
		{"Status", List{Of: Number{100, 599}}, nil, "Statuses of responses that count."},
		{"UpstreamError", List{Of: UpstreamError}, nil, "Errors of the upstream proxy that count."},
		{"Count", Number{1, relay.MaxSignalCount}, 1, "How many of them end a session."},
		{"Within", duration, time.Minute, "The time within which they must happen."},
	},
}

// account are the keys of credentials that go upstream.
func account() []Key {
	return []Key{
		{"Username", Secret{}, nil, "User name of the account at the provider."},
		{"Password", Secret{}, nil, "Password of the account."},
		{"UsernameParameters", List{Of: Object{UsernameParameter}}, nil, "Appended to the user name in this order, each as -Name-value."},
		{"Provider", providers(), nil, "A provider whose form of credentials is known, in place of UsernameParameters; proxymap providers lists them."},
		{"Template", Object{Template}, nil, "The form of the credentials, in place of UsernameParameters or to change a Provider's."},
		{"SessionAlphabet", Text{}, nil, "What session ids are drawn of, such as a-z0-9, for a Provider or a Template."},
		{"SessionLength", Number{1, credential.MaxIDLength}, nil, "How many characters session ids have, for a Provider or a Template."},
		{"TTLUnit", Choice{Names: []string{"m", "s", "suffixed"}, Open: true}, nil, "The unit of {ttl}: minutes, seconds, or as in 90s and 10m."},
		{"TTLMin", lifetime, nil, "The shortest lifetime that the provider is told, in minutes or as in 90s; 0 for no bound."},
		{"TTLMax", lifetime, nil, "The longest lifetime that the provider is told, in minutes or as in 90s; 0 for no bound."},
	}
}

func providers() Choice {
	var names []string
	for _, p := range credential.Providers() {
		names = append(names, p.Name)
	}
	return Choice{Names: names, Open: true}
}

// Authentication is a mapping's.
var Authentication = &Section{
	Name: "Authentication",
	Keys: append([]Key{
		{"Required", Flag{}, false, "Clients must bring credentials."},
		{"Verify", Flag{}, false, "What clients bring must be Username and Password."},
		{"SetAuthentication", Flag{}, false, "Put Username with its parameters and Password on every upstream request."},
		{"RemoveAuthentication", Flag{}, false, "Without SetAuthentication: do not pass the clients' credentials on."},
		{"ParseUsernameParameters", Flag{}, false, "Clients' user names are account-name-value-…, and set parameters."},
	}, account()...),
	Ignored: []string{"Jwt", "DevToken"},
}

// Template is the form of credentials.
var Template = &Section{
	Name: "Template",
	Keys: []Key{
		{"Username", Text{}, nil, "Form of the user name, such as {username}-session-{session}."},
		{"Password", Text{}, nil, "Form of the password, such as {password}_session-{session}."},
	},
}

// UsernameParameter is an item of UsernameParameters.
var UsernameParameter = &Section{
	Name: "UsernameParameter",
	Keys: []Key{
		{"Name", Text{}, nil, "The parameter's name."},
		{"Value", Text{}, nil, "A literal; $x for the client's or the session's parameter x; ^regex for a random string that matches. Empty: left out."},
		{"Default", Text{}, nil, "A literal or ^regex for a $x that was not given."},
		{"SessionId", Flag{}, false, "The value is the session's id, drawn once for each session."},
		{"SessionTime", Flag{}, false, "The value is the session's lifetime in minutes, in place of StickyProxyLifetime."},
	},
}

// ProxyServer is an upstream proxy.
var ProxyServer = &Section{
	Name: "ProxyServer",
	Keys: append([]Key{
		{"Host", Host{}, nil, "Name or IP address of the proxy, without a port."},
		{"Port", port, nil, "The proxy's port."},
		{"ProxyType", oneOf("Http", "Socks4", "Socks5"), nil, "The protocol that the proxy speaks."},
		{"ResolveIP", Flag{}, false, "Look targets' names up here, and send the proxy addresses."},
		{"SourceAddresses", List{Of: Address{}}, nil, "Local addresses from which the proxy is dialled, in turn."},
	}, account()...),
}

// ProxyServers are those of a mapping.
var ProxyServers = &Section{
	Name: "ProxyServers",
	Keys: []Key{
		{"Items", List{Of: Object{ProxyServer}}, nil, "The proxies."},
		{"Files", List{Of: Object{File}}, nil, "Files with more of them, after Items."},
		{"Spread", spread, nil, "Sessions take the proxies in turn, or each port has one of them for good."},
	},
}

// HostRule is one of HostRules.
var HostRule = &Section{
	Name: "HostRule",
	Keys: []Key{
		{"HostName", Host{}, nil, "Equals the request's host, in any case."},
		{"HostPort", port, nil, "Equals the request's port. Default: any."},
		{"Pattern", Text{}, nil, "Regular expression (Go's syntax, RE2) that is found in the request's host."},
		{"Action", action, nil, "What becomes of the request: through the upstream, refused, or straight to the target."},
		{"OverrideHostName", Host{}, nil, "Go to this host instead."},
		{"OverrideHostPort", port, nil, "Go to this port instead."},
		{"ProxyServer", Object{ProxyServer}, nil, "With Allow: go through this proxy."},
	},
	Ignored: slices.Concat([]string{"CacheRules"}, tls),
}

// HostRules are those of all mappings.
var HostRules = &Section{
	Name: "HostRules",
	Keys: []Key{
		{"Items", List{Of: Object{HostRule}}, nil, "The rules, in their order."},
		{"Files", List{Of: Object{File}}, nil, "Files with more of them, after Items."},
		{"Order", oneOf("First", "Last"), nil, "Which of several rules that match wins."},
	},
}

// File is a file of items.
var File = &Section{
	Name: "File",
	Keys: []Key{
		{"Path", Path{}, nil, `A JSON file {"Items": […]}, or, of proxies, a list in plain text, .txt or .list; a relative path begins at the settings file's folder.`},
		{"Format", oneOf("ByName", "Json", "Text"), nil, "Whether the file is JSON or, of proxies, a list in plain text: as its name ends, or whatever its name is."},
	},
}

// Included is what such a file holds. Its items are read by the section that names it.
var Included = &Section{
	Name: "Included",
	Keys: []Key{{"Items", List{}, nil, "The proxies or the rules."}},
}

// SecretSource is what may stand in a secret's place.
var SecretSource = &Section{
	Name: "SecretSource",
	Keys: []Key{
		{"Env", Text{}, nil, "The environment variable that holds the secret."},
		{"File", Path{}, nil, "The file that holds the secret; a relative path begins at the settings file's folder."},
	},
}

// SessionAPI is that of all mappings.
var SessionAPI = &Section{
	Name: "SessionAPI",
	Keys: []Key{
		{"Enabled", Flag{}, false, "Answer the Session API."},
		{"Domain", Host{}, nil, "Virtual host that the API answers for. Empty: the ports themselves."},
		{"RequireHeader", Flag{}, false, "new and reset need the field X-Proxymap: 1, which no web page can send."},
	},
}

// HTTP is what goes out in heads of the relay's own.
var HTTP = &Section{
	Name: "HTTP",
	Keys: []Key{{"UserAgent", Visible{0, 256}, "proxymapper", "User-Agent of CONNECTs that the relay makes for SOCKS clients. Empty: none."}},
}

// Limits bound waits and buffers.
var Limits = &Section{
	Name: "Limits",
	Keys: []Key{
		{"Connections", Number{1, 1 << 20}, nil, "Connections that are served at once. Default: as many as there are descriptors for."},
		{"HeadBytes", Number{1 << 10, 1 << 20}, limits.HeadBytes, "Bytes of a request head."},
		{"ResponseHeadBytes", Number{1 << 10, 1 << 20}, limits.ResponseHeadBytes, "Bytes of a response head."},
		{"TargetBytes", Number{1 << 8, 1 << 20}, limits.TargetBytes, "Bytes of a request-target; no more than HeadBytes."},
		{"HeadFields", Number{16, 4096}, limits.HeadFields, "Field lines of a head."},
		{"HeadTime", duration, limits.Head, "Time for a request head from its first byte."},
		{"IdleTime", duration, limits.Idle, "How long a client connection may be idle before and between requests."},
		{"DialTime", duration, limits.Dial, "Time for connecting upstream, all servers and addresses tried."},
		{"ReplyTime", duration, limits.Reply, "Time for the proxy's answer to a CONNECT or a SOCKS handshake."},
		{"ResponseTime", duration, limits.Response, "Time for the head of a plain response, from the end of its request."},
		{"AbandonTime", orNever, limits.Abandon, "How long a request is kept whose client has sent its FIN and whose tunnel does not stand yet; 0: for ever."},
		{"TunnelIdleTime", orNever, limits.TunnelIdle, "How long a tunnel or the content of an exchange may be without a byte; 0: for ever."},
		{"HalfClosedTime", duration, limits.HalfClosed, "How long a half-closed tunnel may be without a byte."},
		{"KeepAliveTime", Duration{time.Second, 9 * time.Hour, true}, limits.KeepAlive, "Silence after which a peer is asked for a sign of life (TCP keep-alive); 0: never."}, // Linux takes 32,767 s
	},
}

// HostStats are the statistics of hosts.
var HostStats = &Section{
	Name: "HostStats",
	Keys: []Key{
		{"Enabled", Flag{}, false, "Count requests for each host."},
		{"TrafficStats", Flag{}, false, "Count bytes for each host too."},
	},
	Ignored: []string{"LogTrafficData"},
}

// Bounds of Admin.Token.
const (
	MinToken = 16
	MaxToken = 256
)

// Admin is the admin listener.
var Admin = &Section{
	Name: "Admin",
	Keys: []Key{
		{"Address", AddressPort{}, nil, "Where the admin listener is, such as 127.0.0.1:10200. Any but a loopback address needs a Token or AllowFrom."},
		{"Token", Secret{MinToken, MaxToken}, nil, "What requests to the admin listener must bring."},
		{"AllowFrom", List{Of: Network{}, Least: 1}, nil, "Addresses and networks that may connect to the admin listener. Default: this machine, or everyone with a Token."},
	},
}

// State is what survives a restart.
var State = &Section{
	Name: "State",
	Keys: []Key{{"File", Path{}, nil, "File that keeps sessions over a restart; a relative path begins at the settings file's folder."}},
}

// Sections are all that there are.
func Sections() []*Section {
	return []*Section{
		Root, Mapping, Listen, PortRange, Signal, Authentication, Template, UsernameParameter, ProxyServer, ProxyServers, HostRule, HostRules,
		File, Included, SecretSource, SessionAPI, HTTP, Limits, HostStats, Admin, State,
	}
}
