package reconcile

import (
	"time"

	"github.com/dayfly-io/dayfly"
)

// Plan shows the tests what the slots of a job become.
func Plan(j dayfly.Job, cursor, now time.Time, taken []time.Time, room int, closing bool) (ranges []dayfly.Range, runs []dayfly.Run, upTo time.Time, full bool) {
	set, err := Slots(j)
	if err != nil {
		panic(err)
	}
	p := planSlots(j, j.Version(), set, cursor, now, taken, room, closing)
	return p.ranges, p.runs, p.cursor, p.full
}
