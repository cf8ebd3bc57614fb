package httpparse

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"net/http/httputil"
	"strings"
	"testing"
)

var benchHeads = []struct{ name, head string }{
	{"curl", "GET http://example.com/ HTTP/1.1\r\nHost: example.com\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\nProxy-Connection: Keep-Alive\r\n\r\n"},
	{"browser", "GET http://www.example.com/some/path/index.html?query=string HTTP/1.1\r\nHost: www.example.com\r\n" +
		"Proxy-Connection: keep-alive\r\nCache-Control: max-age=0\r\nUpgrade-Insecure-Requests: 1\r\n" +
		"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36\r\n" +
		"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n" +
		"Accept-Encoding: gzip, deflate\r\nAccept-Language: en-US,en;q=0.9\r\nCookie: a=0123456789abcdef; b=0123456789abcdef\r\n\r\n"},
	{"connect", "CONNECT www.example.com:443 HTTP/1.1\r\nHost: www.example.com:443\r\nProxy-Connection: keep-alive\r\n" +
		"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36\r\n\r\n"},
}

func BenchmarkRequest(b *testing.B) {
	for _, row := range benchHeads {
		head := []byte(row.head)
		b.Run(row.name+"/ours", func(b *testing.B) {
			r := newRequest()
			r.Names = NewNames("Origin", "Referer", "Sec-Fetch-Site", "X-Proxymap") // as the relay's
			b.SetBytes(int64(len(head)))
			b.ReportAllocs()
			for b.Loop() {
				if err := r.Parse(head, testLimits); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(row.name+"/net-http", func(b *testing.B) {
			b.SetBytes(int64(len(head)))
			b.ReportAllocs()
			in := bytes.NewReader(nil)
			r := bufio.NewReader(in)
			for b.Loop() {
				in.Reset(head)
				r.Reset(in)
				if _, err := http.ReadRequest(r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkResponse(b *testing.B) {
	head := []byte("HTTP/1.1 200 OK\r\nDate: Mon, 01 Jun 2026 00:00:00 GMT\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: 1234\r\nServer: x\r\n\r\n")
	r := newResponse()
	b.SetBytes(int64(len(head)))
	b.ReportAllocs()
	for b.Loop() {
		if err := r.Parse(head, testLimits); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkChunks(b *testing.B) {
	body := []byte(strings.Repeat("1000\r\n"+strings.Repeat("x", 4096)+"\r\n", 16) + "0\r\n\r\n")
	b.Run("ours", func(b *testing.B) {
		b.SetBytes(int64(len(body)))
		b.ReportAllocs()
		for b.Loop() {
			var c Chunks
			for p := body; len(p) > 0; {
				n, _, err := c.Next(p)
				if err != nil {
					b.Fatal(err)
				}
				p = p[n:]
			}
		}
	})
	b.Run("net-http", func(b *testing.B) {
		b.SetBytes(int64(len(body)))
		b.ReportAllocs()
		for b.Loop() {
			if _, err := io.Copy(io.Discard, httputil.NewChunkedReader(bytes.NewReader(body))); err != nil {
				b.Fatal(err)
			}
		}
	})
}
