package session

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// An Account is a user name with its parameters and its password, as the settings give them.
type Account struct {
	Username, Password string
	Parameters         []Parameter
	Template           *Template // in place of Parameters
}

// A Parameter becomes -Name-value at the end of a user name.
type Parameter struct {
	Name    string
	Value   string // a literal; $name, a parameter in the client's user name or given to /session/new; or ^regex, a random string that matches it
	Default string // a literal or ^regex, in place of a $name that was not given

	SessionID   bool // its value is the session's id
	SessionTime bool // its value is the session's lifetime in minutes
}

// PlanConfig says how the sessions of a mapping are made.
type PlanConfig struct {
	Lifetime time.Duration // of a session, from its creation on; 0: each client connection is a session of its own

	// LifetimeJitter is by how many percent at most a session ends earlier, drawn for each: so ports whose sessions were
	// made in one second do not all rotate in another. 0 to 90.
	LifetimeJitter int

	Account *Account // the mapping's; its parameters make ids and lifetimes even where it is not set
	Set     bool     // requests carry Account upstream
	Remove  bool     // the client's credentials stay here, even where none of ours go upstream

	Require         bool // clients must bring credentials
	Verify          bool // what they bring must be Account's user name and password
	ParseParameters bool // a client's user name is account-name-value-…, and $name reads it

	// Servers has an entry for each upstream server, in the list's order: an account of its own, or nil. One with a
	// user name or a template comes before the mapping's, with its own template or parameters if it has any, else with
	// the mapping's.
	Servers []*Account

	// Compile turns a regular expression, without the leading ^, into a generator of strings that match it. The
	// generator is called from several goroutines at once.
	Compile func(pattern string) (func() string, error)
}

// A Plan makes the sessions of a mapping. It never changes, and may be used from any goroutine.
type Plan struct {
	lifetime  time.Duration
	jitter    int // percent
	id        value
	minutes   value
	templates []template // by server
	warnings  []string

	remove, require, verify, parse bool

	account string // that clients are known by
	secret  secret
}

// A Fault is one thing that is wrong with a PlanConfig.
type Fault struct {
	Server    int    // index in Servers; -1: Account, or the plan as a whole
	Parameter int    // index in the account's Parameters; -1: the account itself
	Key       string // of the settings: Username, Value, Template.Username, TTLUnit, …
	Reason    string // what is wrong and what is allowed; holds no user name and no password
}

func (f *Fault) Error() string {
	var where string
	if f.Server >= 0 {
		where = fmt.Sprintf("server %d: ", f.Server)
	}
	if f.Parameter >= 0 {
		where += fmt.Sprintf("parameter %d: ", f.Parameter)
	}
	return where + f.Key + ": " + f.Reason
}

// maxMinutes is the longest lifetime: a year.
const maxMinutes = 525600

// maxJitter leaves a session a tenth of its lifetime.
const maxJitter = 90

// NewPlan makes a plan of cfg. The error joins all faults, each a *Fault.
func NewPlan(cfg PlanConfig) (*Plan, error) {
	b := planBuilder{compile: cfg.Compile}
	p := &Plan{
		lifetime: cfg.Lifetime, jitter: cfg.LifetimeJitter,
		remove: cfg.Remove, require: cfg.Require, verify: cfg.Verify, parse: cfg.ParseParameters,
	}
	if cfg.Account != nil {
		p.account, p.secret = cfg.Account.Username, secretOf(cfg.Account.Username, cfg.Account.Password)
	}
	own := b.account(-1, cfg.Account)
	for i, a := range cfg.Servers {
		t := template{}
		if cfg.Set {
			t = own
		}
		if a != nil && (a.Username != "" || a.Template != nil) {
			t = b.account(i, a)
			if len(a.Parameters) == 0 && a.Template == nil && own.form != nil {
				t.form = own.form
			}
		}
		p.templates = append(p.templates, t)
	}
	p.id, p.minutes = b.id, b.minutes
	for i := range p.templates {
		if form := p.templates[i].form; form != nil {
			eachPart(form.user, p.markClient)
			eachPart(form.pass, p.markClient)
		}
	}
	if cfg.Verify && p.account == "" {
		b.fault(-1, -1, "Verify", "needs a Username to compare the clients' with")
	}
	if cfg.Lifetime < 0 {
		b.fault(-1, -1, "StickyProxyLifetime", "must not be negative")
	}
	if cfg.LifetimeJitter < 0 || cfg.LifetimeJitter > maxJitter {
		b.fault(-1, -1, "LifetimeJitter", "value %d: must be 0 to %d percent", cfg.LifetimeJitter, maxJitter)
	}
	if len(b.faults) == 0 {
		p.warn()
	}
	return p, errors.Join(b.faults...)
}

// markClient notes whether a client's user name decides the part. The names that make a session's id and lifetime are
// read when it is made, and whoever comes to it later does not change them.
func (p *Plan) markClient(part *part) {
	from := part.value.from
	part.client = p.parse && from != "" && from != p.id.from && from != p.minutes.from
}

// warn collects the warnings of all templates that are in use, each once.
func (p *Plan) warn() {
	for i := range p.templates {
		if t := &p.templates[i]; t.sets && t.hasTemplate {
			for _, w := range t.warnings(p.Lifetime()) {
				if !slices.Contains(p.warnings, w) {
					p.warnings = append(p.warnings, w)
				}
			}
		}
	}
}

// Warnings are what the plan's templates allow but hardly mean, each a sentence that says what to do about it.
func (p *Plan) Warnings() []string { return p.warnings }

// planBuilder collects what an account's parameters say of sessions, and every fault.
type planBuilder struct {
	compile     func(string) (func() string, error)
	id, minutes value  // of the first parameter that has the flag, or the first template that has {session}
	ids         idRule // what id is drawn by, if it is a template's
	faults      []error
}

func (b *planBuilder) fault(server, parameter int, key, format string, args ...any) {
	b.faults = append(b.faults, &Fault{server, parameter, key, fmt.Sprintf(format, args...)})
}

// account compiles an account.
func (b *planBuilder) account(server int, a *Account) template {
	if a == nil {
		return template{}
	}
	t := template{sets: true, username: a.Username, password: a.Password}
	if strings.Contains(a.Username, ":") {
		b.fault(server, -1, "Username", "a user name cannot hold a colon (RFC 7617 section 2)")
	}
	for key, text := range map[string]string{"Username": a.Username, "Password": a.Password} {
		if !printable(text) {
			b.fault(server, -1, key, "control characters are not allowed")
		}
	}
	if a.Template == nil {
		t.form = b.parameters(server, a.Parameters)
		return t
	}
	if len(a.Parameters) > 0 {
		b.fault(server, -1, "Template", "Template and UsernameParameters cannot both be set; a template has {param:name} for them")
	}
	t.form = b.template(server, a.Template)
	return t
}

// parameters compiles them to what stands behind the user name.
func (b *planBuilder) parameters(server int, params []Parameter) *form {
	f := &form{user: []group{{parts: []part{{kind: partUsername}}}}, pass: []group{{parts: []part{{kind: partPassword}}}}}
	for i := range params {
		p := &params[i]
		value := b.parameter(server, i, p)
		if strings.EqualFold(p.Name, "account") {
			continue // reference to the client's own account, never part of a user name
		}
		f.user = append(f.user, group{optional: true, parts: []part{{text: "-" + p.Name + "-"}, value}})
	}
	return f
}

// parameter compiles what stands for a parameter's value.
func (b *planBuilder) parameter(server, i int, p *Parameter) part {
	if !isName(p.Name) {
		b.fault(server, i, "Name", "value %q: must be a token without a colon, of at most %d bytes", p.Name, maxName)
	}
	v := b.value(server, i, p)
	switch {
	case p.SessionID && p.SessionTime:
		b.fault(server, i, "SessionTime", "SessionId and SessionTime cannot both be set")
	case p.SessionID && !b.id.given:
		b.id = v
	case p.SessionTime && !b.minutes.given:
		b.minutes = v
		b.checkMinutes(server, i, "Value", p.Value, v.literal, v.draw)
		b.checkMinutes(server, i, "Default", p.Default, v.fallback, v.drawDefault)
	}
	switch {
	case p.SessionID:
		return part{kind: partID}
	case p.SessionTime:
		return part{kind: partMinutes}
	}
	return part{kind: partValue, value: v}
}

// checkMinutes tries what a SessionTime parameter has without a client: a literal or what is drawn; empty is nothing.
func (b *planBuilder) checkMinutes(server, i int, key, setting, minutes string, draw func() string) {
	if draw != nil {
		minutes = draw()
	}
	if _, err := parseMinutes(minutes); err != nil && minutes != "" {
		b.fault(server, i, key, "value %q: %v", setting, err)
	}
}

// value compiles a parameter's Value and Default.
func (b *planBuilder) value(server, i int, p *Parameter) value {
	v := value{given: true}
	switch {
	case strings.HasPrefix(p.Value, "^"):
		v.draw = b.generator(server, i, "Value", p.Value[1:])
	case strings.HasPrefix(p.Value, "$"):
		v.from = p.Value[1:]
		if strings.HasPrefix(p.Default, "^") {
			v.drawDefault = b.generator(server, i, "Default", p.Default[1:])
		} else {
			v.fallback = p.Default
		}
	default:
		v.literal = p.Value
	}
	for key, literal := range map[string]string{"Value": v.literal, "Default": v.fallback} {
		if !clean(literal) {
			b.fault(server, i, key, "value %q: must not hold a colon or a control character", literal)
		}
	}
	return v
}

// generator compiles a regular expression. Whatever it makes is cut free of what a user name cannot hold.
func (b *planBuilder) generator(server, i int, key, pattern string) func() string {
	generate, err := b.compile(pattern)
	if err != nil {
		b.fault(server, i, key, "value %q: not a regular expression that can be used: %v", "^"+pattern, err)
		return func() string { return "" }
	}
	if s := generate(); !clean(s) {
		b.fault(server, i, key, "value %q: makes strings with a colon or a control character", "^"+pattern)
	}
	return func() string {
		s := generate()
		if clean(s) {
			return s
		}
		return strings.Map(func(r rune) rune {
			if r == ':' || r < ' ' || r == 0x7f || r == utf8.RuneError {
				return -1
			}
			return r
		}, s)
	}
}

// A value is where a parameter's value comes from. The zero value is always empty.
type value struct {
	given       bool
	literal     string
	draw        func() string
	from        string // the name of a parameter in the client's user name, or given to /session/new
	fallback    string
	drawDefault func() string
	checked     bool   // what is given must be of letters, digits and legal
	legal       string // punctuation
}

// takes reports whether a value that was given can be used.
func (v *value) takes(s string) bool { return s != "" && (!v.checked || legal(s, v.legal)) }

// resolve returns the value for a client with its own parameters, in a session that was given others.
func (v *value) resolve(own, given []Pair) string {
	switch {
	case v.draw != nil:
		return v.draw()
	case v.from == "":
		return v.literal
	}
	if s := lookUp(own, v.from); v.takes(s) {
		return s
	}
	if s := lookUp(given, v.from); v.takes(s) {
		return s
	}
	if v.drawDefault != nil {
		return v.drawDefault()
	}
	return v.fallback
}

// lookUp returns the first value of that name that is not empty.
func lookUp(pairs []Pair, name string) string {
	for _, p := range pairs {
		if strings.EqualFold(p.Name, name) && p.Value != "" {
			return p.Value
		}
	}
	return ""
}

func (v *value) random() bool { return v.draw != nil || v.drawDefault != nil }

// Lifetime is that of a session to which no parameters were given; 0: each client connection is a session of its own.
func (p *Plan) Lifetime() time.Duration {
	_, d, _ := p.lifetimeOf(nil, nil)
	return d
}

// Sets reports whether requests to that server carry credentials of ours.
func (p *Plan) Sets(server int) bool {
	return server >= 0 && server < len(p.templates) && p.templates[server].sets
}

// passes reports whether the client's own credentials go to that server, as they came.
func (p *Plan) passes(server int, c *Client) bool {
	return server >= 0 && server < len(p.templates) && !p.templates[server].sets && !p.remove && c != nil && c.verdict == Admitted
}

// AppendCredentials appends the field line with which a client's request goes to that server; nothing if it goes without.
// What is drawn per connection is drawn anew. A nil session is one of the connection's own, so its id is drawn too.
func (p *Plan) AppendCredentials(dst []byte, s *Session, server int, c *Client) []byte {
	switch {
	case p.Sets(server):
		b := p.bind(s, c)
		return p.templates[server].appendLine(dst, &b)
	case p.passes(server, c):
		var scratch [256]byte
		return appendBasic(dst, append(scratch[:0], c.user...), c.password)
	}
	return dst
}

// Credentials are those that AppendCredentials would send, for servers that want them apart. It is false if there are
// none.
func (p *Plan) Credentials(s *Session, server int, c *Client) (user, password string, ok bool) {
	switch {
	case p.Sets(server):
		b := p.bind(s, c)
		user, password = p.templates[server].credentials(&b)
		return user, password, true
	case p.passes(server, c):
		return c.user, c.password, true
	}
	return "", "", false
}

// bind returns what a session and a client bring into a user name; for a nil session it is drawn.
func (p *Plan) bind(s *Session, c *Client) bindings {
	var own []Pair
	if c != nil {
		own = c.params
	}
	if s != nil {
		return bindings{id: s.id, minutes: s.minutes, lifetime: s.lifetime, own: own, given: s.params}
	}
	minutes, lifetime, _ := p.lifetimeOf(own, nil)
	return bindings{id: p.newID(own, nil), minutes: minutes, lifetime: lifetime, own: own, alone: true}
}

// New makes a session at that moment, for a client, with the parameters that were given to /session/new. It is nil
// without an error where the lifetime is 0. The error is about a given parameter, and meant for who gave it.
func (p *Plan) New(now int64, c *Client, given []Pair) (*Session, error) {
	var own []Pair
	if c != nil {
		own = c.params
	}
	minutes, lifetime, err := p.lifetimeOf(own, given)
	if err == nil {
		err = p.check(given)
	}
	if err != nil || lifetime == 0 {
		return nil, err
	}
	s := &Session{id: p.newID(own, given), minutes: minutes, expires: now + int64(p.shortened(lifetime)), lifetime: lifetime, params: given}
	s.lines = p.linesOf(s)
	return s, nil
}

// shortened is a lifetime less what the jitter takes of it.
func (p *Plan) shortened(lifetime time.Duration) time.Duration {
	if most := int64(lifetime) / 100 * int64(p.jitter); most > 0 {
		lifetime -= time.Duration(rand.Int64N(most + 1))
	}
	return lifetime
}

// check refuses given parameters that a template has no use for as they are.
func (p *Plan) check(given []Pair) (err error) {
	if len(given) == 0 {
		return nil
	}
	refuse := func(part *part) {
		v := &part.value
		if s := lookUp(given, v.from); s != "" && !v.takes(s) && err == nil {
			err = fmt.Errorf("%s=%q: must be letters, digits and %s, or the provider could read it as something else", v.from, s, orElse(v.legal, "nothing else"))
		}
	}
	for i := range p.templates {
		if form := p.templates[i].form; form != nil {
			eachPart(form.user, refuse)
			eachPart(form.pass, refuse)
		}
	}
	return err
}

// lifetimeOf resolves the SessionTime parameter, which comes before the session id and overrides the plan's lifetime. A
// client's own value that is none counts as not given; a given one is an error.
func (p *Plan) lifetimeOf(own, given []Pair) (minutes string, d time.Duration, err error) {
	if text := lookUp(given, p.minutes.from); text != "" {
		if _, err := parseMinutes(text); err != nil {
			return "", p.lifetime, fmt.Errorf("%s=%q: %w", p.minutes.from, text, err)
		}
	}
	if _, err := parseMinutes(lookUp(own, p.minutes.from)); err != nil {
		own = nil
	}
	minutes = p.minutes.resolve(own, given)
	n, err := parseMinutes(minutes)
	if err != nil { // empty, or made by a pattern that makes minutes only now and then
		return "", p.lifetime, nil
	}
	return minutes, time.Duration(n) * time.Minute, nil
}

func parseMinutes(s string) (int, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil || n > maxMinutes {
		return 0, fmt.Errorf("must be whole minutes from 0 to %d", maxMinutes)
	}
	return int(n), nil
}

// newID draws a session id: as the SessionId parameter says, else 8 letters.
func (p *Plan) newID(own, given []Pair) string {
	if id := p.id.resolve(own, given); id != "" {
		return id
	}
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	var id [8]byte
	for i := range id {
		id[i] = letters[rand.IntN(len(letters))]
	}
	return string(id[:])
}

// clean reports whether s can be part of a user-id: no colon, which would end it, and no control characters.
func clean(s string) bool { return printable(s) && !strings.Contains(s, ":") }

func printable(s string) bool {
	for _, r := range s {
		if r < ' ' || r == 0x7f || r == utf8.RuneError {
			return false
		}
	}
	return true
}

// isName reports whether s can be the name of a parameter.
func isName(s string) bool {
	if s == "" || len(s) > maxName {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if !('a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0) {
			return false
		}
	}
	return true
}
