package dayfly

import "strings"

// BackfillID names a backfill, a person's wish that slots of the past run: JOB@ and a word of its own.
type BackfillID string

// Job is whose slots they are; empty where the id cannot be one.
func (id BackfillID) Job() JobName {
	job, word, _ := strings.Cut(string(id), "@")
	if name := JobName(job); word != "" && name.Valid() {
		return name
	}
	return ""
}
