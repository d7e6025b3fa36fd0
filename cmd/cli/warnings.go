package cli

import (
	"io"
	"sync"

	"github.com/sirupsen/logrus"
)

// tellWarnings passes the warnings that compose-go writes to logrus on to tell. It
// passes each on once, as compose-go repeats it whenever the project is read.
func tellWarnings(tell func(warning string)) {
	logger := logrus.StandardLogger()
	logger.SetOutput(io.Discard)
	hooks := logrus.LevelHooks{}
	hooks.Add(&warnings{tell: tell, told: map[string]bool{}})
	logger.ReplaceHooks(hooks)
}

type warnings struct {
	tell func(warning string)
	mu   sync.Mutex
	told map[string]bool
}

// Levels returns the levels that are passed on.
func (w *warnings) Levels() []logrus.Level { return logrus.AllLevels }

// Fire passes on one entry.
func (w *warnings) Fire(e *logrus.Entry) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.told[e.Message] {
		w.told[e.Message] = true
		w.tell(e.Message)
	}
	return nil
}
