package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// ask runs a session command, and returns what it prints.
func ask(t *testing.T, status int, args ...string) (out, errOut string) {
	t.Helper()
	r := runs(t, append([]string{"session"}, args...)...)
	if r.status != status {
		t.Fatalf("session %q ends with %d; want %d; it prints %q, %q", args, r.status, status, r.out, r.errOut)
	}
	return r.out, r.errOut
}

// idOf asks for a port's session id.
func idOf(t *testing.T, args ...string) string {
	t.Helper()
	out, _ := ask(t, exitOK, append([]string{"get", "--json"}, args...)...)
	var answer struct {
		ID string `json:"session_id"`
	}
	if err := json.Unmarshal([]byte(out), &answer); err != nil || answer.ID == "" {
		t.Fatalf("got %q, %v; want a session", out, err)
	}
	return answer.ID
}

// A port's session is shown, replaced and removed from the command line: by the domain, and by the settings.
func TestSessionOfPort(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	file := settingsFile(t, port, startProvider(t))
	start(t, "serve", "--config", file).logged("msg=listening")
	to := fmt.Sprint("--port=", port)

	first := idOf(t, to, "--domain=portmapper")
	if again := idOf(t, to, "--config", file); again != first {
		t.Errorf("by the settings the session is %q; want %q", again, first)
	}
	out, _ := ask(t, exitOK, "get", to, "--config", file)
	if lines := strings.Split(out, "\n"); len(lines) != 3 || !strings.HasPrefix(lines[0], "PORT ") ||
		!matches(fmt.Sprintf(`%d  +%s  +.* GMT  10  +-`, port, first), lines[1]) {
		t.Errorf("get prints %q", out)
	}

	tunnel := openTunnel(t, port)
	out, _ = ask(t, exitOK, "new", to, "--config", file, "--on-rotate=close", "country=de", "city=New York&on_rotate=keep")
	second := idOf(t, to, "--config", file)
	if second == first || !strings.Contains(out, second) || !strings.Contains(out, "city=New York&on_rotate=keep country=de\n") ||
		!strings.HasSuffix(out, "connections: 1 closed, 0 draining\n") {
		t.Errorf("new prints %q; the session was %q and is %q", out, first, second)
	}
	if n, err := tunnel.Read(make([]byte, 1)); err == nil {
		t.Errorf("the tunnel is not closed, but reads %d bytes", n)
	}

	out, _ = ask(t, exitOK, "reset", to, "--config", file)
	if want := fmt.Sprintf("port %d: its session is removed; the next request makes another\n", port); out != want {
		t.Errorf("reset prints %q; want %q", out, want)
	}
	if third := idOf(t, to, "--config", file); third == second {
		t.Errorf("the session is still %q", third)
	}
}

// Ports that want credentials get those of the settings, or of the command line; what is refused is told.
func TestSessionCallsRefused(t *testing.T) {
	port := freePort(t)
	dir := t.TempDir()
	file := write(t, dir, "appsettings.json", fmt.Sprintf(`{"Listen":{"Port":%d,"StickyProxyLifetime":"90s","Action":"Deny"},"SessionAPI":{"Enabled":true},
		"Authentication":{"Required":true,"Verify":true,"Username":"somebody","Password":"se:cret"}}`, port))
	off := write(t, dir, "off.json", fmt.Sprintf(`{"Listen":{"Port":%d}}`, port))
	start(t, "serve", "--config", file).logged("msg=listening")
	to := fmt.Sprint("--port=", port)

	first := idOf(t, to, "--config", file)
	if again := idOf(t, to, "--user=somebody:se:cret"); again != first {
		t.Errorf("by the command line the session is %q; want %q", again, first)
	}
	t.Setenv("PROXYMAP_USER", "somebody:se:cret")
	if out, _ := ask(t, exitOK, "get", to); !strings.Contains(out, first) || !strings.Contains(out, " 1.5 ") {
		t.Errorf("get prints %q; want %q, of 1.5 minutes", out, first)
	}
	for _, row := range []struct {
		status int
		args   []string
		want   string
	}{
		{exitFailure, []string{"get", to, "--user=somebody:wrong"}, `answers 407 proxy-auth: "the user name or the password is wrong"`},
		{exitFailure, []string{"new", to, "a b=c"}, `answers 400 bad-request: "parameter \"a b\": a name is 1 to 64 letters, digits and -._~"`},
		{exitFailure, []string{"get", to, "--domain=portmapper"}, `answers 403 denied: "this port denies all hosts`},
		{exitFailure, []string{"get", to, "--config", off}, "SessionAPI.Enabled is not true"},
		{exitFailure, []string{"get", to, "--config", dir + "/none.json"}, "no such file"},
		{exitFailure, []string{"get", fmt.Sprint("--port=", freePort(t))}, "connection refused; does proxymap listen there?"},
		{exitUsage, []string{"get", "--port=1", "--config", file}, "has no such port"},
		{exitUsage, []string{"get"}, "--port is missing"},
		{exitUsage, []string{"get", "--port=http"}, `--port "http": must be a port from 1 to 65535`},
		{exitUsage, []string{"new", "--port=5-4"}, `--port "5-4": must be a port`},
		{exitUsage, []string{"new", to, "country"}, `parameter "country": must be name=value`},
		{exitUsage, []string{"new", to, "on_rotate=close"}, "use --on-rotate"},
		{exitUsage, []string{"new", to, "--on-rotate=cut"}, "--on-rotate must be one of"},
		{exitUsage, []string{"list"}, `--admin "": the admin listener is asked here`},
		{exitUsage, []string{"list", "--config", file}, `a --config that has Admin.Address`},
		{exitUsage, []string{"new", "--admin=127.0.0.1:1"}, "--port is missing: the ports whose sessions it is about, or all"},
		{exitUsage, []string{"renew"}, "renew"},
	} {
		if _, errOut := ask(t, row.status, row.args...); !strings.Contains(errOut, row.want) || strings.Contains(errOut, "cret") {
			t.Errorf("%q: it says %q; want %q", row.args, errOut, row.want)
		}
	}
}

// A domain that is not named is asked for, and an answer of someone else is not taken for the relay's.
func TestSessionCallsAstray(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	start(t, "serve", "--config", settingsFile(t, port, startProvider(t))).logged("msg=listening")
	if _, errOut := ask(t, exitFailure, "get", fmt.Sprint("--port=", port)); !strings.Contains(errOut, "answers 400 bad-request") ||
		!strings.Contains(errOut, "; if the relay has a SessionAPI.Domain, give it by --domain or --config") {
		t.Errorf("without the domain it says %q", errOut)
	}
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Host == "moved" {
			w.Header().Set("Location", "/")
			w.WriteHeader(http.StatusFound)
		}
		fmt.Fprint(w, "<html>")
	}))
	t.Cleanup(other.Close)
	_, otherPort, _ := strings.Cut(other.Listener.Addr().String(), ":")
	for domain, want := range map[string]string{
		"":      "what answers there is no proxymap, or not for sessions",
		"moved": `answers 302: "<html>"; the answer is not the relay's: is its SessionAPI.Domain "moved"?`,
	} {
		if _, errOut := ask(t, exitFailure, "get", "--port", otherPort, "--domain", domain); !strings.Contains(errOut, want) {
			t.Errorf("domain %q: it says %q; want %q", domain, errOut, want)
		}
	}
}
