package client

import (
	"errors"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
)

func TestMessagesAreReadWhole(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	in := "id: 1\ndata: one\n\n:\n\ndata: " + long + "\n\ndata: cut o"
	var got []string
	var last error
	for data, err := range messages(iotest.HalfReader(strings.NewReader(in))) {
		if last = err; err == nil {
			got = append(got, string(data))
		}
	}
	assert.Equal(t, []string{"one", long}, got)
	assert.ErrorIs(t, last, errEnded)
}

func TestMessagesPassAnErrorOn(t *testing.T) {
	broken := errors.New("broken")
	for _, err := range messages(iotest.ErrReader(broken)) {
		assert.ErrorIs(t, err, broken)
	}
}
