package agent_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/agent"
	"github.com/dayfly-io/dayfly/internal/fuzztest"
)

// FuzzTask hands the agent any bytes for its task: it is refused, or the attempt ends; nothing is stored but below
// the task's own out/, nothing read but its in/ and an archive, and nothing but the agent's directory is touched.
func FuzzTask(f *testing.F) {
	const begin = `{"job":"night","run":"night-20261122T230000Z","attempt":1,"slot":"2026-11-22T23:00:00Z","script":"true","prefix":"runs/night/night-20261122T230000Z/1/"`
	for _, rest := range []string{
		`,"timeout":1800,"grace":10,"deadline":"2000-01-01T01:00:00Z"}`,
		`,"timeout":-1,"grace":-9e9,"deadline":"2000-01-01T01:00:00Z"}`,
		`,"timeout":9e99,"grace":9e18,"deadline":"9999-12-31T23:59:59Z"}`,
		`,"timeout":60,"deadline":"0001-01-01T00:00:01Z"}`,
		`,"timeout":60,"deadline":"2000-01-01T01:00:00Z","log":{"max_bytes":-1,"bytes_per_second":-1},"results":{"max_bytes":-1,"max_files":-1}}`,
		`,"timeout":60,"deadline":"2000-01-01T01:00:00Z","log":{"max_bytes":1,"bytes_per_second":9223372036854775807},"results":{"max_bytes":9223372036854775807,"max_files":9223372036854775807}}`,
		`,"timeout":60,"deadline":"2000-01-01T01:00:00Z","env":{"":"x","A=B":"","N":"\u0000","DAYFLY_RUN":"x"},"secret_names":["S"]}`,
		`,"timeout":60,"deadline":"2000-01-01T01:00:00Z","files_sha256":"../../secret"}`,
		`,"timeout":60,"deadline":"2000-01-01T01:00:00Z","prefix":"../"}`,
		`,"timeout":60,"deadline":"2000-01-01T01:00:00Z","prefix":"/","shard":"x/y/z","shards":-5,"pids":-1}`,
	} {
		f.Add([]byte(begin + rest))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		fuzztest.Bounded(t, func() {
			synctest.Test(t, func(t *testing.T) { attemptOf(t, text) })
		})
	})
}

func attemptOf(t *testing.T, text []byte) {
	a, outside := setup(t, ""), filepath.Join(t.TempDir(), "outside")
	if json.Unmarshal(text, &a.cfg.Task) != nil {
		return
	}
	must(t, os.WriteFile(outside, nil, 0o644))
	box := &scripted{runs: time.Second, output: strings.Repeat("a line\n", 100)}
	box.leaves(map[string]string{"plain": "a result", "d/file": "another"})
	a.cfg.Sandbox, a.cfg.Dir = box, filepath.Join(a.cfg.Dir, "agent")
	must(t, os.Mkdir(a.cfg.Dir, 0o755))
	task := a.cfg.Task
	a.bucket.Fail(func(op, key string) error {
		switch {
		case op == "Get" && key == dayfly.FilesKey(task.FilesSHA256):
		case op == "Put" && !strings.HasPrefix(key, task.Prefix+"out/"), !strings.HasPrefix(key, task.Prefix):
			t.Errorf("%s of %q for a task with the prefix %q", op, key, task.Prefix)
		}
		return nil
	}, nil)
	err := agent.Run(t.Context(), a.cfg)
	if entries, rerr := os.ReadDir(filepath.Dir(a.cfg.Dir)); rerr != nil || len(entries) != 1 {
		t.Errorf("beside the agent's directory are %v, %v", entries, rerr)
	}
	a.bucket.Fail(nil, nil)
	if err != nil || !a.has(task.Prefix+dayfly.KeyReport) {
		if err == nil {
			t.Error("there is no report, and no error")
		}
		return
	}
	var r dayfly.Report
	must(t, json.Unmarshal(a.get(task.Prefix+dayfly.KeyReport), &r))
	if r.Run != task.Run || r.Attempt != task.Attempt || r.Outcome == "" {
		t.Errorf("the report says %+v", r)
	}
}
