package metrics

import (
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/machine"
)

// Listed implements machine.Watcher: the machines of this installation that are not gone. A location whose
// list is not complete stays as it was seen last.
func (m *Metrics) Listed(_ string, l machine.Listing) {
	alive := map[machine.Location][]time.Time{}
	for _, one := range l.Machines {
		if one.Tags.Installation == m.Installation && one.State != dayfly.MachineTerminated {
			at := machine.LocationOf(one.ID)
			alive[at] = append(alive[at], one.Tags.Deadline)
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, at := range l.Complete {
		m.alive[at] = alive[at]
	}
}

// machines are measured when they are asked for, since a deadline comes nearer by itself.
type machines struct{ m *Metrics }

var (
	machinesAlive = prometheus.NewDesc("dayfly_machines", "Machines of this installation that are not gone.", []string{"location"}, nil)
	machinesPast  = prometheus.NewDesc("dayfly_machines_past_deadline", "Of them, those whose deadline has passed.", []string{"location"}, nil)
	machinesNext  = prometheus.NewDesc("dayfly_machine_nearest_deadline_seconds", "How long it is until the first of their deadlines; below 0 when it has passed.", []string{"location"}, nil)
)

// Describe implements prometheus.Collector.
func (machines) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{machinesAlive, machinesPast, machinesNext} {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (c machines) Collect(to chan<- prometheus.Metric) {
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	now := c.m.Now()
	for at, deadlines := range c.m.alive {
		past := 0
		for _, d := range deadlines {
			if !now.Before(d) {
				past++
			}
		}
		send := func(d *prometheus.Desc, v float64) {
			to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, string(at))
		}
		send(machinesAlive, float64(len(deadlines)))
		send(machinesPast, float64(past))
		if len(deadlines) > 0 {
			send(machinesNext, slices.MinFunc(deadlines, time.Time.Compare).Sub(now).Seconds())
		}
	}
}
