package near

import "testing"

func TestName(t *testing.T) {
	known := []string{"Listen", "ProxyServers", "SessionAPI", "State"}
	for name, want := range map[string]string{"listen": "Listen", "lsten": "Listen", "SessionApi": "SessionAPI", "Stat": "State", "qqqq": "", "": ""} {
		if got := Name(name, known); got != want {
			t.Errorf("%q: got %q; want %q", name, got, want)
		}
	}
}
