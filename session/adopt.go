package session

// Reasons of changes that come from another plan.
const (
	ReasonReload  = "reload"  // the new plan could not have made the session, which is replaced
	ReasonChanged = "changed" // the session goes on under its id, and its user name is another beside it
)

// An Adoption is what has become of a slot's session when the slot has adopted another plan.
type Adoption uint8

const (
	AdoptedNone     Adoption = iota // there was none, or it had expired
	AdoptedKept                     // it goes on, with the new plan's credentials
	AdoptedChanged                  // it goes on, and the user name is another beside the id
	AdoptedReplaced                 // another takes its place, or none where the new plan has none
)

// A Fate says what is to become of a session when its slot adopts another plan.
type Fate uint8

const (
	FateJudged   Fate = iota // it goes on if the new plan could have made it, and is replaced otherwise
	FateKept                 // it goes on, because nothing has changed that sessions are made by
	FateReplaced             // it is replaced, because the new plan's sessions mean something else
)

// Adopt has a slot's sessions be made by another plan from here on. server is what the port is pinned to, an index of the
// new plan's servers, and fixed says whether it is so for good.
//
// A session that goes on keeps its id, its end and its uses. It is a new Session, so that what compares sessions finds a
// difference. One that is replaced has the change told with ReasonReload. Of those that are judged, a session whose id a client has chosen is
// replaced, and so is one that would last longer than the new plan's sessions do. Where only the user name beside the id
// differs, the change is told with ReasonChanged, because a provider may bind an exit to the whole name.
func (s *Slot) Adopt(now int64, p *Plan, server int, fixed bool, fate Fate) (Change, Adoption) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire(now)
	was, old := s.Server(), s.Peek(now)
	s.base.Store(&base{p, server, fixed})
	switch {
	case old == nil:
		s.current.Store(nil)
		return Change{}, AdoptedNone
	case fate == FateReplaced, fate == FateJudged && !p.couldHaveMade(old, now):
		made, err := p.New(now, nil, old.params)
		if err != nil { // the new plan does not take the parameters
			made, _ = p.New(now, nil, nil)
		}
		return s.tell(s.put(made), ReasonReload), AdoptedReplaced
	}
	made := p.continued(old)
	if old.userName(was) == made.userName(server) {
		return s.put(made), AdoptedKept
	}
	return s.tell(s.put(made), ReasonChanged), AdoptedChanged
}

// couldHaveMade reports whether a session that another plan has made is as one of p's would be.
func (p *Plan) couldHaveMade(s *Session, now int64) bool {
	if s.chosen || !p.Keeps() || p.accounts.ChoosesID(nil, s.params) || p.accounts.Check(s.params) != nil {
		return false
	}
	_, lifetime, err := p.accounts.Lifetime(nil, nil, s.params)
	return err == nil && lifetime > 0 && s.expires-now <= int64(lifetime) && p.accounts.CouldMakeID(s.id, s.params)
}

// continued is a session as p makes it.
func (p *Plan) continued(s *Session) *Session {
	made := &Session{id: s.id, minutes: s.minutes, expires: s.expires, lifetime: s.lifetime, params: s.params, accounts: p.accounts}
	made.uses.Store(s.uses.Load())
	return made
}

// userName is the session's user name for a server; empty if it has none, or another for each client connection.
func (s *Session) userName(server int) string {
	if !s.accounts.Sets(server) || s.accounts.PerConnection(server) {
		return ""
	}
	user, _, _ := s.accounts.Credentials(nil, server, bind(s, nil))
	return user
}

// IsOf reports whether the session is one of the plan's: its credentials are for that plan's servers.
func (s *Session) IsOf(p *Plan) bool { return s.accounts == p.accounts }
