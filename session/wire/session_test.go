package wire_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"proxymap/session/wire"
)

// The bodies of answers and the data of events, byte for byte: their members' order and format are what clients were promised.
func TestText(t *testing.T) {
	id, expires, minutes := "LZpmRqdu", wire.Date(1_781_108_383_999_999_999), 1.5
	port := netip.MustParseAddrPort("127.0.0.1:10201")
	given := wire.Parameters{{"country", "us"}, {"city", `<&"`}}
	shown := wire.Session{ID: &id, Expires: &expires, Time: 10, Parameters: given}
	list := wire.Sessions{
		Sessions: []wire.PortSession{
			{Port: port.Port(), Address: port.Addr(), ID: &id, Expires: &expires, Expired: true, Time: &minutes, Parameters: given, Open: 3, Upstream: 1200, Client: 98765},
			{Port: 10202, Address: port.Addr()},
		},
		Connections: &wire.Connections{Closed: 2, Draining: 1},
	}
	event := wire.Event{Port: port.Port(), Address: port.Addr(), Old: &id, Reason: "reset", Time: time.Unix(1_781_108_383, 5_000_000).UTC()}
	for _, row := range []struct{ name, want, got string }{
		{"a session", `{
  "session_id": "LZpmRqdu",
  "expires_at": "Wed, 10 Jun 2026 16:19:43 GMT",
  "expired": false,
  "session_time": 10,
  "username_parameters": {
    "country": "us",
    "city": "\u003c\u0026\""
  }
}
`, string(shown.Text(nil))},
		{"a session, with connections", `{
  "session_id": null,
  "expires_at": null,
  "expired": false,
  "session_time": 0,
  "connections": {
    "closed": 1,
    "draining": 2
  }
}
`, string(wire.Session{}.Text(&wire.Connections{Closed: 1, Draining: 2}))},
		{"a reset", "{\n  \"success\": true\n}\n", string(wire.Reset{Success: true}.Text(nil))},
		{"sessions", `{"sessions":[{"port":10201,"address":"127.0.0.1","session_id":"LZpmRqdu","expires_at":"Wed, 10 Jun 2026 16:19:43 GMT",` +
			`"expired":true,"session_time":1.5,"username_parameters":{"country":"us","city":"\u003c\u0026\""},"connections":3,"bytes_to_upstream":1200,"bytes_to_client":98765},` +
			`{"port":10202,"address":"127.0.0.1","session_id":null,"expires_at":null,"expired":false,"session_time":null,"connections":0,` +
			`"bytes_to_upstream":0,"bytes_to_client":0}],"connections":{"closed":2,"draining":1}}` + "\n", string(wire.Line(list))},
		{"an event", `{"port":10201,"address":"127.0.0.1","old_session_id":"LZpmRqdu","session_id":null,"reason":"reset","time":"2026-06-10T16:19:43.005Z"}` + "\n",
			string(wire.Line(event))},
		{"a gap", `{"lost":7}` + "\n", string(wire.Line(wire.Gap{Lost: 7}))},
	} {
		if diff := cmp.Diff(row.want, row.got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", row.name, diff)
		}
	}
}

// What is rendered is read as it was; what is no such answer is an error.
func TestRead(t *testing.T) {
	id, minutes := "LZpmRqdu", 1.5
	want := wire.Session{ID: &id, Time: 10, Parameters: wire.Parameters{{"b", "<"}, {"a", "é"}}, Connections: &wire.Connections{Closed: 1}}
	var got wire.Session
	if err := wire.Read(want.Text(want.Connections), "session_id", &got); err != nil || !cmp.Equal(got, want) {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
	list := wire.Sessions{Sessions: []wire.PortSession{{Port: 1, Address: netip.IPv6Loopback(), ID: &id, Time: &minutes, Open: 1}}}
	var gotList wire.Sessions
	same := cmp.Comparer(func(a, b netip.Addr) bool { return a == b })
	if err := wire.Read(wire.Line(list), "sessions", &gotList); err != nil || !cmp.Equal(gotList, list, same) {
		t.Errorf("got %+v, %v; want %+v", gotList, err, list)
	}
	for _, text := range []string{"", "<html>", "[]", "null", `{"success":true}`, `{"session_id":5}`, `{"session_id":"a","username_parameters":[]}`} {
		if err := wire.Read([]byte(text), "session_id", &got); err == nil {
			t.Errorf("%q is read as a session: %+v", text, got)
		}
	}
}

// Escapes at the end of a text take the decoder no further than that, whatever is behind it in memory. The race detector
// looks at the pointers.
func TestEscapesAtTheEnd(t *testing.T) {
	for n := range 64 {
		long := strings.Repeat("x", n)
		for escape, want := range map[string]string{`\ud800`: "\ufffd", `\udbff`: "\ufffd", `\n`: "\n"} {
			call, err := wire.ReadCall([]byte(`{"UsernameParameters":{"a":"` + long + escape + `"}}`))
			if err != nil || call.Parameters[0].Value != long+want {
				t.Errorf("%d bytes before %s: got %+v, %v", n, escape, call, err)
			}
			var v struct{ A string }
			if err := wire.Read([]byte(`{"A":"`+long+escape+`"}`), "A", &v); err != nil || v.A != long+want {
				t.Errorf("%d bytes before %s: got %q, %v", n, escape, v.A, err)
			}
		}
		for _, text := range []string{`{"` + long + `\29\`, `{"A` + long + `\`, `"` + long + `\u`, `{"` + long + `\u00`} {
			if err := wire.Read([]byte(text), "A", new(struct{ A string })); err == nil {
				t.Errorf("%s is read", text)
			}
		}
	}
}
