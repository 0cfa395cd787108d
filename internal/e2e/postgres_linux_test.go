package e2e_test

import (
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// postgres is a PostgreSQL server of a test's own, on loopback, whose user backup has a password.
type postgres struct {
	t        *testing.T
	port     string
	password string
}

// server finds a program of PostgreSQL's server, which is on nobody's PATH.
func server(t *testing.T, program string) string {
	t.Helper()
	if path, err := exec.LookPath(program); err == nil {
		return path
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + program)
	if len(found) == 0 {
		t.Skipf("no %s of PostgreSQL; scripts/prepare installs it", program)
	}
	return slices.Max(found)
}

// startPostgres starts a server. It refuses to run as root, who takes the test account for it.
func startPostgres(t *testing.T, h *home) *postgres {
	t.Helper()
	needs(t, "pg_dump")
	initdb, daemon := server(t, "initdb"), server(t, "postgres")
	var attr *syscall.SysProcAttr
	dir := h.place("postgres")
	if os.Getuid() == 0 {
		u := ordinaryUser(t)
		attr = &syscall.SysProcAttr{Credential: u}
		// The account must reach its directory, and nothing else in there.
		if err := os.Chmod(filepath.Dir(dir), 0o711); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(dir, int(u.Uid), int(u.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	p := &postgres{t: t, password: "canary-" + strings.Repeat("0123456789abcdef", 2)}
	secret := filepath.Join(dir, "password")
	write(t, secret, p.password+"\n")
	if err := os.Chmod(secret, 0o644); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(dir, "data")
	cmd := exec.Command(initdb, "-D", data, "-U", "backup", "--pwfile", secret, "-A", "scram-sha-256", "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions")
	cmd.SysProcAttr, cmd.Dir = attr, dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	p.serve(daemon, data, attr)
	return p
}

// serve starts the server on a free port and waits until it answers.
func (p *postgres) serve(daemon, data string, attr *syscall.SysProcAttr) {
	p.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		p.t.Fatal(err)
	}
	_, p.port, _ = net.SplitHostPort(l.Addr().String())
	l.Close()
	cmd := exec.Command(daemon, "-D", data, "-h", "127.0.0.1", "-p", p.port, "-c", "unix_socket_directories=", "-c", "fsync=off", "-c", "shared_buffers=4MB")
	cmd.SysProcAttr, cmd.Dir = attr, data
	out, err := os.Create(data + ".log")
	if err != nil {
		p.t.Fatal(err)
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGQUIT) // at once, with all of its processes
		_ = cmd.Wait()
		if text, err := os.ReadFile(data + ".log"); err == nil && p.t.Failed() {
			p.t.Logf("postgres:\n%s", text)
		}
	})
	await(p.t, time.Minute, "PostgreSQL answers", func() bool { _, err := p.try("postgres", "select 1"); return err == nil })
}

// try asks the server.
func (p *postgres) try(database, sql string) (string, error) {
	cmd := p.client("psql", "-X", "-At", "-v", "ON_ERROR_STOP=1", "-d", database, "-c", sql)
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// client is a program that talks to the server.
func (p *postgres) client(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "PGHOST=127.0.0.1", "PGPORT="+p.port, "PGUSER=backup", "PGPASSWORD="+p.password)
	return cmd
}

func (p *postgres) ask(database, sql string) string {
	p.t.Helper()
	out, err := p.try(database, sql)
	if err != nil {
		p.t.Fatalf("%s: %v\n%s", sql, err, out)
	}
	return out
}

// examplePostgres dumps a database and restores it.
func examplePostgres(t *testing.T, h *home) {
	p := startPostgres(t, h)
	p.ask("postgres", "create database shop")
	p.ask("shop", "create table orders (id int primary key, what text); insert into orders select n, 'order ' || n from generate_series(1, 1000) n")
	secret := filepath.Join(h.place("secrets"), "pgpassword")
	write(t, secret, p.password+"\n")
	path := h.example("postgres-backup", "/etc/dayfly/secrets/pgpassword", secret, `PGPORT: "5432"`, fmt.Sprintf("PGPORT: %q", p.port), "attempts: 3", "attempts: 2", "backoff: 5m", "backoff: 0s")
	log, results := h.run(path)
	dump := filepath.Join(results, "shop-"+today(h.history()[0])+".dump")
	if !strings.Contains(log, "1\n") {
		t.Errorf("the log is %q", log)
	}
	p.ask("postgres", "create database restored")
	if out, err := p.client("pg_restore", "-d", "restored", dump).CombinedOutput(); err != nil {
		t.Fatalf("pg_restore: %v\n%s", err, out)
	}
	const sum = "select count(*), md5(string_agg(id || what, ',' order by id)) from orders"
	if have, want := p.ask("restored", sum), p.ask("shop", sum); have != want {
		t.Errorf("restored is %s, the original %s", have, want)
	}
	err := filepath.WalkDir(h.dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			if text, err := os.ReadFile(path); err == nil && strings.Contains(string(text), p.password) {
				t.Errorf("%s holds the password", path)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}

	// With a wrong password the run fails, and says so without it.
	write(t, secret, "wrong-"+p.password+"\n")
	out, code := h.dayfly("run", path)
	if code != 5 || !strings.Contains(out, "password authentication failed") || strings.Contains(out, p.password) {
		t.Errorf("exit code %d, %s", code, out)
	}
}
