package pattern

import (
	"maps"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func mustCompile(t testing.TB, expr string) *Pattern {
	t.Helper()
	p, err := Compile(expr)
	if err != nil {
		t.Fatalf("%q: %v", expr, err)
	}
	return p
}

// drawn counts what a pattern makes of seeds 0 to n-1.
func drawn(t testing.TB, expr string, n int) map[string]int {
	t.Helper()
	p, want := mustCompile(t, expr), regexp.MustCompile("^(?:"+expr+")$")
	seen := map[string]int{}
	for seed := range n {
		s := string(p.Append(nil, rand.NewPCG(uint64(seed), 1)))
		if !want.MatchString(s) || !usable(s) || len(s) > MaxLength {
			t.Fatalf("%q: got %q, which does not match or cannot be used", expr, s)
		}
		seen[s]++
	}
	return seen
}

func usable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f || r == ':' || r == utf8.RuneError })
}

// All that a pattern can make, for each operator of the syntax.
func TestOperators(t *testing.T) {
	for _, row := range []struct{ name, expr, want string }{
		{"nothing", ``, ""},
		{"empty group", `(?:)`, ""},
		{"literal", `abc`, "abc"},
		{"escaped literal", `\.\[\x41\Q*\E`, ".[A*"},
		{"literal of any script", `äж`, "äж"},
		{"literal in any case", `(?i)a1`, "A1 a1"},
		{"in any case, but for what is no ASCII", `(?i)k`, "K k"},
		{"in any case, of another script", `(?i)ж`, "Ж ж"},
		{"class", `[a-cx]`, "a b c x"},
		{"class of one", `[a]`, "a"},
		{"class in any case", `(?i)[k]`, "K k"},
		{"class of another script", `[а-в]`, "а б в"},
		{"class with a colon", `[9-;]`, "9 ;"},
		{"negated class", `[^\x00-w\x7f-\x{10ffff}]`, "x y z { | } ~"},
		{"Perl class", `\d`, "0 1 2 3 4 5 6 7 8 9"},
		{"named class", `[[:xdigit:]]`, "0 1 2 3 4 5 6 7 8 9 A B C D E F a b c d e f"},
		{"Unicode class", `\p{Sc}`, ""}, // has $
		{"begin of text", `^a`, "a"},
		{"\\A and \\z", `\Aa\z`, "a"},
		{"end of text", `a$`, "a"},
		{"begin and end of line", `(?m)^a$`, "a"},
		{"anchors in alternatives", `(^a|b$)`, "a b"},
		{"anchors twice", `^^a$$`, "a"},
		{"anchor beside nothing", `(?:)^a(?:)$`, "a"},
		{"capture", `(a)(?P<n>b)`, "ab"},
		{"star", `a*`, ""},
		{"plus", `a+`, ""},
		{"quest", `a?b`, "ab b"},
		{"not greedy", `a??b`, "ab b"},
		{"repeat", `a{2}`, "aa"},
		{"repeat of nothing", `a{0}b`, "b"},
		{"repeat from to", `a{1,3}`, "a aa aaa"},
		{"repeat within repeat", `(?:a{1,2}b){2}`, "aabaab aabab abaab abab"},
		{"concatenation", `[ab][cd]`, "ac ad bc bd"},
		{"alternatives", `a|bc|d`, "a bc d"},
		{"alternatives with a common prefix", `de|dk|fr`, "de dk fr"},
		{"an empty alternative", `(?:a|)b`, "ab b"},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := strings.Join(slices.Sorted(maps.Keys(drawn(t, row.expr, 1000))), " ")
			if row.want != "" && got != row.want {
				t.Errorf("%q makes %q; want %q", row.expr, got, row.want)
			}
		})
	}
}

// What has no end ends, and what must be there is.
func TestOpenRepeats(t *testing.T) {
	for _, row := range []struct {
		expr        string
		least, most int
	}{
		{`a*`, 0, 32}, {`a+`, 1, 32}, {`a{3,}`, 3, 32}, {`a{40,}`, 40, 40}, {`.*`, 0, 32}, {`a{256}`, 256, 256},
	} {
		least, most := MaxLength, 0
		for s := range drawn(t, row.expr, 2000) {
			least, most = min(least, len(s)), max(most, len(s))
		}
		if least != row.least || most != row.most {
			t.Errorf("%q: lengths %d to %d; want %d to %d", row.expr, least, most, row.least, row.most)
		}
	}
}

// Classes that have printable ASCII characters are drawn from those; others from all that a user name can hold.
func TestWideClasses(t *testing.T) {
	for _, expr := range []string{`.{8}`, `(?s).{8}`, `[^a]{8}`, `\W{8}`, `\D{8}`, `\S{8}`, `\PL{8}`, `[^\n]{8}`} {
		for s := range drawn(t, expr, 200) {
			if strings.ContainsFunc(s, func(r rune) bool { return r > '~' }) {
				t.Fatalf("%q makes %q; want ASCII", expr, s)
			}
		}
	}
	for _, expr := range []string{`[^\x00-\x7f]{4}`, `[\x{d7ff}-\x{e000}]`, `[\x{fffc}-\x{fffe}]`, `\p{Greek}{3}`} {
		drawn(t, expr, 500)
	}
}

func TestFaults(t *testing.T) {
	for _, row := range []struct{ name, expr, want string }{
		{"syntax", `[`, "missing closing ]"},
		{"a back reference", `(a)\1`, "invalid escape sequence"},
		{"a look-ahead", `(?=a)`, "invalid or unsupported Perl syntax"},
		{"word boundary", `\bab`, `\b is a condition`},
		{"no word boundary", `a\Bb`, `\B is a condition`},
		{"an empty class", `[^\x00-\x{10ffff}]`, "matches nothing"},
		{"a colon", `a:b`, "colon"},
		{"a line end", `a\nb`, "control character"},
		{"a class of control characters", `[\x00-\x1f\x7f:]`, "control character"},
		{"a class of surrogates", `[\x{d800}-\x{dfff}]`, "not UTF-8"},
		{"the replacement character", `\x{fffd}`, "not UTF-8"},
		{"something before ^", `a^`, `before the anchor`},
		{"something optional before ^", `a?^b`, `before the anchor`},
		{"something after $", `$a`, `after the anchor`},
		{"an anchor in a repeat", `(?:^a)+`, `before the anchor`},
		{"an anchor in an alternative", `x(?:^a|b)`, `before the anchor`},
		{"too long", `a{257}`, "longer than 256 bytes"},
		{"too long in all", `a{200}b{57}`, "longer than 256 bytes"},
		{"too long for the letters' bytes", `[а-я]{129}`, "longer than 256 bytes"},
		{"open within open", `(a*)*b`, "longer than 256 bytes"},
		{"open within open of two", `(?:ab*)*`, "longer than 256 bytes"},
		{"nothing, a million times", `(?:(?:a{0}){100}){10}`, "longer than 256 bytes"},
	} {
		t.Run(row.name, func(t *testing.T) {
			if _, err := Compile(row.expr); err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("%q: got %v; want an error that says %q", row.expr, err, row.want)
			}
		})
	}
}

// These must be the same on every platform and in every version: two nodes with one seed make one id.
func TestSeeded(t *testing.T) {
	for _, row := range []struct{ expr, want string }{
		{`[A-Za-z]{8}`, "ogopMCZX"},
		{`[a-f0-9]{4,12}-(?:us|de|fr)`, "9cc307722a-de"},
		{`(?i)user.+`, "user#OK,1_Jy"},
		{`[а-я]{4}|\d*`, "77204411649137750306"},
	} {
		p := mustCompile(t, row.expr)
		for range 2 {
			if got := string(p.Append(nil, rand.NewPCG(1, 2))); got != row.want {
				t.Errorf("%q: got %q; want %q", row.expr, got, row.want)
			}
		}
	}
}

// Each string of a choice comes about as often as any other. The seeds are fixed, so the counts are.
func TestDistribution(t *testing.T) {
	const draws = 6000
	for _, expr := range []string{`[a-f]`, `a|b|c|d|e|f`, `us|de|dk|fr|ca|cz`, `[ab]|c|(?:d|e)|f`, `x{0,5}`, `[ab][cde]`, `(?i)[abc]`, `[ab]|xx|[cde]`} {
		seen := drawn(t, expr, draws)
		if len(seen) != 6 {
			t.Errorf("%q makes %d strings; want 6", expr, len(seen))
		}
		for s, n := range seen {
			if n < draws/6*85/100 || n > draws/6*115/100 {
				t.Errorf("%q: %q came %d times of %d; want about a sixth", expr, s, n, draws)
			}
		}
	}
}

func TestCount(t *testing.T) {
	for expr, want := range map[string]float64{
		``: 1, `abc`: 1, `[ab]`: 2, `[a-z]{2}`: 676, `[ab]{1,3}`: 14, `us|de|[xy]`: 4, `a?b`: 2, `[ж-и]`: 3, `[0-9]{6}`: 1e6, `[A-Za-z0-9]{8}`: 1 << 40,
	} {
		if got := mustCompile(t, expr).Count(); got != want {
			t.Errorf("%q: got %v; want %v", expr, got, want)
		}
	}
}

func TestAppendAllocatesNothing(t *testing.T) {
	p := mustCompile(t, `[a-f0-9]{4,12}-(?:us|de|fr)[^a]\p{Greek}?(?i:x)+`)
	src, buf := rand.NewPCG(1, 2), make([]byte, 0, MaxLength)
	if n := testing.AllocsPerRun(100, func() { _ = p.Append(buf, src) }); n != 0 {
		t.Errorf("%v allocations; want none", n)
	}
}

// Whatever is drawn matches, can be used, and is drawn again by the same seed.
func FuzzPattern(f *testing.F) {
	for _, expr := range []string{`[A-Za-z]{8}`, `(?i)(ab|cd*|[^e]?)$`, `^\PL\d{2,}`, `.{3}|(?s).+`, `a{0}(?m)^b$`, `[[:^alpha:]]|\x{10ffff}`, `(?i)ſ|k`, `(a|^b)c|$`} {
		f.Add(expr, uint64(1))
	}
	f.Fuzz(func(t *testing.T, expr string, seed uint64) {
		if len(expr) > 200 {
			return
		}
		p, err := Compile(expr)
		if err != nil {
			return
		}
		want, err := regexp.Compile("^(?:" + expr + ")$")
		if err != nil {
			return // nested too deep by one group
		}
		for n := range uint64(4) {
			s := string(p.Append(nil, rand.NewPCG(seed, n)))
			if !want.MatchString(s) || !usable(s) || len(s) > MaxLength {
				t.Fatalf("%q made %q", expr, s)
			}
			if again := string(p.Append(nil, rand.NewPCG(seed, n))); again != s {
				t.Fatalf("%q made %q and %q of one seed", expr, s, again)
			}
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	p, src, buf := mustCompile(b, `[A-Za-z]{8}`), rand.NewPCG(1, 2), make([]byte, 0, MaxLength)
	b.ReportAllocs()
	for b.Loop() {
		_ = p.Append(buf, src)
	}
}
