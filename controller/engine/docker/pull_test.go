package docker

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestTheBytesOfAllLayersAreCounted(t *testing.T) {
	l := layers{}
	layer := func(id, status string, current, total int64) pullMessage {
		m := pullMessage{ID: id, Status: status}
		m.Detail.Current, m.Detail.Total = current, total
		return m
	}
	assert.Equal(t, "Downloading 1MB of 4MB", l.add(layer("a", "Downloading", 1e6, 4e6)))
	assert.Equal(t, "Downloading 3MB of 10MB", l.add(layer("b", "Downloading", 2e6, 6e6)))
	assert.Equal(t, "Downloading 6MB of 10MB", l.add(layer("a", "Downloading", 4e6, 4e6)))
	assert.Equal(t, "Extracting 500kB of 4MB", l.add(layer("a", "Extracting", 5e5, 4e6)))
}
