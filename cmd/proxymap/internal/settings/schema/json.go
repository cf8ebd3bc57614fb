package schema

import (
	"encoding/json"
	"fmt"
	"regexp"
	"time"
)

// object is a JSON object.
type object = map[string]any

// JSON is the JSON Schema (draft 2020-12) of the settings. A file may be one of several layers, so no key is required.
func JSON() []byte {
	definitions := object{}
	for _, s := range Sections() {
		if s != Root && s != Included && s != SecretSource {
			definitions[s.Name] = s.schema()
		}
	}
	root := Root.schema()
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["title"] = "Settings of proxymap"
	root["$defs"] = definitions
	root["properties"].(object)["$schema"] = object{"type": "string", "description": "Where this schema is. Editors read it, proxymap does not."}
	text, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		panic(err) // an object of strings, numbers and booleans
	}
	return append(text, '\n')
}

// schema allows the section's keys, those without effect, and .NET's A:B for the key B of A.
func (s *Section) schema() object {
	properties := object{}
	for _, name := range s.Ignored {
		properties[name] = object{"deprecated": true, "description": "Of ProxyMapService; without effect here."}
	}
	for i := range s.Keys {
		properties[s.Keys[i].Name] = s.Keys[i].schema()
	}
	out := object{
		"type": []string{"object", "null"}, "properties": properties, "patternProperties": object{":": true}, "additionalProperties": false,
	}
	if items := s.find("Items"); items != nil { // the list may stand in the section's place, also written by its numbers
		item := items.Type.(List).Of.schema()
		out["type"] = []string{"object", "array", "null"}
		out["items"] = item
		out["patternProperties"].(object)["^"+itemNumber+"$"] = item
		numbered := object{"pattern": "^" + itemNumber + "(?::|$)"}
		out["anyOf"] = []object{{"propertyNames": numbered}, {"propertyNames": object{"not": numbered}}} // not both
	}
	return out
}

// itemNumber is the pattern of an item's number, where it is a key.
const itemNumber = "(?:0|[1-9][0-9]{0,17})"

func (k *Key) schema() object {
	out := k.Type.schema()
	out["description"] = k.About
	if value := k.shownDefault(); value != nil {
		out["default"] = value
	}
	return out
}

// shownDefault is the default as one would write it.
func (k *Key) shownDefault() any {
	if d, ok := k.Default.(time.Duration); ok {
		return Short(d)
	}
	if c, ok := k.Type.(Choice); ok && k.Default == nil && !c.Open {
		return c.Names[0]
	}
	return k.Default
}

// text is a string of a pattern; what is no string is read as one.
func text(pattern, message string) object {
	out := object{"type": []string{"string", "number", "boolean", "null"}}
	if pattern != "" {
		out["pattern"] = "^(?:" + pattern + ")$"
		out["patternErrorMessage"] = "must be " + message // editors show it in place of the pattern
	}
	return out
}

// onlyText is text of which no number or boolean could be one.
func onlyText(pattern, message string) object {
	out := text(pattern, message)
	out["type"] = []string{"string", "null"}
	return out
}

// visible is the pattern of visible ASCII characters, or of none at all.
func visible(least, most int) string { return fmt.Sprintf("(?:[!-~]{%d,%d})?", least, most) }

func (Text) schema() object { return text("", "") }
func (Path) schema() object { return text("", "") }

func (v Visible) schema() object {
	return text(fmt.Sprintf("(?:[!-~](?:[ -~]{%d,%d}[!-~])?)?", max(v.Least-2, 0), v.Most-2), fmt.Sprintf("at most %d visible ASCII characters", v.Most))
}

const ipv6 = `[0-9A-Fa-f]*:[0-9A-Fa-f]*:[0-9A-Fa-f:.]*`

// ipv4 is the pattern of an address.
func ipv4() string {
	octet := between(0, 255)
	return octet + `(?:\.` + octet + `){3}`
}

func (Host) schema() object {
	return text(`[^\s/@:?#\[\]]*|`+ipv6+`|\[`+ipv6+`\]`, "a host name or an IP address, without a port")
}

func (Address) schema() object {
	return onlyText("(?:"+ipv4()+"|"+ipv6+")?", "an IP address, such as 127.0.0.1 or ::1")
}

func (Network) schema() object {
	return onlyText(ipv4()+"(?:/"+between(0, 32)+")?|"+ipv6+"(?:/"+between(0, 128)+")?", "an IP address or a network, such as 192.0.2.7 or 10.0.0.0/8")
}

func (AddressPort) schema() object {
	return onlyText(`(?:`+ipv4()+`|\[`+ipv6+`\]):0*`+between(port.Least, port.Most), "an IP address and a port, such as 127.0.0.1:10200")
}

func (s Secret) schema() object {
	out := text("", "")
	if s.Most > 0 {
		out = text(visible(s.Least, s.Most), fmt.Sprintf("%d to %d visible ASCII characters, without a space", s.Least, s.Most))
	}
	for keyword, value := range SecretSource.schema() {
		out[keyword] = value
	}
	literal := []string{"string", "number", "boolean"}
	out["type"] = append([]string{"object", "null"}, literal...)
	only := func(one, other string) object {
		return object{"type": "object", "required": []string{one}, "properties": object{one: object{"type": literal}, other: object{"type": "null"}}}
	}
	out["oneOf"] = []object{{"type": append([]string{"null"}, literal...)}, only("Env", "File"), only("File", "Env")}
	return out
}

func (Flag) schema() object {
	out := text(`\s*(?:`+anyCase("true")+"|"+anyCase("false")+`)\s*`, "true or false")
	out["type"] = []string{"boolean", "string", "null"}
	return out
}

func (n Number) schema() object {
	out := text(`\s*`+n.pattern()+`\s*`, n.Allowed())
	out["type"], out["minimum"], out["maximum"] = []string{"integer", "string", "null"}, n.Least, n.Most
	return out
}

func (c Choice) schema() object {
	names := ""
	for _, name := range c.Names {
		names += anyCase(name) + "|"
	}
	other := text(`\s*(?:`+names+between(0, len(c.Names)-1)+`)?\s*`, c.Allowed())
	other["type"], other["minimum"], other["maximum"] = []string{"integer", "string", "null"}, 0, len(c.Names)-1
	return object{"anyOf": []object{{"enum": c.Names}, other}}
}

func (d Duration) schema() object {
	out := onlyText(`\s*(?:`+d.pattern()+`)\s*`, d.Allowed())
	if d.Never {
		out["type"], out["minimum"], out["maximum"] = []string{"string", "integer", "null"}, 0, 0
	}
	return out
}

func (l Lifetime) schema() object {
	minutes, length := Number{0, l.Most}, Duration{Least: MinLifetime, Most: time.Duration(l.Most) * time.Minute}
	out := text(`\s*(?:`+minutes.pattern()+"|"+length.pattern()+`)\s*`, l.Allowed())
	out["type"], out["minimum"], out["maximum"] = []string{"integer", "string", "null"}, minutes.Least, minutes.Most
	return out
}

// schema allows an object whose keys are the items' numbers too, as .NET does.
func (l List) schema() object {
	item := l.Of.schema()
	out := object{
		"type": []string{"array", "object", "null"}, "items": item,
		"patternProperties": object{"^" + itemNumber + "$": item}, "additionalProperties": false, "minProperties": 1,
	}
	if l.Least > 0 {
		out["minItems"] = l.Least
	}
	if l.Most > 0 {
		out["maxItems"] = l.Most
	}
	return out
}

func (o Object) schema() object { return object{"$ref": "#/$defs/" + o.Name} }
func (i Items) schema() object  { return object{"$ref": "#/$defs/" + i.Name} }

// anyCase is the pattern of an ASCII name in any case.
func anyCase(name string) string {
	out := ""
	for _, c := range name {
		lower, upper := regexp.QuoteMeta(string(c)), ""
		if 'a' <= c|0x20 && c|0x20 <= 'z' {
			lower, upper = string(c|0x20), string(c&^0x20)
			lower = "[" + upper + lower + "]"
		}
		out += lower
	}
	return out
}
