package settings

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"proxymap/relay"
)

// The two fragments of the article that introduced the Session API, joined.
const articleSettings = `{
"Listen": {
"PortRange": {
"Start": 10201,
"End": 10300
},
"StickyProxyLifetime": 10
},
"SessionAPI": {
"Enabled": true,
"Domain": "portmapper"
}
}`

const fullSettings = "\xef\xbb\xbf" + `{
  // comments, trailing commas, keys in any case, numbers and booleans as strings
  "proxyMappings": [
    {
      "LISTEN": {"Port": "10201", "StickyProxyLifetime": "5", "RejectHttpProxy": "True"},
      "Authentication": {
        "SetAuthentication": true, "Username": "customer-name", "Password": "secret",
        "UsernameParameters": [
          {"Name": "country", "Value": "$cc", "Default": "us"},
          {"Name": "session", "Value": "^[A-Z]{8}", "SessionId": true},
          {"Name": "sessTime", "Value": "10", "SessionTime": "true"},
        ],
      },
      "ProxyServers": {"Items": [
        {"Host": "gate.example.com", "Port": 7000, "ProxyType": "http"},
        {"Host": "::1", "Port": 7001, "Username": "other-user", "Password": "p", "UsernameParameters": null},
      ]},
    },
    {"Listen": {"PortRange": {"Start": 10300, "End": 10301}, "Address": "::1"}, /* no upstream */ "ProxyServers": {"Items": []}},
  ],
  "SessionAPI": {"Enabled": true, "Domain": "", "RequireHeader": true},
  "HTTP": {"UserAgent": "me"},
}`

func TestGoodSettings(t *testing.T) {
	for _, row := range []struct{ name, text, want string }{
		{"article", articleSettings, `mapping 1: 127.0.0.1:10201-10300 (100 ports)
  sessions     10 min from their creation
  clients      need no credentials
  hosts        Allow: through the upstream
  upstream     none: requests are answered 502 no-upstream
  Session API  curl -x http://127.0.0.1:10201 http://portmapper/session/
warning: ports 127.0.0.1:10201-10300 have no ProxyServers: their requests are answered 502 no-upstream
ok: 1 mapping, 100 ports
`},
		{"full", fullSettings, `mapping 1: 127.0.0.1:10201 (1 port)
  sessions     10 min from their creation
  clients      need no credentials
  hosts        Allow: through the upstream
  plain HTTP   rejected with 405; CONNECT only
  upstream 1   http gate.example.com:7000, user name like c***e-country-us-session-XXX-sessTime-10, password ***
  upstream 2   http [::1]:7001, user name like o***r-country-us-session-XXX-sessTime-10, password ***
  Session API  curl http://127.0.0.1:10201/session/ (new and reset need -H 'X-Proxymap: 1')
mapping 2: [::1]:10300-10301 (2 ports)
  sessions     one for each client connection (lifetime 0)
  clients      need no credentials
  hosts        Allow: through the upstream
  upstream     none: requests are answered 502 no-upstream
  Session API  curl http://[::1]:10300/session/ (new and reset need -H 'X-Proxymap: 1')
warning: ports [::1]:10300-10301 have no ProxyServers: their requests are answered 502 no-upstream
ok: 2 mappings, 3 ports
`},
		{"no credentials, no API", `{"Listen":{"Port":1},"ProxyServers":{"Items":[{"Host":"1.2.3.4","Port":5}]}}`, `mapping 1: 127.0.0.1:1 (1 port)
  sessions     one for each client connection (lifetime 0)
  clients      need no credentials
  hosts        Allow: through the upstream
  upstream 1   http 1.2.3.4:5, credentials of the clients, if they bring some
  Session API  off
ok: 1 mapping, 1 port
`},
	} {
		t.Run(row.name, func(t *testing.T) {
			s, err := Parse("f", []byte(row.text))
			if err != nil {
				t.Fatal(err)
			}
			var out strings.Builder
			if err := s.Describe(&out); err != nil {
				t.Fatal(err)
			}
			got := maskIDs(out.String())
			if diff := cmp.Diff(row.want, got); diff != "" {
				t.Errorf("check prints (-want +got):\n%s", diff)
			}
			if strings.Contains(got, "secret") || strings.Contains(got, "customer-name") {
				t.Error("a secret is printed")
			}
		})
	}
}

// maskIDs replaces the random ids of the example user names.
func maskIDs(s string) string {
	lines := strings.SplitAfter(s, "\n")
	for i, line := range lines {
		if before, after, ok := strings.Cut(line, "-session-"); ok && len(after) > 3 && strings.Trim(after[:3], "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == "" {
			lines[i] = before + "-session-XXX" + after[8:]
		}
	}
	return strings.Join(lines, "")
}

// A faultRow is a text that is no settings, and what is said of it.
type faultRow struct{ name, text, want string }

func faultRows() []faultRow {
	listen := func(s string) string { return `{"Listen":{` + s + `}}` }
	with := func(s string) string { return `{"Listen":{"Port":10201},` + s + `}` }
	auth := func(s string) string { return with(`"Authentication":{` + s + `}`) }
	param := func(s string) string { return auth(`"UsernameParameters":[{` + s + `}]`) }
	item := func(s string) string { return with(`"ProxyServers":{"Items":[{` + s + `}]}`) }
	rule := func(s string) string { return with(`"HostRules":{"Items":[{` + s + `}]}`) }
	hidden := strings.Repeat("hidden", 50)
	return []faultRow{
		{"empty file", ``, `f:1: the file is empty: it must hold JSON`},
		{"a file of white space", "\xef\xbb\xbf \r\n\t\n", `f:1: the file is empty: it must hold JSON`},
		{"not JSON", "{\n\"Listen\": [}\n}", `f:2: not JSON: `},
		{"cut off", `{"Listen":`, `f:1: not JSON: `},
		{"a list", `[]`, `f:1: value […]: must be an object: {…}`},
		{"nothing in it", `{}`, `f:1: no port to listen on: ProxyMappings must be a list of at least one mapping, or Listen be there`},
		{"no mapping", `{"ProxyMappings":[]}`, `f:1: no port to listen on`},
		{"mappings that are no list", `{"ProxyMappings":{}}`, `f:1: ProxyMappings: value {…}: must be a list: […]`},
		{"mapping that is no object", `{"ProxyMappings":[1]}`, `f:1: ProxyMappings[0]: a number: must be an object: {…}`},
		{"mapping without Listen", `{"ProxyMappings":[{}]}`, `f:1: ProxyMappings[0].Listen: is missing`},
		{"both forms", `{"ProxyMappings":[],"Listen":{"Port":1}}`, `f:1: ProxyMappings: stands beside a top-level Listen`},
		{"unknown key", `{"Listn":{"Port":1},"Listen":{"Port":1}}`, `f:1: Listn: unknown key; did you mean "Listen"?`},
		{"unknown key unlike any", with(`"Zebra":1`), `f:1: Zebra: unknown key; allowed here: `},
		{"key twice", `{"Listen":{"Port":1},"listen":{"Port":2}}`, `f:1: listen: the key is there more than once`},
		{"line of a key", "{\"Listen\":{\n\"Port\":1,\n\"Prt\":2}}", `f:3: Listen.Prt: unknown key; did you mean "Port"?`},
		{"neither port nor range", listen(``), `f:1: Listen: neither Port nor PortRange is there: one of them must be`},
		{"port and range", listen(`"Port":1,"PortRange":{"Start":1,"End":2}`), `f:1: Listen.PortRange: stands beside Port: use one of the two`},
		{"port 0", listen(`"Port":0`), `f:1: Listen.Port: value "0": must be a whole number from 1 to 65535`},
		{"port 65536", listen(`"Port":65536`), `value "65536": must be a whole number from 1 to 65535`},
		{"port -1", listen(`"Port":-1`), `value "-1": must be a whole number from 1 to 65535`},
		{"port in letters", listen(`"Port":"http"`), `value "http": must be a whole number from 1 to 65535`},
		{"port with a fraction", listen(`"Port":1.5`), `value "1.5": must be a whole number from 1 to 65535`},
		{"port that is a list", listen(`"Port":[1]`), `Listen.Port: value […]: must be a whole number from 1 to 65535`},
		{"port null", listen(`"Port":null`), `neither Port nor PortRange is there`},
		{"reversed range", listen(`"PortRange":{"Start":2,"End":1}`), `f:1: Listen.PortRange: Start 2 is behind End 1: Start must be the lower one`},
		{"range without end", listen(`"PortRange":{"Start":2}`), `f:1: Listen.PortRange.End: is missing`},
		{"range with a typo", listen(`"PortRange":{"Start":2,"End":3,"Stop":3}`), `f:1: Listen.PortRange.Stop: unknown key`},
		{"name as address", listen(`"Port":1,"Address":"localhost"`), `f:1: Listen.Address: value "localhost": must be an IP address, such as 127.0.0.1 or ::1`},
		{"open address", listen(`"Port":1,"Address":"0.0.0.0"`), `Listen.Address: value "0.0.0.0": anything but a loopback address needs Listen.AllowFrom, which names who may connect, such as ["172.16.0.0/12"], or Authentication.Required and Verify with a Username and a Password, or anybody could use the ports`},
		{"negative lifetime", listen(`"Port":1,"StickyProxyLifetime":-1`), `f:1: Listen.StickyProxyLifetime: value "-1": must be a whole number from 0 to 525600`},
		{"flag", listen(`"Port":1,"RejectHttpProxy":"yes"`), `f:1: Listen.RejectHttpProxy: value "yes": must be true or false`},
		{"open address without Verify", `{"Listen":{"Port":1,"Address":"::"},"Authentication":{"Required":true,"Username":"u"}}`, `Listen.Address: value "::": anything but a loopback address needs`},
		{"address with a zone", listen(`"Port":1,"Address":"fe80::1%eth0"`), `Listen.Address: value "fe80::1%eth0": must be an IP address`},
		{"no action", listen(`"Port":1,"Action":"Block"`), `f:1: Listen.Action: value "Block": must be Allow, Deny or Bypass`},
		{"Action File", listen(`"Port":1,"Action":"file"`), `f:1: Listen.Action: value "File": a relay serves no files; use Allow, Deny or Bypass`},
		{"IgnoreHostRules", listen(`"Port":1,"IgnoreHostRules":1`), `f:1: Listen.IgnoreHostRules: value "1": must be true or false`},
		{"AllowLocalTargets", listen(`"Port":1,"AllowLocalTargets":"no"`), `f:1: Listen.AllowLocalTargets: value "no": must be true or false`},
		{"lifetime without a unit", listen(`"Port":1,"StickyProxyLifetime":"1.5"`), `value "1.5": must be a whole number from 0 to 525600, of minutes, or a duration such as 90s, 10m or 12h, of at least 1s`},
		{"lifetime of less than a second", listen(`"Port":1,"StickyProxyLifetime":"999ms"`), `f:1: Listen.StickyProxyLifetime: value "999ms": must be`},
		{"lifetime of more than a year", listen(`"Port":1,"StickyProxyLifetime":"8761h"`), `f:1: Listen.StickyProxyLifetime: value "8761h": must be`},
		{"no OnRotate", listen(`"Port":1,"OnRotate":"Cut"`), `f:1: Listen.OnRotate: value "Cut": must be Keep, Drain or Close`},
		{"DrainTime without a unit", listen(`"Port":1,"DrainTime":10`), `f:1: Listen.DrainTime: value "10": must be a duration such as 500ms`},
		{"LifetimeJitter", listen(`"Port":1,"LifetimeJitter":91`), `f:1: Listen.LifetimeJitter: value "91": must be a whole number from 0 to 90`},
		{"IdleLifetime", listen(`"Port":1,"StickyProxyLifetime":10,"IdleLifetime":"soon"`), `f:1: Listen.IdleLifetime: value "soon": must be a whole number from 0 to 525600, of minutes, or a duration`},
		{"IdleLifetime without a lifetime", listen(`"Port":1,"IdleLifetime":"60s"`), `f:1: Listen.IdleLifetime: the lifetime is 0, so each client connection is a session of its own, and none can be idle; set StickyProxyLifetime, or remove it`},
		{"MaxRequests", listen(`"Port":1,"MaxRequests":0`), `f:1: Listen.MaxRequests: value "0": must be a whole number from 1 to 1000000000`},
		{"RotateOn that is no list", listen(`"Port":1,"RotateOn":{"Status":[403]}`), `f:1: Listen.RotateOn: value {…}: must be a list: […]`},
		{"RotateOn of a number", listen(`"Port":1,"RotateOn":[403]`), `f:1: Listen.RotateOn[0]: a number: must be an object: {…}`},
		{"signal of nothing", listen(`"Port":1,"RotateOn":[{"Status":[],"Count":3}]`), `f:1: Listen.RotateOn[0]: has neither Status nor UpstreamError: one of them must be, such as {"Status": [403, 429], "Count": 3, "Within": "60s"}`},
		{"signal with a typo", listen(`"Port":1,"RotateOn":[{"Statuses":[403]}]`), `f:1: Listen.RotateOn[0].Statuses: unknown key; did you mean "Status"?`},
		{"signal's status", listen(`"Port":1,"RotateOn":[{"Status":[403,"4xx"]}]`), `f:1: Listen.RotateOn[0].Status[1]: value "4xx": must be a whole number from 100 to 599`},
		{"signal's error", listen(`"Port":1,"RotateOn":[{"UpstreamError":["reset"]}]`), `f:1: Listen.RotateOn[0].UpstreamError[0]: value "reset": must be refused, timeout or reset-before-first-byte`},
		{"signal's count", listen(`"Port":1,"RotateOn":[{"Status":[403],"Count":1001}]`), `f:1: Listen.RotateOn[0].Count: value "1001": must be a whole number from 1 to 1000`},
		{"signal's time", listen(`"Port":1,"RotateOn":[{"Status":[403],"Within":60}]`), `f:1: Listen.RotateOn[0].Within: value "60": must be a duration such as`},
		{"too many signals", listen(`"Port":1,"RotateOn":[` + strings.Repeat(`{"Status":[403]},`, 21) + `]`), `f:1: Listen.RotateOn: has 21 items; at most 20 are allowed`},
		{"RotateMinInterval", listen(`"Port":1,"RotateMinInterval":"0"`), `f:1: Listen.RotateMinInterval: value "0": must be a duration such as`},
		{"unknown provider", auth(`"Provider":"oxilabs"`), `f:1: Authentication.Provider: value "oxilabs": no such provider; did you mean "oxylabs"?`},
		{"provider unlike any", auth(`"Provider":"zzzzzzzz"`), `f:1: Authentication.Provider: value "zzzzzzzz": no such provider; known are brightdata, dataimpulse, evomi,`},
		{"provider that is a list", auth(`"Provider":["oxylabs"]`), `f:1: Authentication.Provider: value […]: must be a string`},
		{"provider beside parameters", auth(`"Provider":"oxylabs","UsernameParameters":[{"Name":"a","Value":"b"}]`),
			`f:1: Authentication.Provider: stands beside parameters of the user name; remove one of the two: a template has {param:name} for parameters`},
		{"provider without a user name", auth(`"Provider":"oxylabs","SetAuthentication":true`), `f:1: Authentication.SetAuthentication: is true, but Username is empty`},
		{"server's provider without a user name", item(`"Host":"a","Port":1,"Provider":"oxylabs"`),
			`f:1: ProxyServers.Items[0].Provider: needs a Username beside it: a server's own credentials are made of the server's own account`},
		{"template that is a string", auth(`"Template":"hidden"`), `f:1: Authentication.Template: a string: must be an object: {…}`},
		{"template of nothing", auth(`"Template":{}`), `f:1: Authentication.Template: has neither Username nor Password: one of them must be, such as {"Username": "{username}-session-{session}"}`},
		{"template with a typo", auth(`"Template":{"Usrname":"x"}`), `f:1: Authentication.Template.Usrname: unknown key; did you mean "Username"?`},
		{"template's user name", auth(`"Template":{"Username":"a{sesion}"}`), `f:1: Authentication.Template.Username: at character 2: no placeholder; allowed are {username}, {password} (in the password), {session}, {ttl}, {param:name}`},
		{"template's password", "{\"Listen\":{\"Port\":1},\n\"Authentication\":{\"Template\":{\n\"Password\":\"hidden[x\"}}}",
			`f:3: Authentication.Template.Password: at character 7: the group does not end`},
		{"template of a server", item(`"Host":"a","Port":1,"Username":"u","Template":{"Username":"{"}`), `f:1: ProxyServers.Items[0].Template.Username: at character 1: the placeholder does not end`},
		{"template beside parameters", auth(`"Template":{"Username":"x"},"UsernameParameters":[{"Name":"a","Value":"b"}]`), `f:1: Authentication.Template: stands beside parameters of the user name`},
		{"ids of another rule", item(`"Host":"a","Port":1,"Username":"u","Provider":"oxylabs"},{"Host":"a","Port":1,"Username":"u","Provider":"webshare"`),
			`f:1: ProxyServers.Items[1].SessionAlphabet: the mapping's ids are drawn by another rule`},
		{"rule without a template", auth(`"TTLMax":"10m"`), `f:1: Authentication.TTLMax: belongs to a Provider or a Template, and neither is there`},
		{"alphabet", auth(`"Provider":"oxylabs","SessionAlphabet":"z-a"`), `f:1: Authentication.SessionAlphabet: value "z-a": "z-a" is no range; allowed are such as a-z`},
		{"length", auth(`"Provider":"oxylabs","SessionLength":65`), `f:1: Authentication.SessionLength: value "65": must be a whole number from 1 to 64`},
		{"unit", auth(`"Provider":"oxylabs","TTLUnit":"h"`), `f:1: Authentication.TTLUnit: value "h": must be m, s or suffixed`},
		{"bound of no whole units", auth(`"Provider":"oxylabs","TTLMin":"90s"`), `f:1: Authentication.TTLMin: value 1m30s: must be whole units of 1m0s, or 0 for no bound`},
		{"bounds that cross", auth(`"Provider":"oxylabs","TTLMin":60,"TTLMax":"30m"`), `f:1: Authentication.TTLMin: value 1h0m0s: must not be more than the greatest lifetime, 30m0s`},
		{"bound that is no time", auth(`"Provider":"oxylabs","TTLMax":"long"`), `f:1: Authentication.TTLMax: value "long": must be a whole number from 0 to 525600, of minutes, or a duration`},
		{"State", with(`"State":{"Fil":"x"}`), `f:1: State.Fil: unknown key; did you mean "File"?`},
		{"state in no folder", with(`"State":{"File":"none/x"}`), `f:1: State.File: value "none/x": its folder must exist: stat none: no such file or directory`},
		{"state in a file", with(`"State":{"File":"doc.go/x"}`), `f:1: State.File: value "doc.go/x": doc.go is no folder`},
		{"state in what is a folder", with(`"State":{"File":"/"}`), `f:1: State.File: value "/": is no ordinary file`},
		{"state in the settings", with(`"State":{"File":"./f"}`), `f:1: State.File: value "./f": is this settings file`},
		{"state that is a number", with(`"State":{"File":[1]}`), `f:1: State.File: value […]: must be a string`},
		{"Required", auth(`"Required":"yes"`), `f:1: Authentication.Required: value "yes": must be true or false`},
		{"Verify without a user name", auth(`"verify":true`), `f:1: Authentication.verify: needs a user name to compare the clients' with`},
		{"RemoveAuthentication", auth(`"RemoveAuthentication":2`), `Authentication.RemoveAuthentication: value "2": must be true or false`},
		{"ParseUsernameParameters", auth(`"ParseUsernameParameters":[]`), `Authentication.ParseUsernameParameters: value […]: must be true or false`},
		{"set without a user name", auth(`"SetAuthentication":true`), `f:1: Authentication.SetAuthentication: is true, but Username is empty`},
		{"user name with a colon", auth(`"Username":"hidden:x"`), `f:1: Authentication.Username: a user name cannot hold a colon`},
		{"parameter without a name", param(`"Value":"x"`), `f:1: Authentication.UsernameParameters[0].Name: is missing`},
		{"parameter with a bad name", param(`"Name":"a b"`), `f:1: Authentication.UsernameParameters[0].Name: value "a b": must be a token`},
		{"parameter with a bad pattern", param(`"Name":"a","Value":"^["`), `f:1: Authentication.UsernameParameters[0].Value: value "^[": not a regular expression`},
		{"parameter with an endless pattern", param(`"Name":"a","Value":"^((a*)*)*"`), `strings could be longer than 256 bytes`},
		{"parameter with a bad time", param(`"Name":"a","Value":"x","SessionTime":true`), `f:1: Authentication.UsernameParameters[0].Value: value "x": must be whole minutes from 0 to 525600`},
		{"parameter with a typo", param(`"Name":"a","SessionID2":true`), `UsernameParameters[0].SessionID2: unknown key; did you mean "SessionId"?`},
		{"parameter of a server", item(`"Host":"a","Port":1,"Username":"u","UsernameParameters":[{"Name":"a","Value":"x:y"}]`),
			`f:1: ProxyServers.Items[0].UsernameParameters[0].Value: value "x:y": must not hold a colon`},
		{"line of a parameter", "{\"Listen\":{\"Port\":1},\n\"Authentication\":{\"UsernameParameters\":[\n{\"Name\":\"a\",\n\"Value\":\"^[\"}]}}",
			`f:4: Authentication.UsernameParameters[0].Value: value "^["`},
		{"file without a path", with(`"ProxyServers":{"Files":[{}]}`), `f:1: ProxyServers.Files[0].Path: is missing: the path of a JSON file`},
		{"file with a typo", with(`"ProxyServers":{"Files":[{"Pth":"a"}]}`), `f:1: ProxyServers.Files[0].Pth: unknown key; did you mean "Path"?`},
		{"file that is no object", with(`"HostRules":{"Files":["a"]}`), `f:1: HostRules.Files[0]: a string: must be an object: {…}`},
		{"file that is not there", with(`"HostRules":{"Files":[{"Path":"none.json"}]}`), `f:1: HostRules.Files[0].Path: value "none.json": stat none.json: no such file or directory; must be a JSON file {"Items": […]}`},
		{"file that is a folder", with(`"HostRules":{"Files":[{"Path":"/"}]}`), `HostRules.Files[0].Path: value "/": / is no ordinary file`},
		{"rules that are a string", with(`"HostRules":"x"`), `f:1: HostRules: a string: must be an object: {…}`},
		{"rules of a mapping", `{"ProxyMappings":[{"Listen":{"Port":1},"HostRules":{}}]}`, `f:1: ProxyMappings[0].HostRules: unknown key; allowed here: Listen, Authentication, ProxyServers`},
		{"order", with(`"HostRules":{"Order":"Best"}`), `f:1: HostRules.Order: value "Best": must be First or Last`},
		{"rule with a typo", rule(`"Hostname2":"a"`), `f:1: HostRules.Items[0].Hostname2: unknown key; did you mean "HostName"?`},
		{"rule's host", rule(`"HostName":"a b"`), `f:1: HostRules.Items[0].HostName: value "a b" is neither a name nor an IP address`},
		{"rule's host with a port", rule(`"HostName":"a:80"`), `f:1: HostRules.Items[0].HostName: value "a:80" has a port; that has a key of its own`},
		{"rule's port", rule(`"HostPort":0`), `f:1: HostRules.Items[0].HostPort: value "0": must be a whole number from 1 to 65535`},
		{"rule's pattern", rule(`"Pattern":"(?<=a)b"`), `f:1: HostRules.Items[0].Pattern: value "(?<=a)b": `},
		{"rule's action", rule(`"Action":"Reject"`), `f:1: HostRules.Items[0].Action: value "Reject": must be Allow, Deny or Bypass`},
		{"rule's action File", rule(`"Action":"File","RootDir":"/"`), `f:1: HostRules.Items[0].Action: value "File": a relay serves no files`},
		{"rule's other host", rule(`"HostName":"a","OverrideHostName":"http://a"`), `f:1: HostRules.Items[0].OverrideHostName: value "http://a" is neither`},
		{"rule's other port", rule(`"OverrideHostPort":70000`), `f:1: HostRules.Items[0].OverrideHostPort: value "70000": must be a whole number`},
		{"rule's server", rule(`"ProxyServer":{"Host":"a","Port":1,"ProxyTipe":"Http"}`), `f:1: HostRules.Items[0].ProxyServer.ProxyTipe: unknown key; did you mean "ProxyType"?`},
		{"rule's server without a host", rule(`"ProxyServer":{"Port":1}`), `f:1: HostRules.Items[0].ProxyServer.Host: value "": must be a host name`},
		{"rule's server that is the port itself", rule(`"ProxyServer":{"Host":"127.0.0.1","Port":10201}`), `f:1: HostRules.Items[0].ProxyServer.Port: value "10201": is a port of this relay itself`},
		{"account of a rule's server", rule(`"ProxyServer":{"Host":"a","Port":1,"Username":"hidden:x"}`), `f:1: HostRules.Items[0].ProxyServer.Username: a user name cannot hold a colon`},
		{"parameter of a rule's server", rule(`"ProxyServer":{"Host":"a","Port":1,"Username":"u","UsernameParameters":[{"Name":"p","Value":"^["}]}`),
			`f:1: HostRules.Items[0].ProxyServer.UsernameParameters[0].Value: value "^["`},
		{"long user name for SOCKS", item(`"Host":"a","Port":1,"ProxyType":"Socks4","Username":"` + hidden + `"`), `f:1: ProxyServers.Items[0].Username: has 300 bytes with its parameters; a SOCKS server (a:1) takes at most 255: shorten it`},
		{"long password for SOCKS", item(`"Host":"a","Port":1,"ProxyType":"Socks5","Username":"u","Password":"` + hidden + `"`), `f:1: ProxyServers.Items[0].Password: has 300 bytes; a SOCKS5 server (a:1) takes at most 255`},
		{"long parameter for SOCKS", with(`"Authentication":{"SetAuthentication":true,"Username":"u","UsernameParameters":[{"Name":"p","Value":"` + hidden + `"}]},"ProxyServers":{"Items":[{"Host":"a","Port":1,"ProxyType":"Socks5"}]}`),
			`f:1: Authentication.Username: has 304 bytes with its parameters`},
		{"user agent", with(`"HTTP":{"UserAgent":"a\r\nb: c"}`), `f:1: HTTP.UserAgent: value "a\r\nb: c": must be at most 256 visible ASCII characters`},
		{"host statistics", with(`"HostStats":{"Enabled":"on"}`), `f:1: HostStats.Enabled: value "on": must be true or false`},
		{"host statistics with a typo", with(`"HostStats":{"Traficstats":true}`), `f:1: HostStats.Traficstats: unknown key; did you mean "TrafficStats"?`},
		{"admin without an address", with(`"Admin":{}`), `f:1: Admin.Address: value "": must be an IP address and a port, such as 127.0.0.1:10200`},
		{"admin without a port", with(`"Admin":{"Address":"127.0.0.1"}`), `f:1: Admin.Address: value "127.0.0.1": must be an IP address and a port`},
		{"admin for all without a token", with(`"Admin":{"Address":"0.0.0.0:1"}`), `f:1: Admin.Address: value "0.0.0.0:1": anything but a loopback address needs Admin.Token, of at least 16 characters, or Admin.AllowFrom, which names who may connect`},
		{"admin on a port of the relay's", with(`"Admin":{"Address":"127.0.0.1:10201"}`), `f:1: Admin.Address: value "127.0.0.1:10201": the port belongs to Listen already; choose another`},
		{"short token", with(`"Admin":{"Address":"127.0.0.1:1","Token":"hidden"}`), `f:1: Admin.Token: must be 16 to 256 visible ASCII characters, without a space`},
		{"token with a space", with(`"Admin":{"Address":"127.0.0.1:1","Token":"hidden and longer"}`), `f:1: Admin.Token: must be 16 to 256 visible`},
		{"no host", item(`"Port":1`), `f:1: ProxyServers.Items[0].Host: value "": must be a host name or an IP address, without a port`},
		{"host with a port", item(`"Host":"a:1","Port":1`), `ProxyServers.Items[0].Host: value "a:1": must be a host name`},
		{"host with a scheme", item(`"Host":"http://a","Port":1`), `value "http://a": must be a host name`},
		{"host with a password", item(`"Host":"u:hidden@a","Port":1`), `value "***": must be a host name`},
		{"password without quotes", auth(`"Password":hidden`), `f:1: not JSON: line 1, column`},
		{"password in an object's place", with(`"Authentication":"hidden"`), `f:1: Authentication: a string: must be an object: {…}`},
		{"password in a list's place", auth(`"UsernameParameters":"hidden"`), `f:1: Authentication.UsernameParameters: a string: must be a list: […]`},
		{"server that is no object", with(`"ProxyServers":{"Items":[7]}`), `f: 1 fault;`},
		{"no port of a server", item(`"Host":"a"`), `f:1: ProxyServers.Items[0].Port: is missing`},
		{"no proxy type", item(`"Host":"a","Port":1,"ProxyType":"ftp"`), `ProxyType: value "ftp": must be Http, Socks4 or Socks5`},
		{"time without a unit", with(`"Limits":{"HeadTime":30}`), `f:1: Limits.HeadTime: value "30": must be a duration such as 500ms, 30s, 5m or 1h30m, of 1ms to 720h`},
		{"negative time", with(`"Limits":{"IdleTime":"-1s"}`), `f:1: Limits.IdleTime: value "-1s": must be a duration`},
		{"no time", with(`"Limits":{"DialTime":"0"}`), `f:1: Limits.DialTime: value "0": must be a duration`},
		{"no time for a response", with(`"Limits":{"ResponseTime":"0"}`), `f:1: Limits.ResponseTime: value "0": must be a duration`},
		{"what becomes of taken ports", `{"Listen":{"Port":1,"Action":"Deny","BusyPort":"wait"}}`, `f:1: Listen.BusyPort: value "wait": must be Fail or Skip`},
		{"keep-alive of less than a second", with(`"Limits":{"KeepAliveTime":"999ms"}`), `f:1: Limits.KeepAliveTime: value "999ms": must be a duration such as 500ms, 30s, 5m or 1h30m, of 1s to 9h, or 0 for never`},
		{"keep-alive of more than Linux takes", with(`"Limits":{"KeepAliveTime":"9h1s"}`), `f:1: Limits.KeepAliveTime: value "9h1s": must be a duration such as 500ms, 30s, 5m or 1h30m, of 1s to 9h, or 0 for never`},
		{"negative time for who has gone", with(`"Limits":{"AbandonTime":"-1s"}`), `f:1: Limits.AbandonTime: value "-1s": must be a duration such as 500ms, 30s, 5m or 1h30m, of 1ms to 720h, or 0 for never`},
		{"endless time", with(`"Limits":{"TunnelIdleTime":"9999h"}`), `of 1ms to 720h, or 0 for never`},
		{"no connections", with(`"Limits":{"Connections":0}`), `f:1: Limits.Connections: value "0": must be a whole number from 1 to 1048576`},
		{"tiny head", with(`"Limits":{"HeadBytes":100}`), `f:1: Limits.HeadBytes: value "100": must be a whole number from 1024 to 1048576`},
		{"target larger than a head", with(`"Limits":{"HeadBytes":2048,"TargetBytes":4096}`), `f:1: Limits.TargetBytes: value "4096": is more than the 2048 bytes of a whole head (HeadBytes)`},
		{"few field lines", with(`"Limits":{"HeadFields":1}`), `f:1: Limits.HeadFields: value "1": must be a whole number from 16 to 4096`},
		{"source that is no address", item(`"Host":"a","Port":1,"SourceAddresses":["127.0.0.1","eth0"]`), `f:1: ProxyServers.Items[0].SourceAddresses[1]: value "eth0": must be an IP address of this machine`},
		{"source that is a number", item(`"Host":"a","Port":1,"SourceAddresses":[7]`), `SourceAddresses[0]: value "7": must be an IP address`},
		{"source that is an object", item(`"Host":"a","Port":1,"SourceAddresses":[{}]`), `SourceAddresses[0]: value {…}: must be an IP address`},
		{"source of another version", item(`"Host":"1.2.3.4","Port":1,"SourceAddresses":["::1"]`), `SourceAddresses[0]: value "::1": is of another IP version than the server's address 1.2.3.4`},
		{"sources that are no list", item(`"Host":"a","Port":1,"SourceAddresses":"127.0.0.1"`), `SourceAddresses: a string: must be a list: […]`},
		{"domain with a port", with(`"SessionAPI":{"Domain":"a:80"}`), `f:1: SessionAPI.Domain: value "a:80": must be a host name without a port`},
		{"upstream that is the port itself", item(`"Host":"127.0.0.1","Port":10201`), `f:1: ProxyServers.Items[0].Port: value "10201": is a port of this relay itself`},
		{"upstream that is the port by name", item(`"Host":"LocalHost","Port":"10201"`), `is a port of this relay itself`},
		{"upstream that is the port on all addresses", `{"Listen":{"Port":9,"Address":"0.0.0.0"},"Authentication":{"Required":true,"Verify":true,"Username":"u"},"ProxyServers":{"Items":[{"Host":"127.0.0.1","Port":9}]}}`, `ProxyServers.Items[0].Port: value "9": is a port of this relay itself`},
		{"overlap on all addresses", `{"ProxyMappings":[{"Listen":{"Port":9}},{"Listen":{"Port":9,"Address":"0.0.0.0"}}]}`,
			`f:1: ProxyMappings[1]: port 9 belongs to ProxyMappings[0] already`},
		{"overlap", `{"ProxyMappings":[{"Listen":{"PortRange":{"Start":1,"End":9}}},{"Listen":{"Port":20}},{"Listen":{"Port":9}}]}`,
			`f:1: ProxyMappings[2]: port 9 belongs to ProxyMappings[0] already`},
	}
}

// Each fault is told with its line, the key's path, the value, and what is allowed.
func TestFaults(t *testing.T) {
	for _, row := range faultRows() {
		t.Run(row.name, func(t *testing.T) {
			_, err := Parse("f", []byte(row.text))
			if err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("got %v; want an error that says %q", err, row.want)
			}
			if err != nil && strings.Contains(err.Error(), "hidden") {
				t.Errorf("the error tells a secret: %v", err)
			}
		})
	}
}

func TestLimitSettings(t *testing.T) {
	s, err := Parse("f", []byte(`{"Listen":{"Port":1},"ProxyServers":{"Items":[{"Host":"a","Port":2}]},"Limits":{
		"Connections": 100, "HeadBytes": 8192, "ResponseHeadBytes": 16384, "HeadFields": "64", "HeadTime": "5s", "IdleTime": "1m30s", "DialTime": "500ms",
		"ReplyTime": "10s", "ResponseTime": "4m", "AbandonTime": 0, "TunnelIdleTime": 0, "HalfClosedTime": "1h", "KeepAliveTime": "2m"}}`))
	if err != nil {
		t.Fatal(err)
	}
	want := relay.Limits{
		Connections: 100, HeadBytes: 8192, ResponseHeadBytes: 16384, TargetBytes: 8192, HeadFields: 64, Head: 5 * time.Second, Idle: 90 * time.Second,
		Dial: 500 * time.Millisecond, Reply: 10 * time.Second, Response: 4 * time.Minute, Abandon: -1, TunnelIdle: -1, HalfClosed: time.Hour, KeepAlive: 2 * time.Minute,
	}
	if diff := cmp.Diff(want, s.Config.Limits); diff != "" {
		t.Errorf("limits (-want +got):\n%s", diff)
	}
}

// A comment may stand on a last line without a line's end.
func TestCommentAtTheEnd(t *testing.T) {
	if _, err := Parse("f", []byte(`{"Listen":{"Port":1}} // the end`)); err != nil {
		t.Error(err)
	}
}

// A literal id is allowed, but nobody should have it unaware.
func TestLiteralSessionIDWarns(t *testing.T) {
	s, err := Parse("f", []byte(`{"Listen":{"Port":1},"ProxyServers":{"Items":[{"Host":"a","Port":2}]},"Authentication":{"UsernameParameters":[{"Name":"sid","Value":"fixed","SessionId":true}]}}`))
	if err != nil || len(s.Warnings) != 1 || !strings.Contains(s.Warnings[0], `"sid" is a literal`) {
		t.Errorf("got %+v, %v; want a warning about the literal id", s, err)
	}
}

func TestNoOverlap(t *testing.T) {
	const text = `{"ProxyMappings":[{"Listen":{"PortRange":{"Start":1,"End":9}}},{"Listen":{"Port":10}},{"Listen":{"Port":5,"Address":"127.0.0.2"}}]}`
	if _, err := Parse("f", []byte(text)); err != nil {
		t.Error(err)
	}
}

// All faults of a file, and of those that it names, are told at once, in the files' order.
func TestFaultsTogether(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "rules.json", "{\n \"Items\": [\n  {\"HostName\": \"a\", \"Action\": \"Drop\"},\n  {\"Pattern\": \"(\"}\n ]\n}")
	write(t, dir, "servers.json", "{\"Items\":\n oops}")
	_, err := Parse(dir+"/my.json", []byte(`{
  "Listen": {"Port": 0, "Adress": "::1"},
  "Authentication": {"SetAuthentication": 1, "Password": "geheim", "Verify": true},
  "ProxyServers": {
    "Items": [{"Host": "a b", "Port": 1}],
    "Files": [{"Path": "servers.json"}, {"Path": "none.json"}],
  },
  "HostRules": {"Files": [{"Path": "rules.json"}]},
  "SessionAPI": {"Enabled": "on"},
}`))
	const want = `DIR/my.json: 10 faults; nothing is started
DIR/my.json:2: Listen.Port: value "0": must be a whole number from 1 to 65535
DIR/my.json:2: Listen.Adress: unknown key; did you mean "Address"?
DIR/my.json:3: Authentication.SetAuthentication: value "1": must be true or false
DIR/my.json:3: Authentication.Verify: needs a user name to compare the clients' with
DIR/my.json:5: ProxyServers.Items[0].Host: value "a b": must be a host name or an IP address, without a port
DIR/my.json:6: ProxyServers.Files[1].Path: value "none.json": stat DIR/none.json: no such file or directory; must be a JSON file {"Items": […]}, its path relative to the settings file's folder
DIR/my.json:9: SessionAPI.Enabled: value "on": must be true or false
DIR/servers.json:2: not JSON: line 2, column 2: invalid literal
DIR/rules.json:3: Items[0].Action: value "Drop": must be Allow, Deny or Bypass
DIR/rules.json:4: Items[1].Pattern: value "(": error parsing regexp: missing closing ): ` + "`(`" + `; the syntax is that of Go (RE2), which has no look-around and no back-references`
	if err == nil {
		t.Fatal("accepted")
	}
	if diff := cmp.Diff(want, strings.ReplaceAll(err.Error(), dir, "DIR")); diff != "" {
		t.Errorf("faults (-want +got):\n%s", diff)
	}
}

// A file of nothing but faults is not worth a message for each.
func TestManyFaults(t *testing.T) {
	_, err := Parse("f", []byte(`{"Listen":{"Port":1},"HostRules":[`+strings.Repeat(`{"HostPort":0},`, maxFaults+7)+`]}`))
	if err == nil || !strings.HasPrefix(err.Error(), "f: 1007 faults;") || !strings.HasSuffix(err.Error(), "\nand 7 more") {
		t.Errorf("got %.200v; want 1000 faults and 7 more", err)
	}
}

// A file is either accepted or has a fault with a line; nothing panics.
func FuzzSettings(f *testing.F) {
	f.Add(articleSettings)
	f.Add(fullSettings)
	f.Add(everySetting)
	f.Fuzz(func(t *testing.T, text string) {
		r := newReader("f", nil, func(string) ([]byte, error) { return []byte(text), nil })
		s, err := r.settings(r.layer(nil, "f", []byte(text)))
		if err == nil {
			if len(s.Config.Mappings) == 0 {
				t.Fatal("accepted without a mapping")
			}
			if err := s.Describe(&strings.Builder{}); err != nil {
				t.Fatal(err)
			}
			return
		}
		list := err.(*faults).list
		for _, one := range list {
			if one.from.Line() < 1 || one.from.Line() > 1+strings.Count(text, "\n") || one.text == "" {
				t.Fatalf("fault %+v", one)
			}
		}
		if len(list) == 0 {
			t.Fatal("refused without a fault")
		}
	})
}
