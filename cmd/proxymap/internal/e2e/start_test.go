package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"testing"
)

// bare is proxymap in an empty folder, with those variables and no other.
func bare(t *testing.T, dir string, environ []string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := command(t, args...)
	cmd.Dir, cmd.Env = dir, append([]string{}, environ...)
	return cmd
}

// getThrough asks for the exit address by a port.
func getThrough(t *testing.T, port int) {
	t.Helper()
	client := http.Client{Timeout: patience, Transport: &http.Transport{
		DisableKeepAlives: true, Proxy: http.ProxyURL(&url.URL{Scheme: "http", Host: fmt.Sprintf("127.0.0.1:%d", port)}),
	}}
	res, err := client.Get("http://ip.demo/")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Fatalf("got %s", res.Status)
	}
}

var sessionUser = regexp.MustCompile(`^demo-session-[A-Za-z0-9]{8}$`)

// With nothing but three variables, requests go through, each port's with a session of its own that stays.
func TestThreeVariables(t *testing.T) {
	t.Parallel()
	provider, port, dir := startProvider(t), freePort(t), t.TempDir()
	environ := []string{"PROXYMAP_UPSTREAM=http://demo:demo@" + provider.Addr().String(), fmt.Sprintf("PROXYMAP_PORTS=%d", port), "PROXYMAP_LIFETIME=10m"}
	p := startCommand(t, bare(t, dir, environ, "serve"))
	p.logged("msg=listening")
	getThrough(t, port)
	getThrough(t, port)
	seen := provider.Records()
	if len(seen) != 2 || !sessionUser.MatchString(seen[0].User) || seen[1].User != seen[0].User {
		t.Errorf("the provider has seen %+v", seen)
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) > 0 {
		t.Errorf("it has left %v, %v", files, err)
	}
}

// What init has written, check takes and serve serves, with no variable any more.
func TestInitCheckServe(t *testing.T) {
	t.Parallel()
	provider, port, dir := startProvider(t), freePort(t), t.TempDir()
	environ := []string{"PROXYMAP_UPSTREAM=http://demo:demo@" + provider.Addr().String()}
	for _, cmd := range []*exec.Cmd{
		bare(t, dir, environ, "init", "--ports", fmt.Sprint(port), "--lifetime", "10m", "--session-api=api.test"),
		bare(t, dir, nil, "check"),
	} {
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v: %s", cmd.Args[1:], err, out)
		}
	}
	p := startCommand(t, bare(t, dir, nil, "serve"))
	p.logged("msg=listening")
	getThrough(t, port)
	if seen := provider.Records(); len(seen) != 1 || !sessionUser.MatchString(seen[0].User) {
		t.Errorf("the provider has seen %+v", seen)
	}
}

// A list that was pasted, without a word of JSON: each port has the line of its own, and its account as it stands.
func TestPastedList(t *testing.T) {
	t.Parallel()
	provider, dir := startProvider(t), t.TempDir()
	first, second := freePort(t), freePort(t)
	for second != first+1 { // another test had the one between
		first, second = second, freePort(t)
	}
	write(t, dir, "proxies", fmt.Sprintf("# two\r\n%[1]s:demo-sid-1:demo\r\n%[1]s:demo-sid-2:demo\r\n", provider.Addr()))
	cmd := bare(t, dir, nil, "serve", "--upstream-file", "proxies", "--spread", "PerPort", "--ports", fmt.Sprintf("%d-%d", first, second), "--lifetime", "10m")
	p := startCommand(t, cmd)
	p.logged("msg=listening")
	for _, port := range []int{first, second, first} {
		getThrough(t, port)
	}
	var users []string
	for _, r := range provider.Records() {
		users = append(users, r.User)
	}
	if got := fmt.Sprint(users); got != "[demo-sid-1 demo-sid-2 demo-sid-1]" {
		t.Errorf("the provider has seen %s", got)
	}
}

// With nothing at all, it says what to do, and ends.
func TestNothingGiven(t *testing.T) {
	t.Parallel()
	p := startCommand(t, bare(t, t.TempDir(), nil, "serve"))
	p.exits(exitFailure)
	p.logged("proxymap serve --ports 10201-10300 --lifetime 10m")
	p.logged("proxymap init")
}
