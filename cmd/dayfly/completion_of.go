package main

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/reconcile"
	"github.com/dayfly-io/dayfly/internal/store"
)

// fills are the ids of backfills, the newest first, with how far they are: all, or those that go on.
func fills(now func() time.Time, open bool) words {
	return func(ctx context.Context, l *looked, _ place) []string {
		return described(fillings(ctx, l, open, now()), func(f reconcile.Filling) (string, string) {
			state := "under way"
			if !f.EndedAt.IsZero() {
				state = "ended " + when(f.EndedAt, now())
			}
			return string(f.ID), number(f.Done) + " of " + plural(f.Count(), "slot") + " begun, " + state
		})
	}
}

func fillings(ctx context.Context, l *looked, open bool, now time.Time) []reconcile.Filling {
	if l.store == nil {
		return nil
	}
	list, err := reconcile.Fillings(ctx, l.store, "", now)
	if err != nil {
		return nil
	}
	list = slices.DeleteFunc(list, func(f reconcile.Filling) bool { return open && !f.EndedAt.IsZero() })
	slices.SortStableFunc(list, func(x, y reconcile.Filling) int { return y.CreatedAt.Compare(x.CreatedAt) })
	return list
}

// backfillable are the jobs that a backfill may run; for flags that are about one that there is, the backfills
// they may be about, and the jobs of these.
func backfillable(now func() time.Time) words {
	return func(ctx context.Context, l *looked, at place) []string {
		if !at.is("list") && !at.is("follow") && !at.is("cancel") {
			return jobs(func(rec store.Job) bool { return rec.Scheduled })(ctx, l, at)
		}
		list := fillings(ctx, l, at.is("cancel"), now())
		of := jobs(func(rec store.Job) bool {
			return slices.ContainsFunc(list, func(f reconcile.Filling) bool { return f.Job == rec.Name })
		})(ctx, l, at)
		if at.is("list") { // which takes jobs alone
			return of
		}
		return append(fills(now, at.is("cancel"))(ctx, l, at), of...)
	}
}

// meant makes the data directory find what a RUN argument means; false where there is nothing to find it in.
func meant(l *looked, at place) bool {
	if l.store == nil || len(at.given) == 0 {
		return false
	}
	l.home.store = l.store
	return true
}

// shards are those of the array's runs that the argument means.
func shards(ctx context.Context, l *looked, at place) []string {
	if !meant(l, at) {
		return nil
	}
	list, err := l.home.shardsOf(ctx, at.given[0], "")
	if err != nil {
		return nil
	}
	list = slices.DeleteFunc(list, func(r dayfly.Run) bool { return !isShard(r) })
	return described(list, func(r dayfly.Run) (string, string) { return string(r.Shard), stateText(r) })
}

// attempts are those of the run that the argument means which have a log.
func attempts(now func() time.Time) words {
	return func(ctx context.Context, l *looked, at place) []string {
		shard, err := at.cmd.Flags().GetString("shard")
		if err != nil || !meant(l, at) {
			return nil
		}
		run, err := l.home.oneOf(ctx, at.given[0], shard)
		if err != nil {
			return nil
		}
		launched := slices.DeleteFunc(slices.Clone(run.Attempts), neverWas)
		return described(launched, func(is dayfly.Attempt) (string, string) {
			return strconv.Itoa(is.Number), "launched " + when(is.LaunchedAt, now())
		})
	}
}
