package relay

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"proxymap/relay/hostrule"
	"proxymap/session"
)

// Answers of the relay's own say in Proxy-Status (RFC 9209) what their class says to scripts.
func TestProxyStatus(t *testing.T) {
	for _, row := range []struct {
		name, request string
		change        func(*Config)
		provider      string // what it answers; "-": it closes without
		class, want   string
	}{
		{"malformed", "x\r\n", nil, "", "bad-request", "http_request_error"},
		{"a head over the limit", "GET http://example.com/ HTTP/1.1\r\nA: " + strings.Repeat("a", 65<<10), nil, "", "head-too-large", "http_request_error"},
		{"HTTP/2", "PRI * HTTP/2.0\r\n\r\n", nil, "", "version-not-supported", "proxy_internal_response"},
		{"denied", connect, func(cfg *Config) { cfg.Mappings[0].Action = hostrule.Deny }, "", "denied", "http_request_denied"},
		{"credentials", connect, func(cfg *Config) {
			cfg.Mappings[0].Plan = newPlan(t, session.PlanConfig{Require: true})
		}, "", "proxy-auth", "http_request_denied"},
		{"its own port", connect, func(cfg *Config) {
			cfg.Mappings[0].Action = hostrule.Bypass
			cfg.OtherPorts = []netip.AddrPort{netip.MustParseAddrPort("192.0.2.7:443")}
			cfg.lookup = func(context.Context, string, func([]netip.Addr)) ([]netip.Addr, error) {
				return []netip.Addr{netip.MustParseAddr("192.0.2.7")}, nil
			}
		}, "", "denied", "proxy_loop_detected"},
		{"a local target", "CONNECT 127.0.0.1:443 HTTP/1.1\r\nHost: 127.0.0.1:443\r\n\r\n", func(cfg *Config) {
			cfg.Mappings[0].Action = hostrule.Bypass
		}, "", "denied", "destination_ip_prohibited"},
		{"no upstream", get, func(cfg *Config) { cfg.Mappings[0].Servers = nil }, "", "no-upstream", "destination_not_found"},
		{"refused", connect, func(cfg *Config) { cfg.Mappings[0].Servers = []Server{deadServer(t)} }, "", "upstream-refused", "connection_refused"},
		{"unknown name", get, func(cfg *Config) {
			cfg.Mappings[0].Servers[0].Host = "proxy.invalid"
			cfg.lookup = func(context.Context, string, func([]netip.Addr)) ([]netip.Addr, error) {
				return nil, &net.DNSError{Err: "no such host", Name: "proxy.invalid", IsNotFound: true}
			}
		}, "", "upstream-dns", "dns_error"},
		{"silent name server", get, func(cfg *Config) {
			cfg.Mappings[0].Servers[0].Host = "proxy.invalid"
			cfg.lookup = func(context.Context, string, func([]netip.Addr)) ([]netip.Addr, error) {
				return nil, &net.DNSError{Err: "i/o timeout", Name: "proxy.invalid", IsTimeout: true}
			}
		}, "", "upstream-dns", "dns_timeout"},
		{"no answer in time", get, func(cfg *Config) { cfg.Limits.Response = 50 * time.Millisecond }, "", "upstream-timeout", "http_response_timeout"},
		{"no answer", post4 + "body", nil, "-", "upstream-closed", "connection_terminated"},
		{"half an answer", get, nil, "HTTP/1.1 200 OK\r\nA: ", "upstream-bad-response", "http_response_incomplete"},
		{"nonsense", get, nil, "nonsense\r\n\r\n", "upstream-bad-response", "http_protocol_error"},
		{"a response head over the limit", get, func(cfg *Config) { cfg.Limits.ResponseHeadBytes = 4 << 10 },
			"HTTP/1.1 200 OK\r\nA: " + strings.Repeat("a", 5<<10), "upstream-bad-response", "http_response_header_section_size"},
		{"field lines over the limit", get, nil, "HTTP/1.1 200 OK\r\n" + strings.Repeat("A: b\r\n", 1000) + "\r\n",
			"upstream-bad-response", "http_response_header_section_size"},
		{"chunks that cannot be read", get, nil, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", "upstream-bad-response", "http_response_transfer_coding"},
		{"chunks that cannot be read, to HTTP/1.0", "GET http://example.com/ HTTP/1.0\r\n\r\n", nil,
			"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", "upstream-bad-response", "http_response_transfer_coding"},
		{"407", get, nil, "HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n", "upstream-auth", "proxy_configuration_error; received-status=407"},
		{"SOCKS, refused", connect, upstreamOf(SOCKS5), "\x05\x02\x01\x00\x05\x05\x00\x01", "upstream-refused", "connection_refused"},
		{"SOCKS, by its rules", connect, upstreamOf(SOCKS5), "\x05\x02\x01\x00\x05\x02\x00\x01", "denied", "http_request_error"},
		{"SOCKS, our login", connect, upstreamOf(SOCKS5), "\x05\x02\x01\x01", "upstream-auth", "proxy_configuration_error"},
		{"SOCKS, no route", connect, upstreamOf(SOCKS5), "\x05\x02\x01\x00\x05\x03\x00\x01", "upstream-refused", "destination_ip_unroutable"},
		{"the Session API's own", "GET http://portmapper/no HTTP/1.1\r\nHost: portmapper\r\n\r\n", withAPI("portmapper"), "", "not-found", "proxy_internal_response"},
	} {
		t.Run(row.name, func(t *testing.T) {
			g := newRig(t, func(cfg *Config) {
				if row.change != nil {
					row.change(cfg)
				}
			})
			c := g.client(0)
			c.send(row.request)
			if row.provider != "" {
				u := g.upstream()
				if row.provider != "-" {
					u.send(row.provider)
				}
				u.fin()
			}
			head := c.head()
			for _, field := range []string{"\r\nX-Proxymap-Error: " + row.class + "\r\n", "\r\nProxy-Status: proxymap; error=" + row.want + "\r\n"} {
				if !strings.Contains(head, field) {
					t.Errorf("got %q; want %q in it", head, field)
				}
			}
		})
	}
}
