package settings

import "proxymap/relay/refusal"

// remedies say what can be changed in the settings when the relay refuses a request.
var remedies = refusal.Remedies{
	refusal.PlainRejected:      "or set Listen.RejectHttpProxy to false",
	refusal.AllDenied:          "name them in HostRules, or change Listen.Action",
	refusal.LocalTarget:        "Listen.AllowLocalTargets would allow that",
	refusal.ConnectionsLimited: "or raise Limits.Connections in the settings",
	refusal.NoUpstream:         "add one to ProxyServers in the settings",
	refusal.NameUnknown:        "check Host in ProxyServers, and the resolver",
	refusal.ConnectFailed:      "check Host and Port in ProxyServers",
	refusal.HandshakeMalformed: "check Port and ProxyType in ProxyServers",
	refusal.HandshakeUnfit:     "ProxyType Socks5 takes all addresses; 255 bytes are the most for Username, with its parameters, and for Password",
	refusal.ProviderWantsLogin: "check Username, Password and the parameters in the settings",
}
