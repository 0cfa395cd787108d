package local

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dayfly-io/dayfly"
)

func TestParsePower(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]power{
		"shutdown -h now":                    {now: true},
		"shutdown now maintenance":           {now: true},
		"shutdown -r +0":                     {now: true},
		"shutdown 0":                         {now: true},
		"shutdown":                           {after: time.Minute},
		"shutdown -P":                        {after: time.Minute},
		"shutdown -h +55":                    {after: 55 * time.Minute},
		"shutdown 5":                         {after: 5 * time.Minute},
		"shutdown -c":                        {cancel: true},
		"shutdown -k now":                    {},
		"shutdown --help":                    {},
		"shutdown 23:59":                     {code: 1},
		"shutdown +-1":                       {code: 1},
		"shutdown +99999999999":              {code: 1},
		"poweroff":                           {now: true},
		"poweroff -f":                        {now: true},
		"poweroff --wtmp-only":               {},
		"halt -p":                            {now: true},
		"reboot":                             {now: true},
		"systemctl poweroff":                 {now: true},
		"systemctl --no-wall -i reboot":      {now: true},
		"systemctl halt":                     {now: true},
		"systemctl restart poweroff.service": {code: 1},
		"systemctl":                          {code: 1},
		"":                                   {code: 1},
	} {
		got := parsePower(line)
		if got.text == "" && !got.now {
			t.Errorf("%q is left without a word", line)
		}
		if got.text = ""; got != want {
			t.Errorf("%q is %+v, want %+v", line, got, want)
		}
	}
}

const someMounts = `22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 27 0:30 / /mnt/a\040b rw,nosuid,nodev - tmpfs tmpfs rw
31 27 0:31 / /home rw - ext4 /dev/vdb rw
32 31 0:32 / /home/me rw - ext4 /dev/vdc rw
38 31 0:38 / /home rw - xfs /dev/vdf rw
34 38 0:34 /deep/\134x /home/you rw - btrfs /dev/vde rw
35 27 0:35 / /var/chroot/proc rw - proc proc rw
36 35 0:36 / /var/chroot/proc/sys/fs/binfmt_misc rw - ext4 x rw
37 27 0:37 / /etc/hosts rw - ext4 /dev/vda rw
39 27 0:39 / /tmp rw - tmpfs tmpfs rw
40 39 0:40 / /tmp/x rw - ext4 /dev/vdg rw
41 27 0:41 / /opt/a rw - ext4 /dev/vdh rw
42 27 0:42 / /opt rw - ext4 /dev/vdi rw
43 27 0:43 / /runner rw - ext4 /dev/vdj rw
a line that makes no sense
44 27 - x
`

func TestSharedMounts(t *testing.T) {
	t.Parallel()
	var got []string
	for _, m := range sharedMounts(parseMountinfo(someMounts)) {
		got = append(got, m.point+" "+m.fstype+" "+m.root)
	}
	// What /home and /opt showed first is covered; /runner is not /run.
	want := []string{"/ ext4 /", "/etc/hosts ext4 /", "/home xfs /", "/home/you btrfs /deep/\\x", "/mnt/a b tmpfs /", "/opt ext4 /", "/runner ext4 /"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestParseStat(t *testing.T) {
	t.Parallel()
	rest := " S 7 1 1 0 -1 4194560 9 8 7 6 5 4 3 2 20 0 1 0 4711 1 2"
	for _, name := range []string{"(sh)", "(a b)", "(x) Z 9 (y)", "(:-))", "()"} {
		st, err := parseStat([]byte("12 " + name + rest))
		if err != nil || st.parent != 7 || st.start != 4711 {
			t.Errorf("%s: %+v, %v", name, st, err)
		}
	}
	for _, torn := range []string{"", "12", "12 (sh)", "12 (sh) S 7", "12 (sh) S x" + rest} {
		if _, err := parseStat([]byte(torn)); err == nil {
			t.Errorf("%q is no error", torn)
		}
	}
}

func TestSubids(t *testing.T) {
	t.Parallel()
	const text = "# a comment\nroot:1:2\nother:5:6:7\nme:x:65536\nme:200000:0\nme:300000:65536\nme:400000:1\n1000:500000:10\n"
	for _, c := range []struct {
		name, id     string
		first, count int
		ok           bool
	}{{"me", "7", 300000, 65536, true}, {"you", "1000", 500000, 10, true}, {"you", "7", 0, 0, false}, {"m", "", 0, 0, false}} {
		if first, count, ok := subids(text, c.name, c.id); first != c.first || count != c.count || ok != c.ok {
			t.Errorf("%s: %d, %d, %v", c.name, first, count, ok)
		}
	}
}

func TestToken(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]string{"local/0123abc": "0123abc", "local/a_B-9": "a_B-9"} {
		if got, ok := tokenOf(dayfly.MachineID(id)); got != want || !ok {
			t.Errorf("%s: %q, %v", id, got, ok)
		}
	}
	for _, id := range []string{"", "local", "local/", "local/.", "local/..", "local/.making-x", "local/a/b", "ec2/a", "local/" + strings.Repeat("a", 65)} {
		if got, ok := tokenOf(dayfly.MachineID(id)); ok {
			t.Errorf("%s is taken for the machine %q", id, got)
		}
	}
}
