package settings

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"proxymap/cmd/proxymap/internal/settings/layer"
	"proxymap/cmd/proxymap/internal/settings/serverlist"
	"proxymap/relay"
	"proxymap/session/credential"
)

// maxLines is how many lines a list may have: about 250 MiB of servers.
const maxLines = 500_000

// isPlainList reports whether the file that o names is a list in plain text.
func (o *object) isPlainList() bool {
	switch o.choice("Format") {
	case "Text":
		return true
	case "Json":
		return false
	}
	ext := strings.ToLower(filepath.Ext(o.text("Path")))
	return ext == ".txt" || ext == ".list"
}

// serverLines reads the file that o names: a server a line.
func (r *reader) serverLines(o *object) []serverSettings {
	name := o.text("Path")
	path := r.pathOf(name)
	bytes, err := r.read(path)
	if err != nil {
		r.fault(o.get("Path"), "value %q: %v; must be a list of servers, its path relative to the settings file's folder", name, err)
		return nil
	}
	r.count++
	in, err := layer.NewSource(path, bytes, r.count)
	in.Included = true
	r.faults.isList(in)
	text := string(in.Text)
	switch {
	case err != nil:
		r.faults.add(layer.Origin{Source: in}, "", err.Error())
		return nil
	case strings.HasPrefix(strings.TrimSpace(text), "{"):
		r.faults.add(layer.Origin{Source: in}, "", "is JSON, and must be a list with a server a line: give it a name that ends in .json, or Format Json")
		return nil
	}
	if n := strings.Count(text, "\n"); n > maxLines {
		r.faults.add(layer.Origin{Source: in}, "", fmt.Sprintf("has %d lines; at most %d are allowed: each server takes memory", n, maxLines))
		return nil
	}
	list := make([]serverSettings, 0, strings.Count(text, "\n")+1)
	some := false
	for line := range serverlist.Lines(text) {
		some = true
		at := layer.Origin{Source: in, At: line.At}
		if s, err := r.serverLine(at, line.Text); err != nil {
			r.faults.add(at, "", err.Error())
		} else {
			list = append(list, s)
		}
	}
	if !some {
		r.faults.add(layer.Origin{Source: in}, "", "the list is empty: it must hold a server a line")
	}
	return list
}

var errLineHost = errors.New("the host is no name that can be looked up")

// serverLine reads a line, which stands at that place.
func (r *reader) serverLine(at layer.Origin, text string) (s serverSettings, err error) {
	line, err := serverlist.Parse(text)
	if err != nil {
		return s, err
	}
	s.Server = relay.Server{Type: serverTypes[line.Type], Host: relay.PlainHost(line.Host), Port: line.Port}
	if !isHost(s.Host) {
		return s, errLineHost
	}
	s.account = accountSettings{
		Account: credential.Account{Username: line.Username, Password: line.Password},
		at:      &object{r: r, self: node{from: at}},
	}
	return s, nil
}

var serverTypes = map[serverlist.Type]relay.ServerType{serverlist.HTTP: relay.HTTP, serverlist.SOCKS4: relay.SOCKS4, serverlist.SOCKS5: relay.SOCKS5}
