package admin

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"proxymap/relay"
	"proxymap/session/wire"
)

// mapServiceFields are those of ProxyMapService's StatsResponse, in its order.
const mapServiceFields = `serviceInfo started startTime stopTime currentTime
	sessionsCount authenticationNotRequired authenticationRequired authenticated authenticationInvalid httpRejected headerFailed
	noHost hostRejected hostProxified hostBypassed proxyConnected proxyFailed bypassConnected bypassFailed totalBytesRead
	totalBytesSent proxyBytesRead proxyBytesSent bypassBytesRead bypassBytesSent cacheResponses cacheBytesSent logCapture
	httpCapture listenPorts`

// getJSON asks for a path and returns what is there.
func (g *adminRig) getJSON(path string) map[string]any {
	g.t.Helper()
	res, text := g.do("GET", path)
	var got map[string]any
	if err := json.Unmarshal([]byte(text), &got); err != nil || res.StatusCode != 200 || res.Header.Get("Content-Type") != "application/json; charset=utf-8" {
		g.t.Fatalf("%s: %s, %v: %s", path, res.Status, err, text)
	}
	return got
}

// Under its own path ProxyMapService's statistics have its fields, all of them and no others, with the counters of
// /ProxyStats.
func TestMapServiceStats(t *testing.T) {
	g := newAdminRig(t, "")
	g.traffic()
	before := time.Now().Add(-time.Minute)
	own, got := g.getJSON("/ProxyStats"), g.getJSON("/ProxyMapService/ProxyStats")
	fields := strings.Fields(mapServiceFields)
	for _, name := range fields {
		value, there := got[name]
		if !there {
			t.Errorf("%s is not there", name)
		}
		if number, ok := own[name].(float64); ok && value != number {
			t.Errorf("%s is %v; /ProxyStats has %v", name, value, number)
		}
	}
	if len(got) != len(fields) {
		t.Errorf("it has %d fields; want %d: %v", len(got), len(fields), got)
	}
	for _, name := range []string{"startTime", "currentTime"} {
		text, _ := got[name].(string)
		if at, err := time.ParseInLocation("1/2/2006 3:04:05 PM", text, time.Local); err != nil || at.Before(before) || at.After(time.Now()) {
			t.Errorf("%s is %q, %v", name, text, err)
		}
	}
	if got["started"] != true || got["stopTime"] != nil || got["serviceInfo"] != "Service created at "+got["startTime"].(string) {
		t.Errorf("a relay that serves: started %v, stopTime %v, serviceInfo %v", got["started"], got["stopTime"], got["serviceInfo"])
	}
	want := map[string]any{"hosts": []any{map[string]any{"hostName": "ip.demo", "requestsCount": 1., "proxified": true, "bypassed": false,
		"bytesRead": own["proxyBytesRead"], "bytesSent": own["proxyBytesSent"]}}}
	if diff := cmp.Diff(want, g.getJSON("/ProxyMapService/ProxyStats/Hosts")); diff != "" {
		t.Errorf("hosts (-want +got):\n%s", diff)
	}
}

// Paths of ProxyMapService are found as ASP.NET finds them, in any case of letters and with a slash at the end; others are
// not.
func TestMapServicePaths(t *testing.T) {
	g := newAdminRig(t, "")
	for _, path := range []string{
		"/ProxyMapService/proxystats", "/proxymapservice/ProxyStats/", "/PROXYMAPSERVICE/PROXYSTATS?x=1", "/%50roxyMapService/ProxyStats",
	} {
		if got := g.getJSON(path); len(got) != len(strings.Fields(mapServiceFields)) {
			t.Errorf("%s answers %v", path, got)
		}
	}
	for _, path := range []string{"/proxymapservice/proxystats/hosts", "/ProxyMapService/ProxyStats/Hosts/"} {
		if got := g.getJSON(path); got["hosts"] == nil {
			t.Errorf("%s answers %v", path, got)
		}
	}
	for _, path := range []string{"/proxystats", "/ProxyStats/", "/Metrics", "/ProxyMapServiceX/ProxyStats"} {
		if res, _ := g.do("GET", path); res.StatusCode != 404 {
			t.Errorf("%s: %s", path, res.Status)
		}
	}
}

// A reset under ProxyMapService's path is that of the statistics, in whatever case it is written.
func TestMapServiceReset(t *testing.T) {
	g := newAdminRig(t, "")
	for _, path := range []string{"/ProxyMapService/ProxyStats/reset", "/proxymapservice/proxystats/RESET/"} {
		g.traffic()
		if got := g.getJSON("/ProxyStats")["hostProxified"]; got == 0. {
			t.Fatal("nothing was counted")
		}
		if res, text := g.do("POST", path); res.StatusCode != 200 || !strings.Contains(text, "true") {
			t.Errorf("%s: %s: %s", path, res.Status, text)
		}
		if got := g.getJSON("/ProxyStats")["hostProxified"]; got != 0. {
			t.Errorf("after %s hostProxified is %v", path, got)
		}
	}
}

// A relay that has been told to stop and still has a connection says so, and since when.
func TestMapServiceStopped(t *testing.T) {
	g := newAdminRig(t, "")
	hold(t, g.relay.Ports()[0])
	g.relay.Shutdown(time.Minute)
	got := g.getJSON("/ProxyMapService/ProxyStats")
	text, _ := got["stopTime"].(string)
	if at, err := time.ParseInLocation("1/2/2006 3:04:05 PM", text, time.Local); err != nil || time.Since(at) > time.Minute || got["started"] != false {
		t.Errorf("started %v, stopTime %v", got["started"], got["stopTime"])
	}
}

// The text is byte for byte what ProxyMapService would answer, but for white space.
func TestMapServiceForm(t *testing.T) {
	at := func(clock string) time.Time {
		at, err := time.ParseInLocation(time.DateTime, clock, time.Local)
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	s := relay.Stats{Traffic: relay.Traffic{Connections: 7, ProxyRead: 5, BypassRead: 6}, HostProxified: 3}
	s.Mappings = []relay.MappingStats{{First: 10201, Last: 10300}, {First: 5000, Last: 5000}}
	got := string(wire.Line(newMapServiceStats(s, at("2025-04-10 17:17:42"), at("2025-12-01 00:09:00"), at("2025-04-11 05:59:07"))))
	want := `{"serviceInfo":"Service created at 4/10/2025 5:17:42 PM","started":false,"startTime":"4/10/2025 5:17:42 PM",` +
		`"stopTime":"12/1/2025 12:09:00 AM","currentTime":"4/11/2025 5:59:07 AM","sessionsCount":7,"authenticationNotRequired":0,` +
		`"authenticationRequired":0,"authenticated":0,"authenticationInvalid":0,"httpRejected":0,"headerFailed":0,"noHost":0,` +
		`"hostRejected":0,"hostProxified":3,"hostBypassed":0,"proxyConnected":0,"proxyFailed":0,"bypassConnected":0,"bypassFailed":0,` +
		`"totalBytesRead":11,"totalBytesSent":0,"proxyBytesRead":5,"proxyBytesSent":0,"bypassBytesRead":6,"bypassBytesSent":0,` +
		`"cacheResponses":0,"cacheBytesSent":0,"logCapture":false,"httpCapture":false,` +
		`"listenPorts":[{"start":10201,"end":10300},{"start":5000,"end":5000}]}` + "\n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	hosts := string(wire.Line(newMapServiceHosts(newHostsStats([]relay.HostStats{{Host: "a.example", Bypassed: 2, Sent: 3}}, relay.HostStats{}))))
	wantHosts := `{"hosts":[{"hostName":"a.example","requestsCount":2,"proxified":false,"bypassed":true,"bytesRead":0,"bytesSent":3}]}` + "\n"
	if diff := cmp.Diff(wantHosts, hosts); diff != "" {
		t.Errorf("hosts (-want +got):\n%s", diff)
	}
}
