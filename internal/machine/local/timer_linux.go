package local

import (
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// deadlineTimers are readable once the deadline has come: one by the boot clock, which counts on
// through suspends and knows no steps, and one by the wall clock.
func deadlineTimers(deadline time.Time) ([]*os.File, error) {
	var out []*os.File
	for _, t := range deadlineSettings(deadline) {
		fd, err := unix.TimerfdCreate(t.clock, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
		if err != nil {
			return out, err
		}
		out = append(out, os.NewFile(uintptr(fd), "deadline"))
		if err := unix.TimerfdSettime(fd, t.flags, &unix.ItimerSpec{Value: t.value}, nil); err != nil {
			return out, err
		}
	}
	return out, nil
}

// timerSetting arms one timer. The flag for an absolute time is the same, 1, for both kinds of timer.
type timerSetting struct {
	clock int
	flags int
	value unix.Timespec
}

func deadlineSettings(deadline time.Time) []timerSetting {
	left := max(time.Until(deadline), time.Millisecond) // 0 would disarm
	return []timerSetting{
		{unix.CLOCK_BOOTTIME, 0, unix.NsecToTimespec(left.Nanoseconds())},
		{unix.CLOCK_REALTIME, unix.TFD_TIMER_ABSTIME, unix.NsecToTimespec(deadline.UnixNano())},
	}
}

// sigevent says what a kernel timer does: here, send a signal to this process.
type sigevent struct {
	value  uintptr
	signo  int32
	notify int32
	_      [48]byte
}

// killSelfAt has the kernel kill this process at the deadline, also when it is stopped then.
func killSelfAt(deadline time.Time) error {
	for _, t := range deadlineSettings(deadline) {
		ev := sigevent{signo: int32(unix.SIGKILL)} // notify 0 is SIGEV_SIGNAL
		var id int32
		if _, _, e := unix.Syscall(unix.SYS_TIMER_CREATE, uintptr(t.clock), uintptr(unsafe.Pointer(&ev)), uintptr(unsafe.Pointer(&id))); e != 0 {
			return e
		}
		spec := unix.ItimerSpec{Value: t.value}
		if _, _, e := unix.Syscall6(unix.SYS_TIMER_SETTIME, uintptr(id), uintptr(t.flags), uintptr(unsafe.Pointer(&spec)), 0, 0, 0); e != 0 {
			return e
		}
	}
	return nil
}
