package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A reloadRig is a relay whose settings change while it runs.
type reloadRig struct {
	t          *testing.T
	serving    *process
	file, list string // the settings file, and the list of servers that it names
	admin      string
	port       int
}

const reloadSettings = `{
  "Listen": {"PortRange": {"Start": %[1]d, "End": %[2]d}, "StickyProxyLifetime": 10},
  "Authentication": {
    "SetAuthentication": true, "Username": "demo", "Password": {"Env": "RELOAD_PASSWORD"},
    "UsernameParameters": [{"Name": "session", "Value": "^[A-Za-z]{8}", "SessionId": true}],
  },
  "ProxyServers": {"Files": [{"Path": "servers.json"}]},
  "Admin": {"Address": "%[3]s", "Token": "%[4]s"},
}`

const (
	reloadServers = `{"Items": [{"Host": "127.0.0.1", "Port": %d, "Username": "demo", "Password": "%s"}]}`
	reloadToken   = "hidden-token-0123456789"
)

func startReloadRig(t *testing.T) *reloadRig {
	t.Helper()
	dir := t.TempDir()
	g := &reloadRig{t: t, file: filepath.Join(dir, "appsettings.json"), list: filepath.Join(dir, "servers.json")}
	g.admin = fmt.Sprintf("127.0.0.1:%d", freePort(t))
	for g.port = freePort(t); freePort(t) != g.port+1 || freePort(t) != g.port+2; g.port = freePort(t) {
	}
	p := startProvider(t)
	write(t, dir, "servers.json", fmt.Sprintf(reloadServers, p.Addr().Port(), "demo"))
	write(t, dir, "appsettings.json", fmt.Sprintf(reloadSettings, g.port, g.port+2, g.admin, reloadToken))
	cmd := command(t, "serve", "--config", g.file)
	cmd.Env = append(os.Environ(), "RELOAD_PASSWORD=demo")
	g.serving = startCommand(t, cmd)
	g.serving.logged("msg=listening")
	return g
}

// edit replaces a text in a file, and gives back how it was.
func (g *reloadRig) edit(file, old, new string) (undo func()) {
	g.t.Helper()
	text, err := os.ReadFile(file)
	if err != nil || !strings.Contains(string(text), old) {
		g.t.Fatalf("%s has no %q: %v", file, old, err)
	}
	changed := strings.Replace(string(text), old, new, 1)
	write(g.t, filepath.Dir(file), filepath.Base(file), changed)
	return func() { write(g.t, filepath.Dir(file), filepath.Base(file), string(text)) }
}

// without takes a file away, and gives it back.
func (g *reloadRig) without(file string) (undo func()) {
	g.t.Helper()
	if err := os.Rename(file, file+".gone"); err != nil {
		g.t.Fatal(err)
	}
	return func() {
		if err := os.Rename(file+".gone", file); err != nil {
			g.t.Fatal(err)
		}
	}
}

// expect runs a command, whose output must have texts and no secret. DIR stands for the folder of the settings, FIRST for
// the first port.
func (g *reloadRig) expect(status int, args []string, out, errOut string) {
	g.t.Helper()
	got := runs(g.t, args...)
	replace := strings.NewReplacer(filepath.Dir(g.file), "DIR", g.admin, "ADMIN", fmt.Sprint(g.port+10), "FIRST+10", fmt.Sprint(g.port+3), "FIRST+3",
		fmt.Sprint(g.port+2), "FIRST+2", fmt.Sprint(g.port), "FIRST")
	got.out, got.errOut = replace.Replace(got.out), replace.Replace(got.errOut)
	if got.status != status || !strings.HasSuffix(got.out, out) || (out == "") != (got.out == "") || got.errOut != errOut {
		g.t.Errorf("%v: got %d, %s, %s; want %d, %s, %s", args, got.status, got.out, got.errOut, status, out, errOut)
	}
	if strings.Contains(got.out+got.errOut, "hidden") {
		g.t.Errorf("%v tells a secret: %s%s", args, got.out, got.errOut)
	}
}

// The command shows what a reload would change, or all that is wrong with the settings; the relay goes on as it is.
func TestReloadDryRun(t *testing.T) {
	t.Parallel()
	g := startReloadRig(t)
	dry := []string{"reload", "--dry-run", "--admin", g.admin, "--token", reloadToken}
	const same, faulty = "nothing differs: 3 ports\n", "proxymap: ADMIN: answers 422: "
	g.expect(exitOK, dry, same, "")

	undo := g.edit(g.list, `"Password": "demo"`, `"Password": "hidden-new"`)
	g.expect(exitOK, dry, `dry run: nothing has changed; a reload would
changed  3 ports  FIRST-FIRST+2: ProxyServers.Password
                    sessions stay
`, "")
	undo()
	undo = g.edit(g.file, fmt.Sprintf(`"End": %d`, g.port+2), fmt.Sprintf(`"End": %d`, g.port+10))
	g.expect(exitOK, dry, "dry run: nothing has changed; a reload would\nadded      8 ports  FIRST+3-FIRST+10\nunchanged  3 ports\n", "")
	undo()
	undo = g.edit(g.list, `"Password": "demo"`, `"Pasword": "hidden", "ResolveIP": "h:1:u:hidden"`)
	g.expect(exitFailure, dry, "", faulty+`DIR/appsettings.json: 2 faults; nothing has changed
DIR/servers.json:1: Items[0].Pasword: unknown key; did you mean "Password"?
DIR/servers.json:1: Items[0].ResolveIP: value "h:1:***": must be true or false
`)
	undo()
	undo = g.without(g.list)
	g.expect(exitFailure, dry, "", faulty+`DIR/appsettings.json: 1 fault; nothing has changed
DIR/appsettings.json:7: ProxyServers.Files[0].Path: value "servers.json": stat DIR/servers.json: no such file or directory; must be a JSON file {"Items": […]}, its path relative to the settings file's folder
`)
	undo()
	undo = g.without(g.file)
	g.expect(exitFailure, dry, "", faulty+"settings: stat DIR/appsettings.json: no such file or directory\n")
	undo()
	undo = g.edit(g.file, `"Admin"`, `"State": {"File": "sessions"}, "Admin"`)
	g.expect(exitFailure, dry, "refused: State.File cannot change while the relay runs; set it back, or restart. Nothing has changed\nunchanged  3 ports\n",
		"proxymap: ADMIN: answers 409: a reload would be refused\n")
	undo()
	g.expect(exitOK, dry, same, "")

	g.expect(exitFailure, []string{"reload", "--admin", g.admin, "--token", reloadToken}, "",
		"proxymap: ADMIN: answers 501: \"settings cannot change while the relay runs: restart it to have them read, or use ?dry_run=true to see what would change\"\n")
	if got := runs(t, "reload", "--dry-run"); got.status != exitUsage {
		t.Errorf("without an address: %+v", got)
	}
	openTunnel(t, g.port) // it has the password still
	g.serving.mu.Lock()
	defer g.serving.mu.Unlock()
	if log := g.serving.log.String(); strings.Contains(log, "hidden") {
		t.Errorf("the log tells a secret: %s", log)
	}
}

// check shows the same of the file that the relay reads, and of no other.
func TestCheckAgainst(t *testing.T) {
	t.Parallel()
	g := startReloadRig(t)
	undo := g.edit(g.file, `"Password": {"Env": "RELOAD_PASSWORD"}`, `"Password": "hidden"`)
	against := []string{"check", "--config", g.file, "--against", g.admin}
	g.expect(exitOK, against, `

against ADMIN, as the relay there reads its files:
dry run: nothing has changed; a reload would
changed  3 ports  FIRST-FIRST+2: Authentication.Password
                    sessions stay
`, "")
	undo()
	undo = g.edit(g.file, `"Listen"`, `"Lissten"`)
	if got := runs(t, against...); got.status != exitFailure || got.out != "" || !strings.Contains(got.errOut, "; nothing is started\n") {
		t.Errorf("faulty settings: %+v", got)
	}
	undo()
	other := write(t, t.TempDir(), "other.json", `{"Listen": {"Port": 1, "Action": "Deny"}}`)
	got := runs(t, "check", "--config", other, "--against", g.admin, "--token", reloadToken)
	if want := fmt.Sprintf("proxymap: --against %s: the relay there reads %s, and what was checked here is %s; a reload takes no other file\n", g.admin, g.file, other); got.status != exitFailure || got.errOut != want {
		t.Errorf("another file: %+v; want %s", got, want)
	}
	if got := runs(t, "check", "--config", other, "--against", "localhost"); got.status != exitUsage || got.out != "" {
		t.Errorf("no address: %+v", got)
	}
}

// Without the token nobody is told what the settings say.
func TestReloadWantsToken(t *testing.T) {
	t.Parallel()
	g := startReloadRig(t)
	res, err := http.Post("http://"+g.admin+"/reload?dry_run=true", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusUnauthorized {
		t.Errorf("answers %s", res.Status)
	}
}
