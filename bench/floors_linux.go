package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// six are the kinds of namespace that need no map of users.
const six = syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC | syscall.CLONE_NEWNET | syscall.CLONE_NEWCGROUP

// floors measures what a run is made of, each by itself and with nothing of dayfly's. They are in every run of the
// program: a figure without its floor says more of the machine than of dayfly.
func floors(ctx context.Context, b bench) ([]figure, error) {
	n := max(b.n/10, 10)
	var figures []figure
	for _, floor := range []func(context.Context, bench, int) ([]figure, error){processFloors, syncFloor, commitFloor} {
		f, err := floor(ctx, b, n)
		if err != nil {
			return nil, err
		}
		figures = append(figures, f...)
	}
	return figures, nil
}

func processFloors(ctx context.Context, b bench, n int) (figures []figure, err error) {
	program, err := exec.LookPath("true")
	if err != nil {
		return nil, err
	}
	scratch := filepath.Join(b.dir, "scratch")
	if err := os.Mkdir(scratch, 0o700); err != nil {
		return nil, err
	}
	for _, f := range []struct {
		what  string
		flags uintptr
		args  []string
	}{
		{floorExec, 0, []string{program}},
		{"floor: fork and exec of a shell, p50", 0, []string{"sh", "-c", ":"}},
		{"floor: a Go program that execs true, p50", 0, []string{"/proc/self/exe", justExec, program}},
		{"floor: true in six namespaces, p50", six, []string{program}},
		{floorRoot, six, []string{"/proc/self/exe", inNewRoot, scratch, program}},
	} {
		took, err := median(n, func() error {
			c := exec.CommandContext(ctx, f.args[0], f.args[1:]...)
			c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: f.flags}
			return c.Run()
		})
		switch {
		case errors.Is(err, fs.ErrPermission):
			figures = append(figures, figure{skipped: f.what + ": this user may not, root may"})
		case err != nil:
			return nil, fmt.Errorf("%s: %w", f.what, err)
		default:
			figures = append(figures, figure{what: f.what, value: ms(took), unit: "ms", over: floorExec})
		}
	}
	self, err := os.Stat("/proc/self/exe")
	if err != nil {
		return nil, err
	}
	return append(figures, figure{what: "that Go program", value: mib(self.Size()), unit: "MiB"}), nil
}

func syncFloor(_ context.Context, b bench, n int) ([]figure, error) {
	f, err := os.Create(filepath.Join(b.dir, "synced"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	block := make([]byte, 4096)
	took, err := median(n, func() error {
		_, err := f.Write(block)
		return errors.Join(err, f.Sync())
	})
	return []figure{{what: "floor: fsync of 4 KiB, p50", value: ms(took), unit: "ms"}}, err
}

func commitFloor(ctx context.Context, b bench, n int) ([]figure, error) {
	pragmas := url.Values{"_pragma": {"journal_mode(WAL)", "synchronous(FULL)"}}
	db, err := sql.Open("sqlite", "file:"+filepath.Join(b.dir, "floor.db")+"?"+pragmas.Encode())
	if err != nil {
		return nil, err
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	if _, err := db.ExecContext(ctx, "CREATE TABLE t (x TEXT)"); err != nil {
		return nil, err
	}
	insert, err := db.PrepareContext(ctx, "INSERT INTO t VALUES ('one row')")
	if err != nil {
		return nil, err
	}
	began := time.Now()
	for range 5 * n {
		if _, err := insert.ExecContext(ctx); err != nil {
			return nil, err
		}
	}
	return []figure{{what: "floor: SQLite, FULL commits of one row", value: float64(5*n) / time.Since(began).Seconds(), unit: "/s"}}, nil
}
