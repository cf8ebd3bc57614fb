package e2e

import (
	"os/exec"
	"testing"
)

// What scripts in other languages use meets the same port: plain requests, tunnels, kept-alive connections, the Session
// API and refusals.
func TestScripts(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	exit := prints(t, "-x", w.port, "http://ip.demo/")
	want := "GET /a 0\nPOST /b 100000\nGET /c 0\nPOST /d 100000\n" + exit + "404 not-found\n"
	for _, s := range []script{
		{"python3", "urllib", "", pythonUrllib},
		{"python3", "requests", "python3-requests", pythonRequests},
		{"node", "http", "", nodeHTTP},
		{"node", "undici", "node-undici", nodeUndici},
	} {
		t.Run(s.program+" "+s.library, func(t *testing.T) {
			r := s.run(t, "http://"+w.port, w.plain, w.secret)
			if r.out != want || r.status != 0 {
				t.Errorf("the script prints %q, ends with %d, and says %q; want %q", r.out, r.status, r.errOut, want)
			}
		})
	}
	w.sameSession(t)
}

// A script is a program in another language that stands on one library.
type script struct {
	program, library string
	install          string // Debian's package that has the library; empty: the program has it itself
	text             string
}

// noLibrary is the status of a script whose library is not there.
const noLibrary = 77

// run runs the script, or skips the test. Debian's libraries are there for Debian's program alone, which need not be the
// first of its name.
func (s script) run(t *testing.T, args ...string) ran {
	t.Helper()
	option, guard := "-c", "import sys\ntry:\n    import "+s.library+"\nexcept ImportError:\n    sys.exit(77)\n"
	if s.program == "node" {
		option, guard = "-e", "try { require('"+s.library+"') } catch { process.exit(77) }\n"
	}
	for _, program := range []string{s.program, "/usr/bin/" + s.program} {
		if _, err := exec.LookPath(program); err != nil {
			continue
		}
		if r := execute(t, program, append([]string{option, guard + s.text}, args...)...); r.status != noLibrary {
			return r
		}
	}
	t.Skipf("SKIPPED, %s OF %s IS NOT TESTED: it is not installed; apt-get install python3 nodejs %s", s.library, s.program, s.install)
	return ran{}
}

// Each script is given the port and the two origins, and prints what it gets.
const pythonUrllib = `
import ssl, sys, urllib.error, urllib.request as u
proxy, plain, secret = sys.argv[1:]
lax = ssl.create_default_context()
lax.check_hostname, lax.verify_mode = False, ssl.CERT_NONE
opener = u.build_opener(u.ProxyHandler({"http": proxy, "https": proxy}), u.HTTPSHandler(context=lax))
def ask(url, data=None):
    with opener.open(url, data, timeout=20) as r:
        print(r.read().decode(), end="")
big = b"x" * 100000
ask(plain + "/a"); ask(plain + "/b", big); ask(secret + "/c"); ask(secret + "/d", big); ask("http://ip.demo/")
try:
    ask("http://portmapper/nothing")
except urllib.error.HTTPError as e:
    print(e.code, e.headers["X-Proxymap-Error"])
`

const pythonRequests = `
import sys, warnings, requests
warnings.simplefilter("ignore")
proxy, plain, secret = sys.argv[1:]
s = requests.Session()
s.trust_env, s.verify, s.proxies = False, False, {"http": proxy, "https": proxy}
big = b"x" * 100000
for method, url, data in (("GET", plain + "/a", None), ("POST", plain + "/b", big), ("GET", secret + "/c", None),
                          ("POST", secret + "/d", iter([big])), ("GET", "http://ip.demo/", None)):
    print(s.request(method, url, data=data, timeout=20).text, end="")
r = s.get("http://portmapper/nothing", timeout=20)
print(r.status_code, r.headers["X-Proxymap-Error"])
`

// With nothing but what Node has: absolute-form over a kept-alive connection, and tunnels by hand.
const nodeHTTP = `
const http = require('http'), https = require('https'), [proxy, plain, secret] = process.argv.slice(1);
const {hostname: host, port} = new URL(proxy), agent = new http.Agent({keepAlive: true, maxSockets: 1}), big = 'x'.repeat(100000);
const send = (lib, options, data) => new Promise((done, failed) => {
  const req = lib.request({...options, method: data ? 'POST' : 'GET'}, async res => {
    let text = '';
    for await (const part of res) text += part;
    done({res, text, reused: req.reusedSocket});
  });
  req.on('error', failed).end(data);
});
const ask = (url, data) => send(http, {host, port, agent, path: url, headers: {host: new URL(url).host}}, data);
const tunnel = url => new Promise((done, failed) => {
  http.request({host, port, method: 'CONNECT', path: new URL(url).host}).on('error', failed).on('connect', (res, socket) => {
    res.statusCode === 200 ? done(socket) : failed(new Error('CONNECT: ' + res.statusCode));
  }).end();
});
const inside = async (url, data) => {
  const socket = await tunnel(url), {hostname, port, pathname: path} = new URL(url);
  return send(https, {socket, host: hostname, port, path, agent: false, rejectUnauthorized: false}, data);
};
(async () => {
  const answers = [await ask(plain + '/a'), await ask(plain + '/b', big), await inside(secret + '/c'), await inside(secret + '/d', big),
    await ask('http://ip.demo/')];
  for (const {text} of answers) process.stdout.write(text);
  if (!answers[1].reused || !answers[4].reused) console.log('the connection to the port was not kept');
  const {res} = await ask('http://portmapper/nothing');
  console.log(res.statusCode, res.headers['x-proxymap-error']);
  agent.destroy();
})();`

const nodeUndici = `
const {ProxyAgent, request} = require('undici'), [uri, plain, secret] = process.argv.slice(1), big = 'x'.repeat(100000);
const dispatcher = new ProxyAgent({uri, requestTls: {rejectUnauthorized: false}});
const ask = (url, body) => request(url, {dispatcher, method: body ? 'POST' : 'GET', body});
(async () => {
  for (const [url, body] of [[plain + '/a'], [plain + '/b', big], [secret + '/c'], [secret + '/d', big], ['http://ip.demo/']]) {
    process.stdout.write(await (await ask(url, body)).body.text());
  }
  const res = await ask('http://portmapper/nothing');
  await res.body.dump();
  console.log(res.statusCode, res.headers['x-proxymap-error']);
  await dispatcher.close();
})();`
