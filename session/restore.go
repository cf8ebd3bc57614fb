package session

import (
	"fmt"
	"time"

	"proxymap/session/credential"
)

// Minutes is the SessionTime parameter's value, as it goes into the user name; empty if there is none.
func (s *Session) Minutes() string { return s.minutes }

// Restore makes a session anew from what was kept of it: its ID, Minutes, Expires, Lifetime and Parameters. Its
// credentials are those that the plan gives it today, so changed settings take effect. The error says why the plan
// cannot have such a session.
func (p *Plan) Restore(id, minutes string, expires int64, lifetime time.Duration, params []Pair) (*Session, error) {
	if id == "" || len(id) > credential.MaxCredentials || !credential.IsHarmless(id) {
		return nil, fmt.Errorf("the session id is empty, longer than %d bytes, or holds a colon or a control character; ask /session/new for another session", credential.MaxCredentials)
	}
	if _, err := credential.ParseMinutes(minutes); err != nil && minutes != "" {
		return nil, fmt.Errorf("the session time %.80q: %w", minutes, err)
	}
	if lifetime <= 0 {
		return nil, fmt.Errorf("the lifetime %v must be positive", lifetime)
	}
	if !p.Keeps() {
		return nil, p.none
	}
	if err := checkKept(params); err != nil {
		return nil, err
	}
	return &Session{id: id, minutes: minutes, expires: expires, lifetime: lifetime, params: params, accounts: p.accounts,
		chosen: p.accounts.ChoosesID(nil, params) || !p.accounts.CouldMakeID(id, params)}, nil
}

// checkKept is for parameters that were good when they were given: what could do harm in a user name is refused.
func checkKept(params []Pair) error {
	if len(params) > credential.MaxParameters {
		return fmt.Errorf("%d parameters; at most %d are allowed", len(params), credential.MaxParameters)
	}
	for _, p := range params {
		if !credential.IsName(p.Name) || len(p.Value) > credential.MaxValue || !credential.IsClean(p.Value) {
			return fmt.Errorf("parameter %.80q: the name or the value is too long, or holds what a user name cannot", p.Name)
		}
	}
	return nil
}

// Restore puts a session that was kept in the place of the slot's.
func (s *Slot) Restore(kept *Session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.put(kept)
}
