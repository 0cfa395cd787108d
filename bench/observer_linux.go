package main

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

// observer hears from jobs when they began.
type observer struct {
	net.PacketConn
	heard chan heard
}

type heard struct {
	job int
	at  time.Time
}

// observe listens on this machine only.
func observe() (*observer, error) {
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	if err := conn.(*net.UDPConn).SetReadBuffer(4 << 20); err != nil { // nothing is lost while others have the cores
		return nil, err
	}
	o := &observer{conn, make(chan heard)}
	go o.listen()
	return o, nil
}

// line is a job that reads the clock in its first instruction and then says what it read. A sandbox does not keep it
// from that, no other program is started, and every scheduler can run it.
func (o *observer) line(job int) string {
	return fmt.Sprintf(`echo "%d $EPOCHREALTIME" >/dev/udp/127.0.0.1/%d`, job, o.LocalAddr().(*net.UDPAddr).Port)
}

func (o *observer) listen() {
	defer close(o.heard)
	said := make([]byte, 128)
	for {
		n, _, err := o.ReadFrom(said)
		if err != nil {
			return
		}
		job, at, _ := strings.Cut(strings.TrimSpace(string(said[:n])), " ")
		number, err1 := strconv.Atoi(job)
		// Six decimals, behind whatever a language has for a point.
		micro, err2 := strconv.ParseInt(strings.NewReplacer(".", "", ",", "").Replace(at), 10, 64)
		if err1 == nil && err2 == nil {
			o.heard <- heard{number, time.UnixMicro(micro)}
		}
	}
}

// wait gives how late each errand began, once all have.
func (o *observer) wait(ctx context.Context, jobs []errand) ([]time.Duration, error) {
	const patience = 3 * time.Minute // after the last is due
	ctx, cancel := context.WithDeadline(ctx, jobs[len(jobs)-1].at.Add(patience))
	defer cancel()
	late, left := make([]time.Duration, len(jobs)), len(jobs)
	began := make([]bool, len(jobs))
	for left > 0 {
		select {
		case h := <-o.heard:
			if h.job < 0 || h.job >= len(jobs) || began[h.job] {
				return nil, fmt.Errorf("job %d began again, or was never asked for", h.job)
			}
			began[h.job] = true
			late[h.job] = h.at.Sub(jobs[h.job].at)
			left--
		case <-ctx.Done():
			return nil, fmt.Errorf("%d of %d jobs did not begin: %w", left, len(jobs), ctx.Err())
		}
	}
	return late, nil
}
