package spec

import (
	"errors"
	"fmt"
	"strings"
	"time"
	_ "time/tzdata" // the image of tend has no time zones

	"github.com/robfig/cron/v3"
)

// Schedule is a time that recurs, and how many replicas are wanted then. Its fields and their
// meaning are those of KEDA's cron scaler.
type Schedule struct {
	// Start and End are when it begins and ends, each as cron writes it: minute, hour, day of
	// the month, month and day of the week.
	Start, End string
	// TimeZone is where that is, by its name in the IANA database.
	TimeZone string
	// Replicas are wanted from Start to End.
	Replicas int
}

// cronFields are those of a CronJob's schedule in Kubernetes.
var cronFields = cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow)

// At reports whether a time lies between Start and End, and when that changes. It fails where
// the schedule cannot be read, or never begins or ends.
func (s Schedule) At(now time.Time) (on bool, until time.Time, err error) {
	zone, err := time.LoadLocation(s.TimeZone)
	if err != nil {
		return false, time.Time{}, fmt.Errorf("time zone %q: %w", s.TimeZone, err)
	}
	start, err := next(s.Start, now.In(zone))
	if err != nil {
		return false, time.Time{}, fmt.Errorf("start %q: %w", s.Start, err)
	}
	end, err := next(s.End, now.In(zone))
	if err != nil {
		return false, time.Time{}, fmt.Errorf("end %q: %w", s.End, err)
	}
	if end.Before(start) {
		return true, end, nil
	}
	return false, start, nil
}

// next returns when an expression comes next.
func next(expression string, now time.Time) (time.Time, error) {
	if strings.Contains(expression, "=") { // as in "TZ=UTC 0 8 * * *"
		return time.Time{}, errors.New("the time zone has a field of its own, timeZone")
	}
	schedule, err := cronFields.Parse(expression)
	if err != nil {
		return time.Time{}, err
	}
	at := schedule.Next(now)
	if at.IsZero() {
		return at, errors.New("there is no such day in the next five years")
	}
	return at, nil
}
