package controller

import (
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/plan"
	"github.com/tendhq/tend/controller/spec"
)

func TestAPreviewNamesTheFieldsThatDiffer(t *testing.T) {
	made := func(revision, image, user string) *spec.Workload {
		return &spec.Workload{
			Name: "web", Kind: spec.Deployment, Replicas: 1, Revision: revision, Image: image, ProgressDeadline: time.Minute,
			Template: types.ServiceConfig{Name: "web", Image: image, User: user},
		}
	}
	in := plan.Input{
		Now: time.Now(), Workload: "web", Spec: made("new", "web:2", "1000"), History: map[string]*spec.Workload{"old": made("old", "web:1", "")},
		Replicas: []core.Replica{
			{Workload: "web", Number: 1, Name: "web-1", ID: "a", Revision: "old", Image: "web:1", State: core.Running},
			{Workload: "web", Number: 2, Name: "web-2", ID: "b", Revision: "old", Image: "web:1", State: core.Running},
			{Workload: "web", Number: 3, Name: "web-3", ID: "c", ConfigHash: "composed", Image: "web:0", State: core.Running},
		},
	}
	found, err := differences(in, plan.Compute(in))
	require.NoError(t, err)
	require.Len(t, found, 2)
	assert.Equal(t, "replicas: 3 → 1", found[0].Text)
	assert.Equal(t, "revision: 3 of 3 replicas are not at new", found[1].Text)
	assert.Equal(t, []spec.Difference{{Field: "image", From: "web:1", To: "web:2"}, {Field: "user", To: "1000"}, {Field: "image", From: "web:0", To: "web:2"}}, found[1].Fields)
}
