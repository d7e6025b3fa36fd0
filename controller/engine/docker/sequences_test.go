package docker_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/engine/docker"
	"github.com/tendhq/tend/controller/engine/enginetest"
)

func TestTheModelDoesAsTheEngineDoes(t *testing.T) {
	o := newOutsider(t)
	images := o.buildImages(t)
	e, err := docker.New("")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, e.Close()) })
	enginetest.Compare(t, func(t enginetest.T) enginetest.Harness {
		project := newProject()
		t.Cleanup(func() { o.clean(t, project) })
		return enginetest.Harness{Engine: e, Project: project, Image: images, Outsider: o}
	})
}
