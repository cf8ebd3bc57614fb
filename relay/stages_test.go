package relay

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// diagram prints the table: for each stage its machine, what its deadline goes by, and the stages that may follow.
func diagram() string {
	var b strings.Builder
	for s := stageClosed + 1; s < numStages; s++ {
		row := &table[s]
		var next []string
		for follows := stageClosed + 1; follows < numStages; follows++ {
			if row.next.has(follows) {
				next = append(next, table[follows].name)
			}
		}
		line := fmt.Sprintf("//\t%-13s %-9s %-18s → %s", row.name, row.machine, row.limit, strings.Join(append(next, "closed"), ", "))
		b.WriteString(line + "\n")
	}
	return b.String()
}

// The package's comment has the table of stages.
func TestDiagram(t *testing.T) {
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(doc), "# Stages\n")
	_, after, _ = strings.Cut(after, "//\n//\t") // the first block behind the words
	block, _, _ := strings.Cut("//\t"+after, "//\n")
	if diff := cmp.Diff(diagram(), block); diff != "" {
		t.Errorf("doc.go, Stages (-table +comment):\n%s", diff)
	}
}

// Each stage says what there is to be said of one.
func TestTableIsWhole(t *testing.T) {
	for s := stageClosed + 1; s < numStages; s++ {
		if row := &table[s]; row.name == "" || row.machine == "" || row.limit == "" || row.lasts == nil || row.expire == nil || row.run == nil && row.upstream == nil {
			t.Errorf("stage %d: the row lacks something: %+v", s, row)
		}
	}
}

// A stage that the table does not have behind another is refused, and so is all that comes behind the end.
func TestEnterRefuses(t *testing.T) {
	for _, row := range []struct {
		from, to stage
		want     string
	}{
		{stageTunnel, stageIdle, "relay: tunnel is not followed by idle"},
		{stageClosed, stageLinger, "relay: closed is not followed by linger"},
	} {
		func() {
			defer func() {
				if got := recover(); got != row.want {
					t.Errorf("got %v; want %q", got, row.want)
				}
			}()
			(&conn{stage: row.from}).enter(row.to)
		}()
	}
}
