//go:build linux

package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
	"golang.org/x/sys/unix"

	"proxymap/bench/drive"
	"proxymap/bench/proc"
)

type options struct {
	Rounds   int           `help:"Rounds of the comparison. 0: 5, or 9 with --against." default:"0"`
	Time     time.Duration `help:"How long the clock runs for one figure. 0: 2s, or 1s with --against." default:"0"`
	Against  string        `help:"Compare with this commit, and with no other relay; fail if this one costs more." placeholder:"COMMIT"`
	Of       string        `help:"The commit that is compared with --against; empty: the files as they are." placeholder:"COMMIT"`
	Tunnels  int           `help:"Tunnels that stand idle, for their memory." default:"4000"`
	Peers    []string      `help:"Only these." sep:"none" placeholder:"NAME"`
	Rows     []string      `help:"Only these rows." placeholder:"NAME"`
	Tools    bool          `help:"Have wrk, ab and hey use proxymap, as far as they are installed, and nothing else."`
	Syscalls bool          `help:"Count system calls of proxymap, with strace, and nothing else."`
}

func main() {
	if len(os.Args) > 6 && os.Args[1] == "goroutines" { // a peer of ours, started by ourselves
		first, _ := strconv.Atoi(os.Args[3])
		count, _ := strconv.Atoi(os.Args[4])
		fail(relayWithGoroutines(os.Args[2], first, count, os.Args[5], os.Args[6]))
	}
	var o options
	kong.Parse(&o, kong.Name("compare"), kong.Description("Measure proxymap beside other relays."), kong.UsageOnError())
	fail(o.check())
	fail(pin())
	fail(o.run())
}

// check sets what is not given, and reports what cannot be.
func (o *options) check() error {
	rounds, clock := 5, 2*time.Second
	if o.Against != "" {
		rounds, clock = 9, time.Second
	}
	if o.Rounds == 0 {
		o.Rounds = rounds
	}
	if o.Time == 0 {
		o.Time = clock
	}
	for _, name := range o.Rows {
		known := name == "idle" && o.Against == ""
		for _, r := range rows {
			known = known || r.name == name
		}
		if !known {
			return fmt.Errorf("--rows %s: no such row", name)
		}
	}
	switch {
	case o.Rounds < 1 || o.Time < 0 || o.Tunnels < 4:
		return errors.New("--rounds, --time and --tunnels must be positive, and there are 4 tunnels at least")
	case o.Against != "" && o.Rounds < leastRounds:
		return fmt.Errorf("--rounds %d: two commits need %d rounds at least; with fewer, chance cannot be told from change", o.Rounds, leastRounds)
	case o.Against != "" && len(o.Peers) > 0:
		return errors.New("--against compares two commits; --peers has no meaning then")
	case o.Of != "" && o.Against == "":
		return errors.New("--of COMMIT needs --against COMMIT")
	}
	return nil
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
}

// pin moves this program to the first processor, by starting it anew: threads that run already stay where they are.
func pin() error {
	const mark = "COMPARE_CPUS"
	if os.Getenv(mark) != "" {
		return nil
	}
	all := runtime.NumCPU()
	if all < 2 {
		return errors.New("this needs two processors: one for the load, one for the relays")
	}
	var first unix.CPUSet
	first.Set(0)
	runtime.LockOSThread()
	if err := unix.SchedSetaffinity(0, &first); err != nil {
		return fmt.Errorf("sched_setaffinity: %w", err)
	}
	return syscall.Exec("/proc/self/exe", os.Args, append(os.Environ(), fmt.Sprintf("%s=%d", mark, all)))
}

// A row is one scenario of the comparison.
type row struct {
	name     string
	scenario drive.Scenario
	unit     string                       // what an operation is
	must     float64                      // ratio to HAProxy's best that must be reached, in CPU time; 0: none
	aim      float64                      //
	skip     func(peer string) (why bool) // peers that cannot do it
}

func notTinyproxy(peer string) bool { return peer == "tinyproxy" } // it closes after each response

var rows = []row{
	{name: "plain", scenario: drive.Scenario{Kind: drive.Plain}, unit: "request", must: 0.75, aim: 0.6, skip: notTinyproxy},
	{name: "connect", scenario: drive.Scenario{Kind: drive.Connect}, unit: "CONNECT", must: 0.75, aim: 0.65},
	{name: "tunnel", scenario: drive.Scenario{Kind: drive.Tunnel}, unit: "request", must: 0.75, aim: 0.65},
	{name: "plain-4000", scenario: drive.Scenario{Kind: drive.Plain, Rate: 4000}, unit: "request", must: 0.9, aim: 0.5, skip: notTinyproxy},
	{name: "tunnel-4000", scenario: drive.Scenario{Kind: drive.Tunnel, Rate: 4000}, unit: "request", must: 0.9, aim: 0.5},
	{name: "connect-1000", scenario: drive.Scenario{Kind: drive.Connect, Rate: 1000}, unit: "CONNECT"},
	{name: "down-8", scenario: drive.Scenario{Kind: drive.Down, Clients: 8}, unit: "MiB", must: 1.1, aim: 0.8},
	{name: "up-8", scenario: drive.Scenario{Kind: drive.Up, Clients: 8}, unit: "MiB", must: 1.1, aim: 0.8},
	{name: "down-1", scenario: drive.Scenario{Kind: drive.Down, Clients: 1}, unit: "MiB", must: 1.3, aim: 0.9},
	{name: "up-1", scenario: drive.Scenario{Kind: drive.Up, Clients: 1}, unit: "MiB", must: 1.3, aim: 0.9},
	{name: "get-16MiB", scenario: drive.Scenario{Kind: drive.Plain, Clients: 8, Response: 16 << 20}, unit: "request", skip: notTinyproxy},
	{name: "down-paced", scenario: drive.Scenario{Kind: drive.Down, Clients: 8, Rate: 200 << 20}, unit: "MiB"},
	{name: "slow-reader", scenario: drive.Scenario{Kind: drive.Slow, Clients: 64, Rate: 20 << 20, Warm: 3 * time.Second}, unit: "MiB"},
	{name: "tunnel-1000", scenario: drive.Scenario{Kind: drive.Tunnel, Rate: 1000}, unit: "request"},
	{name: "tunnel-1000-beside-bulk", scenario: drive.Scenario{Kind: drive.Tunnel, Rate: 1000, Streams: 8}, unit: "request"},
}

// A figure is what one run came to.
type figure struct {
	cpu            float64 // microseconds of the relay's process for an operation
	rate           float64 // operations a second
	p50, p99, p999 float64 // microseconds
	resident       float64 // KiB of the process at the end
}

func (o *options) run() error {
	dir, err := os.MkdirTemp("", "compare")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if o.Against != "" {
		return o.compareCommits(dir)
	}
	if err := build(dir); err != nil {
		return err
	}
	if o.Tools {
		return o.runTools(dir)
	}
	if o.Syscalls {
		return o.countSyscalls(dir)
	}
	c := &comparison{o: o, dir: dir, figures: map[string]map[string][]figure{}, tunnels: map[string][]float64{}}
	defer c.stopAll()
	c.startAll()
	fmt.Printf("%s: %d rounds of %v, the load on processor 0, the relays on the others of %s; Linux %s, %s\n\n",
		time.Now().Format(time.DateOnly), o.Rounds, o.Time, os.Getenv("COMPARE_CPUS"), kernel(), commit())
	for round := range o.Rounds {
		for _, r := range c.rows() {
			for i := range c.running {
				c.measure(r, c.running[(i+round)%len(c.running)])
			}
		}
		fmt.Fprintf(os.Stderr, "round %d of %d is done\n", round+1, o.Rounds)
	}
	if len(o.Rows) == 0 || slices.Contains(o.Rows, "idle") {
		for range o.Rounds {
			for _, t := range c.running {
				c.measureIdle(t)
			}
		}
	}
	c.print(os.Stdout)
	return nil
}

// build makes the binaries that are measured.
func build(dir string) error {
	if err := errors.Join(proc.Build(dir, "proxymap"), proc.Build(dir, "proxymap-netpoll", "-tags", "netpoll")); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	return os.Symlink(self, filepath.Join(dir, "compare"))
}

func kernel() string {
	var u unix.Utsname
	_ = unix.Uname(&u)
	return unix.ByteSliceToString(u.Release[:])
}

func commit() string {
	out, err := exec.Command("git", "rev-parse", "--short", "HEAD").Output()
	if err != nil {
		return "no commit"
	}
	return "commit " + strings.TrimSpace(string(out))
}

// relayCPUs are all processors but the load's.
func relayCPUs() (set unix.CPUSet, n int) {
	all, _ := strconv.Atoi(os.Getenv("COMPARE_CPUS"))
	for i := 1; i < all; i++ {
		set.Set(i)
	}
	return set, all - 1
}

// A target is a peer at work, or none: straight to the provider.
type target struct {
	name     string
	proc     *process // nil: no relay
	provider netip.AddrPort
	broken   map[string]error // by row
}

type comparison struct {
	o       *options
	dir     string
	running []*target
	skipped []string
	figures map[string]map[string][]figure // by row and target
	tunnels map[string][]float64           // bytes of an idle one, by target
}

// startPeer starts the i-th peer. Each has a loopback address of its own, and so has its provider, so that no port that
// one has used up is missing for another.
func startPeer(dir string, p *peer, i int) (*target, error) {
	set, cpus := relayCPUs()
	pid := os.Getpid()
	addr := func(kind byte) netip.Addr { return netip.AddrFrom4([4]byte{127, kind, byte(pid), byte(10 + i)}) }
	j := job{address: addr(70), provider: netip.AddrPortFrom(addr(71), 18080), cpus: cpus, binaries: dir}
	for n := range 16 {
		j.ports = append(j.ports, uint16(10001+n))
	}
	t := &target{name: "no relay", provider: j.provider, broken: map[string]error{}}
	if p == nil {
		return t, nil
	}
	t.name = p.name
	var err error
	if j.dir, err = os.MkdirTemp(dir, "peer"); err != nil {
		return nil, err
	}
	if err := os.Chmod(dir, 0o711); err != nil { // squid reads its file as another user
		return nil, err
	}
	t.proc, err = p.start(j, &set)
	return t, err
}

func (c *comparison) startAll() {
	for i := range peers {
		p := &peers[i]
		if len(c.o.Peers) > 0 && !slices.Contains(c.o.Peers, p.name) {
			continue
		}
		if p.program != "" {
			if _, err := exec.LookPath(p.program); err != nil {
				c.skipped = append(c.skipped, p.name+" is not installed")
				continue
			}
		}
		t, err := startPeer(c.dir, p, i)
		if err != nil {
			c.skipped = append(c.skipped, fmt.Sprintf("%s does not start: %v", p.name, err))
			continue
		}
		// squid takes an upstream that it has not met yet for dead, and answers the first requests so.
		_, _ = drive.Run(t.scenario(drive.Scenario{Kind: drive.Connect, Clients: 4}, restTime))
		c.running = append(c.running, t)
	}
	if len(c.o.Peers) == 0 {
		t, _ := startPeer(c.dir, nil, len(peers))
		c.running = append(c.running, t)
	}
}

func (c *comparison) stopAll() {
	for _, t := range c.running {
		if t.proc != nil {
			t.proc.Stop()
		}
	}
}

func (c *comparison) rows() (list []row) {
	for _, r := range rows {
		if len(c.o.Rows) == 0 || slices.Contains(c.o.Rows, r.name) {
			list = append(list, r)
		}
	}
	return list
}

func (t *target) scenario(s drive.Scenario, clock time.Duration) drive.Scenario {
	s.Provider, s.Threads, s.Duration = t.provider, 1, clock
	if t.proc != nil {
		s.Proxies = t.proc.ports
	}
	return s
}

// restTime lets a relay see, before the next run, that the connections of the last one have gone.
const restTime = 200 * time.Millisecond

func (c *comparison) measure(r row, t *target) {
	if t.broken[r.name] != nil || r.skip != nil && r.skip(t.name) {
		return
	}
	f, err := t.measure(r.scenario, c.o.Time)
	if err != nil {
		t.broken[r.name] = err
		fmt.Fprintf(os.Stderr, "%s, %s: %v\n", r.name, t.name, err)
		return
	}
	if c.figures[r.name] == nil {
		c.figures[r.name] = map[string][]figure{}
	}
	c.figures[r.name][t.name] = append(c.figures[r.name][t.name], f)
}

// measure has the target under the load of s, with the clock running for so long.
func (t *target) measure(s drive.Scenario, clock time.Duration) (figure, error) {
	time.Sleep(restTime)
	s = t.scenario(s, clock)
	var from, to time.Duration
	if t.proc != nil {
		s.Began = func() { from = t.proc.CPU() }
		s.Ended = func() { to = t.proc.CPU() }
	}
	res, err := drive.Run(s)
	switch {
	case err != nil:
		return figure{}, err
	case res.Errors > 0:
		return figure{}, fmt.Errorf("%d errors, the first: %w", res.Errors, res.FirstError)
	case res.Operations == 0:
		return figure{}, errors.New("not one operation")
	}
	us := func(q float64) float64 { return float64(res.Latency(q).Nanoseconds()) / 1e3 }
	f := figure{rate: res.Rate(), p50: us(.5), p99: us(.99), p999: us(.999)}
	if t.proc != nil {
		f.cpu = float64((to - from).Nanoseconds()) / 1e3 / float64(res.Operations)
		f.resident = float64(t.proc.Resident()) / 1024
	}
	return f, nil
}

// measureIdle measures what an idle tunnel costs: a few first, so that what grows once has grown, then many.
func (c *comparison) measureIdle(t *target) {
	if t.proc == nil || t.broken["idle"] != nil {
		return
	}
	var with [2]int64
	for i, n := range [...]int{c.o.Tunnels / 4, c.o.Tunnels} {
		time.Sleep(restTime)
		s := t.scenario(drive.Scenario{Kind: drive.Idle, Clients: n}, 2*time.Second)
		s.Ended = func() { with[i] = t.proc.Resident() }
		if res, err := drive.Run(s); err != nil || res.Errors > 0 {
			t.broken["idle"] = fmt.Errorf("%d idle tunnels: %v", n, err)
			fmt.Fprintf(os.Stderr, "idle, %s: %v\n", t.name, t.broken["idle"])
			return
		}
	}
	each := float64(with[1]-with[0]) / float64(c.o.Tunnels-c.o.Tunnels/4)
	c.tunnels[t.name] = append(c.tunnels[t.name], each)
}
