package api

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/hashicorp/go-memdb"
)

// StreamType is the media type of a stream of server-sent events. Each list
// and each object under /api/v1 can be asked for as one, with the Accept header.
const StreamType = "text/event-stream"

// heartbeat is how often a stream shows that it still stands.
const heartbeat = 15 * time.Second

// sendTimeout bounds how long a reader may take to accept a message.
const sendTimeout = 10 * time.Second

func wantsStream(r *http.Request) bool {
	return r.Method == http.MethodGet && strings.Contains(r.Header.Get("Accept"), StreamType)
}

// stream is an answer of server-sent events:
// https://html.spec.whatwg.org/multipage/server-sent-events.html
type stream struct {
	w  http.ResponseWriter
	rc *http.ResponseController
}

// newStream begins the answer. Its messages have a time-out each, in place of
// that of ordinary answers.
func newStream(w http.ResponseWriter) *stream {
	s := &stream{w: w, rc: http.NewResponseController(w)}
	w.Header().Set("Content-Type", StreamType)
	w.Header().Set("X-Accel-Buffering", "no") // has nginx pass on each message at once
	_ = s.flush()                             // shows at once that the stream stands; an error comes again
	return s
}

// send sends one object, a line of JSON, as a message, with the next flush at the latest.
func (s *stream) send(id string, object []byte) error {
	_ = s.rc.SetWriteDeadline(time.Now().Add(sendTimeout))
	if id != "" {
		id = "id: " + id + "\n"
	}
	_, err := fmt.Fprintf(s.w, "%sdata: %s\n", id, object)
	return err
}

// beat shows that the stream still stands.
func (s *stream) beat() error {
	if _, err := io.WriteString(s.w, ":\n\n"); err != nil {
		return err
	}
	return s.flush()
}

// flush has the reader get what was sent.
func (s *stream) flush() error {
	_ = s.rc.SetWriteDeadline(time.Now().Add(sendTimeout))
	return s.rc.Flush()
}

// wait has the reader get what was sent, and returns true when something has changed since,
// and false when the stream has to end.
func (s *stream) wait(ctx context.Context, changes memdb.WatchSet) bool {
	if s.flush() != nil {
		return false
	}
	for {
		beat, cancel := context.WithTimeout(ctx, heartbeat)
		err := changes.WatchCtx(beat)
		cancel()
		switch {
		case ctx.Err() != nil:
			return false
		case err == nil:
			return true
		case s.beat() != nil:
			return false
		}
	}
}

// stream streams an answer, whole, each time it has changed. The stream ends
// when there is no answer any more.
func (s *server) stream(w http.ResponseWriter, r *http.Request, read read) {
	release, ok := s.hold(w, r)
	if !ok {
		return
	}
	defer release()
	var out *stream
	var sent [sha256.Size]byte // of the message before, which may be large
	for {
		snap := s.Store.Snapshot()
		changes := snap.Watch()
		answer, err := read(snap, r)
		if err != nil {
			if out == nil {
				fail(w, err)
			}
			return
		}
		object := encode(answer)
		sum := sha256.Sum256(object)
		if out == nil {
			out = newStream(w)
		}
		if sum != sent && out.send("", object) != nil {
			return
		}
		sent = sum
		if !out.wait(r.Context(), changes) {
			return
		}
	}
}
