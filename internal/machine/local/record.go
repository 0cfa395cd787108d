package local

// record names one process for ever: a pid alone is given away again.
type record struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start"` // in clock ticks since the boot, field 22 of /proc/PID/stat
	Boot  string `json:"boot"`  // boot id
}
