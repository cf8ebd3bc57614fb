package wire

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParsePorts(t *testing.T) {
	for text, want := range map[string][]PortRange{
		"1":                 {{1, 1}},
		"65535":             {{65535, 65535}},
		"10201-10250,10299": {{10201, 10250}, {10299, 10299}},
		"9-9,2-3,3":         {{9, 9}, {2, 3}, {3, 3}},
	} {
		got, err := ParsePorts(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
	for text, item := range map[string]string{
		"": `""`, "all": `"all"`, "0": `"0"`, "65536": `"65536"`, "-1": `"-1"`, "1-": `"1-"`, "2-1": `"2-1"`, "1-2-3": `"1-2-3"`,
		"1,,2": `""`, "1, 2": `" 2"`, "1\n": "\"1\\n\"", "+1": `"+1"`, "0x10": `"0x10"`, "1,2;3": `"2;3"`, strings.Repeat("7", 100): `"` + strings.Repeat("7", 80) + `"`,
	} {
		got, err := ParsePorts(text)
		want := item + ": must be a port from 1 to 65535, ports and ranges such as 10201-10250,10299, or all"
		if err == nil || err.Error() != want {
			t.Errorf("%q: got %v, %v; want %s", text, got, err, want)
		}
	}
}
