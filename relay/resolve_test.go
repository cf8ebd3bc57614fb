package relay

import "testing"

// A provider that takes no connection is who the answer names, also where the target's name was known already.
func TestDeadServerIsNoTarget(t *testing.T) {
	g := newRig(t, knows("example.com"), func(cfg *Config) {
		dead := deadServer(t)
		dead.ResolveIP = true
		cfg.Mappings[0].Servers = []Server{dead}
	})
	for range 2 { // the second time nothing is looked up
		c := g.client(0)
		c.send(connect)
		c.expectAnswer(502, "upstream-refused", "upstream "+g.server().name())
	}
}
