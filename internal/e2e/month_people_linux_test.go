package e2e_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"testing/synctest"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/bucket"
	"github.com/dayfly-io/dayfly/internal/machine"
	"github.com/dayfly-io/dayfly/internal/machine/fake"
	"github.com/dayfly-io/dayfly/internal/reconcile"
	"github.com/dayfly-io/dayfly/internal/store"
)

// monthJobs are jobs of several kinds. What becomes of their machines live and finish know by their names.
func monthJobs() []dayfly.Job {
	job := func(name dayfly.JobName, at string, edit func(*dayfly.Job)) dayfly.Job {
		j := dayfly.Job{
			Name: name, Timezone: "Europe/Tallinn", Run: "true", Schedules: []dayfly.Schedule{{At: at}},
			CatchUp: dayfly.CatchUp{Policy: dayfly.CatchUpLast, Within: dayfly.Seconds(time.Hour)}, Overlap: dayfly.OverlapSkip,
			Machine: dayfly.MachineChoice{On: "local"}, Retry: dayfly.Retry{Attempts: 1, Backoff: dayfly.Seconds(time.Minute)},
			Timeout: dayfly.Seconds(10 * time.Minute), Deadline: dayfly.Seconds(25 * time.Minute),
		}
		if edit != nil {
			edit(&j)
		}
		return j
	}
	return []dayfly.Job{
		job("minutely", "0-29 3 * * *", nil),
		job("hourly", "H * * * *", func(j *dayfly.Job) { j.Jitter = dayfly.Seconds(5 * time.Minute) }),
		job("array", "0 */6 * * *", func(j *dayfly.Job) { j.Array = &dayfly.Array{Size: 3, AtOnce: 2} }),
		job("failing", "30 */4 * * *", func(j *dayfly.Job) { j.Retry.Attempts, j.Retry.On = 3, []dayfly.Outcome{dayfly.Failed} }),
		job("lost", "15 7,19 * * *", nil),
		job("deaf", "45 5,17 * * *", nil),
		job("paused", "*/30 * * * *", func(j *dayfly.Job) { j.Keep = dayfly.Keep{History: days(1)} }),
		job("edited", "5 */3 * * *", nil),
	}
}

// live says what a machine does.
func (m *month) live(s machine.Spec) fake.Life {
	job, _, _, _, _ := s.Task.Run.Parse()
	return fake.Life{Boot: time.Second, Run: 20 * time.Second, Immortal: job == "deaf"}
}

// finish is what an agent does when its job has ended.
func (m *month) finish(s machine.Spec, at time.Time) {
	job, _, _, _, _ := s.Task.Run.Parse()
	if job == "lost" {
		return
	}
	put := func(key string, body []byte) dayfly.Object {
		if _, err := m.bucket.Put(context.Background(), key, bytes.NewReader(body), bucket.Condition{}); err != nil {
			m.t.Error(err)
		}
		sum := sha256.Sum256(body)
		return dayfly.Object{Key: key, Size: int64(len(body)), SHA256: hex.EncodeToString(sum[:])}
	}
	code := 0
	rep := dayfly.Report{Run: s.Task.Run, Attempt: s.Task.Attempt, Outcome: dayfly.Succeeded, ExitCode: &code, FinishedAt: at, SavedAt: at}
	if job == "failing" {
		code, rep.Outcome = 1, dayfly.Failed
	}
	rep.Log = put(s.Task.Prefix+dayfly.KeyLog, bytes.Repeat([]byte(s.Task.Run+"\n"), 50))
	rep.Results = []dayfly.Result{{Name: "pi.txt", Object: put(s.Task.Prefix+dayfly.KeyResults+"pi.txt", []byte("3.14159"))}}
	body, err := json.Marshal(rep)
	if err != nil {
		m.t.Error(err)
	}
	put(s.Task.Prefix+dayfly.KeyReport, body)
}

// apply packs and applies a job, as the command does.
func (m *month) apply(r *reconcile.Reconciler, j dayfly.Job) {
	ctx := m.t.Context()
	leave, err := r.Store.(store.Collector).Refer(ctx)
	if err != nil {
		m.t.Fatal(err)
	}
	defer leave()
	archive := []byte("files of " + j.Env["EDITION"])
	sum := sha256.Sum256(archive)
	j.FilesSHA256 = hex.EncodeToString(sum[:])
	_, err = m.bucket.Put(ctx, dayfly.FilesKey(j.FilesSHA256), bytes.NewReader(archive), bucket.Condition{IfAbsent: true})
	if err != nil && !errors.Is(err, bucket.ErrExists) {
		m.t.Fatal(err)
	}
	if _, err := r.Apply(ctx, j, ""); err != nil {
		m.t.Fatal(err)
	}
}

// day lets a day pass, and people do what they do each day.
func (m *month) day(n int) {
	midnight := time.Now().Truncate(24 * time.Hour)
	for _, hour := range []int{8, 11, 14, 20} {
		time.Sleep(time.Until(midnight.Add(time.Duration(hour)*time.Hour + 7*time.Second)))
		m.people(n, hour)
	}
	time.Sleep(time.Until(midnight.Add(24*time.Hour - 3*time.Second)))
	synctest.Wait()
}

// people are commands: processes with a store of their own.
func (m *month) people(day, hour int) {
	ctx, s := m.t.Context(), m.open()
	defer s.Close()
	r := m.reconciler(s, nil)
	must := func(err error) {
		m.t.Helper()
		if err != nil {
			m.t.Errorf("day %d, %d o'clock: %v", day, hour, err)
		}
	}
	jobs := map[dayfly.JobName]dayfly.Job{}
	for _, j := range monthJobs() {
		jobs[j.Name] = j
	}
	switch hour {
	case 8:
		j := jobs["edited"]
		j.Env = map[string]string{"EDITION": fmt.Sprint(day)}
		m.apply(r, j)
		_, err := r.Pause(ctx, "paused", "by hand", time.Time{})
		must(err)
	case 11:
		runs, err := reconcile.Request(ctx, s, jobs["deaf"], reconcile.Wish{}, time.Now())
		must(err)
		m.ring()
		time.Sleep(time.Minute)
		must(reconcile.Cancel(ctx, s, runs[0].ID, "by hand", time.Now()))
	case 14:
		_, err := reconcile.Request(ctx, s, jobs["array"], reconcile.Wish{}, time.Now())
		must(err)
		for run, err := range s.History(ctx, store.Filter{Job: "hourly", Ended: true, Limit: 3}) {
			must(err)
			_, err = reconcile.Again(ctx, s, run.ID, time.Now())
			must(err)
		}
	case 20:
		_, err := r.Resume(ctx, "paused")
		must(err)
	}
	m.ring()
}

func (m *month) ring() {
	select {
	case m.bell <- struct{}{}:
	default:
	}
}
