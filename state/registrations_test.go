package state

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/tendhq/tend/controller/core"
)

// Who waits for the next index is woken by what a client can act upon.
func TestTheIndexGrowsWithRegistrationsAndTheirStatuses(t *testing.T) {
	s := New(func([]Change) {})
	grows := func(change func(*Tx)) bool {
		before := s.Snapshot().EndpointsIndex()
		s.Update(change)
		return s.Snapshot().EndpointsIndex() > before
	}
	put := func(r core.Registration) func(*Tx) { return func(tx *Tx) { tx.PutRegistration(r) } }
	said := func(status core.CheckStatus, output string) core.Registration {
		return core.Registration{ID: "a", Service: "billing", Checks: []core.Check{{ID: "alive", TTL: time.Second, Status: status, Output: output}}}
	}
	assert.True(t, grows(put(said(core.CheckPassing, "well"))))
	assert.False(t, grows(put(said(core.CheckPassing, "well"))))
	assert.False(t, grows(put(said(core.CheckPassing, "still well"))))
	row, _ := s.Snapshot().Registration("a")
	assert.Equal(t, "still well", row.Checks[0].Output)
	assert.True(t, grows(put(said(core.CheckCritical, "ill"))))
	assert.True(t, grows(put(core.Registration{ID: "a", Service: "billing", Port: 80})))
	assert.True(t, grows(func(tx *Tx) { tx.DeleteRegistration("a") }))
	assert.False(t, grows(func(tx *Tx) { tx.DeleteRegistration("a") }))
}
