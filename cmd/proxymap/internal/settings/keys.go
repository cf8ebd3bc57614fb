package settings

// Keys of the settings file. What a later version will know, and what only ProxyMapService has a use for, is told apart
// from what nobody knows.
var (
	rootKeys = keys{
		known: []string{
			"ProxyMappings", "Listen", "Authentication", "ProxyServers", "ProxyServersFiles", "HostRules", "HostRulesFiles", "SessionAPI",
			"HTTP", "Limits", "HostStats", "Admin", "State",
		},
		ignored: []string{
			"Logging", "AllowedHosts", "CorsSettings", "Security", "Dashboard", "Routing", "DetailedLogging", "WebSocketMonitoring",
			"SslClientOptions", "SslServerOptions", "Cache", "CacheRules", "Kestrel", "Serilog", "Urls", "ConnectionStrings",
		},
	}
	mappingKeys = keys{
		known:   []string{"Listen", "Authentication", "ProxyServers", "ProxyServersFiles"},
		ignored: []string{"CacheRules"},
	}
	listenKeys = keys{
		known: []string{
			"Port", "PortRange", "Address", "StickyProxyLifetime", "RejectHttpProxy", "Action", "IgnoreHostRules", "AllowLocalTargets",
			"BusyPort", "OnRotate", "DrainTime", "LifetimeJitter", "IdleLifetime", "MaxRequests", "RotateOn", "RotateMinInterval",
		},
		ignored: tlsKeys,
	}
	signalKeys    = keys{known: []string{"Status", "UpstreamError", "Count", "Within"}}
	portRangeKeys = keys{known: []string{"Start", "End"}}
	authKeys      = keys{
		known: []string{
			"Required", "Verify", "SetAuthentication", "RemoveAuthentication", "ParseUsernameParameters", "Username", "Password",
			"UsernameParameters", "Provider", "Template", "SessionAlphabet", "SessionLength", "TTLUnit", "TTLMin", "TTLMax",
		},
		ignored: []string{"Jwt", "DevToken"},
	}
	templateKeys  = keys{known: []string{"Username", "Password"}}
	parameterKeys = keys{known: []string{"Name", "Value", "Default", "SessionId", "SessionTime"}}
	serverKeys    = keys{known: []string{
		"Host", "Port", "ProxyType", "ResolveIP", "Username", "Password", "UsernameParameters", "SourceAddresses",
		"Provider", "Template", "SessionAlphabet", "SessionLength", "TTLUnit", "TTLMin", "TTLMax",
	}}
	ruleKeys = keys{
		known:   []string{"HostName", "HostPort", "Pattern", "Action", "OverrideHostName", "OverrideHostPort", "ProxyServer"},
		ignored: append([]string{"CacheRules"}, tlsKeys...),
	}
	tlsKeys   = []string{"DecryptSSL", "SslMode", "UpstreamSslMode", "CertificatePath", "CertificatePassword", "RootDir"}
	apiKeys   = keys{known: []string{"Enabled", "Domain", "RequireHeader"}}
	httpKeys  = keys{known: []string{"UserAgent"}}
	statsKeys = keys{known: []string{"Enabled", "TrafficStats"}, ignored: []string{"LogTrafficData"}}
	adminKeys = keys{known: []string{"Address", "Token"}}
	stateKeys = keys{known: []string{"File"}}
	limitKeys = keys{known: []string{
		"Connections", "HeadBytes", "ResponseHeadBytes", "TargetBytes", "HeadFields", "HeadTime", "IdleTime", "DialTime", "ReplyTime",
		"ResponseTime", "AbandonTime", "TunnelIdleTime",
		"HalfClosedTime", "KeepAliveTime",
	}}
	serverListKeys = keys{known: []string{"Items", "Files"}}
	ruleListKeys   = keys{known: []string{"Items", "Files", "Order"}}
	secretKeys     = keys{known: []string{"Env", "File"}}
	fileKeys       = keys{known: []string{"Path"}}
	includedKeys   = keys{known: []string{"Items"}}
)
