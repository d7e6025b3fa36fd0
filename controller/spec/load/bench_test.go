package load

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// BenchmarkLoad is the time to read the shop, and a project of 30 services that each
// have a spec.
func BenchmarkLoad(b *testing.B) {
	thirty := filepath.Join(b.TempDir(), "thirty")
	var services strings.Builder
	services.WriteString("services:\n  base: {image: \"s:1\"}\n")
	for i := range 30 {
		fmt.Fprintf(&services, "  s%d: {image: \"s:1\", environment: {A: b}, ports: [\"80\"], depends_on: [base]}\n", i)
		write(b, filepath.Join(thirty, fmt.Sprintf("specs/s%d.yaml", i)), fmt.Sprintf(
			"apiVersion: tend/v1\nkind: Deployment\nmetadata: {name: s%d}\nspec: {replicas: 3, template: {environment: {C: d}}}\n", i))
	}
	write(b, filepath.Join(thirty, "compose.yaml"), services.String())
	for name, dir := range map[string]string{"shop": "../../..", "thirty services": thirty} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				_, err := Project(b.Context(), Options{ProjectDirectory: dir})
				require.NoError(b, err)
			}
		})
	}
}
