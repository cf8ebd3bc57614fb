package e2e

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
)

// attemptsPage makes the attempts one after the other, and tells of each when it has been made. A call bears its
// attempt's name in the query. Forms and links are used in windows of their own, and from the second page on in frames,
// which open faster.
const attemptsPage = `<!doctype html><title>attempts</title><body><script>
const round = DATA;
const until = async done => { while (!done()) await new Promise(again => setTimeout(again, 5)); };
const ends = promise => promise.then(() => {}, () => {});
const loads = (kind, src, hide) => new Promise(ended => {
  const e = document.createElement(kind);
  if (hide) e.referrerPolicy = 'no-referrer';
  e.onload = e.onerror = ended;
  e.src = src;
  document.body.append(e);
});
const there = w => { try { return w.location.pathname.startsWith('/session/'); } catch { return true; } };
const goes = async (how, to, hide) => {
  const go = '/go?' + new URLSearchParams({how, to, policy: hide ? 'no-referrer' : ''});
  const frame = document.createElement('iframe');
  frame.src = go;
  if (round.number > 0) document.body.append(frame);
  const w = round.number > 0 ? frame.contentWindow : open(go);
  if (!w) throw new Error('the window is blocked');
  await until(() => there(w));
  round.number > 0 ? frame.remove() : w.close();
};
const socket = to => new Promise(ended => {
  const s = new WebSocket(to.replace('http:', 'ws:'));
  s.onopen = s.onerror = s.onclose = ended;
});
const redirect = to => '/redirect?' + new URLSearchParams({to});
const reset = to => to.replace('/new', '/reset');
const hidden = {referrerPolicy: 'no-referrer'}, simple = {mode: 'no-cors'}, post = {method: 'POST'};
const field = {headers: {'X-Proxymap': '1'}};
const attempts = {
  'fetch': to => ends(fetch(to)),
  'fetch, no Referer': to => ends(fetch(to, hidden)),
  'fetch, no-cors': to => ends(fetch(to, simple)),
  'fetch, no-cors, no Referer': to => ends(fetch(to, {...simple, ...hidden})),
  'fetch, no-cors, POST': to => ends(fetch(to, {...simple, ...post})),
  'fetch, no-cors, POST, no Referer': to => ends(fetch(to, {...simple, ...post, ...hidden})),
  'fetch, X-Proxymap': to => ends(fetch(to, field)),
  'fetch, no-cors, X-Proxymap': to => ends(fetch(to, {...simple, ...field})),
  'img': to => loads('img', to),
  'img, no Referer': to => loads('img', to, true),
  'img, reset': to => loads('img', reset(to)),
  'img, reset, no Referer': to => loads('img', reset(to), true),
  'img, redirected': to => loads('img', redirect(to)),
  'img, redirected, no Referer': to => loads('img', redirect(to), true),
  'script, no Referer': to => loads('script', to, true),
  'iframe': to => loads('iframe', to),
  'iframe, no Referer': to => loads('iframe', to, true),
  'WebSocket': to => socket(to),
  'form GET': to => goes('get', to),
  'form GET, no Referer': to => goes('get', to, true),
  'form POST': to => goes('post', to),
  'form POST, no Referer': to => goes('post', to, true),
  'link': to => goes('link', to),
  'link, rel=noreferrer': to => goes('noreferrer', to),
  'link, meta no-referrer': to => goes('link', to, true),
  'refresh, no Referer': to => goes('refresh', to, true),
};
(async () => {
  for (const name of round.names) {
    let fault = '';
    const by = round.number + '. ' + name;
    try {
      await attempts[name](round.target + '/session/new?' + new URLSearchParams({by}));
    } catch (e) {
      fault = String(e);
    }
    await fetch('/after?' + new URLSearchParams({name, by, fault}), post);
  }
  location.href = round.next;
})();
</script>`

// goPage leads to another one, by what its script clicks on.
const goPage = `<!doctype html><title>go</title><meta name=referrer content="POLICY"><body><script>
const go = DATA, add = (parent, kind, fields) => {
  const e = Object.assign(document.createElement(kind), fields);
  parent.append(e);
  return e;
};
if (go.how === 'get' || go.how === 'post') {
  const form = add(document.body, 'form', {method: go.how, action: go.to});
  if (go.how === 'get') {
    for (const [name, value] of new URL(go.to).searchParams) add(form, 'input', {type: 'hidden', name, value});
  }
  form.submit();
} else if (go.how === 'refresh') {
  add(document.head, 'meta', {httpEquiv: 'refresh', content: '0;url=' + go.to});
} else {
  add(document.body, 'a', {href: go.to, rel: go.how === 'noreferrer' ? go.how : ''}).click();
}
</script>`

// partsPage loads ten scripts, ten images, ten files and what is odd, and talks to a WebSocket. Then it tells what it has.
const partsPage = `<!doctype html><title>parts</title><body><script>
const has = {scripts: 0, widths: 0, files: [], odd: [], echo: ''}, loaded = [];
const part = (kind, src) => loaded.push(new Promise((ended, failed) => {
  const e = document.createElement(kind);
  [e.onload, e.onerror, e.src] = [() => { has.widths += e.naturalWidth || 0; ended(); }, () => failed(new Error(src)), src];
  document.body.append(e);
}));
for (let i = 1; i <= 10; i++) {
  part('script', '/script/' + i);
  part('img', '/img/' + i);
  loaded.push(fetch('/file/' + i).then(res => res.text()).then(text => { has.files[i - 1] = text.length; }));
}
for (const [i, kind] of DATA.entries()) {
  loaded.push(fetch('/odd/' + kind).then(res => res.text()).then(text => { has.odd[i] = text; }));
}
loaded.push(new Promise((ended, failed) => {
  const s = new WebSocket('ws://shop.example/echo');
  s.onopen = () => s.send('through the port');
  s.onmessage = m => { has.echo = m.data; s.close(); };
  s.onclose = ended;
  s.onerror = () => failed(new Error('WebSocket'));
}));
Promise.all(loaded).catch(e => { has.fault = String(e); }).then(() => {
  fetch('/has', {method: 'POST', body: JSON.stringify(has)});
});
</script>`

// oddHeads are those of responses that browsers take, and so the relay passes on. Their content is their name, of 7 bytes.
var oddHeads = map[string]string{
	"folding": "HTTP/1.1 200 OK\r\nX-A: b\r\n\tc\r\nContent-Length: 7\r\n\r\n",
	"LFalone": "HTTP/1.1 200 OK\nX-A: b\nContent-Length: 7\n\n",
	"lengths": "HTTP/1.1 200 OK\r\nContent-Length: 7\r\nContent-Length: 7\r\n\r\n",
	"listing": "HTTP/1.1 200 OK\r\nContent-Length: 7, 7\r\n\r\n",
	"no-name": "HTTP/1.1 200 OK\r\n: b\r\nno colon\r\nContent-Length: 7\r\n\r\n",
	"control": "HTTP/1.1 200 OK\r\nX-A: \x01\x7f\r\nContent-Length: 7\r\n\r\n",
}

// writeRaw answers with bytes as they are, and ends the connection.
func writeRaw(w http.ResponseWriter, response string) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	_, _ = io.WriteString(conn, response)
	conn.Close()
}

// partsHandler serves the page and its parts; has is given what the page has.
func partsHandler(has chan<- string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/parts", func(w http.ResponseWriter, _ *http.Request) {
		page := httptest.NewRecorder()
		showPage(page, partsPage, "", slices.Sorted(maps.Keys(oddHeads)))
		n := page.Body.Len()
		writeRaw(w, fmt.Sprintf("HTTP/1.1 200 OK\nContent-Type: text/html;\n  charset=utf-8\nno colon\nContent-Length: %d\nContent-Length: %d\n\n%s", n, n, page.Body))
	})
	mux.HandleFunc("/odd/{kind}", func(w http.ResponseWriter, r *http.Request) {
		writeRaw(w, oddHeads[r.PathValue("kind")]+r.PathValue("kind"))
	})
	mux.HandleFunc("/script/{n}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/javascript")
		fmt.Fprintf(w, "has.scripts += %s;", r.PathValue("n"))
	})
	mux.HandleFunc("/img/{n}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "image/svg+xml")
		fmt.Fprintf(w, `<svg xmlns="http://www.w3.org/2000/svg" width="%s" height="1"/>`, r.PathValue("n"))
	})
	mux.HandleFunc("/file/{n}", func(w http.ResponseWriter, r *http.Request) {
		n, _ := strconv.Atoi(r.PathValue("n"))
		_, _ = io.WriteString(w, strings.Repeat("x", n*10_000))
	})
	mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		if err := echo(w, r); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
		}
	})
	mux.HandleFunc("/has", func(_ http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		has <- string(text)
	})
	return mux
}
