package admin

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
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"proxymap/relay"
	"proxymap/session"
	"proxymap/session/wire"
)

// So that the server takes no more than the processor that is kept free of the loops, and few of the descriptors that
// clients need, it has few connections at a time.
const (
	maxConnections = 16                   // beside those that read events; of these one is kept for requests that are answered at once
	placeGrace     = 5 * time.Millisecond // so that a request which came with its connection is read; 200 others take 62 ms
	headerTime     = 5 * time.Second
	requestTime    = 30 * time.Second // for a request, and for an answer to be taken
	idleTime       = 10 * time.Second
	stopTime       = time.Second
	headerBytes    = 16 << 10
)

// Config is where the server is, and who may ask it.
type Config struct {
	Address   netip.AddrPort
	Token     string         // that every request has to bring; empty: none
	AllowFrom []netip.Prefix // who may connect; nil: loopback addresses alone

	DryRun DryRun // what POST /reload?dry_run=true does
}

// Start serves what the relay has until stop is called. It must be called before the relay's Serve, for it subscribes to its
// changes of sessions, and returns when the address is listened on. The error names the address, and says what to do.
func Start(cfg Config, r *relay.Relay, log *slog.Logger) (stop func(), err error) {
	network := "tcp"
	if cfg.Address.Addr().Is4() {
		network = "tcp4" // 0.0.0.0 would be :: too
	}
	l, err := net.Listen(network, cfg.Address.String())
	if err != nil {
		return nil, fmt.Errorf("Admin.Address %s cannot be listened on: %w; choose an address of this machine with a free port", cfg.Address, err)
	}
	cfg.Address = l.Addr().(*net.TCPAddr).AddrPort()
	hub := newEventHub()
	r.Subscribe(hub.publish)
	places := &places{most: maxConnections, grace: placeGrace}
	door := newDoor(l, cfg.AllowFrom)
	server := &http.Server{
		Handler:           cfg.guard(places.guard(handler(r, hub, places, door.rejected, cfg.DryRun))),
		ReadHeaderTimeout: headerTime,
		ReadTimeout:       requestTime,
		WriteTimeout:      requestTime,
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    headerBytes,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	places.watch(server)
	done, told, ended := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(told)
		door.tell(log, ended)
	}()
	go func() {
		defer close(done)
		if err := server.Serve(placedListener{door, places}); err != http.ErrServerClosed {
			log.Error("the admin listener has ended; restart to have it back", "address", cfg.Address, "err", err)
		}
	}()
	log.Info("admin listening", "address", cfg.Address, "token", cfg.Token != "")
	return func() {
		hub.close()
		ctx, cancel := context.WithTimeout(context.Background(), stopTime)
		defer cancel()
		_ = server.Shutdown(ctx) // what is not done by then is cut off
		_ = server.Close()
		<-done
		close(ended)
		<-told
	}, nil
}

// handler answers what has been let in.
func handler(r *relay.Relay, hub *eventHub, places *places, rejected *atomic.Int64, dryRun DryRun) http.Handler {
	mux := http.NewServeMux()
	all := routes(r, hub, places, rejected, dryRun)
	for pattern, handler := range all {
		mux.Handle(pattern, handler)
	}
	return mapServiceRouting(all, mux)
}

// openAPI describes the routes.
//
//go:embed openapi.json
var openAPI []byte

// routes are the handlers by method and path. The names of the statistics are ProxyMapService's. rejected counts who was
// turned away at the door.
func routes(r *relay.Relay, hub *eventHub, places *places, rejected *atomic.Int64, dryRun DryRun) map[string]http.HandlerFunc {
	routes := map[string]http.HandlerFunc{}
	routes["GET /sessions"] = handleSessions(r)
	routes["POST /sessions/new"] = handleRotation(r, true)
	routes["POST /sessions/reset"] = handleRotation(r, false)
	routes["GET /sessions/events"] = hub.serve(places)
	routes["POST /reload"] = handleReload(dryRun)
	routes["GET /openapi.json"] = func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, openAPI)
	}
	routes["GET /ProxyStats"] = func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, wire.Text(newProxyStats(r.Stats()))) }
	routes["GET /ProxyStats/Hosts"] = func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, wire.Text(newHostsStats(r.HostStats()))) }
	routes["GET "+mapServicePath+"/ProxyStats"] = func(w http.ResponseWriter, _ *http.Request) {
		started, stopped := r.Times()
		writeJSON(w, wire.Text(newMapServiceStats(r.Stats(), started, stopped, time.Now())))
	}
	routes["GET "+mapServicePath+"/ProxyStats/Hosts"] = func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, wire.Text(newMapServiceHosts(newHostsStats(r.HostStats()))))
	}
	reset := func(w http.ResponseWriter, _ *http.Request) {
		r.ResetStats()
		rejected.Store(0)
		writeJSON(w, wire.Text(resetAnswer{true, "The statistics begin anew from 0."}))
	}
	routes["POST /ProxyStats/reset"] = reset
	routes["POST "+mapServicePath+"/ProxyStats/reset"] = reset
	routes["GET /metrics"] = promhttp.HandlerFor(newMetrics(r, rejected), promhttp.HandlerOpts{}).ServeHTTP
	routes["GET "+healthPath] = handleHealth(r.AwaitTurns)
	routes["GET "+readyPath] = handleReady(r)
	return routes
}

const jsonType = "application/json; charset=utf-8"

func writeJSON(w http.ResponseWriter, text []byte) {
	w.Header().Set("Content-Type", jsonType)
	_, _ = w.Write(text)
}

// guard lets in who has the token, or, where there is none, who has come by an address and not by a name that somebody
// else's resolver could have made up (DNS rebinding). No web page of another site is let in.
func (cfg Config) guard(next http.Handler) http.Handler {
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
func (cfg Config) authorizes(field string) bool {
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
