package journal

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"proxymap/session"
)

// noted is a port's slot, whose changes the store notes.
func noted(t testing.TB, k *Store, port int) *session.Slot {
	slot := session.NewSlot(keptPlan(t, time.Hour))
	slot.Changed = func(change session.Change, reason string) {
		k.Note(session.Event{Port: portOf(port), Change: change, Reason: reason})
	}
	return slot
}

// confirm asks the store about a port, and waits for what it says.
func confirm(t testing.TB, k *Store, port int) {
	t.Helper()
	said := make(chan error, 1)
	k.Confirm(portOf(port), func(err error) { said <- err })
	if err := <-said; err != nil {
		t.Fatal(err)
	}
}

// ids are those of records, by port.
func ids(records []record) map[netip.AddrPort]string {
	list := map[netip.AddrPort]string{}
	for _, r := range records {
		list[r.Port] = string(r.ID) + " " + r.Server
	}
	return list
}

// A port that is forgotten is no more in the file, whatever its connections do as they end, nor is its line once the file has
// been compacted. One that comes to its address later has nothing of it.
func TestStoreForgets(t *testing.T) {
	name := filepath.Join(t.TempDir(), "state")
	j, records, _ := openTestJournal(t, osDisk{}, name)
	k := newStore(j, records)
	slots := map[int]*session.Slot{}
	for port := 1; port <= 3; port++ {
		slots[port] = noted(t, k, port)
		k.Load(portOf(port), slots[port], []string{"a:1"})
	}
	k.Loaded()
	for port, slot := range slots {
		slot.Current(journalNow, nil)
		confirm(t, k, port)
	}
	k.Forget(portOf(1))
	k.Forget(portOf(2))
	_, _ = slots[1].Renew(journalNow, nil) // a late call, as a connection ends
	k.SetServers(portOf(1), []string{"b:2"})
	confirm(t, k, 1)

	another := noted(t, k, 2)
	k.Load(portOf(2), another, []string{"c:3"})
	if s := another.Last(); s != nil {
		t.Errorf("the port that has been added has the session %s", s.ID())
	}
	another.Current(journalNow, nil)
	_, _ = slots[2].Renew(journalNow, nil) // and a late one of who had the address before
	confirm(t, k, 2)
	for i, size := 0, int64(0); size <= sizeOf(t, name); i++ { // until it is compacted
		if size = sizeOf(t, name); i > 10_000 {
			t.Fatal("the file is not compacted")
		}
		mustSave(t, j, numbered(4, i+1))
	}
	text, err := os.ReadFile(name)
	if err != nil || strings.Contains(string(text), portOf(1).String()) {
		t.Errorf("port 1 has a line still (%v):\n%s", err, text)
	}
	mustClose(t, j)
	j, records, _ = openTestJournal(t, osDisk{}, name)
	mustClose(t, j)
	got := ids(records)
	delete(got, portOf(4))
	want := map[netip.AddrPort]string{portOf(2): another.Last().ID() + " c:3", portOf(3): slots[3].Last().ID() + " a:1"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the file has %v; want %v", got, want)
	}
}

// Ports come and go, and get other servers, while the changes of others and of themselves are noted. In the end the file has
// what each has.
func TestPortsComeAndGoWhileNoted(t *testing.T) {
	const ports, rounds = 4, 200
	name := filepath.Join(t.TempDir(), "state")
	j, records, _ := openTestJournal(t, osDisk{}, name)
	k := newStore(j, records)
	k.Loaded()
	var last [ports]*session.Slot
	var callers sync.WaitGroup
	stop := make(chan struct{})
	for n := range rounds {
		port := n % ports
		if last[port] != nil && n%3 == 0 {
			k.Forget(portOf(port))
		}
		slot := noted(t, k, port)
		k.Load(portOf(port), slot, []string{"a:1", "b:2"})
		callers.Go(func() { // as a loop does, for longer than the port is there
			for range rounds {
				select {
				case <-stop:
					return
				default:
					_, _ = slot.Renew(journalNow, nil)
					k.Confirm(portOf(port), func(error) {})
				}
			}
		})
		slot.Pin(2)
		k.SetServers(portOf(port), []string{"a:1", "b:2", fmt.Sprintf("c:%d", n)})
		last[port] = slot
	}
	close(stop)
	callers.Wait()
	want := map[netip.AddrPort]string{}
	for port, slot := range last {
		_, _ = slot.Renew(journalNow, nil)
		want[portOf(port)] = fmt.Sprintf("%s c:%d", slot.Last().ID(), rounds-ports+port)
	}
	k.Forget(portOf(0))
	delete(want, portOf(0))
	mustClose(t, j)
	j, records, _ = openTestJournal(t, osDisk{}, name)
	mustClose(t, j)
	if got := ids(records); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the file has %v; want %v", got, want)
	}
}
