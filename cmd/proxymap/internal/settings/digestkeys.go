package settings

import (
	"net/netip"
	"slices"
	"strings"

	"proxymap/cmd/proxymap/internal/settings/change"
	"proxymap/relay"
	"proxymap/session/credential"
)

// A digestKey is a key that a reload compares, by what is in force, so that a default which is written out is no
// difference.
type digestKey[T any] struct {
	change.Key
	write   func(of *T, to *change.Digest)
	derived bool // where it is not there, what is in force follows from other keys
}

// Where keys of a mapping are.
const (
	inListen         = "Listen."
	inAuthentication = "Authentication."
	inServers        = "ProxyServers."
)

func key[T any](name string, effect change.Effect, write func(of *T, to *change.Digest)) digestKey[T] {
	return digestKey[T]{Key: change.Key{Name: name, Effect: effect}, write: write}
}

func derivedKey[T any](name string, effect change.Effect, write func(of *T, to *change.Digest)) digestKey[T] {
	k := key(name, effect, write)
	k.derived = true
	return k
}

// accountKeys are those of an account, without where it is.
var accountKeys = []digestKey[accountSettings]{
	key("Username", change.Credentials|change.UserName, func(a *accountSettings, to *change.Digest) { to.Text(a.Username) }),
	key("Password", change.Credentials, func(a *accountSettings, to *change.Digest) { to.Text(a.Password) }),
	key("UsernameParameters", change.Credentials|change.UserName, func(a *accountSettings, to *change.Digest) {
		for _, p := range a.Parameters {
			to.Text(p.Name)
			to.Text(p.Value)
			to.Text(p.Default)
			to.Flag(p.SessionID)
			to.Flag(p.SessionTime)
		}
	}),
	key("Provider", change.Credentials|change.UserName|change.Ids, func(a *accountSettings, to *change.Digest) {
		to.Text(strings.ToLower(a.at.text("Provider")))
	}),
	templateKey("Template.Username", change.UserName, func(t *credential.Template, to *change.Digest) { to.Text(t.Username) }),
	templateKey("Template.Password", 0, func(t *credential.Template, to *change.Digest) { to.Text(t.Password) }),
	templateKey("SessionAlphabet", 0, func(t *credential.Template, to *change.Digest) { to.Text(t.SessionAlphabet) }),
	templateKey("SessionLength", 0, func(t *credential.Template, to *change.Digest) { to.Number(int64(t.SessionLength)) }),
	templateKey("TTLUnit", change.UserName, func(t *credential.Template, to *change.Digest) { to.Text(t.TTLUnit) }),
	templateKey("TTLMin", change.UserName, func(t *credential.Template, to *change.Digest) { to.Number(int64(t.TTLMin)) }),
	templateKey("TTLMax", change.UserName, func(t *credential.Template, to *change.Digest) { to.Number(int64(t.TTLMax)) }),
}

// templateKey is a key of which a Provider may be the one that says it.
func templateKey(name string, effect change.Effect, write func(t *credential.Template, to *change.Digest)) digestKey[accountSettings] {
	return derivedKey(name, change.Credentials|effect, func(a *accountSettings, to *change.Digest) {
		if a.Template != nil {
			write(a.Template, to)
		}
	})
}

// accountsOf are accountKeys of an account that is a part of something.
func accountsOf[T any](prefix string, account func(of *T) *accountSettings) []digestKey[T] {
	out := make([]digestKey[T], len(accountKeys))
	for i, k := range accountKeys {
		out[i] = digestKey[T]{change.Key{Name: prefix + k.Name, Effect: k.Effect}, func(of *T, to *change.Digest) { k.write(account(of), to) }, k.derived}
	}
	return out
}

// serverKeys are those of an upstream server, without its host and port.
var serverKeys = append([]digestKey[serverSettings]{
	key(inServers+"ProxyType", 0, func(s *serverSettings, to *change.Digest) { to.Number(int64(s.Type)) }),
	key(inServers+"ResolveIP", 0, func(s *serverSettings, to *change.Digest) { to.Flag(s.ResolveIP) }),
	key(inServers+"SourceAddresses", 0, func(s *serverSettings, to *change.Digest) { addresses(s.Sources, to) }),
}, accountsOf(inServers, func(s *serverSettings) *accountSettings { return &s.account })...)

func addresses(list []netip.Addr, to *change.Digest) {
	for _, a := range list {
		to.Text(a.String())
	}
}

func networks(list []netip.Prefix, to *change.Digest) {
	for _, n := range list {
		to.Text(n.String())
	}
}

func signals(list []relay.Signal, to *change.Digest) {
	for i := range list {
		s := &list[i]
		to.Number(int64(len(s.Status)))
		for _, status := range s.Status {
			to.Number(int64(status))
		}
		to.Number(int64(s.Errors))
		to.Number(int64(s.Count))
		to.Number(int64(s.Within))
	}
}

// mappingKeys are those of a mapping, without its ports, its address and its servers.
var mappingKeys = slices.Concat([]digestKey[mappingSettings]{
	derivedKey(inListen+"AllowFrom", 0, func(m *mappingSettings, to *change.Digest) { networks(m.listen.allowFrom, to) }),
	key(inListen+"ProxyProtocol", 0, func(m *mappingSettings, to *change.Digest) { to.Flag(m.listen.header) }),
	key(inListen+"StickyProxyLifetime", change.Credentials, func(m *mappingSettings, to *change.Digest) { to.Number(int64(m.rotation.lifetime)) }),
	key(inListen+"RejectHttpProxy", 0, func(m *mappingSettings, to *change.Digest) { to.Flag(m.listen.reject) }),
	key(inListen+"Action", 0, func(m *mappingSettings, to *change.Digest) { to.Number(int64(m.listen.action)) }),
	key(inListen+"IgnoreHostRules", 0, func(m *mappingSettings, to *change.Digest) { to.Flag(m.listen.ignoreRules) }),
	derivedKey(inListen+"AllowLocalTargets", 0, func(m *mappingSettings, to *change.Digest) { to.Flag(m.listen.local) }),
	key(inListen+"BusyPort", 0, func(m *mappingSettings, to *change.Digest) { to.Number(int64(m.listen.busy)) }),
	key(inListen+"OnRotate", 0, func(m *mappingSettings, to *change.Digest) { to.Number(int64(m.rotation.onRotate)) }),
	key(inListen+"DrainTime", 0, func(m *mappingSettings, to *change.Digest) { to.Number(int64(m.rotation.drain)) }),
	key(inListen+"LifetimeJitter", 0, func(m *mappingSettings, to *change.Digest) { to.Number(int64(m.rotation.jitter)) }),
	key(inListen+"IdleLifetime", 0, func(m *mappingSettings, to *change.Digest) { to.Number(int64(m.rotation.idle)) }),
	key(inListen+"MaxRequests", 0, func(m *mappingSettings, to *change.Digest) { to.Number(int64(m.rotation.maxRequests)) }),
	key(inListen+"RotateOn", 0, func(m *mappingSettings, to *change.Digest) { signals(m.rotation.on, to) }),
	key(inListen+"RotateMinInterval", 0, func(m *mappingSettings, to *change.Digest) { to.Number(int64(m.rotation.interval)) }),
	key(inAuthentication+"Required", 0, func(m *mappingSettings, to *change.Digest) { to.Flag(m.auth.required) }),
	key(inAuthentication+"Verify", 0, func(m *mappingSettings, to *change.Digest) { to.Flag(m.auth.verify) }),
	key(inAuthentication+"SetAuthentication", change.Credentials|change.UserName, func(m *mappingSettings, to *change.Digest) { to.Flag(m.auth.set) }),
	key(inAuthentication+"RemoveAuthentication", 0, func(m *mappingSettings, to *change.Digest) { to.Flag(m.auth.remove) }),
	key(inAuthentication+"ParseUsernameParameters", 0, func(m *mappingSettings, to *change.Digest) { to.Flag(m.auth.parse) }),
}, accountsOf(inAuthentication, func(m *mappingSettings) *accountSettings { return &m.auth.account }), []digestKey[mappingSettings]{
	key(inServers+"Spread", 0, func(m *mappingSettings, to *change.Digest) { to.Flag(m.perPort) }),
})

// usual are the limits in force where none are set.
var usual = relay.DefaultLimits()

// globalKeys are those of all mappings.
var globalKeys = []digestKey[Settings]{
	key("HostRules", 0, func(s *Settings, to *change.Digest) { s.rules.write(to) }),
	key("HostRules.Order", 0, func(s *Settings, to *change.Digest) { to.Flag(s.rules.last) }),
	key("SessionAPI.Enabled", 0, func(s *Settings, to *change.Digest) { to.Flag(s.api.Enabled) }),
	key("SessionAPI.Domain", 0, func(s *Settings, to *change.Digest) { to.Text(s.api.Domain) }),
	key("SessionAPI.RequireHeader", 0, func(s *Settings, to *change.Digest) { to.Flag(s.api.RequireHeader) }),
	key("HTTP.UserAgent", 0, func(s *Settings, to *change.Digest) { to.Text(s.Config.UserAgent) }),
	key("Limits.Connections", 0, func(s *Settings, to *change.Digest) { to.Number(int64(s.Config.Limits.Connections)) }),
	key("Limits.HeadBytes", 0, func(s *Settings, to *change.Digest) { orDefault(to, s.Config.Limits.HeadBytes, usual.HeadBytes) }),
	key("Limits.ResponseHeadBytes", 0, func(s *Settings, to *change.Digest) {
		orDefault(to, s.Config.Limits.ResponseHeadBytes, usual.ResponseHeadBytes)
	}),
	derivedKey("Limits.TargetBytes", 0, func(s *Settings, to *change.Digest) {
		orDefault(to, s.Config.Limits.TargetBytes, usual.TargetBytes)
	}),
	key("Limits.HeadFields", 0, func(s *Settings, to *change.Digest) { orDefault(to, s.Config.Limits.HeadFields, usual.HeadFields) }),
	key("Limits.HeadTime", 0, func(s *Settings, to *change.Digest) { orDefault(to, s.Config.Limits.Head, usual.Head) }),
	key("Limits.IdleTime", 0, func(s *Settings, to *change.Digest) { orDefault(to, s.Config.Limits.Idle, usual.Idle) }),
	key("Limits.DialTime", 0, func(s *Settings, to *change.Digest) { orDefault(to, s.Config.Limits.Dial, usual.Dial) }),
	key("Limits.ReplyTime", 0, func(s *Settings, to *change.Digest) { orDefault(to, s.Config.Limits.Reply, usual.Reply) }),
	key("Limits.ResponseTime", 0, func(s *Settings, to *change.Digest) { orDefault(to, s.Config.Limits.Response, usual.Response) }),
	key("Limits.AbandonTime", 0, func(s *Settings, to *change.Digest) { orDefault(to, s.Config.Limits.Abandon, usual.Abandon) }),
	key("Limits.TunnelIdleTime", 0, func(s *Settings, to *change.Digest) { orDefault(to, s.Config.Limits.TunnelIdle, usual.TunnelIdle) }),
	key("Limits.HalfClosedTime", 0, func(s *Settings, to *change.Digest) { orDefault(to, s.Config.Limits.HalfClosed, usual.HalfClosed) }),
	key("Limits.KeepAliveTime", 0, func(s *Settings, to *change.Digest) { orDefault(to, s.Config.Limits.KeepAlive, usual.KeepAlive) }),
	key("HostStats.Enabled", 0, func(s *Settings, to *change.Digest) { to.Flag(s.hostStats.enabled) }),
	key("HostStats.TrafficStats", 0, func(s *Settings, to *change.Digest) { to.Flag(s.hostStats.traffic) }),
	key("Admin.Address", 0, func(s *Settings, to *change.Digest) { to.Text(s.Admin.Address.String()) }),
	key("Admin.Token", 0, func(s *Settings, to *change.Digest) { to.Text(s.Admin.Token) }),
	derivedKey("Admin.AllowFrom", 0, func(s *Settings, to *change.Digest) { networks(s.Admin.AllowFrom, to) }),
	key("State.File", change.Refused, func(s *Settings, to *change.Digest) { to.Text(s.StateFile) }),
}

// write digests the rules that can match, each with its server.
func (s *ruleSettings) write(to *change.Digest) {
	for i := range s.list {
		r := &s.list[i].Rule
		if r.Host == "" && r.Pattern == "" {
			continue
		}
		to.Text(strings.ToLower(r.Host))
		to.Number(int64(r.Port))
		to.Text(r.Pattern)
		to.Number(int64(r.Action))
		to.Text(strings.ToLower(r.OverrideHost))
		to.Number(int64(r.OverridePort))
		to.Flag(r.Server >= 0)
		if r.Server >= 0 {
			server := &s.servers[r.Server]
			to.Text(strings.ToLower(server.Host))
			to.Number(int64(server.Port))
			for j := range serverKeys {
				serverKeys[j].write(server, to)
			}
		}
	}
}
