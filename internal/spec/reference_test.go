package spec_test

import (
	"cmp"
	"fmt"
	"os"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/dayfly-io/dayfly/internal/spec"
)

const referenceIntro = `# The job file

A job file says what to run, when, and on what machine. This page is made from the program's own table of keys, by
` + "`make docs`; `dayfly explain FIELD`" + ` shows the same on a terminal, and ` + "`man 5 dayfly`" + ` where the manual pages are installed.

` + "```yaml" + `
` + referenceJob + "```" + `

Only ` + "`name` and `run`" + ` are required. One file is one job, and ` + "`dayfly apply DIR`" + ` takes all files (*.yaml, *.yml) of a
directory. ` + "`dayfly validate FILE`" + ` shows every mistake at once, with its place and what was probably meant. The language of
` + "`schedule`" + ` has [a page of its own](schedules.md), and so have [machines](machines.md).

## How values are written

- YAML 1.2: ` + "`yes`, `no` and `on`" + ` are text, ` + "`true` and `false`" + ` are not. A key that is not known, or that comes twice, is an
  error; so are anchors, aliases, merge keys, tags and second documents.
- Text that looks like a number, or like true or false, needs quotes: ` + "`1.10`" + ` would not stay 1.10 in every program. Under
  ` + "`env`" + ` it is taken as it is written.
- An expression that begins with a star needs quotes: ` + "`\"*/5 * * * *\"`" + `.
- Numbers are plain decimal digits. Lengths of time are whole numbers of d, h, m and s, in this order: ` + "`90m`, `1h30m`, `2d`" + `.
  Sizes are a whole number and a unit: ` + "`4GiB` is 4 × 1024³ bytes, `4GB` is 4 × 1000³" + `.
- Instants are those of RFC 3339: ` + "`2026-11-22T23:00:00Z`, `2026-11-23T01:00:00+02:00`" + `.
- A file has at most 1 MiB, is UTF-8, and holds no invisible characters.
- A secret is never in the file: ` + "`secrets`" + ` says where it is. Nothing that stands under that key is repeated in an error.

## All keys

`

const referenceJob = `name: backup
description: Copies the database, every night
schedule: "0 23 * * *"
timezone: Europe/Tallinn
catch_up: {policy: last, within: 24h}
machine: {cpu: 2, memory: 4GiB}
files: [./tables.txt]
env: {TARGET: offsite}
secrets: {DB_PASSWORD: "file:/etc/backup/password"}
run: |
  while read -r table; do
    pg_dump --table "$table" app > "$DAYFLY_RESULTS/$table.sql"
  done < tables.txt
timeout: 90m
retry: {attempts: 3, on: [lost, failed], backoff: 5m}
`

const referenceEditors = `
## In an editor

` + "`dayfly schema`" + ` prints a JSON Schema (2020-12) of the job file. An editor that knows it completes keys and values, shows what
they mean, and marks mistakes while you type. For editors with the YAML language server write it beside your jobs,

` + "```sh\ndayfly schema > dayfly.schema.json\n```" + `

and say so in the first line of each:

` + "```yaml\n# yaml-language-server: $schema=dayfly.schema.json\n```" + `

The schema refuses nothing that dayfly accepts. Some mistakes it does not see, and ` + "`dayfly validate`" + ` does:

`

const referencePrevious = `
` + "`DAYFLY_PREVIOUS_SUCCESS`" + ` is never later than what succeeded, and may be earlier: a run that ends while the attempt
begins is not in it yet, and where two processes record the ends of two runs of the job in the same moment (commands without a
daemon, with ` + "`overlap: allow`" + `) the earlier of their slots may stay until the next success. A job that goes on from
there has to bear that it does something again.
`

// TestReference compares docs/jobfile.md with the table.
func TestReference(t *testing.T) {
	t.Parallel()
	const path = "../../docs/jobfile.md"
	want := reference()
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o666); err != nil {
			t.Fatal(err)
		}
		return
	}
	have, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := gocmp.Diff(string(have), want); d != "" {
		t.Errorf("docs/jobfile.md is not what the table says; make docs writes it anew\n%s", d)
	}
	if f := load(t, referenceJob); len(f.Warnings)+len(f.Unserved()) > 0 {
		t.Errorf("its job: %v, %v", f.Warnings, f.Unserved())
	}
}

func reference() string {
	var b strings.Builder
	b.WriteString(referenceIntro)
	for _, k := range spec.Keys() {
		keySection(&b, k)
	}
	b.WriteString("## What a job finds in its environment\n\n| variable | |\n|---|---|\n")
	for _, v := range spec.Variables() {
		fmt.Fprintf(&b, "| `%s` | %s |\n", v.Name, cell(v.Doc))
	}
	b.WriteString("\nInstants are in UTC. `env`, `params` and `secrets` add to it; names that begin with DAYFLY_ are refused there.\n")
	b.WriteString(referencePrevious)
	b.WriteString(referenceEditors)
	for _, x := range exceptions {
		fmt.Fprintf(&b, "- %s\n", x.what)
	}
	b.WriteString("- what is on the disk: whether `files` are there\n- what YAML itself is not allowed to use here, and characters that nobody sees\n")
	return b.String()
}

// keySection writes all that is known of a key.
func keySection(b *strings.Builder, k spec.Key) {
	fmt.Fprintf(b, "### `%s`\n\n%s", k.Path, k.Doc)
	if k.More != "" {
		b.WriteString(" " + k.More)
	}
	b.WriteString("\n\n| | |\n|---|---|\n")
	row := func(head, text string) {
		if text != "" {
			fmt.Fprintf(b, "| %s | %s |\n", head, cell(text))
		}
	}
	row("takes", k.Form.String())
	for _, c := range k.Form.Choices() {
		row("`"+c.Word+"`", cmp.Or(c.Doc, "as the word says"))
	}
	row("allowed", k.Form.Limits())
	switch {
	case k.Required:
		row("required", "yes")
	case k.Default != "":
		row("default", "`"+k.Default+"`")
	default:
		row("without it", k.Absent())
	}
	row("only for machines on", k.On)
	row("refused at apply", k.Missing)
	row("since", k.Since)
	fmt.Fprintf(b, "\n```yaml\n%s\n```\n\n", k.Example)
}

// cell is text in a table of Markdown.
func cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }
