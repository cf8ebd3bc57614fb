package settings

import (
	"errors"
	"fmt"

	"proxymap/relay"
	"proxymap/relay/refusal"
	"proxymap/session/credential"
)

const checkLogin = "check Username, Password and the parameters in the settings"

// remedies say what can be changed in the settings when the relay refuses a request.
var remedies = refusal.Remedies{
	refusal.PlainRejected:      "or set Listen.RejectHttpProxy to false",
	refusal.AllDenied:          "name them in HostRules, or change Listen.Action",
	refusal.LocalTarget:        "Listen.AllowLocalTargets would allow that",
	refusal.ConnectionsLimited: "or raise Limits.Connections in the settings",
	refusal.NoUpstream:         "add one to ProxyServers in the settings",
	refusal.NameUnknown:        "check Host in ProxyServers, and the resolver",
	refusal.ConnectFailed:      "check Host and Port in ProxyServers",
	refusal.Unroutable:         "check Host in ProxyServers, and this machine's routes",
	refusal.HandshakeMalformed: "check Port and ProxyType in ProxyServers",
	refusal.HandshakeUnfit:     "ProxyType Socks5 takes all addresses; 255 bytes are the most for Username, with its parameters, and for Password",
	refusal.ProviderWantsLogin: checkLogin,
	refusal.HandshakeLogin:     checkLogin,
	refusal.ResponseTooLarge:   "Limits.ResponseHeadBytes and Limits.HeadFields are the limits",
}

// fieldKeys are the keys that set what a plan's fault is about; those of a template behind a dot.
var fieldKeys = map[credential.Field]string{
	credential.FieldUsername: "Username",
	credential.FieldPassword: "Password",
	credential.FieldTemplate: "Template",

	credential.FieldName:        "Name",
	credential.FieldValue:       "Value",
	credential.FieldDefault:     "Default",
	credential.FieldSessionTime: "SessionTime",

	credential.FieldTemplateUsername: "Template.Username",
	credential.FieldTemplatePassword: "Template.Password",
	credential.FieldAlphabet:         "SessionAlphabet",
	credential.FieldLength:           "SessionLength",
	credential.FieldTTLUnit:          "TTLUnit",
	credential.FieldTTLMin:           "TTLMin",
	credential.FieldTTLMax:           "TTLMax",

	credential.FieldVerify:   "Verify",
	credential.FieldLifetime: "StickyProxyLifetime",
	credential.FieldJitter:   "LifetimeJitter",
}

// doubtRemedies say what can be changed about what is hardly meant. They stand at the end of a warning.
var doubtRemedies = map[credential.Doubt]string{
	credential.IDOfConnection:      "; set StickyProxyLifetime to keep one",
	credential.FewIDs:              "; give SessionAlphabet more characters, or raise SessionLength",
	credential.FewPatternIDs:       "; give the SessionId parameter a longer pattern, such as ^[A-Za-z0-9]{8}",
	credential.NoTTL:               ", or set StickyProxyLifetime",
	credential.LifetimeOverTTLMax:  " (TTLMax); set StickyProxyLifetime to that at most",
	credential.LifetimeUnderTTLMin: " (TTLMin)",
}

// Explain adds to why a relay cannot listen what the settings can do about it.
func Explain(err error) error {
	if errors.Is(err, relay.ErrPortBusy) {
		return fmt.Errorf("%w; or set Listen.BusyPort to Skip, to start without it and have it when it is free", err)
	}
	return err
}
