package schema

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// pattern is that of the number as a string.
func (n Number) pattern() string {
	out := `\+?0*` + between(n.Least, n.Most)
	if n.Least == 0 {
		out += "|-0+"
	}
	return "(?:" + out + ")"
}

// between is the pattern of the whole numbers from least to most, which are not negative, in decimal digits.
func between(least, most int) string {
	var all []string
	if least == 0 {
		all, least = []string{"0"}, 1
	}
	for low := least; low <= most; {
		digits := len(strconv.Itoa(low))
		longest := len(strconv.Itoa(most+1)) - 1 // all numbers of so many digits are there
		if low == power(digits-1) && digits <= longest {
			all = append(all, "[1-9]"+anyDigits(digits-1, longest-1))
			low = power(longest)
			continue
		}
		high := min(most, power(digits)-1)
		all = append(all, sameLength(strconv.Itoa(low), strconv.Itoa(high))...)
		low = high + 1
	}
	return "(?:" + strings.Join(all, "|") + ")"
}

// power is 10 to the n-th.
func power(n int) int {
	p := 1
	for range n {
		p *= 10
	}
	return p
}

// anyDigits is the pattern of least to most digits.
func anyDigits(least, most int) string {
	switch {
	case most == 0:
		return ""
	case least == most && most == 1:
		return "[0-9]"
	case least == most:
		return fmt.Sprintf("[0-9]{%d}", most)
	}
	return fmt.Sprintf("[0-9]{%d,%d}", least, most)
}

// sameLength are the patterns of the numbers from low to high, which have equally many digits.
func sameLength(low, high string) (all []string) {
	rest := len(low) - 1
	zeros, nines := strings.Repeat("0", rest), strings.Repeat("9", rest)
	if low[0] == high[0] && !(low[1:] == zeros && high[1:] == nines) {
		for _, tail := range sameLength(low[1:], high[1:]) {
			all = append(all, low[:1]+tail)
		}
		return all
	}
	first, last := low[0], high[0]
	if low[1:] != zeros {
		all = sameLength(low, low[:1]+nines)
		first++
	}
	var tail []string
	if high[1:] != nines {
		tail = sameLength(high[:1]+zeros, high)
		last--
	}
	switch {
	case first == last:
		all = append(all, string(first)+anyDigits(rest, rest))
	case first < last:
		all = append(all, fmt.Sprintf("[%c-%c]", first, last)+anyDigits(rest, rest))
	}
	return append(all, tail...)
}

// units are those in which one writes a length of time.
var units = []struct {
	name string
	is   time.Duration
}{{"h", time.Hour}, {"m", time.Minute}, {"s", time.Second}, {"ms", time.Millisecond}}

// pattern is that of the lengths of time, as time.ParseDuration reads them. A whole number with one of units is within the
// bounds; what is made of fractions, of several units or of shorter ones may be anything.
func (d Duration) pattern() string {
	const unit, short = `(?:[mun]?s|[µμ]s|[hm])`, `(?:[un]|[µμ])s`
	const more = `(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)` + unit + `)`
	all := []string{`[0-9]+` + short, `(?:[0-9]*\.[0-9]+|[0-9]+\.)` + unit + more + `*`, `[0-9]+` + unit + more + `+`}
	for _, u := range units {
		if least, most := int((d.Least+u.is-1)/u.is), int(d.Most/u.is); least <= most {
			all = append(all, `0*`+between(least, most)+u.name)
		}
	}
	out := `\+?(?:` + strings.Join(all, "|") + `)`
	if d.Never {
		out += `|[-+]?0+` + unit + `|[-+]?0`
	}
	return out
}
