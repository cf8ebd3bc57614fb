package admin

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"proxymap/session/wire"
)

// description is openapi.json, as far as it is compared with what there is.
type description struct {
	OpenAPI string `json:"openapi"`
	Paths   map[string]map[string]struct {
		Responses map[string]any `json:"responses"`
	} `json:"paths"`
	Components struct {
		Schemas map[string]schema `json:"schemas"`
	} `json:"components"`
}

type schema struct {
	Type       any               `json:"type"` // a name, or a list of names
	Ref        string            `json:"$ref"`
	Required   []string          `json:"required"`
	Properties map[string]schema `json:"properties"`
	Items      *schema           `json:"items"`
	Enum       []string          `json:"enum"`
}

func readDescription(t *testing.T) (d description) {
	t.Helper()
	if err := json.Unmarshal(openAPI, &d); err != nil || d.OpenAPI != "3.1.0" {
		t.Fatalf("openapi.json: %v, version %q", err, d.OpenAPI)
	}
	return d
}

// Every route is described with its method and the statuses that it answers, and no others are.
func TestOpenAPIRoutes(t *testing.T) {
	g, doc := newAdminRig(t, ""), readDescription(t)
	if res, text := g.do("GET", "/openapi.json"); res.StatusCode != 200 || text != string(openAPI) {
		t.Errorf("/openapi.json answers %s", res.Status)
	}
	there := routes(g.relay, newEventHub(), &places{most: maxConnections}, new(atomic.Int64), nil)
	for pattern := range there {
		method, path, _ := strings.Cut(pattern, " ")
		if _, ok := doc.Paths[path][strings.ToLower(method)]; !ok {
			t.Errorf("%s is not described", pattern)
		}
	}
	for path, methods := range doc.Paths {
		for method, operation := range methods {
			pattern := strings.ToUpper(method) + " " + path
			if there[pattern] == nil {
				t.Errorf("%s is described and not there", pattern)
			}
			if path == "/sessions/events" {
				continue // it has no end
			}
			query := ""
			if strings.HasPrefix(path, "/sessions/") {
				query = "?ports=all"
			}
			if res, _ := g.do(strings.ToUpper(method), path+query); operation.Responses[fmt.Sprint(res.StatusCode)] == nil {
				t.Errorf("%s answers %d, which is not described", pattern, res.StatusCode)
			}
		}
	}
}

// bodies are the values that the schemas of objects describe.
var bodies = map[string]any{
	"Call": wire.Call{}, "Sessions": wire.Sessions{}, "Session": wire.PortSession{}, "Connections": wire.Connections{},
	"Event": wire.Event{}, "Gap": wire.Gap{}, "Reload": wire.Reload{}, "ChangedPorts": wire.ChangedPorts{},
}

// Every schema of an object has the members of a value of wire, required are those that are always there, and each is of
// the type that is rendered.
func TestOpenAPISchemas(t *testing.T) {
	schemas := readDescription(t).Components.Schemas
	for name, s := range schemas {
		body, known := bodies[name]
		if s.Type != "object" {
			continue
		}
		if !known {
			t.Errorf("schema %s describes nothing that there is", name)
			continue
		}
		var members, required []string
		for _, field := range reflect.VisibleFields(reflect.TypeOf(body)) {
			member, options, _ := strings.Cut(field.Tag.Get("json"), ",")
			members = append(members, member)
			want := typesOf(field.Type)
			if strings.Contains(options, "omitempty") {
				want = slices.DeleteFunc(want, func(t string) bool { return t == "null" }) // it is left out
			} else {
				required = append(required, member)
			}
			if got := s.Properties[member].types(); !slices.Equal(got, want) {
				t.Errorf("%s.%s: its type is described as %q; want %q", name, member, got, want)
			}
		}
		var described []string
		for member := range s.Properties {
			described = append(described, member)
		}
		slices.Sort(members)
		slices.Sort(described)
		if diff := cmp.Diff(members, described); diff != "" {
			t.Errorf("%s: its members (-are, +are described as):\n%s", name, diff)
		}
		if diff := cmp.Diff(required, s.Required); diff != "" {
			t.Errorf("%s: its members that are always there (-are, +are described as):\n%s", name, diff)
		}
	}
	for name := range bodies {
		if schemas[name].Type != "object" {
			t.Errorf("%s is not described", name)
		}
	}
}

// types are those that a schema allows.
func (s schema) types() (list []string) {
	switch t := s.Type.(type) {
	case string:
		list = []string{t}
		if t == "array" && s.Items != nil {
			list = append(list, s.Items.types()...)
		}
	case []any:
		for _, one := range t {
			list = append(list, one.(string))
		}
	default:
		if s.Ref != "" {
			return []string{s.Ref}
		}
		if s.Enum != nil {
			return []string{"string"}
		}
	}
	return list
}

// typesOf are those that a value is rendered as.
func typesOf(t reflect.Type) []string {
	for name, body := range bodies {
		if t == reflect.PointerTo(reflect.TypeOf(body)) {
			return []string{"#/components/schemas/" + name}
		}
		if t == reflect.SliceOf(reflect.TypeOf(body)) {
			return []string{"array", "#/components/schemas/" + name}
		}
	}
	switch t {
	case reflect.TypeFor[netip.Addr](), reflect.TypeFor[time.Time]():
		return []string{"string"}
	case reflect.TypeFor[wire.Parameters]():
		return []string{"object"}
	}
	switch t.Kind() {
	case reflect.Slice:
		return append([]string{"array"}, typesOf(t.Elem())...)
	case reflect.Pointer:
		return append(typesOf(t.Elem()), "null")
	case reflect.Bool:
		return []string{"boolean"}
	case reflect.String:
		return []string{"string"}
	case reflect.Float64:
		return []string{"number"}
	}
	return []string{"integer"}
}
