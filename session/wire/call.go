package wire

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

// A Call is the body of a POST to /session/new, /sessions/new or /sessions/reset. Clients may write the names of its members
// in any case.
type Call struct {
	Parameters Parameters `json:"UsernameParameters,omitempty"`
	OnRotate   *string    `json:"OnRotate,omitempty"` // keep, drain or close; nil: it is not there
}

var errCall = errors.New(`the body must be empty or {"UsernameParameters": {"name": "value", …}, "OnRotate": "keep"}, the latter or both of which may be left out`)

var errOnRotate = errors.New(`on_rotate: the value must be a string: "keep", "drain" or "close"`)

// ReadCall reads a body, which may be empty. It is strict: unknown members and repeats are errors. What parameters and
// OnRotate may say is for the caller to check. The error is meant for the client.
func ReadCall(body []byte) (c Call, err error) {
	if len(bytes.TrimSpace(body)) == 0 {
		return Call{}, nil
	}
	r := reader{body}
	seen := map[string]bool{}
	ok := r.object(func(name string) bool {
		name = strings.ToLower(name)
		if seen[name] {
			return false
		}
		seen[name] = true
		switch name {
		case "usernameparameters":
			c.Parameters, err = r.parameters()
			return err == nil
		case "onrotate":
			if !r.before('"') {
				err = errOnRotate
				return false
			}
			how, ok := r.text()
			c.OnRotate = &how
			return ok
		}
		return false
	})
	if err == nil && !(ok && r.end()) {
		err = errCall
	}
	if err != nil {
		return Call{}, err
	}
	return c, nil
}

// parameters reads an object of scalars; null is an empty one.
func (r *reader) parameters() (list Parameters, err error) {
	if r.before('n') {
		if _, ok := r.scalar(); !ok {
			return nil, errCall
		}
		return nil, nil
	}
	ok := r.object(func(name string) bool {
		if r.before('{') || r.before('[') {
			err = fmt.Errorf("parameter %.80q: the value must be a string, a number, a boolean or null", name)
			return false
		}
		value, ok := r.scalar()
		list = append(list, Parameter{name, value})
		return ok
	})
	if err == nil && !ok {
		err = errCall
	}
	if err != nil {
		return nil, err
	}
	return list, nil
}
