package settings

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tailscale/hujson"
)

// A source is the text of the settings file, or of one that it names.
type source struct {
	name  string
	text  []byte
	order int // of reading
}

// A node is a value of a settings file, and where it stands.
type node struct {
	path  string
	value *hujson.Value
	in    *source
}

// A reader reads a settings file as .NET binds one: keys and names of enumerations in any case, numbers and booleans
// also as strings, null like a key that is not there. It notes every fault and goes on.
type reader struct {
	read    func(file string) ([]byte, error) // of files that the settings name
	main    *source
	count   int // of sources
	faults  faults
	ignored []string // paths of keys that are known and without effect
}

// fault notes what is wrong at n.
func (r *reader) fault(n node, format string, args ...any) {
	if len(r.faults.list) >= maxFaults {
		r.faults.more++
		return
	}
	at := 0
	if n.value != nil {
		at = min(n.value.StartOffset, len(n.in.text))
	}
	line := 1 + bytes.Count(n.in.text[:at], []byte("\n"))
	f := fault{n.in.order, at, n.in.name, line, n.path, fmt.Sprintf(format, args...)}
	if !slices.Contains(r.faults.list, f) { // what a rule's server has wrong is found by each mapping
		r.faults.list = append(r.faults.list, f)
	}
}

// An object is a JSON object whose keys have been checked.
type object struct {
	r       *reader
	self    node
	valid   bool            // it is there, and an object
	members map[string]node // by key in lower case
}

// keys are those of an object.
type keys struct {
	known   []string
	ignored []string // known to ProxyMapService, and without effect here
	later   []string // that a later version will know
}

// object reads n as an object.
func (r *reader) object(n node, k keys) *object {
	o := &object{r: r, self: n, members: map[string]node{}}
	if n.value == nil || n.null() {
		return o
	}
	obj, ok := n.value.Value.(*hujson.Object)
	if !ok {
		r.fault(n, "%s: must be an object: {…}", n.kind())
		return o
	}
	o.valid = true
	seen := map[string]bool{}
	for i := range obj.Members {
		m := &obj.Members[i]
		key := m.Name.Value.(hujson.Literal).String()
		at := node{join(n.path, key), &m.Name, n.in}
		lower := strings.ToLower(key)
		switch {
		case seen[lower]:
			r.fault(at, "the key is there more than once (keys are the same in any case)")
		case has(k.known, lower):
			if member := (node{at.path, &m.Value, n.in}); !member.null() {
				o.members[lower] = member
			}
		case has(k.ignored, lower):
			r.ignore(at)
		case has(k.later, lower):
			r.fault(at, "not supported yet; remove it")
		default:
			r.unknown(at, key, k)
		}
		seen[lower] = true
	}
	return o
}

func (r *reader) unknown(at node, key string, k keys) {
	if near := nearest(key, slices.Concat(k.known, k.ignored, k.later)); near != "" {
		r.fault(at, "unknown key; did you mean %q?", near)
		return
	}
	r.fault(at, "unknown key; allowed here: %s", strings.Join(k.known, ", "))
}

var listIndex = regexp.MustCompile(`\[\d+\]`)

// ignore notes a key without effect, once for all items of a list.
func (r *reader) ignore(at node) {
	path := listIndex.ReplaceAllString(at.path, "[]")
	if at.in != r.main {
		path = at.in.name + ": " + path
	}
	if !slices.Contains(r.ignored, path) {
		r.ignored = append(r.ignored, path)
	}
}

func has(names []string, lower string) bool {
	for _, n := range names {
		if strings.ToLower(n) == lower {
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

// get returns a member; its value is nil if it is not there.
func (o *object) get(key string) node {
	if n, ok := o.members[strings.ToLower(key)]; ok {
		return n
	}
	return node{path: join(o.self.path, key), in: o.self.in}
}

// orSelf returns a member, to tell a fault of it; where the object begins if it is not there.
func (o *object) orSelf(key string) node {
	n := o.get(key)
	if !n.there() {
		n.value = o.self.value
	}
	return n
}

func (n node) there() bool { return n.value != nil }

func (n node) null() bool { return n.value.Value.Kind() == 'n' }

// kind renders what a value is, and not the value: a password may have slipped into its place.
func (n node) kind() string {
	switch n.value.Value.Kind() {
	case '"':
		return "a string"
	case '0':
		return "a number"
	case 't', 'f':
		return "a boolean"
	case '[':
		return "value […]"
	}
	return "value {…}"
}

// show renders a value for a message.
func (n node) show() string {
	switch v := n.value.Value.(type) {
	case hujson.Literal:
		text := v.String()
		if len(text) > 80 {
			text = text[:80] + "…"
		}
		return fmt.Sprintf("value %q", text)
	case *hujson.Array:
		return "value […]"
	}
	return "value {…}"
}

// literal returns a string, number or boolean as text.
func (n node) literal() (text string, ok bool) {
	v, ok := n.value.Value.(hujson.Literal)
	if !ok {
		return "", false
	}
	return v.String(), true
}

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

// text reads a string.
func (o *object) text(key string) string {
	s, _, _ := o.literal(key, "a string")
	return s
}

// flag reads a boolean.
func (o *object) flag(key string) bool {
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
func (o *object) number(key string, least, most int) int {
	if n := o.get(key); n.there() {
		return n.number(o.r, least, most)
	}
	return 0
}

func (n node) number(r *reader, least, most int) int {
	s, _ := n.literal()
	v, err := strconv.Atoi(strings.TrimSpace(s))
	if err != nil || v < least || v > most {
		r.fault(n, "%s: must be a whole number from %d to %d", n.show(), least, most)
		return 0
	}
	return v
}

// choice reads a name of an enumeration, in any case; the first of the names if it is not there.
func (o *object) choice(key string, names ...string) string {
	shown := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return name == refusedChoice })
	allowed := strings.Join(shown[:len(shown)-1], ", ") + " or " + shown[len(shown)-1]
	s, n, ok := o.literal(key, allowed)
	if s = strings.TrimSpace(s); !ok || s == "" {
		return names[0]
	}
	for i, name := range names {
		if strings.EqualFold(s, name) || s == strconv.Itoa(i) {
			return name
		}
	}
	o.r.fault(n, "%s: must be %s", n.show(), allowed)
	return names[0]
}

// refusedChoice is a choice that is known in order to be refused in its own words, and not offered.
const refusedChoice = "File"

// maxDuration is the longest time that may be set.
const maxDuration = 30 * 24 * time.Hour

// duration reads a length of time; 0 if it is not there or not right. Where never says so, "0" is allowed, and -1 the
// result.
func (o *object) duration(key string, never bool) time.Duration {
	allowed := "a duration such as 500ms, 30s, 5m or 1h30m, of 1ms to 720h"
	if never {
		allowed += ", or 0 for never"
	}
	s, n, ok := o.literal(key, allowed)
	if !ok {
		return 0
	}
	d, err := time.ParseDuration(strings.TrimSpace(s))
	switch {
	case err == nil && d == 0 && never:
		return -1
	case err != nil || d < time.Millisecond || d > maxDuration:
		o.r.fault(n, "%s: must be %s", n.show(), allowed)
		return 0
	}
	return d
}

// list reads an array.
func (o *object) list(key string) []node {
	return o.r.elements(o.get(key))
}

// elements are those of an array.
func (r *reader) elements(n node) []node {
	if !n.there() {
		return nil
	}
	a, ok := n.value.Value.(*hujson.Array)
	if !ok {
		r.fault(n, "%s: must be a list: […]", n.kind())
		return nil
	}
	nodes := make([]node, len(a.Elements))
	for i := range a.Elements {
		nodes[i] = node{fmt.Sprintf("%s[%d]", n.path, i), &a.Elements[i], n.in}
	}
	return nodes
}

func newReader(name string, text []byte, read func(string) ([]byte, error)) *reader {
	r := &reader{read: read, faults: faults{file: name}}
	r.main = r.source(name, text)
	return r
}

// source notes a file that is read.
func (r *reader) source(name string, text []byte) *source {
	r.count++
	return &source{name, bytes.TrimPrefix(text, []byte("\xef\xbb\xbf")), r.count}
}

// parse reads a file as JSON.
func (r *reader) parse(in *source) (root node, ok bool) {
	value, err := hujson.Parse(in.text)
	if err != nil { // for hujson a comment must end in a line's end, and for .NET in the file's
		if v, e := hujson.Parse(append(slices.Clip(in.text), '\n')); e == nil {
			value, err = v, nil
		}
	}
	if err == nil {
		return node{"", &value, in}, true
	}
	if len(bytes.TrimSpace(in.text)) == 0 {
		r.faults.list = append(r.faults.list, fault{order: in.order, file: in.name, line: 1, text: "the file is empty: it must hold JSON"})
		return node{}, false
	}
	line := 1
	if _, e := fmt.Sscanf(err.Error(), "hujson: line %d", &line); e != nil {
		line = 1
	}
	r.faults.list = append(r.faults.list, fault{order: in.order, file: in.name, line: line, text: "not JSON: " + withoutValue(err.Error())})
	return node{}, false
}

// withoutValue cuts the text at fault off an error of hujson, which may be a password without its quotes:
// "hujson: line 1, column 2: invalid literal: text".
func withoutValue(text string) string {
	parts := strings.SplitN(strings.TrimPrefix(text, "hujson: "), ": ", 3)
	return strings.Join(parts[:min(len(parts), 2)], ": ")
}
