package spec

import "slices"

// Variable is something that every job finds in its environment.
type Variable struct{ Name, Doc string }

// Variables are those whose names begin with DAYFLY_, which a job file cannot set, and then those that it can.
func Variables() []Variable { return slices.Clone(variables) }

var variables = []Variable{
	{"DAYFLY_JOB", "the job's name"},
	{"DAYFLY_RUN", "the run's id"},
	{"DAYFLY_SLOT", "the instant for which the run was due, its logical time; of a run that was asked for, the instant of that"},
	{"DAYFLY_PREVIOUS_SUCCESS", "the slot of the last run that succeeded, as it was on record when the attempt began; empty where there is none"},
	{"DAYFLY_ATTEMPT", "the number of the attempt, from 1"},
	{"DAYFLY_SHARD", "the index or region of the run, where a slot has several runs"},
	{"DAYFLY_SHARDS", "how many runs an array makes of a slot; 1 where it is none"},
	{"DAYFLY_REGION", "the region, where the machine is in one"},
	{"DAYFLY_DEADLINE", "when the machine is ended, whatever happens"},
	{"DAYFLY_RESULTS", "a directory; what is left in it is kept"},
	{"PATH", "the host's tools"},
	{"HOME", "the directory in which the job begins, with its files"},
	{"LANG", "C.UTF-8"},
	{"TZ", "UTC"},
}
