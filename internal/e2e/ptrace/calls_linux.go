package ptrace

import (
	"golang.org/x/sys/unix"
)

// everywhere are the calls that change something outside the process, by number, of every architecture.
func everywhere() map[uint32]string {
	return map[uint32]string{
		unix.SYS_WRITE: "write", unix.SYS_WRITEV: "writev", unix.SYS_PWRITE64: "pwrite64", unix.SYS_PWRITEV: "pwritev", unix.SYS_PWRITEV2: "pwritev2",
		unix.SYS_SENDFILE: "sendfile", unix.SYS_SPLICE: "splice", unix.SYS_COPY_FILE_RANGE: "copy_file_range",
		unix.SYS_FTRUNCATE: "ftruncate", unix.SYS_TRUNCATE: "truncate", unix.SYS_FALLOCATE: "fallocate",
		unix.SYS_FSYNC: "fsync", unix.SYS_FDATASYNC: "fdatasync", unix.SYS_SYNC_FILE_RANGE: "sync_file_range", unix.SYS_SYNCFS: "syncfs",
		unix.SYS_RENAMEAT: "renameat", unix.SYS_RENAMEAT2: "renameat2", unix.SYS_LINKAT: "linkat", unix.SYS_SYMLINKAT: "symlinkat",
		unix.SYS_UNLINKAT: "unlinkat", unix.SYS_MKDIRAT: "mkdirat", unix.SYS_MKNODAT: "mknodat",
		unix.SYS_MOUNT: "mount", unix.SYS_UMOUNT2: "umount2", unix.SYS_PIVOT_ROOT: "pivot_root", unix.SYS_MOVE_MOUNT: "move_mount",
		unix.SYS_FSMOUNT: "fsmount", unix.SYS_OPEN_TREE: "open_tree", unix.SYS_UNSHARE: "unshare", unix.SYS_SETNS: "setns",
		unix.SYS_CLONE: "clone", unix.SYS_CLONE3: "clone3", unix.SYS_EXECVE: "execve", unix.SYS_EXECVEAT: "execveat",
		unix.SYS_SENDTO: "sendto", unix.SYS_SENDMSG: "sendmsg", unix.SYS_SENDMMSG: "sendmmsg",
		unix.SYS_KILL: "kill", unix.SYS_PIDFD_SEND_SIGNAL: "pidfd_send_signal",
	}
}

// A few calls are only seen where an argument says that they change something.
const (
	callOpen      = "openat" // that makes or empties a file
	callOlderOpen = "open"   // the same
	callMap       = "mmap"   // through which a file is written
)

// names are all calls that are seen.
func names() map[uint32]string {
	all := everywhere()
	for nr, name := range older {
		all[nr] = name
	}
	all[unix.SYS_OPENAT], all[unix.SYS_MMAP] = callOpen, callMap
	return all
}

// The places of struct seccomp_data that a filter reads, on a little-endian machine.
const (
	offsetNumber = 0
	offsetArgs   = 16
)

// filter is the program by which the kernel stops at these calls and at no others.
func filter() []unix.SockFilter {
	const (
		load  = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
		equal = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
		set   = unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K
		end   = unix.BPF_RET | unix.BPF_K
	)
	trace := unix.SockFilter{Code: end, K: unix.SECCOMP_RET_TRACE}
	allow := unix.SockFilter{Code: end, K: unix.SECCOMP_RET_ALLOW}
	arg := func(n uint32) unix.SockFilter { return unix.SockFilter{Code: load, K: offsetArgs + 8*n} }
	makes := unix.SockFilter{Code: set, Jf: 1, K: unix.O_CREAT | unix.O_TRUNC}
	out := []unix.SockFilter{{Code: load, K: offsetNumber}}
	for nr, name := range names() {
		switch name {
		case callOpen:
			out = append(out, unix.SockFilter{Code: equal, Jf: 4, K: nr}, arg(2), makes, trace, allow)
		case callOlderOpen:
			out = append(out, unix.SockFilter{Code: equal, Jf: 4, K: nr}, arg(1), makes, trace, allow)
		case callMap:
			out = append(out, unix.SockFilter{Code: equal, Jf: 6, K: nr}, arg(2), unix.SockFilter{Code: set, Jf: 3, K: unix.PROT_WRITE},
				arg(3), unix.SockFilter{Code: set, Jf: 1, K: unix.MAP_SHARED}, trace, allow)
		default:
			out = append(out, unix.SockFilter{Code: equal, Jf: 1, K: nr}, trace)
		}
	}
	return append(out, allow)
}
