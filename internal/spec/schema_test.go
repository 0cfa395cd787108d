package spec_test

import (
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dayfly-io/dayfly/internal/spec"
)

func TestPublishedSchemaIsThatOfTheTable(t *testing.T) {
	t.Parallel()
	made, err := spec.Generate()
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile("jobfile.schema.json", made, 0o666); err != nil {
			t.Fatal(err)
		}
		return
	}
	if d := cmp.Diff(string(spec.Schema()), string(made)); d != "" {
		t.Errorf("jobfile.schema.json is not what the table says; -update writes it anew\n%s", d)
	}
}
