package recorder

import (
	"errors"
	"hash/maphash"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/tendhq/tend/controller/plan"
	"github.com/tendhq/tend/state/datadir"
)

// Directory is the name of the recordings' folder in the data directory.
const Directory = "recordings"

const (
	// maxFile and maxTotal bound the recordings in bytes. A file is ended when it
	// has grown that large; the oldest go first.
	maxFile  = 4 << 20
	maxTotal = 64 << 20
	// backlog is how many plans may wait to be written, and maxWaiting how many
	// replicas and the like may be in them, each of which takes up to 1 KiB. Plans
	// beyond that are left out, so that the loop never waits.
	backlog    = 4096
	maxWaiting = 32 << 10
	// flushEvery bounds how much of the recording a crash takes.
	flushEvery = time.Second
	// retryEvery paces the tries to write after one failed.
	retryEvery = time.Minute
	// suffix ends the names of recordings. The rest of a name is the time at which the
	// recording began, so that they sort by it.
	suffix   = ".jsonl.gz"
	fileTime = "20060102T150405.000000Z"
)

// Recorder records plans.
type Recorder struct {
	data string // the data directory
	log  *zap.Logger
	in   chan *Record
	done sync.WaitGroup
	// waiting is the weight of the plans that wait to be written, and dropped how many
	// plans were left out.
	waiting, dropped atomic.Int64

	// The goroutine's own.
	file  *os.File // nil where none is open
	size  counter
	dirty bool // something has not been flushed
	out   *Writer
	last  map[string]seen
	retry time.Time
}

// seen is the last recording of a workload.
type seen struct {
	input    uint64
	decision Decision
}

// counter counts the bytes that are written through it.
type counter struct {
	io.Writer
	n int
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.Writer.Write(p)
	c.n += n
	return n, err
}

// Start begins to record into the data directory, until Close.
func Start(dataDir string, log *zap.Logger) *Recorder {
	r := &Recorder{data: dataDir, log: log, in: make(chan *Record, backlog), last: map[string]seen{}}
	r.done.Go(r.run)
	return r
}

// Record records a plan. It does not wait for anything.
func (r *Recorder) Record(in plan.Input, p plan.Plan) {
	p.Actions = slices.Clone(p.Actions) // the caller completes them
	rec := &Record{Input: in, Plan: p}
	weight := rec.weight()
	if r.waiting.Add(weight) <= maxWaiting {
		select {
		case r.in <- rec:
			return
		default:
		}
	}
	r.waiting.Add(-weight)
	r.dropped.Add(1)
}

// weight counts the replicas and the like in a plan.
func (r *Record) weight() int64 {
	in := r.Input
	return int64(1 + len(in.Replicas) + len(in.HookRuns) + len(in.Rollout.Attempts) + len(r.Plan.Rollout.Attempts) + len(r.Plan.Actions))
}

// Waiting is how many plans wait to be written.
func (r *Recorder) Waiting() int { return len(r.in) }

// Dropped is how many plans were left out because more came than could be written.
func (r *Recorder) Dropped() int { return int(r.dropped.Load()) }

// Close writes what is left and ends the recording. Record must not be called after it.
func (r *Recorder) Close() {
	close(r.in)
	r.done.Wait()
	if n := r.Dropped(); n > 0 {
		r.log.Warn("more plans came than could be recorded", zap.Int("missing", n))
	}
}

func (r *Recorder) run() {
	ticker := time.NewTicker(flushEvery)
	defer ticker.Stop()
	for {
		select {
		case rec, open := <-r.in:
			if !open {
				r.failed(r.end())
				return
			}
			r.failed(r.write(*rec))
			r.waiting.Add(-rec.weight())
		case <-ticker.C:
			if r.file != nil && r.dirty { // even to flush nothing writes something
				r.dirty = false
				r.failed(r.out.Flush())
			}
		}
	}
}

// failed pauses recording for a while and reports why, where err is not nil.
func (r *Recorder) failed(err error) {
	if err == nil {
		return
	}
	r.log.Warn("plans are not recorded", zap.Error(err), zap.Duration("retryAfter", retryEvery))
	if r.file != nil {
		_ = r.file.Close()
	}
	r.file, r.retry = nil, time.Now().Add(retryEvery)
}

// write records a plan, unless only the time has passed since the last one.
func (r *Recorder) write(rec Record) error {
	if r.file == nil && time.Now().Before(r.retry) {
		return nil
	}
	l, err := newLine(rec)
	if err != nil {
		return err
	}
	now := seen{input: maphash.Bytes(seed, l.Input), decision: Decide(rec.Plan)}
	if before, ok := r.last[rec.Input.Workload]; ok && before.input == now.input && same(before.decision, now.decision) {
		return nil
	}
	if r.file == nil {
		if err := r.begin(); err != nil {
			return err
		}
	}
	if err := r.out.out.Encode(l); err != nil {
		return err
	}
	r.last[rec.Input.Workload], r.dirty = now, true
	if r.size.n >= maxFile {
		return r.end()
	}
	return nil
}

var seed = maphash.MakeSeed()

// begin begins a file, and makes room for it.
func (r *Recorder) begin() error {
	dir, err := datadir.OpenFolder(r.data, Directory)
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }() // nothing was written to it
	if err := r.prune(dir); err != nil {
		return err
	}
	file, err := dir.OpenFile(time.Now().UTC().Format(fileTime)+suffix, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	r.file, r.size = file, counter{Writer: file}
	r.out, err = NewWriter(&r.size)
	clear(r.last) // each file can be read alone
	return err
}

// end ends the file.
func (r *Recorder) end() error {
	if r.file == nil {
		return nil
	}
	err := errors.Join(r.out.Close(), r.file.Close())
	r.file = nil
	return err
}

// prune removes the oldest recordings until another one has room.
func (r *Recorder) prune(dir *os.Root) error {
	files, err := Files(r.data)
	if err != nil {
		return err
	}
	total := maxFile
	for _, path := range slices.Backward(files) {
		info, err := dir.Lstat(filepath.Base(path))
		if err != nil {
			return err
		}
		total += int(max(info.Size(), blockSize))
		if total > maxTotal {
			if err := dir.Remove(filepath.Base(path)); err != nil {
				return err
			}
		}
	}
	return nil
}

// blockSize is the least that a file counts for, so that there are not too many files
// where tend is restarted often.
const blockSize = 64 << 10

// Files lists the recordings of a data directory, oldest first.
func Files(dataDir string) ([]string, error) {
	return filepath.Glob(filepath.Join(dataDir, Directory, "*"+suffix))
}
