package session

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"proxymap/session/credential"
)

// PlanConfig says how the sessions of a mapping are made.
type PlanConfig struct {
	Lifetime time.Duration // of a session, from its creation on; 0: each client connection is a session of its own

	// LifetimeJitter is by how many percent at most a session ends earlier, drawn for each: so ports whose sessions were
	// made in one second do not all rotate in another. 0 to 90.
	LifetimeJitter int

	Account *credential.Account // the mapping's; its parameters make ids and lifetimes even where it is not set
	Set     bool                // requests carry Account upstream
	Remove  bool                // the client's credentials stay here, even where none of ours go upstream

	Require         bool // clients must bring credentials
	Verify          bool // what they bring must be Account's user name and password
	ParseParameters bool // a client's user name is account-name-value-…, and $name reads it

	// Servers has an entry for each upstream server, in the list's order: an account of its own, or nil. One with a
	// user name or a template comes before the mapping's, with its own template or parameters if it has any, else with
	// the mapping's.
	Servers []*credential.Account

	// Remedy says what to set where a session is asked for that the lifetime of 0 does not leave: it stands at the end of
	// ErrNoSession. Empty: nothing is said.
	Remedy string

	// Random gives what the id of a session, and of a connection that is one of its own, is drawn of: equal sources make
	// equal ids. It is called once for each, from several goroutines; nil: the runtime's randomness.
	Random func() rand.Source
}

// ErrNoSession says that a session is asked for where there is none to be had.
var ErrNoSession = errors.New("the lifetime is 0, so each client connection is a session of its own, and there is none that could have parameters")

// A Plan makes the sessions of a mapping. It never changes, and may be used from any goroutine.
type Plan struct {
	accounts *credential.Accounts
	jitter   int // percent
	random   func() rand.Source
	none     error // ErrNoSession, with the remedy

	remove, require, verify, parse bool
	alone                          bool // clients that name no parameters: see Client.alone

	account string // that clients are known by
	secret  secret
}

// MaxJitter is the greatest LifetimeJitter, in percent: a session keeps a tenth of its lifetime at least.
const MaxJitter = 90

// NewPlan makes a plan of cfg. The error joins all faults, each a *credential.Fault.
func NewPlan(cfg PlanConfig) (*Plan, error) {
	p := &Plan{
		jitter: cfg.LifetimeJitter, random: cfg.Random, none: ErrNoSession,
		remove: cfg.Remove, require: cfg.Require, verify: cfg.Verify, parse: cfg.ParseParameters,
	}
	if cfg.Remedy != "" {
		p.none = fmt.Errorf("%w; %s", ErrNoSession, cfg.Remedy)
	}
	if cfg.Account != nil {
		p.account, p.secret = cfg.Account.Username, secretOf(cfg.Account.Username, cfg.Account.Password)
	}
	var faults []error
	fault := func(field credential.Field, format string, args ...any) {
		faults = append(faults, &credential.Fault{Server: -1, Parameter: -1, Field: field, Reason: fmt.Sprintf(format, args...)})
	}
	if cfg.Verify && p.account == "" {
		fault(credential.FieldVerify, "needs a user name to compare the clients' with")
	}
	if cfg.Lifetime < 0 {
		fault(credential.FieldLifetime, "must not be negative")
	}
	if cfg.LifetimeJitter < 0 || cfg.LifetimeJitter > MaxJitter {
		fault(credential.FieldJitter, "value %d: must be 0 to %d percent", cfg.LifetimeJitter, MaxJitter)
	}
	var err error
	p.accounts, err = credential.Compile(credential.Config{
		Lifetime: cfg.Lifetime, Account: cfg.Account, Set: cfg.Set, Servers: cfg.Servers, ParseParameters: cfg.ParseParameters,
	})
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		faults = append(joined.Unwrap(), faults...)
	}
	p.alone = err == nil && p.accounts.Alone(nil)
	return p, errors.Join(faults...)
}

// Warnings are what the plan's templates allow but hardly mean.
func (p *Plan) Warnings() []credential.Warning { return p.accounts.Warnings() }

// Lifetime is that of a session to which no parameters were given; 0: each client connection is a session of its own.
func (p *Plan) Lifetime() time.Duration {
	_, d, _ := p.accounts.Lifetime(nil, nil, nil)
	return d
}

// Sets reports whether requests to that server carry credentials of ours.
func (p *Plan) Sets(server int) bool { return p.accounts.Sets(server) }

// Account is the user name and the password that the credentials for that server are made of, as the settings have them;
// both are empty if there are none of ours.
func (p *Plan) Account(server int) (user, password string) { return p.accounts.Account(server) }

// Example returns credentials as they could go to that server, for people to look at; see credential.Accounts.Example.
func (p *Plan) Example(server int) (user, password string, ok bool) {
	return p.accounts.Example(server)
}

// passes reports whether the client's own credentials go to that server, as they came.
func (p *Plan) passes(server int, c *Client) bool {
	return server >= 0 && server < p.accounts.Servers() && !p.Sets(server) && !p.remove && c != nil && c.verdict == Admitted
}

// AppendCredentials appends the field line with which a client's request goes to that server; nothing if it goes without.
// What is drawn per connection is drawn anew. A nil session is one of the connection's own, so its id is drawn too.
func (p *Plan) AppendCredentials(dst []byte, s *Session, server int, c *Client) []byte {
	if p.passes(server, c) {
		return credential.AppendBasic(dst, c.user, c.password)
	}
	return p.accounts.AppendLine(dst, p.sourceFor(s), server, bind(s, c))
}

// Credentials are those that AppendCredentials would send, for servers that want them apart. It is false if there are
// none.
func (p *Plan) Credentials(s *Session, server int, c *Client) (user, password string, ok bool) {
	if p.passes(server, c) {
		return c.user, c.password, true
	}
	return p.accounts.Credentials(p.sourceFor(s), server, bind(s, c))
}

// sourceFor is what a connection's credentials are drawn of. Those of a session have their id already.
func (p *Plan) sourceFor(s *Session) rand.Source {
	if s != nil || p.random == nil {
		return nil
	}
	return p.random()
}

// bind is what a session and a client bring into credentials.
func bind(s *Session, c *Client) credential.Binding {
	if s == nil {
		return credential.Binding{Own: c.parameters(), Alone: true}
	}
	return credential.Binding{ID: s.id, Minutes: s.minutes, Lifetime: s.lifetime, Own: c.parameters(), Given: s.params}
}

// New makes a session at that moment, for a client, with the parameters that were given to /session/new. It is nil
// without an error where the lifetime is 0. The error is about a given parameter, and meant for who gave it.
func (p *Plan) New(now int64, c *Client, given []Pair) (*Session, error) {
	own := c.parameters()
	minutes, lifetime, err := p.accounts.Lifetime(nil, own, given)
	if err == nil {
		err = p.accounts.Check(given)
	}
	if err != nil || lifetime == 0 {
		return nil, err
	}
	return &Session{
		id: p.accounts.ID(p.sourceFor(nil), own, given), minutes: minutes, expires: now + int64(p.shortened(lifetime)), lifetime: lifetime,
		params: given, accounts: p.accounts, chosen: p.accounts.ChoosesID(own, given),
	}, nil
}

// shortened is a lifetime less what the jitter takes of it.
func (p *Plan) shortened(lifetime time.Duration) time.Duration {
	if most := int64(lifetime) / 100 * int64(p.jitter); most > 0 {
		lifetime -= time.Duration(rand.Int64N(most + 1))
	}
	return lifetime
}

// IDRule says how the ids of the plan's sessions come about, for comparing plans.
func (p *Plan) IDRule() credential.Rule { return p.accounts.IDRule() }

// LifetimeRule says how the lifetimes of the plan's sessions come about, for comparing plans.
func (p *Plan) LifetimeRule() credential.Rule { return p.accounts.LifetimeRule() }

// Keeps reports whether the plan can have sessions that live longer than a client connection.
func (p *Plan) Keeps() bool { return p.accounts.LifetimeVaries() || p.Lifetime() > 0 }

// Varies reports whether the lifetimes of the plan's sessions differ, as a parameter says them.
func (p *Plan) Varies() bool { return p.accounts.LifetimeVaries() }
