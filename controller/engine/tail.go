package engine

import "strings"

// tailLimit is how many bytes a Tail keeps, as the engine does for a health check.
const tailLimit = 4 << 10

// Tail keeps the end of what is written to it, as a process may write without end.
type Tail struct{ kept []byte }

// Write implements io.Writer; it never fails.
func (t *Tail) Write(p []byte) (int, error) {
	t.kept = append(t.kept, p[max(0, len(p)-tailLimit):]...)
	t.kept = t.kept[max(0, len(t.kept)-tailLimit):]
	return len(p), nil
}

func (t *Tail) String() string { return strings.ToValidUTF8(string(t.kept), "") }
