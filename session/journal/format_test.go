package journal

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A file as versions before kinds of records have written it is read, and what is in it is written in the same bytes.
func TestFormatVersion1(t *testing.T) {
	sample, err := os.ReadFile("testdata/version-1")
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "state")
	if err := os.WriteFile(name, sample, 0o600); err != nil {
		t.Fatal(err)
	}
	odd := record{Port: netip.MustParseAddrPort("[::1]:10201"), ID: []byte("\xff\x00"), Minutes: "010", Lifetime: 10 * time.Minute, Expires: journalEnd}
	want := []record{numbered(1, 4), odd}
	j, records, logged := openTestJournal(t, osDisk{}, name)
	comparePorts(t, "the sample", records, want)
	if logged.String() != "" {
		t.Errorf("it is complained of: %s", logged)
	}
	mustClose(t, j)
	none := record{Port: portOf(2)}
	text := appendHeader(nil)
	for _, r := range []record{want[0], none, odd} {
		text = r.appendLine(text)
	}
	for line := range bytes.Lines(text) {
		if !bytes.Contains(sample, line) {
			t.Errorf("%s is written otherwise than in the sample", bytes.TrimSpace(line))
		}
	}
}

// Records of kinds that a newer version has made survive this one, byte for byte, through every way of writing the file
// anew; what is over, gone or without a key does not.
func TestUnknownKindsAreKept(t *testing.T) {
	keep := []string{
		`{"kind":"lease","key":"a","holder":{"port":7,"id":[1,2]}, "expires":0}`,
		fmt.Sprintf(`{"kind":"ban","key":"a","expires":%d,"port":"of another sort"}`, journalEnd),
	}
	lines := []string{
		`{"kind":"lease","key":"a","holder":"an older one"}`, keep[0], keep[1],
		`{"kind":"lease","key":"b"}`, `{"kind":"lease","key":"b","gone":true}`,
		fmt.Sprintf(`{"kind":"ban","key":"c","expires":%d}`, journalNow),
		`{"kind":"budget","of":"nobody"}`,
		`{"kind":"session","port":"127.0.0.1:10001","id":"aWQx","lifetime":600000000000,"expires":1781108383000000000,"new":"member"}`,
	}
	text := appendHeader(nil)
	for _, line := range lines {
		text = appendLine(text, []byte(line))
	}
	name := filepath.Join(t.TempDir(), "state")
	if err := os.WriteFile(name, text, 0o600); err != nil {
		t.Fatal(err)
	}
	session := record{Port: portOf(1), ID: []byte("id1"), Lifetime: 10 * time.Minute, Expires: journalEnd}
	for life := range 3 {
		j, records, logged := openTestJournal(t, quickDisk{}, name)
		comparePorts(t, fmt.Sprintf("life %d", life), records, []record{session})
		if dropped := strings.Contains(logged.String(), "dropped=1"); dropped != (life == 0) || asides(t, name) != nil {
			t.Errorf("life %d: it logs %s", life, logged)
		}
		for n := range 100 { // which has the file compacted
			mustSave(t, j, numbered(2, n+1))
		}
		mustSave(t, j, numbered(2, 0))
		mustClose(t, j)
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range keep {
			if n := bytes.Count(text, appendLine(nil, []byte(line))); n != 1 {
				t.Errorf("life %d: %s is there %d times; want once", life, line, n)
			}
		}
		for _, part := range []string{`"b"`, `"c"`, "budget", "an older one"} {
			if bytes.Contains(text, []byte(part)) {
				t.Errorf("life %d: what has %s is there still", life, part)
			}
		}
	}
}

// So many records of unknown kinds are kept, and no more.
func TestUnknownKindsAreBounded(t *testing.T) {
	var jr journalReader
	text := appendHeader(nil)
	for n := range maxForeign + 3 {
		text = appendLine(text, fmt.Appendf(nil, `{"kind":"lease","key":"%d"}`, n))
	}
	text = appendLine(text, []byte(`{"kind":"lease","key":"0","newer":true}`))
	jr.read(bytes.NewReader(text))
	if len(jr.foreign) != maxForeign || jr.skipped != 3 || jr.damaged() {
		t.Errorf("%d are kept, %d are not; want %d and 3", len(jr.foreign), jr.skipped, maxForeign)
	}
	if newest := jr.foreign[foreignKey{"lease", "0"}]; !bytes.Contains(newest.text, []byte("newer")) {
		t.Errorf("the newest of one that is kept is %s", newest.text)
	}
}
