package settings

import (
	"slices"

	"proxymap/cmd/proxymap/internal/settings/schema"
)

// mappingSettings are a mapping's three parts.
type mappingSettings struct {
	at       node
	listen   listenSettings
	listenAt *object
	rotation rotationSettings
	auth     authSettings
	servers  []serverSettings
	lists    []plainList
	perPort  bool // each port has one of them
}

// name is how messages call a mapping.
func (m *mappingSettings) name() string {
	if path := m.at.path(); path != "" {
		return path
	}
	return "Listen"
}

// mapping reads a mapping's three parts, of which auth has been looked at.
func (r *reader) mapping(o, auth *object) mappingSettings {
	m := mappingSettings{at: o.self}
	listen := o.get("Listen")
	if !listen.there() {
		r.fault(o.get("Listen"), "is missing: it says on which Port or PortRange to listen%s", either(m.name() == "Listen", ", as --ports does", ""))
	}
	l := r.object(listen, schema.Listen)
	if listen.there() {
		m.listen = r.listen(l)
	}
	m.listenAt, m.rotation = l, r.rotation(l)
	m.auth = r.authentication(auth)
	m.listen.allowFrom = r.mayConnect(l, &m)
	list := r.included(o, "ProxyServers", schema.ProxyServers, func(items []node) {
		m.servers = slices.Grow(m.servers, len(items))
		for _, item := range items {
			if o := r.object(item, schema.ProxyServer); o.valid {
				m.servers = append(m.servers, r.server(o))
			}
		}
	}, func(file *object) {
		list := plainList{file: file.text("Path"), first: len(m.servers)}
		m.servers = append(m.servers, r.serverLines(file)...)
		list.end = len(m.servers)
		m.lists = append(m.lists, list)
	})
	m.perPort = r.perPort(o, list)
	return m
}
