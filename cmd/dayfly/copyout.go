package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/archive"
	"github.com/dayfly-io/dayfly/internal/bucket"
	"github.com/dayfly-io/dayfly/internal/term"
)

const toElsewhere = "name another directory with --to DIR"

// copyOut copies results into a directory and tells how many were not there already. Every obstacle is
// found before the first file is written; a file appears whole, and only with the right SHA-256.
func copyOut(ctx context.Context, b bucket.Bucket, results []dayfly.Result, to string, force bool) (int, error) {
	if err := os.MkdirAll(to, 0o777); err != nil {
		return 0, unwritable(fmt.Errorf("copy results: %w", err), toElsewhere)
	}
	root, err := os.OpenRoot(to)
	if err != nil {
		return 0, unwritable(fmt.Errorf("copy results: %w", err), toElsewhere)
	}
	defer root.Close()
	var wanted []dayfly.Result
	var errs []error
	names := map[string]bool{}
	for _, r := range results {
		there, err := standing(root, r)
		if err == nil && names[fileName(r)] {
			err = suspect(r, "the report names it twice")
		}
		names[fileName(r)] = true
		switch {
		case err == nil && !there:
			wanted = append(wanted, r)
		case errors.Is(err, errDiffers) && force:
			wanted = append(wanted, r)
		case err != nil:
			errs = append(errs, err)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return 0, err
	}
	for i, r := range wanted {
		if err := copyResult(ctx, b, root, r); err != nil {
			return i, fmt.Errorf("copy result %s: %w", term.Text(r.Name), err)
		}
	}
	return len(wanted), nil
}

// fileName is the name of a result on this machine: its bytes, where they are not text.
func fileName(r dayfly.Result) string {
	if len(r.Raw) > 0 {
		return string(r.Raw)
	}
	return r.Name
}

var errDiffers = errors.New("something else is there")

// What an agent has ever saved; who wrote a report that says more is none.
const (
	mostLevels = 1100 // directories below one another
	mostPart   = 255  // bytes between two slashes
)

// checkName refuses a name that a report has from no directory.
func checkName(r dayfly.Result) error {
	name := fileName(r)
	switch {
	case !filepath.IsLocal(name) || path.Clean(name) != name:
		return suspect(r, "its name leads out of the directory")
	case strings.Count(name, "/") > mostLevels:
		return suspect(r, fmt.Sprintf("it lies more than %d directories deep", mostLevels))
	}
	for part := range strings.SplitSeq(name, "/") {
		if len(part) > mostPart {
			return suspect(r, fmt.Sprintf("a part of its name has more than %d bytes", mostPart))
		}
	}
	return nil
}

// suspect is the error of a result that no agent reports.
func suspect(r dayfly.Result, problem string) error {
	name := fileName(r)
	return &dayfly.Error{
		Code: dayfly.CodeInternal, Message: fmt.Sprintf("copy result %q: %s", name[:min(len(name), 100)], problem),
		Hint: "dayfly results -o wide shows its key, under which it lies in the bucket",
	}
}

// standing tells whether a result is there already. Anything else at its place is errDiffers.
func standing(root *os.Root, r dayfly.Result) (bool, error) {
	name := fileName(r)
	if err := checkName(r); err != nil {
		return false, err
	}
	info, err := root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, unwritable(fmt.Errorf("copy result %s: %w", term.Text(r.Name), err), toElsewhere)
	}
	if info.IsDir() {
		return false, &dayfly.Error{Code: dayfly.CodeConflict, Message: fmt.Sprintf("copy result %s: a directory is there", term.Text(r.Name)), Hint: toElsewhere}
	}
	if info.Mode().IsRegular() && info.Size() == r.Size {
		same, err := sameContent(root, name, r.SHA256)
		if err != nil || same {
			return same, err
		}
	}
	return false, &dayfly.Error{
		Code: dayfly.CodeConflict, Message: fmt.Sprintf("copy result %s: another file is there", term.Text(r.Name)),
		Hint: "name another directory, or replace such files with --force", Err: errDiffers,
	}
}

func sameContent(root *os.Root, name, want string) (bool, error) {
	f, _, err := archive.OpenRegular(root, name)
	if err != nil {
		return false, err
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return false, err
	}
	return hex.EncodeToString(sum.Sum(nil)) == want, nil
}

// copyResult writes one result under another name first.
func copyResult(ctx context.Context, b bucket.Bucket, root *os.Root, r dayfly.Result) error {
	name := fileName(r)
	in, err := b.Get(ctx, r.Key, 0, -1)
	if err != nil {
		return err
	}
	defer in.Close()
	if err := root.MkdirAll(path.Dir(name), 0o777); err != nil {
		return unwritable(err, toElsewhere)
	}
	part := path.Join(path.Dir(name), ".dayfly-"+rand.Text())
	out, err := root.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return unwritable(err, toElsewhere)
	}
	sum := sha256.New()
	_, err = io.Copy(io.MultiWriter(out, sum), io.LimitReader(in, r.Size+1)) // a longer one is not the one that was reported
	if err == nil && hex.EncodeToString(sum.Sum(nil)) != r.SHA256 {
		err = &dayfly.Error{
			Code: dayfly.CodeInternal, Message: "what is stored has another SHA-256 than the agent reported",
			Hint: "it was changed in the bucket, or its disk fails; the copy was not written",
		}
	}
	if err == nil {
		err = out.Chmod(fs.FileMode(r.Mode).Perm())
	}
	err = errors.Join(err, out.Close())
	if err == nil {
		err = unwritable(root.Rename(part, name), toElsewhere)
	}
	if err != nil {
		return errors.Join(err, root.Remove(part))
	}
	return nil
}
