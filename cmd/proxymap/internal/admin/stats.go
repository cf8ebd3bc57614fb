package admin

import (
	"strconv"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"proxymap/relay"
)

// counters are the relay's, under ProxyMapService's names.
type counters struct {
	SessionsCount             int64 `json:"sessionsCount"`
	AuthenticationNotRequired int64 `json:"authenticationNotRequired"`
	AuthenticationRequired    int64 `json:"authenticationRequired"`
	Authenticated             int64 `json:"authenticated"`
	AuthenticationInvalid     int64 `json:"authenticationInvalid"`
	HTTPRejected              int64 `json:"httpRejected"`
	HeaderFailed              int64 `json:"headerFailed"`
	NoHost                    int64 `json:"noHost"`
	HostRejected              int64 `json:"hostRejected"`
	HostProxified             int64 `json:"hostProxified"`
	HostBypassed              int64 `json:"hostBypassed"`
	ProxyConnected            int64 `json:"proxyConnected"`
	ProxyFailed               int64 `json:"proxyFailed"`
	BypassConnected           int64 `json:"bypassConnected"`
	BypassFailed              int64 `json:"bypassFailed"`
	TotalBytesRead            int64 `json:"totalBytesRead"`
	TotalBytesSent            int64 `json:"totalBytesSent"`
	ProxyBytesRead            int64 `json:"proxyBytesRead"`
	ProxyBytesSent            int64 `json:"proxyBytesSent"`
	BypassBytesRead           int64 `json:"bypassBytesRead"`
	BypassBytesSent           int64 `json:"bypassBytesSent"`
}

func newCounters(s *relay.Stats) counters {
	return counters{
		SessionsCount:             s.Connections,
		AuthenticationNotRequired: s.AuthenticationNotRequired,
		AuthenticationRequired:    s.AuthenticationRequired,
		Authenticated:             s.Authenticated,
		AuthenticationInvalid:     s.AuthenticationInvalid,
		HTTPRejected:              s.HTTPRejected,
		HeaderFailed:              s.HeaderFailed,
		NoHost:                    s.NoHost,
		HostRejected:              s.HostRejected,
		HostProxified:             s.HostProxified,
		HostBypassed:              s.HostBypassed,
		ProxyConnected:            s.ProxyConnected,
		ProxyFailed:               s.ProxyFailed,
		BypassConnected:           s.BypassConnected,
		BypassFailed:              s.BypassFailed,
		TotalBytesRead:            s.ProxyRead + s.BypassRead,
		TotalBytesSent:            s.ProxySent + s.BypassSent,
		ProxyBytesRead:            s.ProxyRead,
		ProxyBytesSent:            s.ProxySent,
		BypassBytesRead:           s.BypassRead,
		BypassBytesSent:           s.BypassSent,
	}
}

// proxyStats are the statistics with the ports that are listened on.
type proxyStats struct {
	counters
	ListenPorts []uint16 `json:"listenPorts"`
}

func newProxyStats(s relay.Stats) proxyStats {
	p := proxyStats{newCounters(&s), make([]uint16, len(s.Ports))}
	for i := range s.Ports {
		p.ListenPorts[i] = s.Ports[i].Port.Port()
	}
	return p
}

// hostsStats are those of hosts, under ProxyMapService's names.
type hostsStats struct {
	Hosts []hostStats `json:"hosts"`
}

type hostStats struct {
	HostName      string `json:"hostName"`
	RequestsCount int64  `json:"requestsCount"`
	Proxified     int64  `json:"proxified"`
	Bypassed      int64  `json:"bypassed"`
	BytesRead     int64  `json:"bytesRead"`
	BytesSent     int64  `json:"bytesSent"`
}

// newHostsStats puts what is counted for no host by itself last, as "other", which is no host's name.
func newHostsStats(list []relay.HostStats, other relay.HostStats) hostsStats {
	if other != (relay.HostStats{}) {
		other.Host = "other"
		list = append(list, other)
	}
	hosts := make([]hostStats, len(list))
	for i, h := range list {
		hosts[i] = hostStats{h.Host, h.Proxified + h.Bypassed, h.Proxified, h.Bypassed, h.Read, h.Sent}
	}
	return hostsStats{hosts}
}

type resetAnswer struct {
	Success bool   `json:"success"`
	Message string `json:"message"`
}

// maxPortMetrics is up to how many ports each of them has metrics of its own. What watches more than that wants sums.
const maxPortMetrics = 1000

// newMetrics are the relay's metrics, and those of the process and of Go's runtime.
func newMetrics(r *relay.Relay, rejected *atomic.Int64) *prometheus.Registry {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), &relayMetrics{r, rejected})
	return registry
}

// relayMetrics collects a relay's counters when they are asked for.
type relayMetrics struct {
	relay    *relay.Relay
	rejected *atomic.Int64 // who may not connect to the admin listener
}

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("proxymap_"+name, help, labels, nil)
}

var (
	portsMetric       = describe("ports", "Ports that are listened on.")
	eventsMetric      = describe("events_total", "What became of requests and of connections upstream, by ProxyMapService's names.", "event")
	connectionsMetric = describe("connections_total", "Clients' connections accepted.", "address", "ports")
	openMetric        = describe("connections_open", "Clients' connections that are open.", "address", "ports")
	requestsMetric    = describe("requests_total", "Requests, those of SOCKS clients included.", "address", "ports")
	readMetric        = describe("upstream_read_bytes_total", "Bytes read from upstream.", "address", "ports", "way")
	sentMetric        = describe("upstream_sent_bytes_total", "Bytes sent upstream.", "address", "ports", "way")
	lookUpsMetric     = describe("lookups_total", "Look-ups of names.")
	refusedMetric     = describe("lookups_refused_total", "Requests and renewals for which too many names waited to be looked up.")
	rejectedMetric    = describe("rejected_total", "Connections that were closed without an answer, by what they lack.", "reason")
	panicsMetric      = describe("panics_total", "Panics, each of which has ended a connection; please report them.")
	answersMetric     = describe("answers_total", "The relay's own answers of errors, by X-Proxymap-Error.", "address", "ports", "class")

	oddMetric = describe("odd_responses_total", "Responses that are odd and passed all the same, by what is odd in them.", "kind")

	portConnectionsMetric = describe("port_connections_total", "Clients' connections accepted.", "address", "port")
	portOpenMetric        = describe("port_connections_open", "Clients' connections that are open.", "address", "port")
	portRequestsMetric    = describe("port_requests_total", "Requests, those of SOCKS clients included.", "address", "port")
	portReadMetric        = describe("port_upstream_read_bytes_total", "Bytes read from upstream.", "address", "port")
	portSentMetric        = describe("port_upstream_sent_bytes_total", "Bytes sent upstream.", "address", "port")
)

func (m *relayMetrics) Describe(to chan<- *prometheus.Desc) {
	for _, d := range [...]*prometheus.Desc{
		portsMetric, eventsMetric, connectionsMetric, openMetric, requestsMetric, readMetric, sentMetric, answersMetric, rejectedMetric, panicsMetric, lookUpsMetric, refusedMetric, oddMetric,
		portConnectionsMetric, portOpenMetric, portRequestsMetric, portReadMetric, portSentMetric,
	} {
		to <- d
	}
}

func (m *relayMetrics) Collect(to chan<- prometheus.Metric) {
	counter := func(d *prometheus.Desc, n int64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
	}
	gauge := func(d *prometheus.Desc, n int64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(n), labels...)
	}
	s := m.relay.Stats()
	listening, _ := m.relay.CountPorts()
	gauge(portsMetric, int64(listening))
	for event, n := range events(&s) {
		counter(eventsMetric, n, event)
	}
	counter(rejectedMetric, s.AddressRejected, "address")
	counter(rejectedMetric, s.HeaderRejected, "proxy-header")
	counter(rejectedMetric, m.rejected.Load(), "admin-address")
	counter(panicsMetric, s.Panics)
	counter(lookUpsMetric, s.LookUps)
	counter(refusedMetric, s.LookUpsRefused)
	for kind, n := range s.OddResponses {
		counter(oddMetric, n, kind)
	}
	for i := range s.Mappings {
		p := &s.Mappings[i]
		address, ports := p.Address.String(), strconv.Itoa(int(p.First))+"-"+strconv.Itoa(int(p.Last))
		counter(connectionsMetric, p.Connections, address, ports)
		gauge(openMetric, p.Open, address, ports)
		counter(requestsMetric, p.Requests, address, ports)
		counter(readMetric, p.ProxyRead, address, ports, "proxy")
		counter(readMetric, p.BypassRead, address, ports, "bypass")
		counter(sentMetric, p.ProxySent, address, ports, "proxy")
		counter(sentMetric, p.BypassSent, address, ports, "bypass")
		for class, n := range p.Answers {
			counter(answersMetric, n, address, ports, class)
		}
	}
	if len(s.Ports) > maxPortMetrics {
		return
	}
	for i := range s.Ports {
		p := &s.Ports[i]
		address, port := p.Port.Addr().String(), strconv.Itoa(int(p.Port.Port()))
		counter(portConnectionsMetric, p.Connections, address, port)
		gauge(portOpenMetric, p.Open, address, port)
		counter(portRequestsMetric, p.Requests, address, port)
		counter(portReadMetric, p.ProxyRead+p.BypassRead, address, port)
		counter(portSentMetric, p.ProxySent+p.BypassSent, address, port)
	}
}

// events are the counters that the relay has as a whole.
func events(s *relay.Stats) map[string]int64 {
	return map[string]int64{
		"authenticationNotRequired": s.AuthenticationNotRequired, "authenticationRequired": s.AuthenticationRequired,
		"authenticated": s.Authenticated, "authenticationInvalid": s.AuthenticationInvalid,
		"httpRejected": s.HTTPRejected, "headerFailed": s.HeaderFailed, "noHost": s.NoHost,
		"hostRejected": s.HostRejected, "hostProxified": s.HostProxified, "hostBypassed": s.HostBypassed,
		"proxyConnected": s.ProxyConnected, "proxyFailed": s.ProxyFailed,
		"bypassConnected": s.BypassConnected, "bypassFailed": s.BypassFailed,
	}
}
