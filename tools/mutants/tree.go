package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// A tree is a copy of the project in a place of its own. Its path stays the
// same from mutant to mutant, so that the build cache has to compile only what
// a mutant changed.
type tree struct {
	from  string
	dir   string
	files []string // what belongs to the project, relative to both
}

// projectFiles lists what belongs to the project at root: what git follows and
// what is new but not ignored.
func projectFiles(ctx context.Context, root string) ([]string, error) {
	if _, err := exec.LookPath("git"); err != nil {
		return nil, errors.New("mutants are patches and git applies them: install git")
	}
	cmd := exec.CommandContext(ctx, "git", "-C", root, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("list the project's files: %w", err)
	}
	return strings.FieldsFunc(string(out), func(r rune) bool { return r == 0 }), nil
}

// reset makes the copy equal to the project again.
func (t tree) reset() error {
	if err := os.RemoveAll(t.dir); err != nil {
		return fmt.Errorf("remove the copy before: %w", err)
	}
	for _, file := range t.files {
		err := copyFile(filepath.Join(t.from, file), filepath.Join(t.dir, file))
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // deleted, and git not yet told
			return fmt.Errorf("copy the project: %w", err)
		}
	}
	return nil
}

func copyFile(from, to string) error {
	info, err := os.Lstat(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	if info.Mode()&fs.ModeSymlink != 0 {
		target, err := os.Readlink(from)
		if err != nil {
			return err
		}
		return os.Symlink(target, to)
	}
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, info.Mode().Perm())
	if err != nil {
		return err
	}
	_, err = io.Copy(target, source)
	return errors.Join(err, target.Close())
}

// apply changes the tree at dir as the mutant's patch says; with check it only looks whether it could.
func apply(ctx context.Context, dir string, m mutant, check bool) error {
	patch, err := filepath.Abs(m.path)
	if err != nil {
		return fmt.Errorf("find the patch: %w", err)
	}
	args := []string{"apply", "--whitespace=nowarn", patch}
	if check {
		args = append(args, "--check")
	}
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = dir
	// Below some repository's directory git would apply nothing and say nothing.
	cmd.Env = append(os.Environ(), "GIT_CEILING_DIRECTORIES="+filepath.Dir(dir))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("apply %s: %w\n%s", m.path, err, out)
	}
	return nil
}
