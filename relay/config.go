package relay

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"time"

	"proxymap/httpparse"
	"proxymap/relay/hostrule"
	"proxymap/relay/internal/poll"
	"proxymap/relay/refusal"
	"proxymap/session"
)

// Config is what a Relay is made of. It is read by Listen only and may not change while the relay runs.
type Config struct {
	Mappings []Mapping
	Limits   Limits // zero fields take DefaultLimits' values

	Rules       *hostrule.Index  // for the hosts of all mappings' requests
	RuleServers []Server         // what their Server is an index into
	OtherPorts  []netip.AddrPort // that no request may be dialled for, like the relay's own
	UserAgent   string           // of CONNECTs that the relay makes for SOCKS clients; empty: none
	Remedies    refusal.Remedies // what the operator can change, for answers and log lines; nil: nothing is said of it
	HostStats   bool             // count for each host too: Relay.HostStats

	// Loops is the number of event loops; 0 means one for each processor that Go may use.
	Loops int

	// Log takes what an operator should know. It is called on the event loops, so its handler must not block.
	// nil discards.
	Log *slog.Logger

	// Store keeps the ports' sessions. nil: they begin without one, and nothing is kept.
	Store Store

	lookup finder   // of servers' names, for tests; nil: the system's
	accept accepter // for tests; nil: accept4(2)
	// BurstEnded is called when many connections of a loop have ended and left memory that can be given back to the system.
	// It is called on the event loops, so it must not block. nil: nobody is told.
	BurstEnded func()

	loud    bool      // a panic ends the process, for tests
	inOrder bool      // servers are not shuffled, for tests
	busy    busyTimes // for tests; zero fields take the usual ones
	spread  bool      // connections evenly over the loops, to compare with gathering
}

// An accepter takes a connection from a listener, with its peer's address.
type accepter func(listener int) (fd int, from netip.Addr, err error)

// loops is the number of event loops.
func (cfg *Config) loops() int {
	if cfg.Loops > 0 {
		return cfg.Loops
	}
	return processors
}

// Processors is the GOMAXPROCS that the relay wants, which is the program's to set before Serve: with as many, its loops
// wait without giving up their processor, and a waking costs half. With less they wait in the ordinary way. Relays that
// run at once need the sum.
func (cfg *Config) Processors() int { return poll.Procs(cfg.loops()) }

// A Mapping is a range of local ports whose sessions are made by one plan and leave through one list of servers.
type Mapping struct {
	Address     netip.Addr // local address to listen on
	First, Last uint16     // the range of ports, both included
	Plan        *session.Plan
	Servers     []Server // upstream proxies; the plan has them in this order, and behind them Config.RuleServers
	PerPort     bool     // each port has one of Servers, and none instead of it: see mapping.assign; else sessions take turns
	RejectPlain bool     // answer requests that are neither CONNECT nor for the Session API with 405

	OnRotate  session.OnRotate // what becomes of connections when their session ends, unless a call says so; zero: Keep
	DrainTime time.Duration    // what Drain gives those that are at work

	IdleLifetime      time.Duration // without traffic, behind which the session ends; 0: none
	MaxRequests       int           // of a session, behind which another takes its place; 0: no limit
	RotateOn          []Signal      // what else has another session take its place
	RotateMinInterval time.Duration // between two such rotations of a port

	// AllowFrom are the networks whose addresses may connect; others are closed before anything is read. IPv4-mapped
	// addresses count as those of IPv4, and ::/0 has none of these. nil: loopback addresses alone.
	AllowFrom []netip.Prefix

	// ProxyProtocol has each connection begin with a PROXY header, version 1 or 2, or be closed. AllowFrom is then about
	// the balancers that send it, and the client is whom they name.
	ProxyProtocol bool

	BusyPort BusyPort // what becomes of ports that others have when the relay starts

	Action            hostrule.Action // what becomes of requests that no rule matches
	IgnoreRules       bool            // all of them are such
	AllowLocalTargets bool            // bypassing the upstream may lead to loopback and link-local addresses

	API session.API
}

// Ports are the mapping's address and ports as messages have them: 127.0.0.1:10201-10300.
func (m *Mapping) Ports() string {
	first := netip.AddrPortFrom(m.Address, m.First).String()
	if m.First == m.Last {
		return first
	}
	return fmt.Sprintf("%s-%d", first, m.Last)
}

// A Server is an upstream proxy.
type Server struct {
	Type ServerType
	Host string // name or IP literal, without brackets
	Port uint16

	// ResolveIP has targets' names looked up here, and addresses sent upstream. Names of plain requests to HTTP proxies
	// stay.
	ResolveIP bool

	// Sources are local addresses to connect from, in turn, so that there are as many times the local ports. Addresses of
	// the other IP version than the server's are passed over. Empty, or none of the server's version: the system chooses.
	Sources []netip.Addr
}

// HostPort is where the server is: host:port, with brackets around an IPv6 address.
func (s *Server) HostPort() string { return net.JoinHostPort(s.Host, strconv.Itoa(int(s.Port))) }

// Limits bound every wait and every buffer of a connection. A field's zero value means its default; a negative
// duration means no limit.
type Limits struct {
	Head       time.Duration // for a request head to be complete, from its first byte; 30 s
	Idle       time.Duration // between two requests of a connection, and before the first; 75 s
	Dial       time.Duration // to connect to the provider, all servers tried included; 10 s
	Reply      time.Duration // for each head that answers a CONNECT, each message of a handshake, and between the bytes of a request; 60 s
	Response   time.Duration // for each head of a plain response; once the client has sent its FIN no more than Reply; 5 min
	Abandon    time.Duration // for a tunnel to be granted once its client has sent its FIN; 10 s
	TunnelIdle time.Duration // without a byte in either direction of a tunnel or an exchange's bodies; 1 h
	HalfClosed time.Duration // for the other direction of a tunnel to end once one has, without a byte; 5 min
	KeepAlive  time.Duration // without a byte from a peer that is then asked for a sign of life, in whole seconds up to 9 h; 60 s
	Linger     time.Duration // to discard what a client still sends after the last answer; 2 s
	API        time.Duration // for what an answer of the Session API waits for; 10 s

	// Connections is how many clients' connections are served at once. 0 and less mean as many as the limit of open files
	// has room for, and more than that are not served either: see Budget.
	Connections int

	HeadFields  int // most field lines of a message head; 256
	HeadBytes   int // largest request head, in bytes; 64 KiB
	TargetBytes int // largest request-target, in bytes; 16 KiB

	ResponseHeadBytes int // largest response head, in bytes; 256 KiB
}

// DefaultLimits are the limits in force where Config.Limits has zero values.
func DefaultLimits() Limits {
	return Limits{
		Head:       30 * time.Second,
		Idle:       75 * time.Second,
		Dial:       10 * time.Second,
		Reply:      60 * time.Second,
		Response:   5 * time.Minute,
		Abandon:    10 * time.Second,
		TunnelIdle: time.Hour,
		HalfClosed: 5 * time.Minute,
		KeepAlive:  60 * time.Second,
		Linger:     2 * time.Second,
		API:        10 * time.Second,

		HeadFields:  httpparse.MaxFields,
		HeadBytes:   64 << 10,
		TargetBytes: 16 << 10,

		ResponseHeadBytes: 256 << 10,
	}
}
