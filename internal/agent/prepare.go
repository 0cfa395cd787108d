package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/archive"
)

// prepare fetches the files and makes the environment. Where that cannot be done the job is over.
func (a *agent) prepare(ctx context.Context, canceled <-chan struct{}) ([]string, *ending) {
	env, err := a.environment()
	if err != nil {
		return nil, failed("prepare the environment: %v", err)
	}
	if a.Task.FilesSHA256 == "" {
		select {
		case <-canceled:
			return nil, &ending{outcome: dayfly.Canceled, reason: reasonCanceled}
		default:
			return env, nil
		}
	}
	// What is left after that is for the report: without a job there is little to save.
	ctx, stop := context.WithTimeout(ctx, a.left()-reserve(a.left()))
	defer stop()
	fetched := make(chan error, 1)
	go func() { fetched <- a.fetchFiles(ctx) }()
	select {
	case err = <-fetched:
	case <-canceled:
		stop()
		<-fetched
		return nil, &ending{outcome: dayfly.Canceled, reason: reasonCanceled}
	}
	if err != nil {
		return nil, failed("fetch the job's files: %v", err)
	}
	return env, nil
}

// reserve is how much of what is left to a machine is kept for saving.
func reserve(left time.Duration) time.Duration { return min(15*time.Second, left/10) }

// fetchFiles unpacks the archive of the job's files into the working directory. The job sees no byte
// of it before its SHA-256 has been found right.
func (a *agent) fetchFiles(ctx context.Context) error {
	sum := a.Task.FilesSHA256
	key := dayfly.FilesKey(sum)
	wrong := 0
	return a.store.again(ctx, "get "+key, archive.DefaultMaxBytes, func(ctx context.Context) error {
		if err := emptyDir(a.work); err != nil {
			return &sourceError{err}
		}
		r, err := a.Bucket.Get(ctx, key, 0, -1)
		if err != nil {
			return err
		}
		defer r.Close()
		from := &watched{r: r}
		got, err := archive.Unpack(from, a.work, archive.Limits{})
		switch {
		case from.err != nil:
			return from.err
		case err == nil && got.SHA256 == sum:
			return nil
		case err == nil:
			err = fmt.Errorf("its SHA-256 is %s", got.SHA256)
		}
		// Bytes that went wrong on their way come right another time; a wrong archive never does.
		if wrong++; wrong >= wrongTries || errors.Is(err, archive.ErrLimit) {
			return errors.Join(&sourceError{err}, emptyDir(a.work))
		}
		return err
	})
}

// wrongTries is how often an archive that is not what it should be is fetched.
const wrongTries = 3

// watched remembers how reading went wrong, apart from what became of the bytes.
type watched struct {
	r   io.Reader
	err error
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		w.err = err
	}
	return n, err
}

// emptyDir removes what is in a directory.
func emptyDir(dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	f, err := root.Open(".")
	if err != nil {
		return err
	}
	names, err := f.Readdirnames(-1)
	err = errors.Join(err, f.Close())
	for _, name := range names {
		err = errors.Join(err, root.RemoveAll(name))
	}
	return err
}
