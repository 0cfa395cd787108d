package reconcile

import (
	"sync"

	"github.com/dayfly-io/dayfly"
)

// versions keeps the versions of jobs that were used last, about 2 x versionsSize bytes of them. A version's name is
// made from its content, so what was read once is right for ever; nobody may change it.
type versions struct {
	mu         sync.Mutex
	young, old map[string]dayfly.Job
	size       int // of young
}

const (
	versionsSize = 4 << 20
	versionSize  = 2 << 10 // about, of one beside its longest texts
)

func (v *versions) get(version string) (dayfly.Job, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	j, ok := v.young[version]
	if !ok {
		if j, ok = v.old[version]; ok {
			v.put(version, j)
		}
	}
	return j, ok
}

func (v *versions) add(version string, j dayfly.Job) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.put(version, j)
}

// put makes all that was not used since the last time old when there is enough of it, and forgets what was old then.
func (v *versions) put(version string, j dayfly.Job) {
	if v.young == nil || v.size > versionsSize {
		v.young, v.old, v.size = map[string]dayfly.Job{}, v.young, 0
	}
	if _, known := v.young[version]; known {
		return
	}
	v.young[version] = j
	v.size += versionSize + len(j.Run)
	for name, value := range j.Env {
		v.size += len(name) + len(value)
	}
}
