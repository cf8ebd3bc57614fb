package settings

import (
	"testing"

	"proxymap/session/credential"
)

// Every field that a plan's fault can be about has a key, or a fault would point at nothing.
func TestEveryFieldHasAKey(t *testing.T) {
	n := 0
	for f := credential.Field(1); f.String() != ""; f++ {
		n++
		if fieldKeys[f] == "" {
			t.Errorf("the field %q (%d) has no key in fieldKeys", f, f)
		}
	}
	if n != len(fieldKeys) {
		t.Errorf("there are %d fields, and %d have keys", n, len(fieldKeys))
	}
}
