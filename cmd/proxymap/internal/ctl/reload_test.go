package ctl

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"proxymap/session/wire"
)

// What a reload has changed, or would, can be read at a glance.
func TestShowReload(t *testing.T) {
	for _, row := range []struct{ name, answer, want string }{
		{"nothing", `{"added":[],"removed":[],"changed":[],"unchanged":100,"took_ms":2}`, "nothing differs: 100 ports\n"},
		{"password", `{"added":[],"removed":[],"changed":[{"ports":"10201-10300","what":["Authentication.Password"],"session":"kept"}],"unchanged":9900,"took_ms":41.6}`,
			`changed    100 ports   10201-10300: Authentication.Password
                         sessions stay
unchanged  9900 ports
done in 42 ms
`},
		{"dry run of much", `{"added":["1-2","127.0.0.1:5","[::1]:5-6"],"removed":["7"],"changed":[
			{"ports":"11,13,15,17,19,21,23,25,27-28,30","what":["Listen.Address","ProxyServers"],"session":"replaced","servers":true,"bind":true},
			{"ports":"40","what":["Authentication.Username"],"session":"changed","replaced_if":["misfit","chosen","outlives"]},
			{"ports":"41","what":["Listen.Action"]}],"unchanged":0,"global":["HostRules","Admin.Token"],"dry_run":true,"took_ms":0}`,
			`dry run: nothing has changed; a reload would
added    5 ports   1-2,127.0.0.1:5,[::1]:5-6
removed  1 port    7
changed  11 ports  11,13,15,17,19,21,23,25 and 2 more: Listen.Address, ProxyServers
                     new sessions; other upstream servers; listens anew
changed  1 port    40: Authentication.Username
                     sessions keep their ids, under another user name; new ones where the id does not fit; new ones where a client chose the id; new ones where the old one would outlive the new lifetime
changed  1 port    41: Listen.Action
for all ports: HostRules, Admin.Token
`},
		{"refused", `{"added":[],"removed":["7"],"changed":[],"unchanged":1,"refused":["State.File"],"took_ms":1}`,
			`refused: State.File cannot change while the relay runs; set it back, or restart. Nothing has changed
removed    1 port  7
unchanged  1 port
`},
	} {
		var r wire.Reload
		if err := wire.Read([]byte(row.answer), "unchanged", &r); err != nil {
			t.Fatal(row.name, err)
		}
		var out strings.Builder
		if err := ShowReload(&out, &r); err != nil {
			t.Fatal(row.name, err)
		}
		if diff := cmp.Diff(row.want, out.String()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", row.name, diff)
		}
	}
}
