package change

import (
	"net/netip"
	"time"
)

// Settings are what settings say, as far as a reload has to do with it.
type Settings struct {
	Keys *Keys

	Mappings []Mapping
	Global   []Sum // by Keys.Global
}

// Keys are those that are compared. Settings are compared that have the same ones.
type Keys struct {
	Mapping []Key // of a mapping, all but where it listens and its servers
	Server  []Key // of an upstream server, all but its host and port
	Global  []Key // of all mappings
}

// A Key is one that settings have, by its name in the settings file.
type Key struct {
	Name   string
	Effect Effect
}

// An Effect is what a reload has to do because a key differs. 0 is no more than to take the new value.
type Effect uint8

const (
	Credentials Effect = 1 << iota // what goes upstream differs, so an id must be one that the new settings could have made
	UserName                       // the user name differs beside the id: a provider may bind the exit address to it
	Ids                            // ids are of another provider, so sessions are replaced
	Refused                        // it cannot change while the relay runs
)

// A Mapping is a range of ports, and what the settings say of them.
type Mapping struct {
	Address     netip.Addr
	First, Last uint16

	Keys    []Sum    // by Keys.Mapping
	Servers *Servers // never nil; mappings may share one
	PerPort bool     // each port has one of the servers: see serverOf
	Sessions
}

// Sessions are how a mapping's sessions come about.
type Sessions struct {
	Keeps     bool          // they live longer than a client connection
	IDs       Sum           // of the rule of their ids
	Chosen    bool          // clients can say the id
	Lifetimes Sum           // of the rule of their lifetimes
	Lifetime  time.Duration // 0: it varies
}

// Servers are a mapping's upstream servers. The zero value has none.
type Servers struct {
	Sum   Sum   // of all
	At    []Sum // host and port of each
	each  []Sum
	hints []hint // of each one's keys, in a row
}

// Add adds a server with what its keys say, by Keys.Server.
func (s *Servers) Add(at Sum, keys []Sum) {
	one := at
	for _, key := range keys {
		one = one.with(key | isThere)
		s.hints = append(s.hints, key.hint())
	}
	s.Sum, s.At, s.each = s.Sum.with(one), append(s.At, at), append(s.each, one)
}

// keyHints are what the keys of a server say.
func (s *Servers) keyHints(server int) []hint {
	n := len(s.hints) / len(s.each)
	return s.hints[server*n : (server+1)*n]
}

// serverOf is the index of the server that a port has for good, where each has one: the first port has the first, and
// after the last comes the first again.
func (m *Mapping) serverOf(port uint16) int { return int(port-m.First) % len(m.Servers.At) }
