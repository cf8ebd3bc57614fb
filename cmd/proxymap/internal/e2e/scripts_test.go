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
	for _, row := range []struct {
		name, program, needs, script string
	}{
		{"Python's urllib", "python3", "import urllib.request", pythonUrllib},
		{"Python's requests", "python3", "import requests", pythonRequests},
		{"Node's http", "node", "require('http')", nodeHTTP},
		{"Node's undici", "node", "require('undici')", nodeUndici},
	} {
		t.Run(row.name, func(t *testing.T) {
			option := map[string]string{"python3": "-c", "node": "-e"}[row.program]
			if _, err := exec.LookPath(row.program); err != nil {
				t.Skipf("SKIPPED, SCRIPTS ARE NOT TESTED: %s is not installed; apt-get install python3 nodejs", row.program)
			}
			if r := execute(t, row.program, option, row.needs); r.status != 0 {
				t.Skipf("SKIPPED, %s IS NOT TESTED: %s cannot do %q; install that library", row.name, row.program, row.needs)
			}
			r := execute(t, row.program, option, row.script, "http://"+w.port, w.plain, w.secret)
			if r.out != want || r.status != 0 {
				t.Errorf("the script prints %q, ends with %d, and says %q; want %q", r.out, r.status, r.errOut, want)
			}
		})
	}
	w.sameSession(t)
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
