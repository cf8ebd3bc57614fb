package main

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	_ "embed"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/goccy/go-json"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"proxymap/relay"
	"proxymap/session"
)

// The admin listener is an ordinary HTTP server beside the loops. It asks the relay for what the loops have counted, and
// they neither wait for it nor know of it: it runs on the processor that reserveProcs keeps free of them. So that it takes
// no more than that, and few of the descriptors that clients need, it has few connections at a time.
const (
	adminConnections = 16
	adminHeaderTime  = 5 * time.Second
	adminTime        = 30 * time.Second // for a request, and for an answer to be taken
	adminIdleTime    = 10 * time.Second
	adminStopTime    = time.Second
	adminHeaderBytes = 16 << 10
)

// adminConfig is the Admin section of the settings. Without an address there is no admin listener.
type adminConfig struct {
	Address netip.AddrPort
	Token   string // that every request has to bring; empty: none
}

// startAdmin serves the relay's statistics until stop is called. It returns when the address is listened on.
func startAdmin(cfg adminConfig, r *relay.Relay, hub *eventHub, log *slog.Logger) (stop func(), err error) {
	l, err := net.Listen("tcp", cfg.Address.String())
	if err != nil {
		return nil, fmt.Errorf("Admin.Address %s cannot be listened on: %w; choose an address of this machine with a free port", cfg.Address, err)
	}
	cfg.Address = l.Addr().(*net.TCPAddr).AddrPort()
	server := &http.Server{
		Handler:           cfg.guard(adminHandler(r, hub)),
		ReadHeaderTimeout: adminHeaderTime,
		ReadTimeout:       adminTime,
		WriteTimeout:      adminTime,
		IdleTimeout:       adminIdleTime,
		MaxHeaderBytes:    adminHeaderBytes,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := server.Serve(newLimitedListener(l, adminConnections)); err != http.ErrServerClosed {
			log.Error("the admin listener has ended; restart to have it back", "address", cfg.Address, "err", err)
		}
	}()
	log.Info("admin listening", "address", cfg.Address, "token", cfg.Token != "")
	return func() {
		hub.close()
		ctx, cancel := context.WithTimeout(context.Background(), adminStopTime)
		defer cancel()
		_ = server.Shutdown(ctx) // what is not done by then is cut off
		_ = server.Close()
		<-done
	}, nil
}

// adminHandler answers what has been let in. The names are ProxyMapService's.
func adminHandler(r *relay.Relay, hub *eventHub) http.Handler {
	mux := http.NewServeMux()
	for pattern, handler := range adminRoutes(r, hub) {
		mux.Handle(pattern, handler)
	}
	return mux
}

// openAPI describes the routes.
//
//go:embed openapi.json
var openAPI []byte

// adminRoutes are the handlers by method and path.
func adminRoutes(r *relay.Relay, hub *eventHub) map[string]http.Handler {
	ports := newPortList(r)
	routes := map[string]http.HandlerFunc{}
	routes["GET /sessions"] = ports.handleSessions(r)
	routes["POST /sessions/new"] = ports.handleRotation(r, true)
	routes["POST /sessions/reset"] = ports.handleRotation(r, false)
	routes["GET /sessions/events"] = hub.serve
	routes["GET /openapi.json"] = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		_, _ = w.Write(openAPI)
	}
	routes["GET /ProxyStats"] = func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, newProxyStats(r.Stats())) }
	routes["GET /ProxyStats/Hosts"] = func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, newHostsStats(r.HostStats())) }
	routes["POST /ProxyStats/reset"] = func(w http.ResponseWriter, _ *http.Request) {
		r.ResetStats()
		writeJSON(w, resetAnswer{true, "The statistics begin anew from 0."})
	}
	routes["GET /metrics"] = promhttp.HandlerFor(newMetrics(r), promhttp.HandlerOpts{}).ServeHTTP
	routes["GET /healthz"] = func(w http.ResponseWriter, _ *http.Request) {
		if r.Draining() {
			http.Error(w, "draining", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	}
	all := make(map[string]http.Handler, len(routes))
	for pattern, handler := range routes {
		all[pattern] = handler
	}
	return all
}

// writeCompactJSON is writeJSON for what may be long.
func writeCompactJSON(w http.ResponseWriter, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // strings, numbers and booleans of ours
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_, _ = w.Write(append(text, '\n'))
}

func writeJSON(w http.ResponseWriter, v any) {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		panic(err) // strings, numbers and booleans of ours
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_, _ = w.Write(append(text, '\n'))
}

// guard lets in who has the token, or, where there is none, who has come by an address and not by a name that somebody
// else's resolver could have made up (DNS rebinding). No web page of another site is let in.
func (cfg adminConfig) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		switch why := crossSite(r); {
		case cfg.Token != "" && !cfg.authorizes(r.Header.Get("Authorization")):
			w.Header().Set("WWW-Authenticate", `Bearer realm="proxymap"`)
			http.Error(w, "send the token of Admin.Token: Authorization: Bearer TOKEN", http.StatusUnauthorized)
		case cfg.Token == "" && !session.LocalHost([]byte(r.Host), cfg.Address):
			http.Error(w, "the Host must be localhost, the listen address or another IP address, and none of 0.0.0.0, [::] and [::ffff:...]; or set Admin.Token", http.StatusForbidden)
		case why != "":
			http.Error(w, why+" (a web page is not allowed here)", http.StatusForbidden)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// authorizes reports whether a field value brings the token. It is compared in constant time, whatever its length.
func (cfg adminConfig) authorizes(field string) bool {
	scheme, token, _ := strings.Cut(field, " ")
	got, want := sha256.Sum256([]byte(strings.TrimSpace(token))), sha256.Sum256([]byte(cfg.Token))
	return strings.EqualFold(scheme, "Bearer") && subtle.ConstantTimeCompare(got[:], want[:]) == 1
}

// crossSite says why a request must be from another site's page, or nothing: the Session API's rule. Of a field that is
// there more than once each has to pass.
func crossSite(r *http.Request) string {
	fields := [...]string{"Sec-Fetch-Site", "Origin", "Referer"}
	for i, name := range fields {
		for _, value := range r.Header.Values(name) {
			var given [len(fields)][]byte
			given[i] = append([]byte{}, value...)
			if why := session.CrossSite([]byte(r.Host), given[0], given[1], given[2]); why != "" {
				return why
			}
		}
	}
	return ""
}

// A limitedListener has so many connections at once; others wait in the backlog.
type limitedListener struct {
	net.Listener
	places chan struct{}
	closed chan struct{}
	once   sync.Once
}

func newLimitedListener(l net.Listener, most int) *limitedListener {
	return &limitedListener{Listener: l, places: make(chan struct{}, most), closed: make(chan struct{})}
}

func (l *limitedListener) Accept() (net.Conn, error) {
	select {
	case l.places <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.places
		return nil, err
	}
	return &limitedConn{Conn: c, leave: sync.OnceFunc(func() { <-l.places })}, nil
}

func (l *limitedListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// A limitedConn gives its place back when it is closed.
type limitedConn struct {
	net.Conn
	leave func()
}

func (c *limitedConn) Close() error {
	defer c.leave()
	return c.Conn.Close()
}
