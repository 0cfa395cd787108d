package spec_test

import (
	"testing"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/spec"
)

func TestFind(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"machine.memory": "machine.memory", "machine": "machine", "schedule": "schedule",
		"schedule.at": "schedule[].at", "schedule[].at": "schedule[].at", "schedule[3].at": "schedule[].at",
		"env": "env", "env.PATH": "env.*", "env.*": "env.*", "params.digits.type": "params.*.type", "params.*.type": "params.*.type",
	} {
		if k, err := spec.Find(spec.Keys(), name); err != nil || k.Path != want {
			t.Errorf("%s: %q, %v", name, k.Path, err)
		}
	}
	for name, want := range map[string][2]string{
		"machine.ram":     {`there is no field "machine.ram": machine has none "ram"`, `did you mean "machine.memory"?`},
		"machine.type.x":  {`there is no field "machine.type.x": machine.type has none "x"`, "dayfly explain lists them all"},
		"schedule.cron":   {`there is no field "schedule.cron": schedule has none "cron"`, `did you mean "schedule.at"?`},
		"memory":          {`there is no field "memory"`, `did you mean "machine.memory"?`},
		"tipe":            {`there is no field "tipe"`, `did you mean "machine.type"?`},
		"cron":            {`there is no field "cron"`, `did you mean "schedule"?`},
		"zzzzzzzzzz":      {`there is no field "zzzzzzzzzz"`, "dayfly explain lists them all"},
		"":                {`there is no field ""`, "dayfly explain lists them all"},
		"env.":            {`there is no field "env.": env has none ""`, "dayfly explain lists them all"},
		"machine..memory": {`there is no field "machine..memory": machine has none ".memory"`, "keys here are on, type, market, regions, image, cpu, memory, network, disk, isolation, pids"},
		"\x1b[2J":         {"there is no field \"\uFFFD[2J\"", "dayfly explain lists them all"},
	} {
		k, err := spec.Find(spec.Keys(), name)
		if err == nil || err.Error() != want[0] || dayfly.ErrorHint(err) != want[1] || dayfly.ErrorCode(err) != dayfly.CodeInvalid {
			t.Errorf("%q: %q, %v, %q", name, k.Path, err, dayfly.ErrorHint(err))
		}
	}
	for path, want := range map[string]int{"": len(spec.Keys()), "catch_up": 2, "schedule": 5, "machine.regions": 2, "run": 0, "env": 1, "params": 8} {
		if got := spec.Below(spec.Keys(), path); len(got) != want {
			t.Errorf("below %q are %d", path, len(got))
		}
	}
}

// Lists of keys fit a screen only as long as this holds.
func TestSentencesFitALine(t *testing.T) {
	t.Parallel()
	for _, k := range append(spec.Keys(), spec.SettingsKeys()...) {
		if len(k.Doc) > 63 || k.Doc == "" || k.Doc[len(k.Doc)-1] != '.' {
			t.Errorf("%s: %d characters; it must be one sentence of at most 63: %s", k.Path, len(k.Doc), k.Doc)
		}
	}
}
