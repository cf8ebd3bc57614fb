package settings

import (
	"cmp"
	"strings"

	"proxymap/cmd/proxymap/internal/settings/change"
	"proxymap/session"
)

// Digests are what the settings say, in the form in which a reload compares it with others of the same process. They hold
// none of the settings' texts and no credential, so those can go.
func (s *Settings) Digests() *change.Settings {
	d := digester{Digest: change.NewDigest(), known: map[change.Sum]*change.Servers{}}
	out := &change.Settings{Keys: comparedKeys, Mappings: make([]change.Mapping, len(s.mappings)), Global: make([]change.Sum, len(globalKeys))}
	for i := range s.mappings {
		out.Mappings[i] = d.mapping(&s.mappings[i], s.Config.Mappings[i].Plan)
	}
	for i := range globalKeys {
		key := &globalKeys[i]
		key.write(s, d.Digest)
		if out.Global[i] = d.Sum(); key.derived && !s.has(key.Name) {
			out.Global[i] = out.Global[i].Derived()
		}
	}
	return out
}

// comparedKeys are the tables' keys.
var comparedKeys = &change.Keys{Mapping: namesOf(mappingKeys), Server: namesOf(serverKeys), Global: namesOf(globalKeys)}

func namesOf[T any](table []digestKey[T]) []change.Key {
	list := make([]change.Key, len(table))
	for i := range table {
		list[i] = table[i].Key
	}
	return list
}

// A digester makes digests of one Settings.
type digester struct {
	*change.Digest
	known map[change.Sum]*change.Servers // lists that mappings share
	sums  []change.Sum                   // of one server's keys
}

func (d *digester) mapping(m *mappingSettings, plan *session.Plan) change.Mapping {
	out := change.Mapping{
		Address: m.listen.address, First: uint16(m.listen.first), Last: uint16(m.listen.last), PerPort: m.perPort,
		Keys: make([]change.Sum, len(mappingKeys)), Servers: d.servers(m.servers), Sessions: d.sessions(plan),
	}
	for i := range mappingKeys {
		key := &mappingKeys[i]
		key.write(m, d.Digest)
		if out.Keys[i] = d.Sum(); key.derived && !m.has(key.Name) {
			out.Keys[i] = out.Keys[i].Derived()
		}
	}
	return out
}

func (d *digester) sessions(plan *session.Plan) (s change.Sessions) {
	ids, lifetimes := plan.IDRule(), plan.LifetimeRule()
	s.Keeps, s.Chosen = plan.Keeps(), ids.Given
	d.Text(ids.Text)
	s.IDs = d.Sum()
	d.Text(lifetimes.Text)
	s.Lifetimes = d.Sum()
	if !plan.Varies() {
		s.Lifetime = plan.Lifetime()
	}
	return s
}

// servers digests a list. Mappings with equal lists share one.
func (d *digester) servers(list []serverSettings) *change.Servers {
	out := &change.Servers{}
	for i := range list {
		s := &list[i]
		d.sums = d.sums[:0]
		for j := range serverKeys {
			key := &serverKeys[j]
			key.write(s, d.Digest)
			sum := d.Sum()
			if key.derived && !s.account.at.has(strings.TrimPrefix(key.Name, inServers)) {
				sum = sum.Derived()
			}
			d.sums = append(d.sums, sum)
		}
		d.Text(strings.ToLower(s.Host))
		d.Number(int64(s.Port))
		out.Add(d.Sum(), d.sums)
	}
	if same := d.known[out.Sum]; same != nil {
		return same
	}
	d.known[out.Sum] = out
	return out
}

// has reports whether a key, as in Template.Username, is there.
func (o *object) has(key string) bool {
	section, key, nested := strings.Cut(key, ".")
	n := o.get(section)
	if !nested || !n.there() {
		return n.there()
	}
	return n.value.Find(key) != nil
}

// has reports whether a key of Listen or Authentication is there.
func (m *mappingSettings) has(key string) bool {
	if key, ok := strings.CutPrefix(key, inAuthentication); ok {
		return m.auth.account.at.has(key)
	}
	return m.listenAt.has(strings.TrimPrefix(key, inListen))
}

// has reports whether a key of a section at the top is there.
func (s *Settings) has(key string) bool {
	section, key, _ := strings.Cut(key, ".")
	m := s.values.value.Find(section)
	return m != nil && m.Value.Find(key) != nil
}

// orDefault writes the number in force where 0 is the default.
func orDefault[T ~int | ~int64](to *change.Digest, n, usual T) { to.Number(int64(cmp.Or(n, usual))) }
