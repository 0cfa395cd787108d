package reconcile

import (
	"time"

	"github.com/dayfly-io/dayfly"
)

// Taken is a slot that has runs already, of every shard or of some.
type Taken struct {
	Slot  time.Time
	Whole bool
}

// Plan shows the tests what the slots of a job become.
func Plan(j dayfly.Job, cursor, now time.Time, taken []Taken, room int, closing bool) (ranges []dayfly.Range, runs []dayfly.Run, upTo time.Time, full bool) {
	set, err := Slots(j)
	if err != nil {
		panic(err)
	}
	m, err := newMaker(j, j.Version(), "test-installation", now)
	if err != nil {
		panic(err)
	}
	var had []covered
	for _, t := range taken {
		had = append(had, covered{t.Slot, t.Whole})
	}
	p := planSlots(m, set, cursor, had, room, closing)
	return p.ranges, p.runs, p.cursor, p.full
}
