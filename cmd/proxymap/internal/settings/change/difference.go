package change

import "slices"

// A Difference is what differs for a port. The zero value is nothing.
type Difference struct {
	What    []string // names of keys, in the order of Keys; of an address Listen.Address, of a list of servers ProxyServers
	Bind    bool     // the listener is bound anew
	Servers bool     // there are other servers, or they stand elsewhere in the list: a pin is to be looked for
	Fate    Fate
}

// A Fate is what becomes of a port's session, as far as it is known before one is looked at.
type Fate struct {
	Session    Session
	IfMisfit   bool // it is replaced also if the new settings could not have made its id: they make other ones
	IfChosen   bool // it is replaced also if a client has chosen its id
	IfOutlives bool // it is replaced also if it would end later than a new one
}

// Session is what becomes of it.
type Session uint8

const (
	Untouched Session = iota // there is none, or nothing that it is made of differs
	Kept                     // it keeps its id and its end
	Renamed                  // the same, but the user name beside the id differs, which the event changed tells
	Replaced                 // the new settings would make another one
)

// isNone reports whether nothing differs.
func (d *Difference) isNone() bool { return len(d.What) == 0 }

func (d *Difference) equal(other *Difference) bool {
	return d.Bind == other.Bind && d.Servers == other.Servers && d.Fate == other.Fate && slices.Equal(d.What, other.What)
}

// A comparison is of an old mapping with a new one.
type comparison struct {
	keys     *Keys
	old, new *Mapping
	rules    bool // something differs that all mappings have
}

// each calls f for the ports of a stretch, as many in a row as differ in the same way.
func (c *comparison) each(s stretch, f func(last uint16, d *Difference)) {
	if !c.old.PerPort || !c.new.PerPort || len(c.old.Servers.At) == 0 || len(c.new.Servers.At) == 0 ||
		c.old.First == c.new.First && c.old.Servers.Sum == c.new.Servers.Sum {
		f(s.last, c.difference(s, c.servers))
		return
	}
	var held *Difference
	for p := int(s.first); p <= int(s.last); p++ {
		d := c.difference(s, func(keys *Keys) ([]string, Effect, bool) { return c.serversOf(uint16(p)) })
		if held != nil && !held.equal(d) {
			f(uint16(p-1), held)
		}
		held = d
	}
	f(s.last, held)
}

// difference compares what keys say of ports of both mappings. servers compares the servers, and reports which keys
// differ, what that does, and whether there are others.
func (c *comparison) difference(s stretch, servers func(*Keys) ([]string, Effect, bool)) *Difference {
	d := &Difference{Bind: s.from != s.to}
	var effect Effect
	if d.Bind {
		d.What = append(d.What, "Listen.Address")
	}
	for i := range c.keys.Mapping {
		if key := &c.keys.Mapping[i]; c.old.Keys[i].differs(c.new.Keys[i]) {
			d.What = append(d.What, key.Name)
			effect |= key.Effect
		}
	}
	what, more, others := servers(c.keys)
	d.What, d.Servers, effect = append(d.What, what...), others, effect|more
	if !c.sameRules() && effect&Credentials == 0 {
		effect |= Credentials
		if key := c.elsewhere(); !slices.Contains(d.What, key) {
			d.What = append(d.What, key)
		}
	}
	if !d.isNone() {
		d.Fate = c.fate(effect)
	}
	return d
}

// servers compares the lists as wholes.
func (c *comparison) servers(keys *Keys) (what []string, effect Effect, others bool) {
	old, new := c.old.Servers, c.new.Servers
	switch {
	case old.Sum == new.Sum:
		return nil, 0, c.old.PerPort != c.new.PerPort
	case !slices.Equal(old.At, new.At):
		return []string{listOfServers}, 0, true
	}
	differs := make([]bool, len(keys.Server))
	for i := range old.each {
		if old.each[i] != new.each[i] {
			mark(differs, old.keyHints(i), new.keyHints(i))
		}
	}
	return named(keys, differs)
}

// listOfServers is the key of a list that has other servers.
const listOfServers = "ProxyServers"

// serversOf compares the one server that a port has.
func (c *comparison) serversOf(port uint16) (what []string, effect Effect, others bool) {
	i, j := c.old.serverOf(port), c.new.serverOf(port)
	switch old, new := c.old.Servers, c.new.Servers; {
	case old.each[i] == new.each[j]:
		return nil, 0, i != j
	case old.At[i] != new.At[j]:
		return []string{listOfServers}, 0, true
	default:
		differs := make([]bool, len(c.keys.Server))
		mark(differs, old.keyHints(i), new.keyHints(j))
		what, effect, _ = named(c.keys, differs)
		return what, effect, i != j
	}
}

// mark notes which keys of a server differ.
func mark(differs []bool, old, new []hint) {
	for i := range differs {
		differs[i] = differs[i] || old[i].differs(new[i])
	}
}

// named are the keys that differ. That of the list stands for those that hints do not show.
func named(keys *Keys, differs []bool) (what []string, effect Effect, others bool) {
	for i, is := range differs {
		if is {
			what = append(what, keys.Server[i].Name)
			effect |= keys.Server[i].Effect
		}
	}
	if what == nil {
		return []string{listOfServers}, Credentials | UserName, false
	}
	return what, effect, false
}

// sameRules reports whether the mappings' sessions come about in the same way.
func (c *comparison) sameRules() bool {
	return c.old.IDs == c.new.IDs && c.old.Lifetimes == c.new.Lifetimes && c.old.Keeps == c.new.Keeps
}

// elsewhere is why sessions come about in another way although no key of the port says so: a server that is not the
// port's own, or a rule's, may be the one whose account says how.
func (c *comparison) elsewhere() (key string) {
	if c.old.Servers.Sum != c.new.Servers.Sum || !c.rules {
		return listOfServers
	}
	return "HostRules"
}

// fate is what becomes of a session where keys of that effect differ.
func (c *comparison) fate(effect Effect) Fate {
	old, new := c.old, c.new
	switch {
	case !old.Keeps && !new.Keeps:
		return Fate{}
	case old.Keeps != new.Keeps, effect&Ids != 0:
		return Fate{Session: Replaced}
	case effect&Credentials == 0:
		return Fate{Session: Kept}
	}
	fate := Fate{Session: Kept, IfMisfit: old.IDs != new.IDs, IfChosen: old.Chosen}
	if effect&UserName != 0 {
		fate.Session = Renamed
	}
	fate.IfOutlives = old.Lifetimes != new.Lifetimes && (old.Lifetime == 0 || new.Lifetime < old.Lifetime)
	return fate
}
