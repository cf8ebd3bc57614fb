package settings

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"proxymap/cmd/proxymap/internal/settings/layer"
	"proxymap/cmd/proxymap/internal/settings/mask"
	"proxymap/cmd/proxymap/internal/settings/near"
	"proxymap/cmd/proxymap/internal/settings/schema"
)

// A node is a value of the settings, and where it stands.
type node struct {
	place
	value *layer.Value // nil: it is not there
	from  layer.Origin // of the value; of what should hold it, if it is not there
}

// A place is a value's path, put together when somebody asks.
type place struct {
	up     *place
	key    string // of an object's member
	item   bool   // of a list, with a number in place of a key
	number int
}

// path is as in ProxyMappings[0].Listen.Port; empty for the settings as a whole.
func (p *place) path() string {
	switch {
	case p.up == nil:
		return p.key
	case p.item:
		return fmt.Sprintf("%s[%d]", p.up.path(), p.number)
	}
	return join(p.up.path(), p.key)
}

// A reader reads settings as .NET binds them: keys and names of enumerations in any case, numbers and booleans also as
// strings, null like a key that is not there. It notes every fault and goes on.
type reader struct {
	read        func(file string) ([]byte, error) // of files that the settings name
	environ     []string                          // NAME=VALUE
	file        string                            // of the settings, beside which the files are that they name
	main        string                            // file, if it was there
	absent      []string                          // files that could have been layers
	lackSecrets bool                              // those that cannot be read are no fault
	count       int                               // of sources
	layers      []Layer
	faults      faults
	ignored     []string // paths of keys that are known and without effect
}

// fault notes what is wrong at n. What the arguments have of credentials is masked: a provider's line may stand in the
// wrong place.
func (r *reader) fault(n node, format string, args ...any) {
	for i, arg := range args {
		switch a := arg.(type) {
		case string:
			args[i] = mask.Text(a)
		case error:
			args[i] = mask.Text(a.Error())
		}
	}
	r.faults.add(n.from, n.path(), fmt.Sprintf(format, args...))
}

// An object is a JSON object whose keys have been checked.
type object struct {
	r       *reader
	self    node
	valid   bool // it is there, and an object
	section *schema.Section
}

// object reads n as an object.
func (r *reader) object(n node, s *schema.Section) *object {
	o := &object{r: r, self: n, section: s}
	if !n.there() {
		return o
	}
	if n.value.Kind != layer.Object {
		r.fault(n, "%s: must be an object: {…}", n.kind())
		return o
	}
	o.valid = true
	for i := range n.value.Members {
		m := &n.value.Members[i]
		at := node{place{up: &o.self.place, key: m.Name}, m.Value, m.From}
		switch {
		case s.Has(m.Name), m.Name == "$schema" && n.up == nil:
		case s.Ignores(m.Name):
			r.ignore(at)
		default:
			r.unknown(at, m.Name, s)
		}
	}
	return o
}

func (r *reader) unknown(at node, key string, s *schema.Section) {
	if _, err := strconv.Atoi(key); err == nil {
		r.fault(at, "is an item of a list, and another layer has an object here, with keys such as %q: use one of the two forms", s.Names()[0])
		return
	}
	if meant := near.Name(key, slices.Concat(s.Names(), s.Ignored)); meant != "" {
		r.fault(at, "unknown key; did you mean %q?", meant)
		return
	}
	r.fault(at, "unknown key; allowed here: %s", strings.Join(s.Names(), ", "))
}

var listIndex = regexp.MustCompile(`\[\d+\]`)

// ignore notes a key without effect, once for all items of a list.
func (r *reader) ignore(at node) {
	path := listIndex.ReplaceAllString(at.path(), "[]")
	if file := at.from.Source; file.Included {
		path = file.Name + ": " + path
	}
	if !slices.Contains(r.ignored, path) {
		r.ignored = append(r.ignored, path)
	}
}

func has(names []string, name string) bool {
	for _, n := range names {
		if strings.EqualFold(n, name) {
			return true
		}
	}
	return false
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// get returns a member; its value is nil if it is not there, or null.
func (o *object) get(key string) node {
	n := node{place{up: &o.self.place, key: key}, nil, o.self.from}
	if !o.valid {
		return n
	}
	if m := o.self.value.Find(key); m != nil && m.Value.Kind != layer.Null && o.section.Has(key) {
		n.key, n.value, n.from = m.Name, m.Value, m.Value.From
	}
	return n
}

// holds reports whether one of the known keys is there.
func (o *object) holds() bool {
	return slices.ContainsFunc(o.section.Names(), func(key string) bool { return o.get(key).there() })
}

func (n node) there() bool { return n.value != nil && n.value.Kind != layer.Null }

// isList reports whether n is a list.
func (n node) isList() bool { return n.there() && n.value.Kind == layer.List }

// kind renders what a value is, and not the value: a password may have slipped into its place.
func (n node) kind() string {
	switch n.value.Kind {
	case layer.String:
		return "a string"
	case layer.Number:
		return "a number"
	case layer.Bool:
		return "a boolean"
	case layer.List:
		return "value […]"
	case layer.Null:
		return "null"
	}
	return "value {…}"
}

// show renders a value for a message.
func (n node) show() string {
	switch n.value.Kind {
	case layer.List:
		return "value […]"
	case layer.Object:
		return "value {…}"
	}
	text := n.value.Text
	if n.value.Kind == layer.Null {
		return "value null"
	}
	if len(text) > 80 {
		text = text[:80] + "…"
	}
	return fmt.Sprintf("value %q", text)
}

// literal returns a string, number or boolean as text.
func (n node) literal() (text string, ok bool) { return n.value.Text, n.value.Literal() }

// literal returns a member that is a string, number or boolean as text.
func (o *object) literal(key, allowed string) (text string, n node, ok bool) {
	n = o.get(key)
	if !n.there() {
		return "", n, false
	}
	if text, ok = n.literal(); !ok {
		o.r.fault(n, "%s: must be %s", n.show(), allowed)
	}
	return text, n, ok
}

// typeOf is the type of a key, which must be of that kind: o's section is what is read.
func typeOf[T schema.Type](o *object, key string) T {
	k := o.section.Key(key)
	t, ok := k.Type.(T)
	if !ok {
		panic(fmt.Sprintf("settings: %s.%s is of type %T; it is read as %T", o.section.Name, key, k.Type, t))
	}
	return t
}

// defaultOf is the default of a key.
func defaultOf[T any](o *object, key string) T { return o.section.Key(key).Default.(T) }

// text reads a string.
func (o *object) text(key string) string {
	s, _, _ := o.literal(key, "a string")
	return s
}

// flag reads a boolean.
func (o *object) flag(key string) bool {
	_ = typeOf[schema.Flag](o, key)
	s, n, ok := o.literal(key, "true or false")
	s = strings.TrimSpace(s)
	switch {
	case !ok || strings.EqualFold(s, "false"):
		return false
	case strings.EqualFold(s, "true"):
		return true
	}
	o.r.fault(n, "%s: must be true or false", n.show())
	return false
}

// number reads a whole number; 0 if it is not there or not right.
func (o *object) number(key string) int {
	t := typeOf[schema.Number](o, key)
	if n := o.get(key); n.there() {
		return n.number(o.r, t)
	}
	return 0
}

func (n node) number(r *reader, t schema.Number) int {
	s, _ := n.literal()
	v, err := strconv.Atoi(strings.TrimSpace(s))
	if err != nil || v < t.Least || v > t.Most {
		r.fault(n, "%s: must be %s", n.show(), t.Allowed())
		return 0
	}
	return v
}

// choice reads a name of an enumeration, in any case; the first of the names if it is not there. It may be the one that is
// refused.
func (o *object) choice(key string) string {
	t := typeOf[schema.Choice](o, key)
	s, n, ok := o.literal(key, t.Allowed())
	if s = strings.TrimSpace(s); !ok || s == "" {
		return t.Names[0]
	}
	if name, found := t.Find(s); found {
		return name
	}
	o.r.fault(n, "%s: must be %s", n.show(), t.Allowed())
	return t.Names[0]
}

// duration reads a length of time; 0 if it is not there or not right, and -1 for never.
func (o *object) duration(key string) time.Duration {
	t := typeOf[schema.Duration](o, key)
	s, n, ok := o.literal(key, t.Allowed())
	if !ok {
		return 0
	}
	d, err := time.ParseDuration(strings.TrimSpace(s))
	switch {
	case err == nil && d == 0 && t.Never:
		return -1
	case err != nil || d < t.Least || d > t.Most:
		o.r.fault(n, "%s: must be %s", n.show(), t.Allowed())
		return 0
	}
	return d
}

// durationOr is duration with the key's default.
func (o *object) durationOr(key string) time.Duration {
	if d := o.duration(key); d > 0 {
		return d
	}
	return defaultOf[time.Duration](o, key)
}

// lifetime reads whole minutes, or a length of time with its unit; 0 if it is not there or not right.
func (o *object) lifetime(key string) time.Duration {
	t := typeOf[schema.Lifetime](o, key)
	s, n, ok := o.literal(key, t.Allowed())
	if !ok {
		return 0
	}
	s = strings.TrimSpace(s)
	if minutes, err := strconv.Atoi(s); err == nil && 0 <= minutes && minutes <= t.Most {
		return time.Duration(minutes) * time.Minute
	}
	if d, err := time.ParseDuration(s); err == nil && schema.MinLifetime <= d && d <= time.Duration(t.Most)*time.Minute {
		return d
	}
	o.r.fault(n, "%s: must be %s", n.show(), t.Allowed())
	return 0
}

// list reads an array; nothing of one that has too many items.
func (o *object) list(key string) []node {
	list := o.r.elements(o.get(key))
	if most := typeOf[schema.List](o, key).Most; most > 0 && len(list) > most {
		o.r.fault(o.get(key), "has %d items; at most %d are allowed", len(list), most)
		return nil
	}
	return list
}

// elements are those of an array.
func (r *reader) elements(n node) []node {
	if !n.there() {
		return nil
	}
	if n.value.Kind != layer.List {
		if m := n.value.NoItem(); m != nil {
			r.fault(node{place{up: &n.place, key: m.Name}, m.Value, m.From}, "is no number of an item: this is a list")
			return nil
		}
		r.fault(n, "%s: must be a list: […]", n.kind())
		return nil
	}
	up := &n.place
	nodes := make([]node, len(n.value.Items))
	for i, item := range n.value.Items {
		nodes[i] = node{place{up: up, item: true, number: n.value.Number(i)}, item, item.From}
	}
	return nodes
}
