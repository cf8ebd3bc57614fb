package admin

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"proxymap/relay"
)

// mapServicePath is where ProxyMapService's own statistics are found when it runs as the application that its README
// installs. What lies under it has its fields and their forms, so that what reads them finds nothing else.
const mapServicePath = "/ProxyMapService"

// mapServiceRouting finds those of routes that lie under mapServicePath as ASP.NET does: in any case of letters, also with
// a slash at the end. All others are next's as they are.
func mapServiceRouting(routes map[string]http.HandlerFunc, next http.Handler) http.Handler {
	paths := map[string]string{} // in small letters, as they are written
	for pattern := range routes {
		if _, path, _ := strings.Cut(pattern, " "); strings.HasPrefix(path, mapServicePath+"/") {
			paths[strings.ToLower(path)] = path
		}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if path := paths[strings.ToLower(strings.TrimSuffix(r.URL.Path, "/"))]; path != "" {
			found := *r // a handler must not change the request that it is given
			found.URL = &url.URL{Path: path, RawQuery: r.URL.RawQuery}
			r = &found
		}
		next.ServeHTTP(w, r)
	})
}

// mapServiceTime is how ProxyMapService writes a time: .NET's general form for the United States, of the local time.
const mapServiceTime = "1/2/2006 3:04:05 PM"

// mapServiceStats are the statistics as ProxyMapService answers them. There is no cache and nothing is captured.
type mapServiceStats struct {
	ServiceInfo string  `json:"serviceInfo"`
	Started     bool    `json:"started"` // it listens
	StartTime   string  `json:"startTime"`
	StopTime    *string `json:"stopTime"` // null while it listens
	CurrentTime string  `json:"currentTime"`
	counters
	CacheResponses int64             `json:"cacheResponses"`
	CacheBytesSent int64             `json:"cacheBytesSent"`
	LogCapture     bool              `json:"logCapture"`
	HTTPCapture    bool              `json:"httpCapture"`
	ListenPorts    []mapServicePorts `json:"listenPorts"`
}

// mapServicePorts are those of one mapping. The end is one of them.
type mapServicePorts struct {
	Start uint16 `json:"start"`
	End   uint16 `json:"end"`
}

// newMapServiceStats has a zero time stopped of a relay that has not been told to stop.
func newMapServiceStats(s relay.Stats, started, stopped, now time.Time) mapServiceStats {
	at := started.Local().Format(mapServiceTime)
	m := mapServiceStats{
		ServiceInfo: "Service created at " + at,
		Started:     stopped.IsZero(),
		StartTime:   at,
		CurrentTime: now.Local().Format(mapServiceTime),
		counters:    newCounters(&s),
		ListenPorts: make([]mapServicePorts, len(s.Mappings)),
	}
	if !m.Started {
		end := stopped.Local().Format(mapServiceTime)
		m.StopTime = &end
	}
	for i := range s.Mappings {
		m.ListenPorts[i] = mapServicePorts{s.Mappings[i].First, s.Mappings[i].Last}
	}
	return m
}

// mapServiceHosts are the statistics of hosts as ProxyMapService answers them.
type mapServiceHosts struct {
	Hosts []mapServiceHost `json:"hosts"`
}

// A mapServiceHost says of a host whether it was reached in either way, where ours counts how often.
type mapServiceHost struct {
	HostName      string `json:"hostName"`
	RequestsCount int64  `json:"requestsCount"`
	Proxified     bool   `json:"proxified"`
	Bypassed      bool   `json:"bypassed"`
	BytesRead     int64  `json:"bytesRead"`
	BytesSent     int64  `json:"bytesSent"`
}

func newMapServiceHosts(s hostsStats) mapServiceHosts {
	hosts := make([]mapServiceHost, len(s.Hosts))
	for i, h := range s.Hosts {
		hosts[i] = mapServiceHost{h.HostName, h.RequestsCount, h.Proxified > 0, h.Bypassed > 0, h.BytesRead, h.BytesSent}
	}
	return mapServiceHosts{hosts}
}
