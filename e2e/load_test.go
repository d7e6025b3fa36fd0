package e2e_test

import (
	"crypto/rand"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/e2e/cases"
	"github.com/tendhq/tend/e2e/load"
)

// TestTheShopLosesNoRequest is what make cases does at length, in brief: the
// parts of the shop are updated and hang at the same time, user-service to a version that
// adds a column to its table, and back. It runs while no other
// test does, as those would take the load's share of the machine.
func TestTheShopLosesNoRequest(t *testing.T) {
	chosen, err := cases.Named("hang+migrate+update-payment-service+update-product-db")
	require.NoError(t, err)
	shop, err := cases.Start(t.Context(), docker.Client, repository, tend, "tend-e2e-"+strings.ToLower(rand.Text()[:10]))
	defer func() { assert.NoError(t, shop.Remove(t.Context())) }()
	require.NoError(t, err)

	config := load.Config{Concurrency: 8, Writes: 0.2, Fresh: 0.2}
	result := shop.Run(t.Context(), chosen[0], config, 3000, func(line string) { t.Log(line) })
	t.Logf("%s", result.Report)
	require.NoError(t, result.Err)
	assert.NotZero(t, result.Plain)
	assert.NotZero(t, result.Killed, "tend was not killed")
	assert.NotZero(t, result.Report.Ledger.Acknowledged)
}
