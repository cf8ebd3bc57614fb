package settings

import (
	"fmt"
	"regexp/syntax"

	"proxymap/relay/hostrule"
)

// hiddenRules says that rules stand behind one that matches every host, and so never match; empty: none do. The first that
// matches wins. at are the rules' indices in the settings.
func hiddenRules(rules []hostrule.Rule, at []int) string {
	for i := range rules {
		left := len(rules) - 1 - i
		if rules[i].Port != 0 || rules[i].Pattern == "" || left == 0 || !matchesEveryHost(rules[i].Pattern) {
			continue
		}
		return fmt.Sprintf("host rule number %d matches every host, so %s behind it never match%s: put it behind them, or set HostRules.Order to \"Last\", which has the last one win",
			at[i]+1, count(left, "rule"), either(left == 1, "es", ""))
	}
	return ""
}

// matchesEveryHost reports whether a pattern is seen to be found in every host, which has one character at least, and no
// line's end. Of what it does not know it says no.
func matchesEveryHost(pattern string) bool {
	re, err := syntax.Parse(pattern, syntax.Perl)
	return err == nil && isFoundInEvery(re.Simplify())
}

func isFoundInEvery(re *syntax.Regexp) bool {
	re = bare(re)
	if re.Op == syntax.OpAlternate {
		for _, sub := range re.Sub {
			if isFoundInEvery(sub) {
				return true
			}
		}
		return false
	}
	parts := []*syntax.Regexp{re}
	if re.Op == syntax.OpConcat {
		parts = re.Sub
	}
	var begins, ends, endless bool
	characters := 0 // that it needs
	for i, part := range parts {
		part = bare(part)
		switch {
		case i == 0 && (part.Op == syntax.OpBeginText || part.Op == syntax.OpBeginLine):
			begins = true
		case i == len(parts)-1 && (part.Op == syntax.OpEndText || part.Op == syntax.OpEndLine):
			ends = true
		case part.Op == syntax.OpPlus && isAny(part.Sub[0]):
			characters++
			endless = true
		case isAny(part):
			characters++
		case part.Op == syntax.OpStar:
			endless = endless || isAny(part.Sub[0])
		case part.Op != syntax.OpQuest && part.Op != syntax.OpEmptyMatch:
			return false
		}
	}
	return characters <= 1 && (endless || !begins || !ends)
}

// bare is what captures stand around.
func bare(re *syntax.Regexp) *syntax.Regexp {
	for re.Op == syntax.OpCapture {
		re = re.Sub[0]
	}
	return re
}

// isAny reports whether re is any one character.
func isAny(re *syntax.Regexp) bool {
	re = bare(re)
	return re.Op == syntax.OpAnyChar || re.Op == syntax.OpAnyCharNotNL
}
