package ptrace

import "golang.org/x/sys/unix"

// older are calls that newer architectures do without.
var older = map[uint32]string{
	unix.SYS_OPEN: "open", unix.SYS_CREAT: "creat", unix.SYS_RENAME: "rename", unix.SYS_LINK: "link", unix.SYS_SYMLINK: "symlink", unix.SYS_UNLINK: "unlink",
	unix.SYS_MKDIR: "mkdir", unix.SYS_RMDIR: "rmdir", unix.SYS_MKNOD: "mknod", unix.SYS_FORK: "fork", unix.SYS_VFORK: "vfork",
}

// skip makes a call that is about to happen not happen, and its result this error.
func skip(tid int, errno unix.Errno) error {
	var regs unix.PtraceRegs
	if err := unix.PtraceGetRegs(tid, &regs); err != nil {
		return err
	}
	regs.Orig_rax = ^uint64(0)
	regs.Rax = uint64(-int64(errno))
	return unix.PtraceSetRegs(tid, &regs)
}
