//go:build linux

package e2e

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/sys/unix"
)

// The relay is in a network namespace and has two name servers there, which are the test's own: what they do with a
// question depends on the name.
const (
	firstNameServer  = "127.0.0.53"
	secondNameServer = "127.0.0.54"
	searchDomain     = "corp.test."
)

// A deed is what a name server does with a question.
type deed uint8

const (
	nothingThere deed = iota // the name exists, addresses of that IP version do not
	noSuchName
	answers
	drops
	fails    // SERVFAIL
	tooLong  // for UDP: truncated there, answered over TCP
	holdsOff // it answers when the test lets it
)

// A nameServer is one of the two.
type nameServer struct {
	t    *testing.T
	addr string
	does func(name string, kind dnsmessage.Type) deed
	held chan struct{} // closed: what was held off is answered

	mu    sync.Mutex
	asked []string // each question, as "udp A name."
}

// serve answers at the name server's address.
func (n *nameServer) serve() {
	n.t.Helper()
	packets, err := net.ListenPacket("udp4", n.addr+":53")
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { packets.Close() })
	streams, err := net.Listen("tcp4", n.addr+":53")
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { streams.Close() })
	go func() {
		b := make([]byte, 1500)
		for {
			size, from, err := packets.ReadFrom(b)
			if err != nil {
				return
			}
			question := slices.Clone(b[:size])
			go n.reply("udp", question, func(answer []byte) { _, _ = packets.WriteTo(answer, from) })
		}
	}()
	go func() {
		for {
			c, err := streams.Accept()
			if err != nil {
				return
			}
			go n.stream(c)
		}
	}()
}

func (n *nameServer) stream(c net.Conn) {
	defer c.Close()
	var size [2]byte
	if _, err := io.ReadFull(c, size[:]); err != nil {
		return
	}
	question := make([]byte, binary.BigEndian.Uint16(size[:]))
	if _, err := io.ReadFull(c, question); err != nil {
		return
	}
	n.reply("tcp", question, func(answer []byte) {
		_, _ = c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...))
	})
}

// reply does what is to be done with a question.
func (n *nameServer) reply(network string, question []byte, send func([]byte)) {
	var m dnsmessage.Message
	if err := m.Unpack(question); err != nil || len(m.Questions) != 1 {
		n.t.Errorf("a question that is none: %q, %v", question, err)
		return
	}
	q := m.Questions[0]
	name := q.Name.String()
	n.mu.Lock()
	n.asked = append(n.asked, fmt.Sprintf("%s %s %s", network, strings.TrimPrefix(q.Type.String(), "Type"), name))
	does := n.does
	n.mu.Unlock()
	answer := dnsmessage.Message{Header: dnsmessage.Header{ID: m.ID, Response: true, RecursionAvailable: true}, Questions: m.Questions}
	what := does(name, q.Type)
	if what == tooLong {
		answer.Truncated = network == "udp"
		what = answers
		if answer.Truncated {
			what = nothingThere
		}
	}
	switch what {
	case drops:
		return
	case fails:
		answer.RCode = dnsmessage.RCodeServerFailure
	case noSuchName:
		answer.RCode = dnsmessage.RCodeNameError
	case holdsOff:
		<-n.held
		fallthrough
	case answers:
		answer.Answers = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 60},
			Body:   &dnsmessage.AResource{A: [4]byte{127, 0, 0, 2}},
		}}
		if q.Type == dnsmessage.TypeAAAA {
			answer.Answers[0].Body = &dnsmessage.AAAAResource{AAAA: [16]byte{15: 1}}
		}
	}
	packed, err := answer.Pack()
	if err != nil {
		n.t.Error(err)
		return
	}
	send(packed)
}

// do has the name server do something else from here on.
func (n *nameServer) do(does func(name string, kind dnsmessage.Type) deed) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.does = does
}

// questions are those about a name so far.
func (n *nameServer) questions(name string) (list []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, q := range n.asked {
		if strings.HasSuffix(q, " "+name+".test.") {
			list = append(list, q)
		}
	}
	return list
}

// A resolving is a relay in a namespace, each port of which goes by an upstream of another name under test.
type resolving struct {
	*process
	first, second *nameServer
	port          map[string]int
}

// byDefault has addresses of both versions for all names under test but those of the search domain: 127.0.0.2, where
// the upstream is, and ::1, where nobody listens.
func byDefault(name string, kind dnsmessage.Type) deed {
	if strings.HasSuffix(name, "."+searchDomain) {
		return noSuchName
	}
	return answers
}

// startResolving makes the namespace and what is in it. options are those of resolv.conf(5).
func startResolving(t *testing.T, options string, names ...string) *resolving {
	t.Helper()
	if _, err := exec.LookPath("ip"); err != nil || os.Geteuid() != 0 {
		t.Skip("SKIPPED: needs root and ip(8), to make a network namespace")
	}
	home := newNamespace(t)
	if err := home.enter(); err != nil {
		t.Fatal(err)
	}
	if err := ip("link set lo up"); err != nil {
		t.Fatal(err)
	}
	servers := fmt.Sprintf("nameserver %s\nnameserver %s\nsearch %s\n%s\n", firstNameServer, secondNameServer, searchDomain, options)
	mountFile(t, write(t, t.TempDir(), "resolv.conf", servers), "/etc/resolv.conf")
	r := &resolving{port: map[string]int{}}
	r.first = &nameServer{t: t, addr: firstNameServer, does: byDefault, held: make(chan struct{})}
	r.second = &nameServer{t: t, addr: secondNameServer, does: byDefault, held: make(chan struct{})}
	r.first.serve()
	r.second.serve()

	upstream, err := net.Listen("tcp4", "127.0.0.2:7000")
	if err != nil {
		t.Fatal(err)
	}
	served := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "served") })}
	go served.Serve(upstream)
	t.Cleanup(func() { served.Close() })
	var mappings []string
	for i, name := range names {
		r.port[name] = firstPort + i
		mappings = append(mappings, fmt.Sprintf(`{"Listen": {"Port": %d}, "ProxyServers": {"Items": [{"Host": "%s.test", "Port": 7000}]}}`,
			r.port[name], name))
	}
	settings := `{"ProxyMappings": [` + strings.Join(mappings, ",") + `]}`
	r.process = start(t, "serve", "--config", write(t, t.TempDir(), "appsettings.json", settings))
	r.logged("msg=listening")
	return r
}

// mountFile puts a file in another's place, for the thread and for what it starts.
func mountFile(t *testing.T, file, over string) {
	t.Helper()
	err := errors.Join(
		unix.Unshare(unix.CLONE_NEWNS),
		unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""),
		unix.Mount(file, over, "", unix.MS_BIND, ""))
	if err != nil {
		t.Skipf("SKIPPED: needs to mount a file over %s: %v", over, err)
	}
}

// ask sends a request through the port whose upstream goes by a name, and returns the answer's status and how it is
// told: the error's class, and why by Proxy-Status.
func (r *resolving) ask(name string) (status int, class, why string) {
	r.t.Helper()
	c, err := net.Dial("tcp4", fmt.Sprintf("127.0.0.1:%d", r.port[name]))
	if err != nil {
		r.t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(2 * patience))
	fmt.Fprint(c, "GET http://example.com/ HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n")
	all, err := io.ReadAll(c)
	if err != nil {
		r.t.Fatalf("%s: %v", name, err)
	}
	if _, err := fmt.Sscanf(string(all), "HTTP/1.1 %d", &status); err != nil {
		r.t.Fatalf("%s: got %q", name, all)
	}
	field := func(name string) string {
		_, value, _ := strings.Cut(string(all), "\r\n"+name+": ")
		value, _, _ = strings.Cut(value, "\r\n")
		return value
	}
	return status, field("X-Proxymap-Error"), strings.TrimPrefix(field("Proxy-Status"), "proxymap; error=")
}

// fails checks that a request fails for the name, and why.
func (r *resolving) fails(name, want string) {
	r.t.Helper()
	if status, class, why := r.ask(name); status != 502 || class != "upstream-dns" || why != want {
		r.t.Errorf("%s: got %d, %q, %s; want 502, upstream-dns, %s", name, status, class, why, want)
	}
}

// served checks that a request is served.
func (r *resolving) served(name string) {
	r.t.Helper()
	if status, class, _ := r.ask(name); status != 200 {
		r.t.Errorf("%s: got %d, %q; want 200. The first name server was asked %q, the second %q", name, status, class,
			r.first.questions(name), r.second.questions(name))
	}
}

func only(kind dnsmessage.Type, then, otherwise deed) func(string, dnsmessage.Type) deed {
	return func(_ string, k dnsmessage.Type) deed {
		if k == kind {
			return then
		}
		return otherwise
	}
}

func always(d deed) func(string, dnsmessage.Type) deed {
	return func(string, dnsmessage.Type) deed { return d }
}

// Whatever one name server does, names are looked up where they can be.
func TestNameServers(t *testing.T) {
	r := startResolving(t, "options timeout:1 attempts:2",
		"well", "aaaa-dropped", "aaaa-fails", "no-aaaa", "first-fails", "all-fail", "missing",
		"missing-aaaa-dropped", "missing-a-dropped", "long", "searched",
		"first-silent", "again", "again-long")
	r.served("well")

	r.first.do(only(dnsmessage.TypeAAAA, holdsOff, answers))
	r.served("aaaa-dropped") // before there is an answer about AAAA
	close(r.first.held)

	r.first.do(only(dnsmessage.TypeAAAA, fails, answers))
	r.second.do(only(dnsmessage.TypeAAAA, fails, answers))
	r.served("aaaa-fails")
	r.first.do(only(dnsmessage.TypeAAAA, nothingThere, answers))
	r.served("no-aaaa")

	r.first.do(always(fails))
	r.second.do(byDefault)
	r.served("first-fails")
	r.second.do(always(fails))
	r.fails("all-fail", "dns_error")
	r.first.do(always(noSuchName))
	r.fails("missing", `dns_error; rcode="NXDOMAIN"`)
	r.first.do(only(dnsmessage.TypeAAAA, drops, noSuchName))
	r.second.do(only(dnsmessage.TypeAAAA, drops, noSuchName))
	r.fails("missing-aaaa-dropped", `dns_error; rcode="NXDOMAIN"`) // else it would be a time-out in the end
	r.first.do(only(dnsmessage.TypeA, drops, noSuchName))
	r.second.do(only(dnsmessage.TypeA, drops, noSuchName))
	r.fails("missing-a-dropped", `dns_error; rcode="NXDOMAIN"`)

	r.first.do(always(tooLong))
	r.served("long")
	if got := r.first.questions("long"); !slices.Contains(got, "tcp A long.test.") {
		t.Errorf("an answer was too long for UDP: got %q; want to be asked over TCP", got)
	}

	// Nothing listens where the search domain's AAAA leads, but it is another host, so it must not even be tried.
	r.first.do(func(name string, kind dnsmessage.Type) deed {
		switch {
		case kind == dnsmessage.TypeA && name == "searched.test.", kind == dnsmessage.TypeAAAA && name == "searched.test."+searchDomain:
			return answers
		}
		return nothingThere
	})
	wrong, err := net.Listen("tcp6", "[::1]:7000")
	if err != nil {
		t.Fatal(err)
	}
	defer wrong.Close()
	r.served("searched")
	wrong.Close()

	r.first.do(always(drops))
	r.second.do(byDefault)
	r.served("first-silent")
	if len(r.first.questions("first-silent")) == 0 {
		t.Error("the first name server was not asked, so it was not silent")
	}
	r.served("again")
	r.second.do(always(tooLong))
	r.served("again-long")
	for _, name := range []string{"again", "again-long"} {
		if got := r.first.questions(name); len(got) > 0 {
			t.Errorf("the name server that was silent was asked %q; want it to be asked last", got)
		}
	}
	if got := r.second.questions("again-long"); !slices.Contains(got, "tcp A again-long.test.") {
		t.Errorf("an answer in another's place was too long for UDP: got %q; want to be asked over TCP", got)
	}
}

// With the resolver's usual times, 5 s for each name server, twice, a first one that is dead and one that drops AAAA still
// end in an answer.
func TestNameServersInTheirOwnTime(t *testing.T) {
	needsLong(t)
	r := startResolving(t, "", "dead", "dead-next", "dropping")
	r.first.do(always(drops))
	r.served("dead")
	r.served("dead-next")
	if got := r.first.questions("dead-next"); len(got) > 0 {
		t.Errorf("the name server that was silent was asked %q; want it to be asked last", got)
	}
	r.second.do(only(dnsmessage.TypeAAAA, drops, answers))
	r.served("dropping")
}
