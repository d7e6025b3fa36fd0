package autoscale

import (
	"fmt"
	"math"
	"strconv"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/spec"
)

// ask returns how many replicas a metric asks for.
func (in Input) ask(i int, m spec.Metric) core.ScaleMetric {
	switch m.Type {
	case spec.CPU, spec.Memory:
		return in.utilization(m)
	case spec.Cron:
		return in.scheduled(m.Schedule)
	}
	asked := core.ScaleMetric{Name: name(m)}
	read, known := in.Readings[i]
	switch {
	case !known:
		asked.Error = "nothing was read yet"
	case read.Error != "":
		asked.Error = read.Error
	case m.Value != 0:
		asked.Target, asked.Current = number(m.Value), number(read.Value)
		asked.Replicas = in.byRatio(read.Value / m.Value)
	default:
		asked.Target, asked.Current = number(m.AverageValue)+" for each replica", number(read.Value)
		asked.Replicas = in.byAverage(read.Value, m.AverageValue)
	}
	return asked
}

// scheduled asks for a schedule's replicas while it is on, and for the least ones else.
func (in Input) scheduled(s spec.Schedule) core.ScaleMetric {
	asked := core.ScaleMetric{
		Name:   fmt.Sprintf("the schedule %q to %q (%s)", s.Start, s.End, s.TimeZone),
		Target: fmt.Sprintf("%d replicas while it is on", s.Replicas),
	}
	on, until, err := s.At(in.Now)
	if err != nil {
		asked.Error = err.Error()
		return asked
	}
	state := "off"
	if asked.Replicas = in.Spec.MinReplicas; on {
		state, asked.Replicas = "on", s.Replicas
	}
	asked.Current = fmt.Sprintf("%s until %s", state, until.Format("Mon 2006-01-02 15:04"))
	return asked
}

func name(m spec.Metric) string {
	switch m.Type {
	case spec.Requests:
		return "requests per second"
	case spec.Prometheus:
		return strconv.Quote(m.Query)
	default:
		return string(m.Type)
	}
}

// number writes a value with as many digits as a person reads.
func number(v float64) string { return strconv.FormatFloat(v, 'g', 4, 64) }

// within reports whether a ratio is so near to 1 that nothing changes.
func (in Input) within(ratio float64) bool {
	return 1-in.Spec.ScaleDown.Tolerance <= ratio && ratio <= 1+in.Spec.ScaleUp.Tolerance
}

// ready counts the replicas that are ready.
func (in Input) ready() (n int) {
	for _, r := range in.Replicas {
		if !r.Coming && r.Ready {
			n++
		}
	}
	return n
}

// byRatio follows a metric of all replicas together.
func (in Input) byRatio(ratio float64) int {
	if in.within(ratio) {
		return in.Current
	}
	return whole(ratio * float64(in.ready()))
}

// byAverage follows a metric whose target is a value for each replica.
func (in Input) byAverage(value, target float64) int {
	exist := len(in.Replicas)
	if exist == 0 {
		return in.Current
	}
	if in.within(value / (target * float64(exist))) {
		return exist
	}
	return whole(value / target)
}

// whole rounds up to a number of replicas.
func whole(n float64) int { return int(min(math.Ceil(n), math.MaxInt32)) }

// sample is what one replica uses of what it is given.
type sample struct{ use, request int64 }

// utilization follows what replicas use of what they are given. A replica that has no sample
// yet, or that only begins, is taken to use what makes the change smaller.
func (in Input) utilization(m spec.Metric) core.ScaleMetric {
	asked := core.ScaleMetric{Name: name(m), Target: fmt.Sprintf("%d%%", m.Utilization)}
	var measured, unready, missing []sample
	for _, r := range in.Replicas {
		s := sample{request: r.MemoryRequest}
		if m.Type == spec.CPU {
			s.request = r.CPURequest
		}
		switch {
		case s.request == 0:
			asked.Error = fmt.Sprintf("a replica runs that has no limit on its %s", m.Type)
			return asked
		case r.Coming, r.Use != nil && m.Type == spec.CPU && in.begins(r):
			unready = append(unready, s)
		case r.Use == nil:
			missing = append(missing, s)
		case m.Type == spec.CPU:
			s.use = r.Use.CPU
			measured = append(measured, s)
		default:
			s.use = r.Use.Memory
			measured = append(measured, s)
		}
	}
	if len(measured) == 0 {
		asked.Error = "no replica that has started has been measured"
		return asked
	}
	ratio, percent := ratioOf(measured, m.Utilization)
	asked.Current = fmt.Sprintf("%d%%", percent)
	asked.Replicas = in.follow(ratio, m.Utilization, measured, unready, missing)
	return asked
}

// follow returns how many replicas a ratio asks for.
func (in Input) follow(ratio float64, target int, measured, unready, missing []sample) int {
	grows := ratio > 1
	if (len(unready) == 0 || !grows) && len(missing) == 0 {
		if in.within(ratio) {
			return in.Current
		}
		return whole(ratio * float64(len(measured)))
	}
	all := measured
	for _, s := range missing {
		switch {
		case ratio < 1:
			s.use = s.request * int64(max(100, target)) / 100
			all = append(all, s)
		case grows:
			all = append(all, s)
		}
	}
	if grows {
		all = append(all, unready...)
	}
	careful, _ := ratioOf(all, target)
	if in.within(careful) || ratio < 1 && careful > 1 || grows && careful < 1 {
		return in.Current
	}
	n := whole(careful * float64(len(all)))
	if careful < 1 && n > in.Current || careful > 1 && n < in.Current {
		return in.Current
	}
	return n
}

// ratioOf holds the utilisation of all samples against the target, in whole percent.
func ratioOf(samples []sample, target int) (ratio float64, percent int) {
	use, request := int64(0), int64(0)
	for _, s := range samples {
		use += s.use
		request += s.request
	}
	percent = int(use * 100 / request)
	return float64(percent) / float64(target), percent
}

// begins reports whether a replica's CPU is still that of its start.
func (in Input) begins(r Replica) bool {
	if r.StartedAt.Add(in.periods.initialization).After(in.Now) {
		return !r.Ready || r.Use.At.Before(r.ChangedAt.Add(r.Use.Window))
	}
	return !r.Ready && r.StartedAt.Add(in.periods.initialReadiness).After(r.ChangedAt)
}
