package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

func TestPorts(t *testing.T) {
	dir := t.TempDir()
	file := write(t, dir, "many.json", `{"Listen": {"PortRange": {"Start": 10001, "End": 20000}, "Address": "0.0.0.0", "Action": "Bypass"},
		"Authentication": {"Required": true, "Verify": true, "Username": "me", "Password": "p@ss"}}`)
	for _, row := range []struct{ format, first, last string }{
		{"ip:port", "127.0.0.1:10001\n", "\n127.0.0.1:20000\n"},
		{"url", "http://me:p%40ss@127.0.0.1:10001\n", "\nhttp://me:p%40ss@127.0.0.1:20000\n"},
	} {
		var out, errOut bytes.Buffer
		status := run([]string{"ports", "--config", file, "--format", row.format}, &out, &errOut)
		text := out.String()
		if status != 0 || errOut.Len() > 0 || strings.Count(text, "\n") != 10_000 || !strings.HasPrefix(text, row.first) || !strings.HasSuffix(text, row.last) {
			t.Errorf("%s: status %d, %d lines, %s", row.format, status, strings.Count(text, "\n"), errOut.String())
		}
	}
	for _, row := range []struct {
		args   []string
		status int
		errOut string
	}{
		{[]string{"ports", "--config", file, "--format", "csv"}, 2, "--format"},
		{[]string{"ports", "--config", dir + "/none.json"}, 1, "no such file"},
	} {
		var out, errOut bytes.Buffer
		if status := run(row.args, &out, &errOut); status != row.status || !strings.Contains(errOut.String(), row.errOut) || out.Len() > 0 {
			t.Errorf("%v: got %d, %q, %q", row.args, status, out.String(), errOut.String())
		}
	}
}

// A countWriter counts writes.
type countWriter struct{ writes, bytes int }

func (w *countWriter) Write(b []byte) (int, error) {
	w.writes++
	w.bytes += len(b)
	return len(b), nil
}

// Many ports go out in few writes, and a reader that goes ends the command without a word.
func TestPortsIntoPipe(t *testing.T) {
	file := write(t, t.TempDir(), "many.json", `{"Listen": {"PortRange": {"Start": 10001, "End": 20000}, "Action": "Bypass"}}`)
	var out countWriter
	var errOut bytes.Buffer
	if status := run([]string{"ports", "--config", file}, &out, &errOut); status != 0 || out.writes > 8 {
		t.Errorf("status %d, %d bytes in %d writes", status, out.bytes, out.writes)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	r.Close()
	if status := run([]string{"ports", "--config", file}, w, &errOut); status != 0 || errOut.Len() > 0 {
		t.Errorf("without a reader: status %d, %s", status, errOut.String())
	}
}
