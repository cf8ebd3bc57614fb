package settings

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"proxymap/cmd/proxymap/internal/settings/layer"
)

// A running process reads what its sources say now. A file that has vanished, or that is none any more, is a fault, and faults
// say that nothing has changed.
func TestAgain(t *testing.T) {
	const port = `{"Listen": {"Port": 7, ` + deny + `}}`
	flags := []layer.Setting{{Path: []string{"Listen", "Port"}, Value: "9", From: "flag --ports"}, {Path: []string{"Listen", "Action"}, Value: "Deny", From: "flag --x"}}
	for _, row := range []struct {
		name   string
		file   string // empty: there is none
		flags  []layer.Setting
		change func(file string) error
		want   string // in the error; empty: there is none
	}{
		{"the same", port, nil, nil, ""},
		{"other ports", port, flags, func(file string) error { return os.WriteFile(file, []byte(`{"Listen": {"Port": 8}}`), 0o600) }, ""},
		{"a fault", port, nil, func(file string) error { return os.WriteFile(file, []byte(`{"Listen": {"Prt": 7}}`), 0o600) },
			"appsettings.json: 2 faults; nothing has changed\n"},
		{"gone", port, nil, os.Remove, "appsettings.json: no such file or directory"},
		{"gone, and flags say enough", port, flags, os.Remove, "appsettings.json: no such file or directory"},
		{"never there", "", flags, nil, ""},
		{"come", "", flags, func(file string) error { return os.WriteFile(file, []byte(port), 0o600) }, ""},
		{"a pipe that nobody writes to", port, nil, func(file string) error {
			if err := os.Remove(file); err != nil {
				return err
			}
			return unix.Mkfifo(file, 0o600)
		}, "appsettings.json is no ordinary file"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "appsettings.json")
			if row.file != "" {
				write(t, filepath.Dir(file), filepath.Base(file), row.file)
			}
			from := Sources{File: file, Default: true, Flags: row.flags}
			s, err := Load(from)
			if err != nil {
				t.Fatal(err)
			}
			if (s.File == file) != (row.file != "") {
				t.Errorf("the file that was read is %q", s.File)
			}
			if row.change != nil {
				if err := row.change(file); err != nil {
					t.Fatal(err)
				}
			}
			again := s.Again(from)
			for range 2 { // reading leaves the sources as they are
				_, err := Load(again)
				if (err == nil) != (row.want == "") || err != nil && !strings.Contains(err.Error(), row.want) {
					t.Errorf("got %v; want %q", err, row.want)
				}
			}
		})
	}
}
