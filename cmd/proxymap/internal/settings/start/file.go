package start

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"strconv"
	"strings"
	"text/template"
)

// The values that a file has where nothing is given: the ports and the provider without which there is nothing to serve,
// and with neither also the rest of an example.
const (
	examplePorts    = "10201-10300"
	exampleUpstream = "http://customer:secret@gate.example.com:7000"
	exampleLifetime = "10m"
)

// Completed is a form from which a settings file can be made: where it lacks what there is nothing to serve without, it has
// an example of it. example says that this is so of the upstream proxy, which is then to be replaced.
func (f *Form) Completed() (full *Form, example bool) {
	whole := *f
	example = !f.firstServer().there()
	if example {
		whole.upstreams = []given{{exampleUpstream, "example"}}
		if !f.ports.there() {
			whole.lifetime, whole.sessionAPI = f.lifetime.or(exampleLifetime), f.sessionAPI.or(Alone)
		}
	}
	whole.ports = f.ports.or(examplePorts)
	return &whole, example
}

// File writes the settings file that does what a completed form does. upstreamFile is the path of --upstream-file as the
// settings are to name it, for theirs begin at their own folder. The form must be without faults.
func (f *Form) File(upstreamFile string) []byte {
	var out bytes.Buffer
	if err := fileTemplate.Execute(&out, f.values(upstreamFile)); err != nil {
		panic(err) // the template does not fit its values
	}
	return out.Bytes()
}

// UpstreamFile is the file of upstream proxies, as it was given; empty: there is none.
func (f *Form) UpstreamFile() string { return f.upstreamFile.text }

// or is g, or a text if it is not given.
func (g given) or(text string) given {
	if g.there() {
		return g
	}
	return given{text, "example"}
}

// fileValues are what a file's template shows.
type fileValues struct {
	First, Last   int
	Lifetime      string // as JSON; empty: none
	Address, Curl string // to listen on; for a client on this machine
	AllowFrom     []string
	Provider      string
	Session       bool // the id is appended to user names
	SessionName   string
	SessionValue  string
	Servers       []fileServer
	List, Spread  string
	APIGiven, API bool
	Domain        string
}

type fileServer struct {
	Host               string
	Port               uint16
	Type               string // empty: HTTP
	Username, Password string
}

func (f *Form) values(upstreamFile string) fileValues {
	var m maker
	v := fileValues{
		Lifetime: asJSON(f.lifetime.text), Address: f.address.text, Curl: curlAddress(f.address.text), Provider: f.provider.text,
		Session: f.needsSession().there(), SessionName: sessionName, SessionValue: sessionPattern,
		List: upstreamFile, Spread: f.spread.text, APIGiven: f.sessionAPI.there(), Domain: DefaultDomain,
	}
	if n, err := strconv.Atoi(f.lifetime.text); err == nil {
		v.Lifetime = strconv.Itoa(n) // minutes are a number
	} else if !f.lifetime.there() {
		v.Lifetime = ""
	}
	v.First, v.Last, _ = parsePorts(f.ports.text)
	for _, g := range f.allowFrom {
		v.AllowFrom = append(v.AllowFrom, g.text)
	}
	for _, s := range m.parsed(f.upstreams) {
		one := fileServer{Host: s.Host, Port: s.Port, Username: s.Username, Password: s.Password}
		if name := proxyTypes[s.Type]; name != "Http" {
			one.Type = name
		}
		v.Servers = append(v.Servers, one)
	}
	if api, err := parseSessionAPI(f.sessionAPI.text); f.sessionAPI.there() && err == nil && api.enabled {
		v.API, v.Domain = true, api.domain
	}
	return v
}

// curlAddress is where a client on this machine reaches a port.
func curlAddress(text string) string {
	a, err := netip.ParseAddr(text)
	switch {
	case err != nil || a == netip.IPv4Unspecified():
		return "127.0.0.1"
	case a == netip.IPv6Unspecified():
		return "[::1]"
	case a.Is6():
		return "[" + text + "]"
	}
	return text
}

// asJSON writes a text, or a list of texts, with no more escaped than must be.
func asJSON(v any) string {
	var out strings.Builder
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		panic(err) // texts always can be
	}
	return strings.ReplaceAll(strings.TrimSuffix(out.String(), "\n"), `","`, `", "`)
}

// fileTemplate's lines that are a comment of a single key are settings that can be had by taking the slashes off.
var fileTemplate = template.Must(template.New("").Funcs(template.FuncMap{"json": asJSON}).Parse(fileText))

const fileText = `// Settings of proxymap. "proxymap check" says how they are understood, "proxymap serve" starts.
// Every key is described in docs/settings.md. What stands behind // has no effect: take the two slashes off to have it.
{
  // The local ports, each of them a session of its own: a client that stays at a port keeps its exit address.
  "Listen": {
{{- if eq .First .Last}}
    "Port": {{.First}},
{{- else}}
    "PortRange": {"Start": {{.First}}, "End": {{.Last}}},
{{- end}}

    // A session ends after this time, and the next request makes a new one: minutes, or as in "90s", "10m", "12h".
    // Without it each connection of a client is a session of its own.
    {{if .Lifetime}}"StickyProxyLifetime": {{.Lifetime}},{{else}}// "StickyProxyLifetime": "10m",{{end}}

    // This machine alone can connect to 127.0.0.1. "0.0.0.0" listens for others too, and AllowFrom says for whom.
    {{if .Address}}"Address": {{json .Address}},{{else}}// "Address": "0.0.0.0",{{end}}
    {{if .AllowFrom}}"AllowFrom": {{json .AllowFrom}},{{else}}// "AllowFrom": ["127.0.0.1", "172.16.0.0/12"],{{end}}

    // What becomes of a port's connections when it gets a new session: Keep, Drain or Close.
    // "OnRotate": "Drain",
  },

  // How the session gets into the credentials that the provider sees.
  "Authentication": {
{{- if .Provider}}
    // The form of this provider; "proxymap providers" lists those that are known.
    "Provider": {{json .Provider}},
{{- else if .Session}}
    // The id is appended to the user name, as in customer-session-LZpmRqdu. What else the provider wants there, such as a
    // country, is put before or after it.
    "UsernameParameters": [
      // {"Name": "country", "Value": "us"},
      {"Name": {{json .SessionName}}, "Value": {{json .SessionValue}}, "SessionId": true},
    ],
{{- else}}
    // Nothing is added to the credentials below. "Provider": "NAME" does it in the form of a provider; "proxymap providers"
    // lists them.
{{- end}}
  },

  // The upstream proxies. A password can also be had from elsewhere: "Password": {"Env": "NAME"} or {"File": "PATH"}.
  "ProxyServers": {
{{- if .Servers}}
    "Items": [
{{- range .Servers}}
      {"Host": {{json .Host}}, "Port": {{.Port}}
{{- if .Type}}, "ProxyType": {{json .Type}}{{end}}
{{- if .Username}}, "Username": {{json .Username}}{{end}}
{{- if .Password}}, "Password": {{json .Password}}{{end}}},
{{- end}}
    ],
{{- end}}
{{- if .List}}
    // A server a line; Format says so of a file whose name does not end in .txt or .list.
    "Files": [{"Path": {{json .List}}, "Format": "Text"}],
{{- end}}
{{- if .Spread}}
    "Spread": {{json .Spread}},
{{- end}}
  },

  // With the Session API a port answers for its session:
  //   curl -x http://{{.Curl}}:{{.First}} http://{{.Domain}}/session/       shows it
  //   curl -x http://{{.Curl}}:{{.First}} http://{{.Domain}}/session/new    replaces it
  {{if .API}}"SessionAPI": {"Enabled": true, "Domain": {{json .Domain}}},
  {{- else if .APIGiven}}"SessionAPI": {"Enabled": false},
  {{- else}}// "SessionAPI": {"Enabled": true, "Domain": "portmapper"},{{end}}

  // What has come of all ports, and the session of each: curl http://127.0.0.1:10200/ProxyStats, and …/sessions
  // "Admin": {"Address": "127.0.0.1:10200"},

  // Sessions survive a restart in this file.
  // "State": {"File": "proxymap.state"},
}
`
