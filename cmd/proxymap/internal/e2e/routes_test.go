package e2e

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

const routesSettings = `{
  "Listen": {"Port": %[1]d, "StickyProxyLifetime": 10},
  "Authentication": {
    "Required": true, "Verify": true, "SetAuthentication": true, "ParseUsernameParameters": true,
    "Username": "customer-name", "Password": "secret:word",
    "UsernameParameters": [{"Name": "country", "Value": "$country", "Default": "us"}],
  },
  "ProxyServers": {"Items": [{"Host": "127.0.0.1", "Port": %[2]d, "ProxyType": "Socks5"}]},
  "HostRules": {
    "Items": [
      {"Pattern": "(^|\\.)denied\\.example$", "Action": "Deny"},
      {"HostName": "bypassed.example", "Action": "Bypass", "OverrideHostName": "127.0.0.1", "OverrideHostPort": %[3]d},
      {"HostName": "moved.example", "OverrideHostName": "elsewhere.example", "OverrideHostPort": 8080},
    ],
    "Files": [{"Path": "rules.json"}],
  },
}`

const routesRules = `{"Items": [
  {"Pattern": "denied|demo$", "ProxyServer": {"Host": "127.0.0.1", "Port": %d, "Username": "demo", "Password": "demo",
    "UsernameParameters": [{"Name": "session", "Value": "^[a-z]{6}", "SessionId": true}]}}
]}`

// A target tells what it is asked, and by which of the ways of the settings: rules, a SOCKS5 server, with credentials.
func TestRoutes(t *testing.T) {
	t.Parallel()
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s %s", r.Host, r.RequestURI, r.Header.Get("Proxy-Authorization"))
	}))
	t.Cleanup(origin.Close)
	originPort := origin.Listener.Addr().(*net.TCPAddr).Port
	socks, provider, port := startSocks(t, origin.Listener.Addr().String()), startProvider(t), freePort(t)
	dir := t.TempDir()
	write(t, dir, "rules.json", fmt.Sprintf(routesRules, provider.Addr().Port()))
	file := write(t, dir, "appsettings.json", fmt.Sprintf(routesSettings, port, socks.port(), originPort))
	start(t, "serve", "--config", file).logged("msg=listening")

	const user = "customer-name-country-de:secret%3Aword@"
	for _, row := range []struct {
		name, proxy, url string
		status           int
		class, body      string
		login, target    string // at the SOCKS5 server; empty: it is not asked
	}{
		{"through SOCKS5", "http://" + user, "http://some.example/a", 200, "", "some.example /a ", "customer-name-country-de secret:word", "some.example:80"},
		{"default of a parameter", "http://customer-name:secret%3Aword@", "http://some.example/", 200, "", "some.example / ", "customer-name-country-us secret:word", "some.example:80"},
		{"from SOCKS5", "socks5://" + user, "http://some.example/b", 200, "", "some.example /b ", "customer-name-country-de secret:word", "some.example:80"},
		{"denied", "http://" + user, "http://www.denied.example/", 403, "denied", "", "", ""},
		{"bypassed", "http://" + user, "http://bypassed.example/c", 200, "", fmt.Sprintf("127.0.0.1:%d /c ", originPort), "", ""},
		{"moved", "http://" + user, "http://moved.example/d", 200, "", "elsewhere.example:8080 /d ", "customer-name-country-de secret:word", "elsewhere.example:8080"},
		{"server of a rule", "http://" + user, "http://ip.demo/", 200, "", `"exit_ip"`, "", ""},
		{"no credentials", "http://", "http://some.example/", 407, "proxy-auth", "", "", ""},
		{"wrong password", "http://customer-name:secret@", "http://some.example/", 407, "proxy-auth", "", "", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			proxy, err := url.Parse(fmt.Sprintf("%s127.0.0.1:%d", row.proxy, port))
			if err != nil {
				t.Fatal(err)
			}
			transport := &http.Transport{Proxy: http.ProxyURL(proxy), DisableKeepAlives: true}
			res, err := (&http.Client{Transport: transport, Timeout: patience}).Get(row.url)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			body, err := io.ReadAll(res.Body)
			if err != nil {
				t.Fatal(err)
			}
			if res.StatusCode != row.status || res.Header.Get("X-Proxymap-Error") != row.class || !strings.Contains(string(body), row.body) {
				t.Errorf("got %d %q %q; want %d %q %q", res.StatusCode, res.Header.Get("X-Proxymap-Error"), body, row.status, row.class, row.body)
			}
			if login, target := socks.asked(); login != row.login || target != row.target {
				t.Errorf("the SOCKS5 server was asked as %q for %q; want %q, %q", login, target, row.login, row.target)
			}
		})
	}
	if records := provider.Records(); len(records) != 1 || len(records[0].Session) != 6 || !strings.HasPrefix(records[0].User, "demo-session-") {
		t.Errorf("the rule's own server was asked %+v", records)
	}
	// Without the right credentials a SOCKS5 client comes no further.
	proxy, _ := url.Parse(fmt.Sprintf("socks5://customer-name:wrong@127.0.0.1:%d", port))
	client := &http.Client{Transport: &http.Transport{Proxy: http.ProxyURL(proxy)}, Timeout: patience}
	if _, err := client.Get("http://some.example/"); err == nil || !strings.Contains(err.Error(), "username/password") {
		t.Errorf("a SOCKS5 client with a wrong password: %v", err)
	}
}

// A socksServer is a SOCKS5 server that leads to one address, whatever it is asked for.
type socksServer struct {
	listener net.Listener
	origin   string
	requests chan [2]string // logins and targets
}

func startSocks(t *testing.T, origin string) *socksServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	t.Cleanup(func() { l.Close(); wg.Wait() })
	s := &socksServer{l, origin, make(chan [2]string, 16)}
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer conn.Close()
				if err := s.serve(conn); err != nil {
					t.Errorf("SOCKS5 server: %v", err)
				}
			})
		}
	})
	return s
}

func (s *socksServer) port() int { return s.listener.Addr().(*net.TCPAddr).Port }

// asked is what the server was asked for since the last time.
func (s *socksServer) asked() (login, target string) {
	select {
	case r := <-s.requests:
		return r[0], r[1]
	default:
		return "", ""
	}
}

// serve makes a tunnel for who brings a user name and a password (RFC 1928, RFC 1929) and asks by name.
func (s *socksServer) serve(conn net.Conn) error {
	_ = conn.SetDeadline(time.Now().Add(patience))
	field := func(before int) (b []byte, err error) { // bytes that are there before a length, and what is that long
		b = make([]byte, before+1)
		if _, err = io.ReadFull(conn, b); err == nil {
			b = append(b, make([]byte, b[before])...)
			_, err = io.ReadFull(conn, b[before+1:])
		}
		return b[before+1:], err
	}
	if methods, err := field(1); err != nil || !strings.Contains(string(methods), "\x02") {
		return fmt.Errorf("methods %q: %w", methods, err)
	}
	_, _ = conn.Write([]byte{5, 2})
	user, err := field(1)
	if err != nil {
		return err
	}
	password, err := field(0)
	if err != nil {
		return err
	}
	_, _ = conn.Write([]byte{1, 0})
	host, err := field(4)
	if err != nil {
		return err
	}
	var port [2]byte
	if _, err := io.ReadFull(conn, port[:]); err != nil {
		return err
	}
	origin, err := net.Dial("tcp", s.origin)
	if err != nil {
		return err
	}
	defer origin.Close()
	s.requests <- [2]string{fmt.Sprintf("%s %s", user, password), fmt.Sprintf("%s:%d", host, int(port[0])<<8|int(port[1]))}
	_, _ = conn.Write([]byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0})
	go func() {
		_, _ = io.Copy(origin, conn)
		_ = origin.(*net.TCPConn).CloseWrite()
	}()
	_, _ = io.Copy(conn, origin)
	return nil
}
