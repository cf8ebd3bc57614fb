package relay

import (
	"strings"
	"testing"
	"time"
)

// A session that another loop replaces just as a request goes out on a connection that is used again does not get onto that
// connection, which the provider may know by its first request. A new connection takes the latest one.
func TestReusedConnectionKeepsItsSession(t *testing.T) {
	g := newRig(t)
	client, provider := g.served()
	client.send(get)
	provider.head() // it is on its way, and what its head was made of is still there
	heads := make(chan [2]string, 1)
	for _, l := range g.relay.loops {
		l.ask(func() {
			for _, c := range l.conns {
				if c == nil || c.x == nil {
					continue
				}
				if _, err := c.port.slot.Renew(time.Now().UnixNano(), nil); err != nil {
					t.Error(err)
				}
				var made [2]string
				for i, reused := range []bool{true, false} {
					c.x.reused = reused
					head, _ := c.x.appendHead(nil)
					made[i] = string(head)
				}
				heads <- made
			}
		})
	}
	select {
	case made := <-heads:
		if !strings.Contains(made[0], basic("user-session-id1", "pass")) || !strings.Contains(made[1], basic("user-session-id2", "pass")) {
			t.Errorf("on the connection of session id1 goes %q, on a new one %q; want id1, and id2", made[0], made[1])
		}
	case <-time.After(patience):
		t.Fatal("no loop has the connection")
	}
	provider.send(ok)
	client.expect(ok)
}
