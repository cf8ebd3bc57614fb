package wire

import (
	"fmt"
	"strconv"
	"strings"
)

// AllPorts stands in place of a list for all the ports that a relay has.
const AllPorts = "all"

// A PortRange is some ports in a row, both ends included. One port has itself at both ends.
type PortRange struct{ First, Last uint16 }

// ParsePorts reads a list of ports and ranges, such as 10201-10250,10299. The ranges come in the list's order, and may
// overlap. AllPorts is no list: compare with it first.
func ParsePorts(list string) ([]PortRange, error) {
	ranges := make([]PortRange, 0, 1+strings.Count(list, ","))
	for item := range strings.SplitSeq(list, ",") {
		first, last, isRange := strings.Cut(item, "-")
		if !isRange {
			last = first
		}
		a, errA := parsePort(first)
		b, errB := parsePort(last)
		if errA != nil || errB != nil || a == 0 || a > b {
			return nil, fmt.Errorf("%.80q: must be a port from 1 to 65535, ports and ranges such as 10201-10250,10299, or all", item)
		}
		ranges = append(ranges, PortRange{a, b})
	}
	return ranges, nil
}

// parsePort reads a decimal number of 16 bits.
func parsePort(text string) (uint16, error) {
	n, err := strconv.ParseUint(text, 10, 16)
	return uint16(n), err
}
