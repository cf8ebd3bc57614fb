package layer

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"
)

func parse(t *testing.T, name, text string) *Value {
	t.Helper()
	in, err := NewSource(name, []byte(text), 1)
	if err != nil {
		t.Fatal(err)
	}
	v, faults := Parse(in)
	if v == nil || len(faults) > 0 {
		t.Fatalf("%s: %v", text, faults)
	}
	return v
}

// text writes a value as JSON of a kind: 'null' stands for what is unset, and behind @ is the origin of a literal.
func (v *Value) text(origins bool) string {
	var parts []string
	switch v.Kind {
	case Object:
		for _, m := range v.Members {
			parts = append(parts, m.Name+":"+m.Value.text(origins))
		}
		return "{" + strings.Join(parts, " ") + "}"
	case List:
		for i, item := range v.Items {
			part := item.text(origins)
			if n := v.Number(i); n != i {
				part = fmt.Sprintf("%d=%s", n, part)
			}
			parts = append(parts, part)
		}
		return "[" + strings.Join(parts, " ") + "]"
	case Null:
		return "null"
	}
	if origins {
		return v.Text + "@" + v.From.String()
	}
	return v.Text
}

func TestParse(t *testing.T) {
	for _, row := range []struct{ text, want string }{
		{`{"A": 1, /* c */ "B": [true, "x", null,], } // end`, `{A:1 B:[true x null]}`},
		{`{"A:B": 1, "A:C": 2}`, `{A:{B:1 C:2}}`},
		{`{"A": {"B": 1}, "A:C": 2, "a:d:e": 3}`, `{A:{B:1 C:2 d:{e:3}}}`},
		{`{"A:B": 1, "A": {"C": 2}}`, `{A:{B:1 C:2}}`},
		{`{"A:B": {"C": 1}, "A:b": {"D": 2}}`, `{A:{B:{C:1 D:2}}}`},
		{`{"A:0:B": 1, "A:1:B": 2}`, `{A:[{B:1} {B:2}]}`},
		{`{"A": {"1": "b", "0": "a"}}`, `{A:[a b]}`},
		{`{"A": {"7": "b", "3": "a"}}`, `{A:[3=a 7=b]}`},
		{`{"A": {"0": "a", "01": "b"}}`, `{A:{0:a 01:b}}`},
		{`{"A": {"0": "a", "-1": "b"}}`, `{A:{0:a -1:b}}`},
		{`{"A": {}}`, `{A:{}}`},
		{`[]`, `[]`},
		{`"\u00e9"`, `é`},
	} {
		if got := parse(t, "f", row.text).Settle().text(false); got != row.want {
			t.Errorf("%s: got %s; want %s", row.text, got, row.want)
		}
	}
}

func TestParseFaults(t *testing.T) {
	const twice = "the key is there more than once (keys are the same in any case)"
	for _, row := range []struct{ text, want string }{
		{"", "f:1 : the file is empty: it must hold JSON"},
		{" \r\n\t", "f:1 : the file is empty: it must hold JSON"},
		{"{\n\"A\": secret}", "f:2 : not JSON: line 2, column 6: invalid literal"},
		{"{\"A\":", "f:1 : not JSON: line 1, column 6: parsing value"},
		{"\n" + strings.Repeat("[", 1_000_000), "f:2 : objects and lists are nested deeper than 64"},
		{strings.Repeat(`{"a":`, 65), "f:1 : objects and lists are nested deeper than 64"},
		{`{"a` + strings.Repeat(":a", 70) + `":1}`, "f:1 a.…: objects are nested deeper than 64"},
		{"{\"A\":1,\n\"a\":2}", "f:2 a: " + twice},
		{`{"A":{"B":1},"a":{"C":2}}`, "f:1 a: " + twice},
		{`{"A":[{"B":1,"b":2}]}`, "f:1 A[0].b: " + twice},
		{`{"A":{"B":1},"A:B":2}`, "f:1 A.B: " + twice},
		{`{"A:B":{"C":1},"A:b":{"D":3,"C":2}}`, "f:1 A.b.C: " + twice},
		{`{"A":1,"A:B":2}`, "f:1 A: " + twice},
		{`{"A:B":2,"A":1}`, "f:1 A: " + twice},
	} {
		in, err := NewSource("f", []byte(row.text), 1)
		if err != nil {
			t.Fatal(err)
		}
		_, faults := Parse(in)
		var got []string
		for _, f := range faults {
			got = append(got, fmt.Sprintf("%s %s: %s", f.From, f.Path, f.Text))
		}
		if diff := cmp.Diff([]string{row.want}, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", row.text, diff)
		}
	}
}

// Brackets that nest nothing do not count.
func TestDepth(t *testing.T) {
	deep := strings.Repeat("[{", 100)
	for _, text := range []string{
		strings.Repeat("[", 64) + strings.Repeat("]", 64), "[" + strings.Repeat("[],", 100) + "]", `["` + deep + `\"` + deep + `"]`,
		"[ // " + deep + "\n]", "[ /* " + deep + "\n" + deep + "*/]", "[] // " + deep, "[] /* " + deep + " */",
	} {
		if v, faults := Parse(&Source{Name: "f", Text: []byte(text)}); v == nil {
			t.Errorf("%.40s…: %v", text, faults)
		}
	}
	if v, _ := Parse(&Source{Name: "f", Text: []byte("[ /* */ // \n" + strings.Repeat("[", 64) + strings.Repeat("]", 65))}); v != nil {
		t.Error("65 levels behind comments are taken")
	}
}

// A text of UTF-16 is read like one of UTF-8, its lines too.
func TestUTF16(t *testing.T) {
	const text = "{\n\"Ä\": \"😀\"}"
	for name, order := range map[string]binary.AppendByteOrder{"\xff\xfe": binary.LittleEndian, "\xfe\xff": binary.BigEndian} {
		raw := []byte(name)
		for _, unit := range utf16.Encode([]rune(text)) {
			raw = order.AppendUint16(raw, unit)
		}
		if got := parse(t, "f", string(raw)).text(true); got != "{Ä:😀@f:2}" {
			t.Errorf("%x: got %s", name, got)
		}
		if _, err := NewSource("f", raw[:len(raw)-1], 1); err != errHalfUTF16 {
			t.Errorf("%x: of half a character: %v", name, err)
		}
	}
	if got := parse(t, "f", "\xef\xbb\xbf{}").text(true); got != "{}" {
		t.Errorf("of UTF-8 with a byte-order mark: got %s", got)
	}
}

func TestMerge(t *testing.T) {
	for _, row := range []struct{ name, base, over, want string }{
		{"keys, in any case", `{"A":{"B":1,"C":2}}`, `{"a":{"c":3,"D":4}}`, `{A:{B:1@base:1 c:3@over:1 D:4@over:1}}`},
		{"lists by index", `{"A":["x","y"]}`, `{"A":["z"]}`, `{A:[z@over:1 y@base:1]}`},
		{"a longer list", `{"A":["x"]}`, `{"A":["z","w"]}`, `{A:[z@over:1 w@over:1]}`},
		{"objects of lists", `{"A":[{"B":1}]}`, `{"A":[{"C":2}]}`, `{A:[{B:1@base:1 C:2@over:1}]}`},
		{"an index as a key", `{"A":["x","y"]}`, `{"A":{"1":"z"}}`, `{A:[x@base:1 z@over:1]}`},
		{"an index as a key, below a list", `{"A":{"1":"z"}}`, `{"A":["x"]}`, `{A:[x@over:1 z@base:1]}`},
		{"an index with a gap", `{"A":["x"]}`, `{"A":{"5":"z"}}`, `{A:[x@base:1 5=z@over:1]}`},
		{"a gap that is filled", `{"A":{"0":"a","2":"c"}}`, `{"A":{"1":"b"}}`, `{A:[a@base:1 b@over:1 c@base:1]}`},
		{"null unsets a value", `{"A":1}`, `{"A":null}`, `{A:null}`},
		{"what null unset is set again", `{"A":null}`, `{"A":1}`, `{A:1@over:1}`},
		{"null leaves an object", `{"A":{"B":1}}`, `{"A":null}`, `{A:{B:1@base:1}}`},
		{"null leaves a list", `{"A":[1]}`, `{"A":null}`, `{A:[1@base:1]}`},
		{"an empty list leaves a list", `{"A":[1]}`, `{"A":[]}`, `{A:[1@base:1]}`},
		{"an empty list leaves an object", `{"A":{"B":1}}`, `{"A":[]}`, `{A:{B:1@base:1}}`},
		{"an empty object leaves a list", `{"A":[1]}`, `{"A":{}}`, `{A:[1@base:1]}`},
		{"an empty object unsets a value", `{"A":1}`, `{"A":{}}`, `{A:{}}`},
		{"a value over an object", `{"A":{"B":1}}`, `{"A":2}`, `{A:2@over:1}`},
		{"an object over a value", `{"A":2}`, `{"A":{"B":1}}`, `{A:{B:1@over:1}}`},
		{"a list and an object", `{"A":["x"]}`, `{"A":{"Items":["y"]}}`, `{A:{0:x@base:1 Items:[y@over:1]}}`},
		{"an object and a list", `{"A":{"Items":["y"]}}`, `{"A":["x"]}`, `{A:{Items:[y@base:1] 0:x@over:1}}`},
		{"a secret's form over a string", `{"Password":"x"}`, `{"password":{"Env":"A"}}`, `{password:{Env:A@over:1}}`},
		{"a secret's form over another", `{"Token":{"Env":"A"}}`, `{"Token":{"File":"B"}}`, `{Token:{File:B@over:1}}`},
		{"a string over a secret's form", `{"Username":{"Env":"A"}}`, `{"Username":"B"}`, `{Username:B@over:1}`},
		{"null unsets a secret's form", `{"Username":{"Env":"A"}}`, `{"Username":null}`, `{Username:null}`},
	} {
		if got := Merge(parse(t, "base", row.base), parse(t, "over", row.over)).Settle().text(true); got != row.want {
			t.Errorf("%s: %s, then %s: got %s; want %s", row.name, row.base, row.over, got, row.want)
		}
	}
}

func TestSettings(t *testing.T) {
	base := parse(t, "f", `{"Listen":{"Port":1,"Address":"::1"},"ProxyServers":{"Items":[{"Host":"a"},{"Host":"b"}]}}`)
	over, faults := Of([]Setting{
		{Path: []string{"listen", "PORT"}, Null: true, From: "flag --ports"},
		{Path: []string{"Listen", "PortRange", "Start"}, Value: "5", From: "flag --ports"},
		{Path: []string{"ProxyServers"}, Whole: true, From: "flag --upstream"},
		{Path: []string{"ProxyServers", "Items", "0", "Host"}, Value: "c", From: "flag --upstream"},
	}, 7)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	const want = "{Listen:{PORT:null Address:::1@f:1 PortRange:{Start:5@flag --ports}} ProxyServers:{Items:[{Host:c@flag --upstream}]}}"
	if got := Merge(base, over).Settle().text(true); got != want {
		t.Errorf("got %s; want %s", got, want)
	}
}

func TestSettingFaults(t *testing.T) {
	path := func(text string) []string { return strings.Split(text, "__") }
	for _, row := range []struct{ first, second, want string }{
		{"A__B", "a__b", "a.b: is there more than once: environment A__B is the same key (keys are the same in any case)"},
		{"A__B", "A__B__C", "A.B.C: is a key under environment A__B, which is a value: use one of the two"},
		{"A__B__C", "A__B", "A.B: is a value, and environment A__B__C puts a key under it: use one of the two"},
		{"A__0__C", "A__0", "A[0]: is a value, and environment A__0__C puts a key under it: use one of the two"},
	} {
		_, faults := Of([]Setting{
			{Path: path(row.first), From: "environment " + row.first}, {Path: path(row.second), From: "environment " + row.second},
		}, 1)
		if len(faults) != 1 || faults[0].Path+": "+faults[0].Text != row.want || faults[0].From.String() != "environment "+row.second {
			t.Errorf("%s, %s: got %v; want %s", row.first, row.second, faults, row.want)
		}
	}
}

func TestFromEnvironment(t *testing.T) {
	got := FromEnvironment([]string{"Z=1", "listen__Port=5=6", "HOME__X=1", "LISTEN=2", "Listen__=3", "A__B", "Listen__Address"},
		func(name string) bool { return strings.EqualFold(name, "Listen") })
	want := []Setting{
		{Path: []string{"Listen", ""}, Value: "3", From: "environment Listen__"},
		{Path: []string{"Listen", "Address"}, From: "environment Listen__Address"},
		{Path: []string{"listen", "Port"}, Value: "5=6", From: "environment listen__Port"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
}

// Many members and items merge as few do, and in little time.
func TestMany(t *testing.T) {
	const n = 50_000
	var list []Setting
	for i := range n {
		list = append(list, Setting{Path: []string{"A", fmt.Sprint(n - i), "Host"}, Value: fmt.Sprint(i), From: "x"})
	}
	one, faults := Of(list, 1)
	two, more := Of(list[:n/2], 1)
	if len(faults)+len(more) > 0 {
		t.Fatal(faults, more)
	}
	v := Merge(one, two).Settle().Find("a").Value
	if v.Kind != List || len(v.Items) != n || v.Number(0) != 1 || v.Items[n-1].Find("host").Value.Text != "0" {
		t.Errorf("got a value of kind %d with %d items", v.Kind, len(v.Items))
	}
}

// flatten is what .NET's configuration makes of a layer: values by their path, in which what a path holds leaves no trace.
func (v *Value) flatten(path string, to map[string]string) {
	switch v.Kind {
	case Object:
		for _, m := range v.Members {
			m.Value.flatten(path+":"+strings.ToLower(m.Name), to)
		}
	case List:
		for i, item := range v.Items {
			item.flatten(fmt.Sprintf("%s:%d", path, v.Number(i)), to)
		}
	case Null:
	default:
		to[path] = v.Text
	}
}

// nulls are the paths of a layer's nulls, and of what is empty.
func (v *Value) nulls(path string, to map[string]bool) {
	for _, m := range v.Members {
		m.Value.nulls(path+":"+strings.ToLower(m.Name), to)
	}
	for i, item := range v.Items {
		item.nulls(fmt.Sprintf("%s:%d", path, v.Number(i)), to)
	}
	if v.Kind == Null || v.holds() && len(v.Members)+len(v.Items) == 0 {
		to[path] = true
	}
}

// Merging is what .NET does with flat paths: those of the later layer replace those of the earlier one. Where one layer
// has a value and the other puts keys under it, .NET has both, and the later one counts here.
func FuzzMerge(f *testing.F) {
	f.Add(`{"A":{"B":1},"L":[1,2]}`, `{"a":{"b":2,"C":null},"L":{"4":1}}`)
	f.Add(`{"A":["x",{"B":1}],"C:D":"y"}`, `{"A":{"1":{"B":null}},"C":{"D":[]}}`)
	f.Add(`{"A":"y"}`, `{"A":{"1":{"B":null}},"C":{"D":[]}}`)
	f.Fuzz(func(t *testing.T, base, over string) {
		a, _ := Parse(&Source{Name: "a", Text: []byte(base), Order: 1})
		b, _ := Parse(&Source{Name: "b", Text: []byte(over), Order: 2})
		if a == nil || b == nil || a.Kind != Object || b.Kind != Object || strings.Contains(base+over, `"\u`) {
			return
		}
		want, later, unset := map[string]string{}, map[string]string{}, map[string]bool{}
		a.Settle().flatten("", want)
		b.Settle().flatten("", later)
		b.nulls("", unset)
		for path := range want {
			for other := range later {
				if strings.HasPrefix(path, other+":") || strings.HasPrefix(other, path+":") {
					return
				}
			}
			for other := range unset { // keys are put under a value, and none of them has one
				if strings.HasPrefix(other, path+":") {
					return
				}
			}
			name := path[strings.LastIndex(path, ":")+1:]
			if secret(name) || strings.Contains(path, "username") || strings.Contains(path, "password") || strings.Contains(path, "token") {
				return
			}
			if unset[path] {
				delete(want, path)
			}
		}
		for path, text := range later {
			want[path] = text
		}
		got := map[string]string{}
		Merge(a, b).Settle().flatten("", got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s, then %s (-want +got):\n%s", base, over, diff)
		}
	})
}

// Settings count unless earlier layers have what they yield to, and unset only what is there.
func TestCounting(t *testing.T) {
	in, err := NewSource("f", []byte(`{"A": {"b": 1, "Empty": null}, "L": [1]}`), 1)
	if err != nil {
		t.Fatal(err)
	}
	base, _ := Parse(in)
	for _, row := range []struct {
		setting Setting
		counts  bool
		alone   bool // counts without earlier layers
	}{
		{Setting{Path: []string{"X"}, Value: "1"}, true, true},
		{Setting{Path: []string{"X"}, Value: "1", Unless: [][]string{{"Y"}, {"a", "B"}}}, false, true},
		{Setting{Path: []string{"X"}, Value: "1", Unless: [][]string{{"a", "c"}, {"A", "b", "c"}, {"L", "b"}}}, true, true},
		{Setting{Path: []string{"X"}, Value: "1", Unless: [][]string{{"A", "Empty"}}}, true, true},
		{Setting{Path: []string{"a", "B"}, Null: true, Whole: true}, true, false},
		{Setting{Path: []string{"a", "C"}, Null: true, Whole: true}, false, false},
	} {
		if got := len(Counting([]Setting{row.setting}, base)) == 1; got != row.counts {
			t.Errorf("%+v: counts is %v", row.setting, got)
		}
		if got := len(Counting([]Setting{row.setting}, nil)) == 1; got != row.alone {
			t.Errorf("%+v, without earlier layers: counts is %v", row.setting, got)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	text := []byte(`{"Items":[` + strings.Repeat(`{"Host":"gate.example.com","Port":7000,"Username":"customer","Password":"secret"},`, 100_000) + `]}`)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		in, err := NewSource("f", text, 1)
		if err != nil {
			b.Fatal(err)
		}
		if v, faults := Parse(in); v == nil || len(faults) > 0 {
			b.Fatal(faults)
		}
	}
}
