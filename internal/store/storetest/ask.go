package storetest

import (
	"context"
	"time"

	"github.com/dayfly-io/dayfly/internal/store"
)

// Ask puts every question to a store whose answer is a list or the newest of one, as whoever looks at damaged records
// does. An error is an answer too.
func Ask(ctx context.Context, s store.Store, now time.Time) {
	_, _ = s.Jobs(ctx)
	_, _ = s.DueJobs(ctx, store.Scope{}, now, 10)
	_, _ = s.NextDue(ctx)
	_, _ = s.ActiveRuns(ctx, store.Scope{})
	_, _ = s.LastN(ctx, "pi", now.Add(-time.Hour), "")
	_, _ = s.Ranges(ctx, "", time.Time{})
	_, _ = s.Notes(ctx, "", now)
	_, _ = s.Recorded(ctx, "", 10)
	for range s.History(ctx, store.Filter{}) {
	}
}
