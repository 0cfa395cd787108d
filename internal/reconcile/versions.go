package reconcile

import (
	"sync"
	"time"

	"github.com/dayfly-io/dayfly"
)

// versions keeps the versions of jobs that were used last: in the last minute or two of passes, and no more than about
// 2 x versionsSize bytes of them. A version's name is made from its content, so what was read once is right for ever;
// nobody may change it.
type versions struct {
	mu         sync.Mutex
	young, old map[string]dayfly.Job
	size       int       // of young
	turned     time.Time // when old was young last
}

const (
	versionsFor  = time.Minute
	versionsSize = 4 << 20
	versionSize  = 2 << 10 // about, of one beside its longest texts
)

// grow makes all that was not used for a while old, and forgets what was old before.
func (v *versions) grow(now time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if since := now.Sub(v.turned); since < 0 || since >= versionsFor {
		v.turn()
		v.turned = now
	}
}

func (v *versions) turn() { v.young, v.old, v.size = map[string]dayfly.Job{}, v.young, 0 }

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

// put keeps a version that is used. When there is enough of what is young, all of that becomes old.
func (v *versions) put(version string, j dayfly.Job) {
	if v.young == nil || v.size > versionsSize {
		v.turn()
	}
	if _, known := v.young[version]; known {
		return
	}
	v.young[version] = j
	v.size += versionSize + len(j.Run) + len(j.Setup)
	for name, value := range j.Env {
		v.size += len(name) + len(value)
	}
}
