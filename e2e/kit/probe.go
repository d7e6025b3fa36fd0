package kit

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"
)

// ImportProbe builds the program e2e/probe of a repository and imports it as an image of
// the given name; remove takes the image away.
func ImportProbe(ctx context.Context, engine *client.Client, repository, ref string) (remove func() error, err error) {
	dir, err := os.MkdirTemp("", "tend-probe-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	program := filepath.Join(dir, "probe")
	compile := exec.CommandContext(ctx, "go", "build", "-C", repository, "-trimpath", "-ldflags", "-s -w", "-o", program, "./e2e/probe")
	compile.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := compile.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build probe: %w\n%s", err, output)
	}
	content, err := os.ReadFile(program)
	if err != nil {
		return nil, err
	}
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	if err := w.WriteHeader(&tar.Header{Name: "probe", Mode: 0o755, Size: int64(len(content))}); err != nil {
		return nil, err
	}
	if _, err := w.Write(content); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	body, err := engine.ImageImport(ctx, image.ImportSource{Source: &archive, SourceName: "-"}, ref, image.ImportOptions{Changes: []string{`ENTRYPOINT ["/probe"]`}})
	if err != nil {
		return nil, fmt.Errorf("import %s: %w", ref, err)
	}
	defer body.Close()
	if _, err := io.Copy(io.Discard, body); err != nil {
		return nil, err
	}
	return func() error {
		_, err := engine.ImageRemove(context.WithoutCancel(ctx), ref, image.RemoveOptions{})
		return err
	}, nil
}
