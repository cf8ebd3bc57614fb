package wire

import "testing"

// The order of members is part of what a reload answers; members that say nothing are left out.
func TestReload(t *testing.T) {
	got := string(Line(Reload{
		Added: []string{"10301-10400"}, Removed: []string{}, Unchanged: 9900, Took: 12.5,
		Changed: []ChangedPorts{{Ports: "10201-10300", What: []string{"Authentication.Password"}, Session: SessionKept}},
	}))
	want := `{"added":["10301-10400"],"removed":[],"changed":[{"ports":"10201-10300","what":["Authentication.Password"],"session":"kept"}],"unchanged":9900,"took_ms":12.5}` + "\n"
	if got != want {
		t.Errorf("got  %swant %s", got, want)
	}
}

// Lists of ports are counted, with addresses and without.
func TestCountPorts(t *testing.T) {
	for list, want := range map[string]int{
		"1": 1, "10201-10300": 100, "1,3-4": 3, "127.0.0.1:5-6,7": 3, "[::1]:5,[2001:db8::1]:6-7": 3, "": 0, "x": 0, "1,x": 0, "1-65535": 65535,
	} {
		if got := CountPorts(list); got != want {
			t.Errorf("%q: %d ports; want %d", list, got, want)
		}
	}
}
