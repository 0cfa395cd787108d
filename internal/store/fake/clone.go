package fake

import (
	"maps"
	"slices"

	"github.com/dayfly-io/dayfly"
)

// cloneRun shares nothing with its argument and, like every store, keeps no secret.
func cloneRun(r dayfly.Run) dayfly.Run {
	r.Params = maps.Clone(r.Params)
	r.Attempts = slices.Clone(r.Attempts)
	for i := range r.Attempts {
		a := &r.Attempts[i]
		a.ExitCode = clonePtr(a.ExitCode)
		a.Notes = slices.Clone(a.Notes)
		a.Report = cloneReport(a.Report)
		a.Request = cloneSpec(a.Request)
	}
	return r
}

func cloneReport(p *dayfly.Report) *dayfly.Report {
	if p == nil {
		return nil
	}
	r := *p
	r.ExitCode = clonePtr(r.ExitCode)
	r.Notes = slices.Clone(r.Notes)
	r.Results = slices.Clone(r.Results)
	for i := range r.Results {
		r.Results[i].Raw = slices.Clone(r.Results[i].Raw)
	}
	return &r
}

func cloneSpec(p *dayfly.Spec) *dayfly.Spec {
	if p == nil {
		return nil
	}
	s := *p
	s.Secrets = nil
	s.Machine = cloneChoice(s.Machine)
	s.Task.Env = maps.Clone(s.Task.Env)
	s.Task.SecretNames = slices.Clone(s.Task.SecretNames)
	return &s
}

func cloneChoice(m dayfly.MachineChoice) dayfly.MachineChoice {
	m.Type = slices.Clone(m.Type)
	m.Image = clonePtr(m.Image)
	m.Regions = clonePtr(m.Regions)
	if m.Regions != nil {
		m.Regions.Each = slices.Clone(m.Regions.Each)
		m.Regions.First = slices.Clone(m.Regions.First)
	}
	return m
}

func cloneJob(j dayfly.Job) dayfly.Job {
	j.Schedules = slices.Clone(j.Schedules)
	j.Machine = cloneChoice(j.Machine)
	j.Array = clonePtr(j.Array)
	j.Files = slices.Clone(j.Files)
	j.Env = maps.Clone(j.Env)
	j.Params = maps.Clone(j.Params)
	for name, p := range j.Params {
		p.Default = slices.Clone(p.Default)
		p.Required = clonePtr(p.Required)
		p.Enum = slices.Clone(p.Enum)
		for i := range p.Enum {
			p.Enum[i] = slices.Clone(p.Enum[i])
		}
		j.Params[name] = p
	}
	j.Secrets = maps.Clone(j.Secrets)
	j.Retry.On = slices.Clone(j.Retry.On)
	j.Notify = slices.Clone(j.Notify)
	for i := range j.Notify {
		j.Notify[i].On = slices.Clone(j.Notify[i].On)
	}
	j.Budget = clonePtr(j.Budget)
	return j
}

func clonePtr[T any](p *T) *T {
	if p == nil {
		return nil
	}
	v := *p
	return &v
}
