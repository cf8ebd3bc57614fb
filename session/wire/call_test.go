package wire_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"proxymap/session/wire"
)

func how(text string) *string { return &text }

// goodCalls are bodies, and what they say.
var goodCalls = map[string]wire.Call{
	"":                          {},
	" \r\n\t":                   {},
	"{}":                        {},
	` { } `:                     {},
	`{"UsernameParameters":{}}`: {},
	`{"usernameparameters":null,"ONROTATE":"Keep"}`:                                  {OnRotate: how("Keep")},
	`{"UsernameParameters":{"b":"x","a":null,"c":1.50,"d":true,"e":-0e+1}}`:          {Parameters: wire.Parameters{{"b", "x"}, {"a", ""}, {"c", "1.50"}, {"d", "true"}, {"e", "-0e+1"}}},
	`{ "OnRotate" : "" , "UsernameParameters" : { "a" : "1" , "a" : "2" } }`:         {Parameters: wire.Parameters{{"a", "1"}, {"a", "2"}}, OnRotate: how("")},
	`{"UsernameParameters":{"\u0061":"\"\\\/\n\ud83d\ude00\ud800","":"` + "\xff\"}}": {Parameters: wire.Parameters{{"a", "\"\\/\n😀\ufffd"}, {"", "\ufffd"}}},
}

// badCalls are bodies that are refused, and how that is said.
var badCalls = map[string]string{
	"{": "the body must be empty or", "[]": "the body must be", "null": "the body must be", "{}{}": "the body must be", "{}\x00": "the body must be",
	`{"a":1}`:                                           "the body must be",
	`{"UsernameParameters":[]}`:                         "the body must be",
	`{"UsernameParameters":"a"}`:                        "the body must be",
	`{"UsernameParameters":nul}`:                        "the body must be",
	`{"UsernameParameters":{},}`:                        "the body must be",
	`{"UsernameParameters":{"a":"b",}}`:                 "the body must be",
	`{"UsernameParameters":{"a":"b" "c":"d"}}`:          "the body must be",
	`{"UsernameParameters":{"a","b"}}`:                  "the body must be",
	`{"UsernameParameters":{"a":01}}`:                   "the body must be",
	`{"UsernameParameters":{"a":+1}}`:                   "the body must be",
	`{"UsernameParameters":{"a":.5}}`:                   "the body must be",
	`{"UsernameParameters":{"a":1.}}`:                   "the body must be",
	`{"UsernameParameters":{"a":True}}`:                 "the body must be",
	`{"UsernameParameters":{"a":NaN}}`:                  "the body must be",
	`{"UsernameParameters":{a:"b"}}`:                    "the body must be",
	`{'UsernameParameters':{}}`:                         "the body must be",
	"{\"UsernameParameters\":{\"a\":\"b\nc\"}}":         "the body must be",
	`{"UsernameParameters":{"a":"\x"}}`:                 "the body must be",
	`{"UsernameParameters":{"a":"\u12"}}`:               "the body must be",
	`{"UsernameParameters":{"a":"b}}`:                   "the body must be",
	`{"UsernameParameters":{}} /* c */`:                 "the body must be",
	`{"UsernameParameters":{},"usernameparameters":{}}`: "the body must be",
	`{"OnRotate":"keep","OnRotate":"keep"}`:             "the body must be",
	`{"OnRotate":true}`:                                 "on_rotate: the value must be a string",
	`{"OnRotate":null}`:                                 "on_rotate: the value must be a string",
	`{"UsernameParameters":{"a":{}}}`:                   `parameter "a": the value must be a string`,
	`{"UsernameParameters":{"a":[1]}}`:                  `parameter "a": the value must be a string`,
}

func TestReadCall(t *testing.T) {
	for body, want := range goodCalls {
		got, err := wire.ReadCall([]byte(body))
		if err != nil {
			t.Errorf("%q: %v", body, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", body, diff)
		}
	}
	for body, want := range badCalls {
		if got, err := wire.ReadCall([]byte(body)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: got %+v, %v; want %s", body, got, err, want)
		}
	}
}

// What is rendered is read as it was.
func TestCallRoundTrip(t *testing.T) {
	want := wire.Call{Parameters: wire.Parameters{{"b", "<&\u2028\"\\\x01"}, {"a", "é"}}, OnRotate: how("drain")}
	got, err := wire.ReadCall(wire.Line(want))
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

// FuzzReadCall compares the reader with encoding/json's tokens.
func FuzzReadCall(f *testing.F) {
	for body := range goodCalls {
		f.Add([]byte(body))
	}
	for body := range badCalls {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		want, slowErr := slowCall(body)
		got, err := wire.ReadCall(body)
		if (err == nil) != (slowErr == nil) {
			t.Fatalf("%q: got %+v, %v; want %+v, %v", body, got, err, want, slowErr)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%q (-want +got):\n%s", body, diff)
		}
	})
}

var errSlow = errors.New("it is no call")

// slowCall is ReadCall by another library.
func slowCall(body []byte) (c wire.Call, err error) {
	if len(bytes.TrimSpace(body)) == 0 {
		return wire.Call{}, nil
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return wire.Call{}, errSlow
	}
	for seen := map[string]bool{}; d.More(); {
		token, _ := d.Token()
		text, _ := token.(string)
		name := strings.ToLower(text)
		if seen[name] {
			return wire.Call{}, errSlow
		}
		seen[name] = true
		switch name {
		case "usernameparameters":
			if c.Parameters, err = slowParameters(d); err != nil {
				return wire.Call{}, err
			}
		case "onrotate":
			token, _ := d.Token()
			text, ok := token.(string)
			if !ok {
				return wire.Call{}, errSlow
			}
			c.OnRotate = &text
		default:
			return wire.Call{}, errSlow
		}
	}
	if t, err := d.Token(); err != nil || t != json.Delim('}') {
		return wire.Call{}, errSlow
	}
	if _, err := d.Token(); err != io.EOF {
		return wire.Call{}, errSlow
	}
	return c, nil
}

func slowParameters(d *json.Decoder) (list wire.Parameters, err error) {
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		if err == nil && t == nil {
			return nil, nil
		}
		return nil, errSlow
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, err
		}
		value, err := d.Token()
		if err != nil {
			return nil, err
		}
		p := wire.Parameter{Name: name.(string)}
		switch v := value.(type) {
		case nil:
		case json.Delim:
			return nil, errSlow
		default:
			p.Value = fmt.Sprint(v)
		}
		list = append(list, p)
	}
	if t, err := d.Token(); err != nil || t != json.Delim('}') {
		return nil, errSlow
	}
	return list, nil
}
