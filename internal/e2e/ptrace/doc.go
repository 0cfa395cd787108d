// Package ptrace runs a program under the eyes of a test. The test is asked at each system call that
// changes something outside its process, before the kernel does it, in the program and in all that it
// starts, sandboxes included: it lets the call happen, makes it fail, or kills the process on either
// side of it, at exactly this call.
//
// It is strace with --seccomp-bpf, and different in one thing: calls are counted and chosen by the
// test, for each process. strace counts for each thread, and the calls of a Go program come from
// whichever thread the scheduler takes: the third pwrite of a process cannot be named there.
//
// A program that uses the package calls [Child] first. It begins two processes through its own binary:
//
//	test ──socket── tracer ──traces──▶ program ──▶ all that it starts
//
// The tracer has no other children than those it traces, which a test cannot say of its threads. The
// program begins as this binary too, gives itself the filter that makes the kernel stop at those
// calls only, and becomes itself.
package ptrace
