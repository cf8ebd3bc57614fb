package hostrule

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"proxymap/httpparse"
)

func mustIndex(t testing.TB, rules []Rule, last bool) *Index {
	t.Helper()
	r, err := New(rules, last)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// What one rule matches.
func TestRuleMatches(t *testing.T) {
	for _, row := range []struct {
		name string
		rule Rule
		host string
		port uint16
		want bool
	}{
		{"neither: every host", Rule{}, "a.example", 80, true},
		{"neither: every address", Rule{}, "::1", 80, true},
		{"port alone", Rule{Port: 80}, "a.example", 80, true},
		{"another port", Rule{Port: 80}, "a.example", 443, false},
		{"host", Rule{Host: "a.example"}, "a.example", 443, true},
		{"host, another", Rule{Host: "a.example"}, "b.example", 443, false},
		{"host, a longer one", Rule{Host: "a.example"}, "a.a.example", 443, false},
		{"host, a shorter one", Rule{Host: "a.example"}, "a.exampl", 443, false},
		{"host in another case", Rule{Host: "A.Example"}, "a.eXample", 443, true},
		{"host and port", Rule{Host: "a.example", Port: 443}, "a.example", 443, true},
		{"host and another port", Rule{Host: "a.example", Port: 443}, "a.example", 80, false},
		{"host with a dot", Rule{Host: "a.example."}, "a.example", 443, true},
		{"host without the dot that came", Rule{Host: "a.example"}, "a.example.", 443, true},
		{"IPv4", Rule{Host: "127.0.0.1"}, "127.0.0.1", 80, true},
		{"IPv6", Rule{Host: "2001:db8::1"}, "2001:db8::1", 80, true},
		{"IPv6 in brackets", Rule{Host: "[2001:db8::1]"}, "2001:db8::1", 80, true},
		{"IPv6, spelt otherwise", Rule{Host: "2001:DB8:0:0::01"}, "2001:db8::1", 80, true},
		{"IPv6, came spelt otherwise", Rule{Host: "2001:db8::1"}, "2001:0DB8::0.0.0.1", 80, true},
		{"IPv6, another", Rule{Host: "2001:db8::1"}, "2001:db8::2", 80, false},
		{"IPv6 and port", Rule{Host: "[::1]", Port: 80}, "::1", 80, true},
		{"IPv6 and another port", Rule{Host: "[::1]", Port: 80}, "::1", 81, false},
		{"pattern, anywhere", Rule{Pattern: "xamp"}, "a.example.com", 80, true},
		{"pattern, nowhere", Rule{Pattern: "xamq"}, "a.example.com", 80, false},
		{"pattern in another case", Rule{Pattern: "xamp"}, "a.EXAMPLE.com", 80, false},
		{"pattern in upper case", Rule{Pattern: "XAMP"}, "a.eXAMPle.com", 80, true},
		{"pattern in upper case, end", Rule{Pattern: "Le$"}, "a.eXAMPLe", 80, true},
		{"pattern in upper case, end in another", Rule{Pattern: "Le$"}, "a.example", 80, false},
		{"pattern with (?i)", Rule{Pattern: "(?i)xAmp"}, "a.EXaMPLE.com", 80, true},
		{"pattern with (?i) in part", Rule{Pattern: "(?i:x)amp"}, "a.eXAMPLE", 80, false},
		{"pattern, another port", Rule{Pattern: "a", Port: 80}, "a", 81, false},
		{"pattern sees no dot at the end", Rule{Pattern: `\.com$`}, "example.com.", 80, true},
		{"pattern sees an address without brackets", Rule{Pattern: `^2001:`}, "2001:db8::1", 80, true},
		{"pattern sees an address as it came", Rule{Pattern: `^2001:db8:0:`}, "2001:db8::1", 80, false},
		{"either: host", Rule{Host: "a.example", Pattern: `^b`}, "a.example", 80, true},
		{"either: pattern", Rule{Host: "a.example", Pattern: `^b`}, "b.example", 80, true},
		{"either: neither", Rule{Host: "a.example", Pattern: `^b`}, "c.example", 80, false},
		{"a host of 255 bytes", Rule{Pattern: "^a+z$"}, strings.Repeat("a", 254) + "z", 80, true},
		{"the root", Rule{Host: "."}, ".", 80, true},

		{"end", Rule{Pattern: `\.example\.com$`}, "a.example.com", 80, true},
		{"end, elsewhere", Rule{Pattern: `\.example\.com$`}, "a.example.com.de", 80, false},
		{"beginning", Rule{Pattern: `^cdn`}, "cdn1.example.com", 80, true},
		{"beginning, elsewhere", Rule{Pattern: `^cdn`}, "a.cdn.example.com", 80, false},
		{"anything before the end", Rule{Pattern: `^.*\.example\.com$`}, "a.example.com", 80, true},
		{"something before the end", Rule{Pattern: `^.+\.example\.com$`}, ".example.com", 80, false},
		{"a name and what is below it", Rule{Pattern: `(^|\.)example\.com$`}, "example.com", 80, true},
		{"a name and what is below it, no dot", Rule{Pattern: `(^|\.)example\.com$`}, "myexample.com", 80, false},
		{"an optional part", Rule{Pattern: `^(www\.)?example\.com$`}, "example.com", 80, true},
		{"an optional part, another", Rule{Pattern: `^(www\.)?example\.com$`}, "a.example.com", 80, false},
		{"an end that need not be one", Rule{Pattern: `example(\.com$|)`}, "example.org", 80, true},
		{"alternatives", Rule{Pattern: `^(a|b)\.(com|net)$`}, "b.com", 80, true},
		{"alternatives, crossed", Rule{Pattern: `^a\.com|b\.net$`}, "x.b.net", 80, true},
		{"an anchor in the middle", Rule{Pattern: `a$b`}, "ab", 80, false},
		{"an anchor in the middle, lines", Rule{Pattern: `(?m)a$b`}, "ab", 80, false},
		{"lines", Rule{Pattern: `(?m)^a.com$`}, "a.com", 80, true},
		{"an anchor twice", Rule{Pattern: `^(^a)b($|c)$`}, "ab", 80, true},
		{"an optional anchor", Rule{Pattern: `^?ab`}, "xab", 80, true},
		{"a word's boundary", Rule{Pattern: `\bads\b`}, "x.ads.example", 80, true},
		{"a word's boundary, none", Rule{Pattern: `\bads\b`}, "x.adserver.example", 80, false},
		{"once or more often", Rule{Pattern: `^(ab)+$`}, "ababab", 80, true},
		{"so many times", Rule{Pattern: `^(ab){2}\.com$`}, "ababab.com", 80, false},
		{"never so often", Rule{Pattern: `^x(abc){0}\.com$`}, "x.com", 80, true},
		{"a small class", Rule{Pattern: `^[ab]\.com$`}, "b.com", 80, true},
		{"a large class", Rule{Pattern: `^[^.]+\.com$`}, "b.b.com", 80, false},
		{"the empty one", Rule{Pattern: `()`}, "b.com", 80, true},
		{"nothing", Rule{Pattern: `[^\x00-\x{10FFFF}]`}, "b.com", 80, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			for _, last := range []bool{false, true} {
				r := mustIndex(t, []Rule{row.rule}, last)
				if got := r.Match([]byte(row.host), row.port) != nil; got != row.want {
					t.Errorf("%+v matches %s:%d: %v; want %v", row.rule, row.host, row.port, got, row.want)
				}
			}
		})
	}
}

// Which of several rules wins, whatever makes each match.
func TestRuleOrder(t *testing.T) {
	all := []Rule{
		{Host: "a.example"}, {Pattern: `\.example$`}, {}, {Pattern: `^a`}, {Pattern: `.exam`}, {Pattern: `[a-f]`},
		{Port: 80}, {Host: "A.example", Port: 80}, {Pattern: `^a\.example$`}, {Pattern: `^[a-z]\.example`, Port: 80},
	}
	for i := range all {
		for j := range all {
			rules := []Rule{all[i], all[j]}
			rules[0].Server, rules[1].Server = 1, 2
			for want, last := range map[int]bool{1: false, 2: true} {
				got := mustIndex(t, rules, last).Match([]byte("a.example"), 80)
				if got == nil || got.Server != want {
					t.Errorf("of %+v, last: %v: got %+v; want that of server %d", rules, last, got, want)
				}
			}
		}
	}
}

func TestNoRules(t *testing.T) {
	var none *Index
	if r := none.Match([]byte("a.example"), 80); r != nil {
		t.Errorf("got %+v; want nil", r)
	}
	if r := mustIndex(t, nil, true).Match([]byte("a.example"), 80); r != nil {
		t.Errorf("got %+v; want nil", r)
	}
}

// A rule comes back as it was given, but for brackets, and the caller's slice stays as it was.
func TestRuleIsKept(t *testing.T) {
	given := []Rule{
		{Host: "a", Action: Bypass, OverrideHost: "[::1]", OverridePort: 81, Server: -1},
		{Host: "b", Port: 80, Action: Deny, OverrideHost: "c.", Server: 3},
	}
	r := mustIndex(t, given, true)
	want := given[0]
	want.OverrideHost = "::1"
	if got := r.Match([]byte("a"), 80); got == nil || *got != want {
		t.Errorf("got %+v; want %+v", got, want)
	}
	if got := r.Match([]byte("b"), 80); got == nil || *got != given[1] {
		t.Errorf("got %+v; want %+v", got, given[1])
	}
	if given[0].OverrideHost != "[::1]" || given[0].Host != "a" {
		t.Errorf("the caller's rules are now %+v", given)
	}
}

func TestRuleFaults(t *testing.T) {
	for _, row := range []struct {
		rule   Rule
		key    string
		reason string // a part of it
	}{
		{Rule{Host: "a:80"}, "Host", `"a:80" has a port`},
		{Rule{Host: "a:"}, "Host", "has a port"},
		{Rule{Host: "[::1]:80"}, "Host", "has a port"},
		{Rule{Host: "a b"}, "Host", `"a b" is neither a name nor an IP address`},
		{Rule{Host: "ä.example"}, "Host", "xn--"},
		{Rule{Host: "*.example"}, "Host", "neither"},
		{Rule{Host: "[::1"}, "Host", "neither"},
		{Rule{Host: "::1]"}, "Host", "neither"},
		{Rule{Host: "[a]"}, "Host", "neither"},
		{Rule{Host: "[1.2.3.4]"}, "Host", "neither"},
		{Rule{Host: "fe80::1%eth0"}, "Host", "no zone"},
		{Rule{Host: "10.0.0.0/8"}, "Host", "no prefix length"},
		{Rule{Host: strings.Repeat("a", 256)}, "Host", "at most 255"},
		{Rule{OverrideHost: "a:80"}, "OverrideHost", "has a port"},
		{Rule{OverrideHost: "a/b"}, "OverrideHost", "neither"},
		{Rule{Action: 3}, "Action", "3 is none"},
		{Rule{Pattern: "a(?=b)"}, "Pattern", "no look-around"},
		{Rule{Pattern: `(a)\1`}, "Pattern", "no back-references"},
		{Rule{Pattern: "a("}, "Pattern", `"a("`},
		{Rule{Pattern: strings.Repeat("a", maxPattern+1)}, "Pattern", "4097 bytes; at most 4096"},
	} {
		r, err := New([]Rule{{}, row.rule}, false)
		var f *Fault
		if r != nil || !errors.As(err, &f) || f.Index != 1 || f.Key != row.key || !strings.Contains(f.Reason, row.reason) {
			t.Errorf("%+v: got %v; want a fault of %s that says %q", row.rule, err, row.key, row.reason)
		}
	}
	mustIndex(t, []Rule{{Pattern: strings.Repeat("a", maxPattern)}}, false)
}

// All faults are told, each at its rule's place, also if the last match wins.
func TestRuleFaultsAreJoined(t *testing.T) {
	_, err := New([]Rule{{Host: "a:1", Pattern: "("}, {}, {OverrideHost: ":", Action: 9}}, true)
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		t.Fatalf("got %v; want joined errors", err)
	}
	var got []string
	for _, err := range joined.Unwrap() {
		f, ok := err.(*Fault)
		if !ok {
			t.Fatalf("%v is no *Fault", err)
		}
		got = append(got, fmt.Sprint(f.Index, f.Key))
	}
	if want := "[0Host 0Pattern 2OverrideHost 2Action]"; fmt.Sprint(got) != want {
		t.Errorf("got %v; want %s", got, want)
	}
}

// slowIndex is what Index does, said simply.
type slowIndex struct {
	rules    []Rule
	patterns []*regexp.Regexp
	last     bool
}

func newSlowIndex(rules []Rule, last bool) *slowIndex {
	s := &slowIndex{rules: rules, last: last}
	for _, r := range rules {
		s.patterns = append(s.patterns, regexp.MustCompile(r.Pattern))
	}
	return s
}

// match returns the index of the rule for a host; -1: none.
func (s *slowIndex) match(host string, port uint16) int {
	found := -1
	for i, r := range s.rules {
		if (s.last || found < 0) && (r.Port == 0 || r.Port == port) && s.applies(i, host) {
			found = i
		}
	}
	return found
}

func (s *slowIndex) applies(i int, host string) bool {
	r := s.rules[i]
	if len(host) > 1 {
		host = strings.TrimSuffix(host, ".")
	}
	if r.Pattern != "" && s.patterns[i].MatchString(host) {
		return true
	}
	if r.Host == "" {
		return r.Pattern == ""
	}
	want := strings.TrimSuffix(strings.Trim(r.Host, "[]"), ".")
	a, err := netip.ParseAddr(want)
	b, _ := netip.ParseAddr(host)
	if err == nil && a.Is6() {
		return a == b
	}
	return strings.EqualFold(want, host)
}

func pick(r *rand.Rand, from ...string) string { return from[r.IntN(len(from))] }

// randomHost makes a host of few parts, so that hosts and rules meet.
func randomHost(r *rand.Rand) string {
	if r.IntN(10) == 0 {
		return pick(r, "::1", "0:0::1", "2001:db8::a", "2001:DB8::000a", "1.2.3.4")
	}
	host := pick(r, "com", "de", "example", "b")
	for range r.IntN(4) {
		host = pick(r, "a", "b", "ab", "www", "A", "example", "x-1", "aB") + "." + host
	}
	return host
}

// randomPattern makes a pattern of what makes reading one hard.
func randomPattern(r *rand.Rand, depth int) string {
	sub := func() string { return randomPattern(r, depth-1) }
	if depth == 0 || r.IntN(4) == 0 {
		return pick(r, "a", "b", "ab", "B", `\.`, `\.`, `\.com`, "www", "example", "e", "^", "$", ".", ".*", ".+", ".?", `\b`,
			`\B`, "[ab]", "[^.]", "[a-z]+", "[aA]", `\d`, "", "(?i:ab)", "(?i:W)", `\A`, `\z`, ":", "1", "ä", `\x01`)
	}
	switch r.IntN(8) {
	case 0:
		return sub() + "|" + sub()
	case 1:
		return "(" + sub() + "|" + sub() + ")" + sub()
	case 2:
		return "(?:" + sub() + ")" + pick(r, "?", "*", "+", "{2}", "{0,2}", "{1,}", "??", "*?")
	case 3:
		return pick(r, "(?i)", "(?m)", "(?s)", "(?U)") + sub()
	default:
		return sub() + sub()
	}
}

func randomRule(r *rand.Rand) (rule Rule) {
	if r.IntN(3) == 0 {
		rule.Port = uint16(80 + r.IntN(3))
	}
	if r.IntN(3) == 0 {
		rule.Host = randomHost(r) + pick(r, "", ".")
		if strings.Contains(rule.Host, ":") {
			rule.Host = "[" + strings.TrimSuffix(rule.Host, ".") + "]"
		}
	}
	switch r.IntN(8) {
	case 0, 1:
		rule.Pattern = pick(r, "^", "", "(^|[.])", "^.*", `\.`) + regexp.QuoteMeta(randomHost(r)) + pick(r, "$", "$", "")
	case 2, 3:
		rule.Pattern = randomPattern(r, 4)
	case 4:
		rule.Host = randomHost(r)
	}
	return rule
}

// An Index finds what looking at all of them finds.
func TestRulesSameAsSlow(t *testing.T) {
	sets, matched, hosts := 3000, 0, 0
	if testing.Short() {
		sets = 300
	}
	for seed := range uint64(sets) {
		r := rand.New(rand.NewPCG(seed, 1))
		rules := make([]Rule, 1+r.IntN(20))
		for i := range rules {
			rules[i] = randomRule(r)
			rules[i].Server = i
		}
		last := r.IntN(2) == 0
		fast, slow := mustIndex(t, rules, last), newSlowIndex(rules, last)
		for range 30 {
			host, port, got := randomHost(r)+pick(r, "", "", "."), uint16(80+r.IntN(3)), -1
			if strings.Contains(host, ":") {
				host = strings.TrimSuffix(host, ".")
			}
			if m := fast.Match([]byte(host), port); m != nil {
				got = m.Server
			}
			want := slow.match(host, port)
			if hosts++; want >= 0 {
				matched++
			}
			if got != want {
				t.Fatalf("seed %d, last %v, %s:%d: got rule %d; want %d of\n%+v", seed, last, host, port, got, want, rules)
			}
		}
	}
	if matched < hosts/4 || matched == hosts {
		t.Errorf("%d of %d hosts matched: the test is of little use", matched, hosts)
	}
}

// FuzzRulePattern looks for a pattern that is read wrongly.
func FuzzRulePattern(f *testing.F) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		f.Add(randomPattern(r, 5), randomHost(r))
	}
	for _, p := range []string{`(^|\.)example\.com$`, `^.*\.example\.com$`, `(?i)\.com$`, `(?m)^a$|b`, `^(a|b|c){2,3}\.com`} {
		f.Add(p, "www.example.com")
	}
	f.Fuzz(func(t *testing.T, pattern, host string) {
		bare, ok := bareHost(host)
		name, port, err := httpparse.SplitHost([]byte(host)) // what a request may name
		if took := err == nil && port == 0 && len(name) == len(host) && host[0] != '['; took && (!ok || bare != host) {
			t.Fatalf("a request for %q is served, but no rule may name it", host)
		} else if !took {
			return
		}
		rules := []Rule{{Pattern: pattern}}
		fast, err := New(rules, false)
		if _, bad := regexp.Compile(pattern); bad != nil || len(pattern) > maxPattern {
			if err == nil {
				t.Fatalf("%q is taken", pattern)
			}
			return
		}
		if err != nil {
			t.Fatalf("%q: %v", pattern, err)
		}
		want := newSlowIndex(rules, false).match(host, 80) >= 0
		if got := fast.Match([]byte(host), 80) != nil; got != want {
			t.Fatalf("%q matches %q: %v; want %v", pattern, host, got, want)
		}
	})
}

// The usual patterns are read as literals alone, and all but the last two are never compiled.
func TestUsualPatternsAreLiterals(t *testing.T) {
	for i, p := range []string{
		`\.example\.com$`, `^.*\.example\.com$`, `.*\.example\.com`, `^example\.com$`, `(^|\.)example\.com$`, `example`,
		`^(.*\.)?example\.com$`, `^(?:www\.)?example\.(com|net|org)$`, `(?i)\.Example\.com$`, `^cdn\.`,
		`^[^.]+\.example\.com$`, `^.+\.example\.com$`,
	} {
		r := mustIndex(t, []Rule{{Pattern: p}}, false)
		var needles []needle
		for _, l := range []*literals{&r.tails, &r.heads, &r.parts} {
			needles = append(needles, l.needles...)
		}
		if len(needles) == 0 || len(r.free) > 0 {
			t.Errorf("%s is tried with every host", p)
		}
		for _, n := range needles {
			if compiled := n.re != nil; compiled != (i >= 10) {
				t.Errorf("%s is compiled: %v", p, compiled)
			}
		}
	}
}

// Patterns without a literal are tried only with hosts whose first and last byte they allow.
func TestFreePatternEnds(t *testing.T) {
	for _, row := range []struct{ pattern, first, last string }{
		{`^[0-9]+$`, "0123456789", "0123456789"},
		{`^[ab]?[xy]*c$`, "abcxy", "c"},
		{`^(a|[bc]d)+(?:\b|$)`, "abc", ""},
		{`^(?i:a)[ef]*$`, "Aa", "Aaef"},
		{`[0-9]`, "", ""},
		{`^[0-9]|a`, "", ""},
		{`[0-9]$`, "", "0123456789"},
		{`(?m)^a$`, "", ""},
		{`^a*`, "", ""},
		{`^[0-9]*[a-c](\z)`, "0123456789abc", "abc"},
	} {
		p := newFreePattern(row.pattern, nil, 0, 0)
		for want, set := range map[*string]byteSet{&row.first: p.first, &row.last: p.last} {
			for c := range byte(128) {
				if got := set.has(c); got != (*want == "" || strings.IndexByte(*want, c) >= 0) {
					t.Errorf("%s: %q may stand at an end: %v; want %q, all if empty", row.pattern, c, got, *want)
				}
			}
		}
	}
}

// Patterns that have an end in common are told apart by what they have not.
func TestRarestLiteral(t *testing.T) {
	var rules []Rule
	for i := range 100 {
		rules = append(rules, Rule{Pattern: fmt.Sprintf(`^node%03d[a-z]+\.example\.com$`, i)})
	}
	r := mustIndex(t, rules, false)
	if got := len(r.heads.first); got != len(rules) {
		t.Errorf("%d keys for %d patterns", got, len(rules))
	}
}

// rulesOf makes n rules of a kind.
func rulesOf(kind string, n int) []Rule {
	rules := make([]Rule, n)
	for i := range rules {
		r := &rules[i]
		exact := Rule{Host: fmt.Sprintf("www.site%d.example", i)}
		suffix := Rule{Pattern: fmt.Sprintf(`\.site%d\.example$`, i)}
		switch {
		case kind == "exact":
			*r = exact
		case kind == "suffix":
			*r = suffix
		case kind == "mixed" && i%100 == 99:
			r.Pattern = fmt.Sprintf(`^[g-z]{2,%d}[0-9]+$`, 3+i%7)
		default:
			*r = []Rule{exact, suffix, {Pattern: fmt.Sprintf(`(^|\.)site%d\.example$`, i)}, {Pattern: fmt.Sprintf(`site%dx`, i)},
				{Pattern: fmt.Sprintf(`^cdn%d-[a-z]+\.`, i)}}[i%5]
		}
	}
	return rules
}

func BenchmarkMatch(b *testing.B) {
	for _, kind := range []string{"exact", "suffix", "literal", "mixed"} {
		for _, n := range []int{10, 1000, 100000} {
			r := mustIndex(b, rulesOf(kind, n), false)
			var hits, misses [][]byte
			for i := range 4096 {
				j := i * 7919 % n / 5 * 5
				hits = append(hits, fmt.Appendf(nil, "www.site%d.example", j))
				misses = append(misses, fmt.Appendf(nil, "img%d.shop.example.org", i))
			}
			for name, hosts := range map[string][][]byte{"hit": hits, "miss": misses} {
				b.Run(fmt.Sprintf("%s/%d/%s", kind, n, name), func(b *testing.B) {
					b.ReportAllocs()
					for i := 0; b.Loop(); i++ {
						if m := r.Match(hosts[i%len(hosts)], 443); (m != nil) != (name == "hit") {
							b.Fatalf("%s: got %+v", hosts[i%len(hosts)], m)
						}
					}
				})
			}
		}
	}
}

func BenchmarkNew(b *testing.B) {
	for _, kind := range []string{"exact", "suffix", "literal", "mixed"} {
		b.Run(kind, func(b *testing.B) {
			rules := rulesOf(kind, 100000)
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			var r *Index
			for b.Loop() {
				r = mustIndex(b, rules, false)
			}
			runtime.GC()
			runtime.ReadMemStats(&after)
			b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(len(rules)), "B/rule")
			runtime.KeepAlive(r)
			runtime.KeepAlive(rules)
		})
	}
}
