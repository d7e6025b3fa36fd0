package main

import (
	"context"

	"github.com/tendhq/tend/controller/spec"
)

func follow(ctx context.Context, f *flags, p *spec.Project) error { return nil }
