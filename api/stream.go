package api

import (
	"context"
	"crypto/sha256"
	"fmt"
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
	_ = s.write("")                           // shows at once that the stream stands; an error comes again
	return s
}

// write sends text at once.
func (s *stream) write(text string) error {
	_ = s.rc.SetWriteDeadline(time.Now().Add(sendTimeout))
	if _, err := s.w.Write([]byte(text)); err != nil {
		return err
	}
	return s.rc.Flush()
}

// send sends one object, a line of JSON, as a message.
func (s *stream) send(id string, object []byte) error {
	if id != "" {
		id = "id: " + id + "\n"
	}
	return s.write(fmt.Sprintf("%sdata: %s\n", id, object))
}

// wait returns true when something changed, and false when the stream has to end.
func (s *stream) wait(ctx context.Context, changes memdb.WatchSet) bool {
	for {
		beat, cancel := context.WithTimeout(ctx, heartbeat)
		err := changes.WatchCtx(beat)
		cancel()
		switch {
		case ctx.Err() != nil:
			return false
		case err == nil:
			return true
		case s.write(":\n\n") != nil:
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
