package e2e

import (
	"bufio"
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"proxymap/bench/provider"
)

const wantsCredentials = `"Authentication": {"Required": true, "Verify": true, "SetAuthentication": true, "Username": "user", "Password": "pa:ss"}`

// startAsking starts a provider that asks for credentials as many proxies do: it means to go on after its 407 to CONNECT.
func startAsking(t *testing.T) *provider.Provider {
	t.Helper()
	p, err := provider.Start(provider.Config{User: "user", Password: "pa:ss", Intercept: func(conn net.Conn, _ *bufio.Reader, head *provider.Head) bool {
		if head.Method != http.MethodConnect || head.Get("Proxy-Authorization") != "" {
			return false // which makes 407s too
		}
		_, _ = io.WriteString(conn, "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"provider\"\r\nConnection: keep-alive\r\n"+
			"Keep-Alive: timeout=60\r\nProxy-Connection: keep-alive\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nlogin")
		_, _ = io.Copy(io.Discard, conn)
		return true
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// askingTowns are those whose port answers 407 to who brings no credentials, of its own or as the provider says it.
func askingTowns(t *testing.T) map[string]*town {
	return map[string]*town{
		"the port's 407":     newTownWith(t, wantsCredentials),
		"the provider's 407": townBehind(t, startAsking(t)),
	}
}

// A caller is a client, played by hand, that asks for a tunnel without credentials first. TARGET stands for host and port,
// LOGIN for the credentials.
type caller struct {
	name, first, second string
	anew                bool // comes again over a new connection, whatever it is told
}

var callers = []caller{
	{".NET's HttpClient", "CONNECT TARGET HTTP/1.1\r\nHost: TARGET\r\n\r\n",
		"CONNECT TARGET HTTP/1.1\r\nHost: TARGET\r\nProxy-Authorization: Basic LOGIN\r\n\r\n", false},
	{"Java's HttpClient", "CONNECT TARGET HTTP/1.1\r\nHost: TARGET\r\n\r\n",
		"CONNECT TARGET HTTP/1.1\r\nHost: TARGET\r\nProxy-Authorization: Basic LOGIN\r\n\r\n", true},
	{"Java's HttpURLConnection",
		"CONNECT TARGET HTTP/1.1\r\nUser-Agent: Java/17.0.15\r\nHost: TARGET\r\nAccept: text/html, image/gif, image/jpeg, */*; q=0.2\r\nProxy-Connection: keep-alive\r\n\r\n",
		"CONNECT TARGET HTTP/1.1\r\nUser-Agent: Java/17.0.15\r\nHost: TARGET\r\nAccept: text/html, image/gif, image/jpeg, */*; q=0.2\r\nProxy-Connection: keep-alive\r\n" +
			"Proxy-authorization: Basic LOGIN\r\n\r\n", false},
	{"WinINet", "CONNECT TARGET HTTP/1.0\r\nHost: TARGET\r\nContent-Length: 0\r\nProxy-Connection: Keep-Alive\r\nPragma: no-cache\r\n\r\n",
		"CONNECT TARGET HTTP/1.0\r\nHost: TARGET\r\nContent-Length: 0\r\nProxy-Connection: Keep-Alive\r\nPragma: no-cache\r\nProxy-Authorization: Basic LOGIN\r\n\r\n", false},
}

// A call is one connection of a caller's.
type call struct {
	conn net.Conn
	r    *bufio.Reader
}

func calls(t *testing.T, port string) call {
	t.Helper()
	conn, err := net.Dial("tcp", port)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	return call{conn, bufio.NewReader(conn)}
}

// asks sends a request and returns the response, whose content has been read if it is no tunnel.
func (c call) asks(t *testing.T, request, target string) (res *http.Response, content string) {
	t.Helper()
	login := base64.StdEncoding.EncodeToString([]byte("user:pa:ss"))
	request = strings.NewReplacer("TARGET", target, "LOGIN", login).Replace(request)
	method, _, _ := strings.Cut(request, " ")
	if _, err := io.WriteString(c.conn, request); err != nil {
		t.Fatalf("writing %q: %v", request, err)
	}
	res, err := http.ReadResponse(c.r, &http.Request{Method: method})
	if err != nil {
		t.Fatalf("after %q: %v", request, err)
	}
	if method == http.MethodConnect && res.StatusCode == 200 {
		return res, ""
	}
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("content of the %s: %v", res.Status, err)
	}
	return res, string(b)
}

// tunnels opens a tunnel as the caller does, and returns it.
func (k caller) tunnels(t *testing.T, port, target string) call {
	t.Helper()
	c := calls(t, port)
	res, _ := c.asks(t, k.first, target)
	if res.StatusCode != 407 || !strings.HasPrefix(res.Header.Get("Proxy-Authenticate"), "Basic ") {
		t.Fatalf("answered %s with %v; want 407 and Basic", res.Status, res.Header)
	}
	if !res.Close || res.Header.Get("Proxy-Connection") != "" || res.Header.Get("Keep-Alive") != "" {
		t.Errorf("told that the connection goes on: close is %v, fields %v", res.Close, res.Header)
	}
	switch {
	case k.anew:
		c.conn.Close()
		c = calls(t, port)
	case res.Close:
		closed(t, c.conn)
		c = calls(t, port)
	}
	if res, _ = c.asks(t, k.second, target); res.StatusCode != 200 {
		t.Fatalf("with credentials: answered %s", res.Status)
	}
	return c
}

// A client that is asked for credentials brings them over a new connection if it is told that the old one ends, else over
// the old one. What it is told must be so: the tunnel comes about either way.
func TestCredentialsComeLater(t *testing.T) {
	t.Parallel()
	for name, w := range askingTowns(t) {
		target := strings.TrimPrefix(w.plain, "http://")
		for _, k := range callers {
			t.Run(name+", "+k.name, func(t *testing.T) {
				c := k.tunnels(t, w.port, target)
				if _, text := c.asks(t, "GET /a HTTP/1.1\r\nHost: TARGET\r\nConnection: close\r\n\r\n", target); text != "GET /a 0\n" {
					t.Errorf("the target answers %q", text)
				}
			})
		}
	}
}

// So does curl, for plain requests and in tunnels.
func TestCurlAsksForSchemes(t *testing.T) {
	t.Parallel()
	for name, w := range askingTowns(t) {
		for _, way := range [][]string{nil, {"-p"}} {
			args := append(way, "--proxy-anyauth", "-U", "user:pa:ss", "-k", "-x", w.port, "-d", "text", w.plain+"/a", w.plain+"/b", w.secret+"/c")
			if got, want := prints(t, args...), "POST /a 4\nPOST /b 4\nPOST /c 4\n"; got != want {
				t.Errorf("%s: curl %v prints %q; want %q", name, way, got, want)
			}
		}
	}
}

// So do both of Java's clients.
func TestJavaComesAgain(t *testing.T) {
	needsLong(t)
	t.Parallel()
	if _, err := exec.LookPath("javac"); err != nil { // which java runs a source file with
		t.Skip("SKIPPED, JAVA IS NOT TESTED: it is not installed; apt-get install default-jdk-headless")
	}
	file := write(t, t.TempDir(), "Again.java", javaAgain)
	for name, w := range askingTowns(t) {
		host, port, _ := net.SplitHostPort(w.port)
		r := execute(t, "java", file, host, port, w.plain, w.secret)
		if want := strings.Repeat("GET /a 0\nPOST /b 100000\nGET /c 0\nPOST /d 100000\n", 2); r.out != want || r.status != 0 {
			t.Errorf("%s: it prints %q, ends with %d, and says %q; want %q", name, r.out, r.status, r.errOut, want)
		}
	}
}

// It is given the port and the two origins, and prints what it gets. Java forbids Basic for tunnels unless told otherwise.
const javaAgain = `
import java.io.*;
import java.net.*;
import java.net.http.*;
import java.security.cert.X509Certificate;
import javax.net.ssl.*;

public class Again {
    static final byte[] BIG = new byte[100000];

    public static void main(String[] args) throws Exception {
        System.setProperty("jdk.http.auth.tunneling.disabledSchemes", "");
        System.setProperty("jdk.internal.httpclient.disableHostnameVerification", "true");
        SSLContext lax = SSLContext.getInstance("TLS");
        lax.init(null, new TrustManager[] {new X509ExtendedTrustManager() {
            public void checkClientTrusted(X509Certificate[] c, String a) {}
            public void checkServerTrusted(X509Certificate[] c, String a) {}
            public void checkClientTrusted(X509Certificate[] c, String a, Socket s) {}
            public void checkServerTrusted(X509Certificate[] c, String a, Socket s) {}
            public void checkClientTrusted(X509Certificate[] c, String a, SSLEngine e) {}
            public void checkServerTrusted(X509Certificate[] c, String a, SSLEngine e) {}
            public X509Certificate[] getAcceptedIssuers() { return new X509Certificate[0]; }
        }}, null);
        Authenticator me = new Authenticator() {
            protected PasswordAuthentication getPasswordAuthentication() {
                return new PasswordAuthentication("user", "pa:ss".toCharArray());
            }
        };
        InetSocketAddress proxy = new InetSocketAddress(args[0], Integer.parseInt(args[1]));
        HttpsURLConnection.setDefaultSSLSocketFactory(lax.getSocketFactory());
        HttpsURLConnection.setDefaultHostnameVerifier((host, session) -> true);
        HttpClient client = HttpClient.newBuilder().proxy(ProxySelector.of(proxy)).authenticator(me).sslContext(lax).build();
        for (String[] ask : new String[][] {{args[2], "/a", "/b"}, {args[3], "/c", "/d"}}) {
            System.out.print(client.send(HttpRequest.newBuilder(URI.create(ask[0] + ask[1])).build(),
                HttpResponse.BodyHandlers.ofString()).body());
            System.out.print(client.send(HttpRequest.newBuilder(URI.create(ask[0] + ask[2]))
                .POST(HttpRequest.BodyPublishers.ofByteArray(BIG)).build(), HttpResponse.BodyHandlers.ofString()).body());
        }
        for (String[] ask : new String[][] {{args[2], "/a", "/b"}, {args[3], "/c", "/d"}}) {
            for (int i = 1; i <= 2; i++) {
                HttpURLConnection c = (HttpURLConnection) new URL(ask[0] + ask[i]).openConnection(new Proxy(Proxy.Type.HTTP, proxy));
                c.setAuthenticator(me);
                if (i == 2) {
                    c.setDoOutput(true);
                    c.getOutputStream().write(BIG);
                }
                System.out.print(new String(c.getInputStream().readAllBytes()));
            }
        }
    }
}
`
