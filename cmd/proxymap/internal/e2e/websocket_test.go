package e2e

import (
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// webSocketRules lead two hosts past the provider: to the target itself, and to a SOCKS5 server.
const webSocketRules = `"HostRules": {"Items": [
  {"HostName": "bypassed.example", "Action": "Bypass", "OverrideHostName": "127.0.0.1", "OverrideHostPort": %d},
  {"HostName": "socks.example", "ProxyServer": {"Host": "127.0.0.1", "Port": %d, "ProxyType": "Socks5", "Username": "demo", "Password": "demo"}},
]}`

// Clients that make no tunnel for ws:// ask for it in absolute form (aiohttp; curl is made to). Whichever way the request
// leaves by, it becomes a WebSocket, and the target hears of an origin-form.
func TestWebSocketWithoutTunnel(t *testing.T) {
	t.Parallel()
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var err error
		switch r.RequestURI {
		case "/echo?a":
			err = echo(w, r)
		case "/greets":
			err = greet(w, r)
		default:
			err = fmt.Errorf("%s is neither /echo?a nor /greets", r.RequestURI)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
		}
	}))
	t.Cleanup(target.Close)
	host := target.Listener.Addr().String()
	socks := startSocks(t, host)
	w := newTownWith(t, fmt.Sprintf(webSocketRules, target.Listener.Addr().(*net.TCPAddr).Port, socks.port()))
	hosts := []string{host, "bypassed.example", "socks.example"}
	for _, h := range hosts {
		got := prints(t, "-i", "-x", w.port, "--request-target", "ws://"+h+"/greets", "-H", "Connection: Upgrade", "-H", "Upgrade: websocket",
			"-H", "Sec-WebSocket-Version: 13", "-H", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "http://"+h+"/greets")
		if !strings.HasPrefix(got, "HTTP/1.1 101 ") || !strings.Contains(strings.ToLower(got), "\r\nsec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=\r\n") ||
			!strings.HasSuffix(got, "\r\n\r\n\x81\x05hello") {
			t.Errorf("%s: curl prints %q; want the WebSocket's 101 and its hello", h, got)
		}
	}
	w.askedForWebSocket(t, socks, "ws://"+host+"/greets")
	t.Run("aiohttp", func(t *testing.T) {
		urls := make([]string, len(hosts))
		for i, h := range hosts {
			urls[i] = "ws://" + h + "/echo?a"
		}
		r := script{"python3", "aiohttp", "python3-aiohttp", pythonAiohttp}.run(t, append([]string{"http://" + w.port}, urls...)...)
		if want := strings.Repeat("through the port 1000\n", len(hosts)); r.out != want || r.status != 0 {
			t.Errorf("the script prints %q, ends with %d, and says %q; want %q", r.out, r.status, r.errOut, want)
		}
		w.askedForWebSocket(t, socks, urls[0])
	})
}

// askedForWebSocket checks that the provider was asked for a target as it came, and the SOCKS5 server for its own host, on
// the port that ws:// means.
func (w *town) askedForWebSocket(t *testing.T, socks *socksServer, target string) {
	t.Helper()
	last := "nothing"
	if records := w.provider.Records(); len(records) > 0 {
		last = records[len(records)-1].Target
	}
	if last != target {
		t.Errorf("the provider was asked for %s; want %s, as it came", last, target)
	}
	if _, target := socks.asked(); target != "socks.example:80" {
		t.Errorf("the SOCKS5 server was asked for %q; want socks.example:80", target)
	}
}

// For each URL it prints what comes back, and the status that the server closes with: the client's own.
const pythonAiohttp = `
import asyncio, sys, aiohttp
async def main(proxy, *urls):
    async with aiohttp.ClientSession() as session:
        for url in urls:
            async with session.ws_connect(url, proxy=proxy, timeout=20) as ws:
                await ws.send_str("through the port")
                got = (await ws.receive(timeout=20)).data
                await ws.close()
                print(got, ws.close_code)
asyncio.run(main(*sys.argv[1:]))
`

// echo is a WebSocket (RFC 6455) that sends one short text message back and ends.
func echo(w http.ResponseWriter, r *http.Request) error {
	conn, in, err := upgrade(w, r)
	if err != nil {
		return err
	}
	defer conn.Close()
	text, err := readFrame(in)
	if err != nil {
		return nil // the connection is no longer HTTP; the page tells that nothing came back
	}
	_, _ = conn.Write(append([]byte{0x81, byte(len(text))}, text...))
	code, err := readFrame(in) // the page closes
	if err == nil {
		_, _ = conn.Write(append([]byte{0x88, byte(len(code))}, code...))
	}
	return nil
}

// greet is a WebSocket that says hello and ends, for clients that know nothing of frames.
func greet(w http.ResponseWriter, r *http.Request) error {
	conn, _, err := upgrade(w, r)
	if err == nil {
		_, _ = io.WriteString(conn, "\x81\x05hello")
		conn.Close()
	}
	return err
}

// upgrade makes a WebSocket of a request.
func upgrade(w http.ResponseWriter, r *http.Request) (net.Conn, io.Reader, error) {
	key := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		return nil, nil, errors.New("not a WebSocket")
	}
	conn, in, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, nil, err
	}
	fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
		base64.StdEncoding.EncodeToString(key[:]))
	return conn, in, nil
}

// readFrame reads one short frame of a client's.
func readFrame(r io.Reader) ([]byte, error) {
	var head [6]byte // FIN and opcode, MASK and length, mask
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	if head[1] < 0x80 || head[1] > 0x80+125 {
		return nil, fmt.Errorf("a frame that is long or not masked: %x", head)
	}
	text := make([]byte, head[1]-0x80)
	_, err := io.ReadFull(r, text)
	for i := range text {
		text[i] ^= head[2+i%4]
	}
	return text, err
}
