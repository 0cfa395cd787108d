package crontab_test

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/dayfly-io/dayfly/internal/crontab"
	"github.com/dayfly-io/dayfly/internal/schedule"
)

// vixie is what Vixie cron makes of the five fields of an entry, written after its behaviour and without a look at
// the package: a table of the minutes of an hour, the hours of a day and so on, and which fields begin with a star.
type vixie struct {
	minute, hour, date, month, week [64]bool
	stars                           [5]bool

	lastDay  int64 // of isNow
	dateFits bool
}

var vixieItem = regexp.MustCompile(`^(?:(\*)|(\w+)(?:-(\w+))?)(?:/(\d+))?$`)

func newVixie(t rapid.TB, expr string) *vixie {
	t.Helper()
	words := strings.Fields(expr)
	v := &vixie{lastDay: -1}
	read := func(i, lo, hi int, names string) (set [64]bool) {
		value := func(text string) int {
			if n, err := strconv.Atoi(text); err == nil {
				return n
			}
			at := strings.Index(names, strings.ToLower(text)) / 4
			if i == 3 {
				at++
			}
			return at
		}
		v.stars[i] = words[i][0] == '*'
		for _, one := range strings.Split(words[i], ",") {
			m := vixieItem.FindStringSubmatch(one)
			if m == nil {
				t.Fatalf("the oracle does not know %q", one)
			}
			from, to, step := lo, hi, 1
			if m[1] == "" {
				from = value(m[2])
				to = from
			}
			if m[3] != "" {
				if to = value(m[3]); i == 4 && to == 0 && from > 0 {
					to = 7 // as in cronie
				}
			}
			if m[4] != "" {
				step, _ = strconv.Atoi(m[4])
			}
			for n := from; n <= to; n += step {
				set[n] = true
			}
		}
		return set
	}
	v.minute, v.hour = read(0, 0, 59, ""), read(1, 0, 23, "")
	v.date, v.month = read(2, 1, 31, ""), read(3, 1, 12, "jan feb mar apr may jun jul aug sep oct nov dec")
	v.week = read(4, 0, 7, "sun mon tue wed thu fri sat")
	if v.week[0] || v.week[7] {
		v.week[0], v.week[7] = true, true
	}
	return v
}

// isNow is the test cron makes each minute, on a reading of the wall clock in minutes since 1970.
func (v *vixie) isNow(reading int64) bool {
	if !v.minute[reading%60] || !v.hour[reading/60%24] {
		return false
	}
	if day := reading / (24 * 60); day != v.lastDay {
		tm := time.Unix(day*24*60*60, 0).UTC()
		date, week := v.date[tm.Day()], v.week[tm.Weekday()]
		v.lastDay, v.dateFits = day, date || week
		if v.stars[2] || v.stars[4] {
			v.dateFits = date && week
		}
		v.dateFits = v.dateFits && v.month[tm.Month()]
	}
	return v.dateFits
}

// readings calls f with every minute of real time and what the wall clock shows in it.
func readings(loc *time.Location, from, to time.Time, f func(real, reading int64)) {
	offset := func(real int64) int64 {
		_, seconds := time.Unix(real*60, 0).In(loc).Zone()
		return int64(seconds) / 60
	}
	for real := from.Unix() / 60; real < to.Unix()/60; real += 60 {
		first, last := offset(real), offset(real+59)
		for m := real; m < real+60; m++ {
			if first != last {
				first = offset(m)
			}
			f(m, m+first)
		}
	}
}

// minutes is how many there are in a stretch of time; whoever counts starts has one place for each.
func minutes(from, to time.Time) int64 { return to.Unix()/60 - from.Unix()/60 }

// daemon lives through real time, minute by minute, as cron does, and counts what it starts in each.
func (v *vixie) daemon(loc *time.Location, from, to time.Time) []uint8 {
	started := make([]uint8, minutes(from, to))
	wild := v.stars[0] || v.stars[1]
	virtual := int64(-1)
	readings(loc, from, to, func(real, now int64) {
		if virtual < 0 {
			virtual = now - 1
		}
		switch ahead := now - virtual; {
		case ahead > 3*60 || ahead < -3*60 || ahead == 1:
			virtual = now
			if v.isNow(now) {
				started[real-from.Unix()/60]++
			}
		case ahead > 5:
			if wild && v.isNow(now) {
				started[real-from.Unix()/60]++
			}
			for virtual < now {
				virtual++
				if !wild && v.isNow(virtual) {
					started[real-from.Unix()/60]++
				}
			}
		case ahead > 0:
			panic("a clock that jumps by a few minutes is not what this is for")
		default:
			if wild && v.isNow(now) {
				started[real-from.Unix()/60]++
			}
		}
	})
	return started
}

// plainly counts what cronie starts for a crontab with CRON_TZ: it looks at that zone's reading and nothing else.
func (v *vixie) plainly(loc *time.Location, from, to time.Time) []uint8 {
	started := make([]uint8, minutes(from, to))
	readings(loc, from, to, func(real, now int64) {
		if v.isNow(now) {
			started[real-from.Unix()/60]++
		}
	})
	return started
}

var theNow = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func homes(user string) string {
	switch user {
	case "root":
		return "/root"
	case "alice", "bob", "www-data", "postgres":
		return "/home/" + user
	}
	return ""
}

// importOne imports one entry and gives its job.
func importOne(t rapid.TB, zone, table string) (crontab.Job, crontab.Result) {
	t.Helper()
	res, err := crontab.Import(
		crontab.Options{As: "alice", Zone: zone, Home: homes, Now: theNow},
		crontab.File{Name: "crontab", Data: []byte(table), User: "alice"},
	)
	if err != nil {
		t.Fatalf("%s: %v", table, err)
	}
	if len(res.Jobs) != 1 {
		t.Fatalf("%s: %d jobs; %v", table, len(res.Jobs), res.Notes)
	}
	return res.Jobs[0], res
}

// starts are the minutes at which dayfly starts a job.
func starts(t rapid.TB, j crontab.Job, from, to time.Time) []uint8 {
	t.Helper()
	out := make([]uint8, minutes(from, to))
	if j.Schedule == "" {
		return out
	}
	loc, err := schedule.LoadLocation(j.Timezone)
	if err != nil {
		t.Fatal(err)
	}
	s, err := schedule.Parse(j.Schedule, schedule.Options{Location: loc, Key: string(j.Name)})
	if err != nil {
		t.Fatalf("%s: %v", j.Schedule, err)
	}
	for at, ok := s.Next(from.Add(-time.Second)); ok && at.Before(to); at, ok = s.Next(at) {
		out[at.Unix()/60-from.Unix()/60]++
	}
	return out
}

var changeNote = regexp.MustCompile(`: at (\d{4}-\d{2}-\d{2} \d{2}:\d{2}), when the clocks go (forward|back), `)

// compare checks that dayfly and cron start the same, but for what a note says of a clock change.
func compare(t rapid.TB, expr string, j crontab.Job, cron []uint8, from, to time.Time) {
	t.Helper()
	ours := starts(t, j, from, to)
	loc, err := schedule.LoadLocation(j.Timezone)
	if err != nil {
		t.Fatal(err)
	}
	var noted, announced bool
	var first int64
	for _, n := range j.Notes {
		if m := changeNote.FindStringSubmatch(n.Problem); m != nil {
			noted = true
			at, err := time.ParseInLocation("2006-01-02 15:04", m[1], loc)
			if err != nil {
				t.Fatal(err)
			}
			first = at.Unix() / 60
			announced = at.Before(to) && !at.Before(from)
		}
	}
	differs := int64(-1)
	for i := range cron {
		if cron[i] == ours[i] {
			continue
		}
		real := from.Unix()/60 + int64(i)
		at := time.Unix(real*60, 0).In(loc)
		if !noted || !nearChange(loc, at) {
			t.Fatalf("%s in %s: at %s cron starts %d, %q starts %d", expr, loc, at, cron[i], j.Schedule, ours[i])
		}
		if differs < 0 {
			differs = real
		}
	}
	if announced && (differs < first || differs > first+3*60) {
		t.Fatalf("%s in %s: a note tells of %s, and the first difference is at %s", expr, loc, time.Unix(first*60, 0).In(loc), time.Unix(differs*60, 0).In(loc))
	}
}

// nearChange tells whether the clock has changed in the three hours before an instant.
func nearChange(loc *time.Location, at time.Time) bool {
	_, then := at.Add(-3 * time.Hour).In(loc).Zone()
	_, now := at.In(loc).Zone()
	return then != now
}

// drawField draws a field as people write them, and as they should not.
func drawField(t *rapid.T, i int) string {
	lo := []int{0, 0, 1, 1, 0}[i]
	hi := []int{59, 23, 31, 12, 7}[i]
	value := func() string {
		n := rapid.IntRange(lo, hi).Draw(t, "value")
		switch {
		case i == 3 && rapid.Bool().Draw(t, "name"):
			return time.Month(n).String()[:3]
		case i == 4 && rapid.Bool().Draw(t, "name"):
			return strings.ToUpper(time.Weekday(n % 7).String()[:3])
		}
		return fmt.Sprintf("%0*d", rapid.IntRange(1, 3).Draw(t, "width"), n)
	}
	step := func() string { return "/" + strconv.Itoa(rapid.IntRange(1, hi+12).Draw(t, "step")) }
	item := func() string {
		switch rapid.IntRange(0, 5).Draw(t, "kind") {
		case 0:
			return "*"
		case 1:
			return "*" + step()
		case 2:
			return value() + "-" + value()
		case 3:
			return value() + "-" + value() + step()
		}
		return value()
	}
	switch rapid.IntRange(0, 3).Draw(t, "form") {
	case 0:
		return "*"
	case 1:
		return item()
	}
	var items []string
	for range rapid.IntRange(1, 3).Draw(t, "items") {
		items = append(items, item())
	}
	return strings.Join(items, ",")
}

// TestMeansWhatCronMeans compares imported schedules with a model of cron, minute by minute.
func TestMeansWhatCronMeans(t *testing.T) {
	t.Parallel()
	zones := []string{"UTC", "Europe/Tallinn", "America/New_York", "Australia/Lord_Howe", "America/Santiago", "Africa/Cairo", "Asia/Tokyo"}
	rapid.Check(t, func(t *rapid.T) {
		var fields []string
		for i := range 5 {
			fields = append(fields, drawField(t, i))
		}
		expr := strings.Join(fields, " ")
		zone := rapid.SampledFrom(zones).Draw(t, "zone")
		by := rapid.IntRange(0, 3).Draw(t, "CRON_TZ") == 0
		from := theNow.Truncate(time.Hour).AddDate(0, rapid.IntRange(0, 12).Draw(t, "month"), 0)
		to := from.AddDate(1, 0, 0)
		table := expr + " /bin/backup\n"
		if by {
			table = "CRON_TZ=" + zone + "\n" + table
		}
		res, err := crontab.Import(
			crontab.Options{As: "alice", Zone: zone, Home: homes, Now: theNow},
			crontab.File{Name: "crontab", Data: []byte(table), User: "alice"},
		)
		if err != nil {
			t.Fatalf("%s: %v", expr, err)
		}
		if len(res.Jobs) == 0 {
			wordless(t, expr, res)
			return
		}
		loc, err := schedule.LoadLocation(zone)
		if err != nil {
			t.Fatal(err)
		}
		v := newVixie(t, expr)
		if by {
			compare(t, expr, res.Jobs[0], v.plainly(loc, from, to), from, to)
		} else {
			compare(t, expr, res.Jobs[0], v.daemon(loc, from, to), from, to)
		}
	})
}

// wordless checks that an entry without a job file is one that dayfly has no words for: both day fields are
// restricted, and the star stands in a list.
func wordless(t rapid.TB, expr string, res crontab.Result) {
	t.Helper()
	f := strings.Fields(expr)
	if !(f[2][0] == '*' && strings.Contains(f[2], ",") || f[4][0] == '*' && strings.Contains(f[4], ",")) {
		t.Fatalf("%s has no job file: %v", expr, res.Notes)
	}
	for _, n := range res.Notes {
		if strings.Contains(n.Problem, "no job file") && n.Rule == crontab.RuleLost && n.Line > 0 {
			return
		}
	}
	t.Fatalf("%s has no job file, and nothing is said: %v", expr, res.Notes)
}

// TestMeansWhatCronMeansForYears goes through years of the entries that are easily read wrong.
func TestMeansWhatCronMeansForYears(t *testing.T) {
	t.Parallel()
	for _, expr := range []string{
		"* * * * *", "*/5 * * * *", "*/7 */5 * * *", "*/90 * * * *", "0 */40 * * *", "59 23 31 12 *", "0 0 29 2 *",
		"0 4 1,15 * 5", "0 0 */2 * mon", "0 0 */40 * 1", "30 4 1-31 * 1", "30 4 * * 0-7", "30 4 *,10 * 1", "0 0 1-7 * */7",
		"0 0 13 * */2", "0 0 10-5 * 1", "5 4 * * fri-mon", "0 0 10-5 * *", "5 4 * * sun", "5 4 * * fri-sun", "5 4 * * 1-7/2", "5 4 * * 5-0",
		"0 22-4 * * *", "0 22-4,12 * * *", "0 0 31 4,6,9,11 *", "0-59/60 3 * * *", "0 2 * * *", "30 2,3 * * *", "*/15 2 * * *",
		"0 */3 * * *", "0 0-23 * * *", "15 0-23/1 * * *", "0 0 1-31/100 * 3-3", "007 08 009 10 *",
		"0 0 */2,10 * *", "0 0 */2,10 * 0-6", "0 0 1-31 * */2,3",
	} {
		for _, zone := range []string{"Europe/Tallinn", "Australia/Lord_Howe"} {
			t.Run(expr+" in "+zone, func(t *testing.T) {
				t.Parallel()
				loc, err := schedule.LoadLocation(zone)
				if err != nil {
					t.Fatal(err)
				}
				j, _ := importOne(t, zone, expr+" /bin/backup\n")
				from := theNow.Truncate(time.Hour)
				compare(t, expr, j, newVixie(t, expr).daemon(loc, from, from.AddDate(2, 0, 0)), from, from.AddDate(2, 0, 0))
			})
		}
	}
}

// TestMacrosMeanWhatCronMeans compares the macros with the fields that cron sets for them.
func TestMacrosMeanWhatCronMeans(t *testing.T) {
	t.Parallel()
	loc, err := schedule.LoadLocation("Europe/Tallinn")
	if err != nil {
		t.Fatal(err)
	}
	from := theNow.Truncate(time.Hour)
	for macro, expr := range map[string]string{
		"@hourly": "0 * * * *", "@daily": "0 0 * * 0-7", "@midnight": "0 0 * * 0-7", "@weekly": "0 0 * * 0",
		"@monthly": "0 0 1 * *", "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@every_minute": "* * * * *",
	} {
		j, _ := importOne(t, "Europe/Tallinn", macro+" /bin/backup\n")
		compare(t, macro, j, newVixie(t, expr).daemon(loc, from, from.AddDate(2, 0, 0)), from, from.AddDate(2, 0, 0))
	}
}

// TestRandomValuesAreFixed imports values that cron would draw.
func TestRandomValuesAreFixed(t *testing.T) {
	t.Parallel()
	from, to := theNow, theNow.AddDate(0, 2, 0)
	for expr, fits := range map[string]func(time.Time) bool{
		"~ * * * *":           func(time.Time) bool { return true },
		"0~9 3 * * *":         func(at time.Time) bool { return at.Minute() < 10 && at.Hour() == 3 },
		"0 22~ * * *":         func(at time.Time) bool { return at.Hour() >= 22 && at.Minute() == 0 },
		"0 ~1 * * *":          func(at time.Time) bool { return at.Hour() <= 1 },
		"~/15 5 * * *":        func(at time.Time) bool { return at.Hour() == 5 },
		"5 5 * * 1~7":         func(at time.Time) bool { return at.Hour() == 5 },
		"10~19,40~49 * * * *": func(at time.Time) bool { return at.Minute()/10 == 1 || at.Minute()/10 == 4 },
	} {
		j, res := importOne(t, "UTC", expr+" /bin/backup\n")
		places := map[int]bool{}
		n := 0
		for real, started := range starts(t, j, from, to) {
			if started == 0 {
				continue
			}
			at := from.Add(time.Duration(real) * time.Minute)
			if !fits(at) {
				t.Errorf("%s starts at %s", expr, at)
			}
			places[at.Minute()] = true
			n++
		}
		if want := map[string]int{"~/15 5 * * *": 4, "10~19,40~49 * * * *": 2}[expr]; n == 0 || len(places) != max(want, 1) {
			t.Errorf("%s starts %d times, at %d minutes of the hour", expr, n, len(places))
		}
		if len(res.Notes) == 0 || !strings.Contains(fmt.Sprint(j.Notes), "cron draws a time anew") {
			t.Errorf("%s: nothing is said of it: %v", expr, res.Notes)
		}
	}
	spread := map[int]bool{}
	for n := range 20 {
		j, _ := importOne(t, "UTC", fmt.Sprintf("~ * * * * /bin/backup-%d\n", n))
		spread[slices.Index(starts(t, j, from, from.Add(time.Hour)), 1)] = true
	}
	if len(spread) < 5 {
		t.Errorf("20 jobs start at %d different minutes", len(spread))
	}
}
