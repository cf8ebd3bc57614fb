package provider

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func start(t *testing.T, cfg Config) *Provider {
	t.Helper()
	p, err := Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// through is an http.Client that uses the provider with those credentials.
func through(t *testing.T, p *Provider, user, password string) *http.Client {
	u := &url.URL{Scheme: "http", Host: p.Addr().String()}
	if user != "" {
		u.User = url.UserPassword(user, password)
	}
	tr := &http.Transport{Proxy: http.ProxyURL(u)}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

func TestExitAddressOfASession(t *testing.T) {
	p := start(t, Config{User: "user", Password: "pass"})
	var seen []string
	for _, user := range []string{"user-session-abc", "user-country-us-session-abc-sessTime-10", "user-session-other"} {
		res, err := through(t, p, user, "pass").Get("http://ip.demo/")
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		var got struct{ Session, Exit_IP string }
		if err := json.NewDecoder(res.Body).Decode(&got); err != nil {
			t.Fatal(err)
		}
		if got.Exit_IP != ExitIP(got.Session).String() {
			t.Errorf("session %q leaves from %s; want %s", got.Session, got.Exit_IP, ExitIP(got.Session))
		}
		seen = append(seen, got.Exit_IP)
	}
	if seen[0] != seen[1] || seen[0] == seen[2] {
		t.Errorf("exit addresses are %v; want the first two alike, the third another", seen)
	}
}

func TestAuthentication(t *testing.T) {
	p := start(t, Config{User: "user", Password: "pass"})
	for _, row := range []struct {
		user, password string
		status         int
	}{
		{"user", "pass", 200}, {"user-session-1", "pass", 200}, {"", "", 407}, {"user", "wrong", 407}, {"users", "pass", 407},
	} {
		res, err := through(t, p, row.user, row.password).Get("http://ip.demo/")
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != row.status {
			t.Errorf("%q:%q gets %d; want %d", row.user, row.password, res.StatusCode, row.status)
		}
	}
	if p.Refused() != 3 {
		t.Errorf("refused %d; want 3", p.Refused())
	}
}

func TestForwarding(t *testing.T) {
	echo := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %q %s", r.Method, r.RequestURI, r.Header.Get("Proxy-Authorization"), b)
	})
	plain := httptest.NewServer(echo)
	defer plain.Close()
	secret := httptest.NewTLSServer(echo)
	defer secret.Close()
	p := start(t, Config{})
	client := through(t, p, "user-sid-7", "x")
	client.Transport.(*http.Transport).TLSClientConfig = secret.Client().Transport.(*http.Transport).TLSClientConfig
	for _, origin := range []string{plain.URL, secret.URL} {
		for _, body := range []io.Reader{strings.NewReader("sized"), io.MultiReader(strings.NewReader("chunked"))} {
			res, err := client.Post(origin+"/path?q", "text/plain", body)
			if err != nil {
				t.Fatal(err)
			}
			got, _ := io.ReadAll(res.Body)
			res.Body.Close()
			if want := "POST /path?q \"\" "; !strings.HasPrefix(string(got), want) {
				t.Errorf("the origin saw %q; want %q first", got, want)
			}
		}
	}
	if got := p.Accepted(); got != 2 {
		t.Errorf("%d connections for two plain requests and a tunnel; want 2", got)
	}
}

func TestRecords(t *testing.T) {
	p := start(t, Config{Records: 1})
	conn, err := net.Dial("tcp", p.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	head := "GET http://ip.demo/ HTTP/1.1\r\nhost: ip.demo\r\nProxy-Authorization: Basic dS1zZXNzaW9uLTE6cA==\r\n\r\n"
	fmt.Fprint(conn, head+head)
	if _, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil {
		t.Fatal(err)
	}
	want := []Record{{Conn: 1, Method: "GET", Target: "http://ip.demo/", User: "u-session-1", Session: "1", Head: head}}
	if diff := cmp.Diff(want, p.Records()); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := p.WaitOpen(ctx, 1); err != nil {
		t.Error(err)
	}
	conn.Close()
	if err := p.WaitOpen(ctx, 0); err != nil {
		t.Error(err)
	}
}

func TestIntercept(t *testing.T) {
	p := start(t, Config{Intercept: func(conn net.Conn, _ *bufio.Reader, head *Head) bool {
		if head.Target != "http://odd/" {
			return false
		}
		fmt.Fprint(conn, "HTTP/1.1 299 Odd\r\nContent-Length: 0\r\n\r\n")
		return true
	}})
	for target, status := range map[string]int{"http://odd/": 299, "http://ip.demo/": 200} {
		res, err := through(t, p, "", "").Get(target)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != status {
			t.Errorf("%s gets %d; want %d", target, res.StatusCode, status)
		}
	}
}

// A tunnel carries what came behind the CONNECT, and half-closes both ways.
func TestTunnel(t *testing.T) {
	origin, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer origin.Close()
	go func() {
		conn, err := origin.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		b, _ := io.ReadAll(conn)
		fmt.Fprintf(conn, "got %s", b)
	}()
	p := start(t, Config{})
	conn, err := net.Dial("tcp", p.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "CONNECT %s HTTP/1.1\r\n\r\nearly", origin.Addr())
	_ = conn.(*net.TCPConn).CloseWrite()
	if got, _ := io.ReadAll(conn); string(got) != "HTTP/1.1 200 OK\r\n\r\ngot early" {
		t.Errorf("got %q", got)
	}
}

// Whoever observes is told of each request, those inside of tunnels to the provider's own hosts too.
func TestObserve(t *testing.T) {
	var seen []Sighting // on one connection at a time
	p := start(t, Config{User: "u", Password: "p", Observe: func(s Sighting) { seen = append(seen, s) }})
	auth := func(user string) string {
		return "Proxy-Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(user+":p")) + "\r\n"
	}
	conn, r := dial(t, p)
	for _, request := range []string{
		"GET http://a.ip.demo:80/ HTTP/1.1\r\n" + auth("u-session-1") + "\r\n",
		"GET http://b.ip.demo HTTP/1.1\r\n" + auth("u-session-2") + "\r\n",
		"CONNECT c.ip.demo:80 HTTP/1.1\r\n" + auth("u-session-2") + "\r\n",
		"HEAD / HTTP/1.1\r\nHost: d.ip.demo\r\n\r\n",
	} {
		method, _, _ := strings.Cut(request, " ")
		fmt.Fprint(conn, request)
		res, err := http.ReadResponse(r, &http.Request{Method: method})
		if err != nil || res.StatusCode != 200 {
			t.Fatalf("%s: %+v, %v", request, res, err)
		}
		if method != "CONNECT" {
			_, _ = io.Copy(io.Discard, res.Body)
		}
	}
	want := []Sighting{
		{1, "GET", "a.ip.demo", "1", "", ""},
		{1, "GET", "b.ip.demo", "2", "1", ""},
		{1, "CONNECT", "c.ip.demo", "2", "2", ""},
		{1, "HEAD", "d.ip.demo", "2", "2", "c.ip.demo"},
	}
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Errorf("sightings (-want +got):\n%s", diff)
	}
}

func TestOwnHosts(t *testing.T) {
	for host, want := range map[string]bool{"ip.demo": true, "a.ip.demo": true, "a.b.ip.demo": true, "skip.demo": false, "ip.demo.org": false, "": false} {
		if isDemo(host) != want {
			t.Errorf("%q: %v; want %v", host, !want, want)
		}
	}
}
