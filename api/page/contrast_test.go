package page_test

import (
	"fmt"
	"math"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var colourVariable = regexp.MustCompile(`--([a-z-]+): (#[0-9a-f]{6});`)

// Text reads well on what it stands on: 4.5 to 1, as WCAG AA wants.
func TestColoursHaveContrast(t *testing.T) {
	text, err := os.ReadFile("files/style.css")
	require.NoError(t, err)
	light, rest, _ := strings.Cut(string(text), "@media (prefers-color-scheme: dark)")
	dark, _, _ := strings.Cut(rest, "* {")
	schemes := map[string]map[string]string{"light": {}, "dark": {}}
	for _, m := range colourVariable.FindAllStringSubmatch(light, -1) {
		schemes["light"][m[1]], schemes["dark"][m[1]] = m[2], m[2]
	}
	for _, m := range colourVariable.FindAllStringSubmatch(dark, -1) {
		schemes["dark"][m[1]] = m[2]
	}
	var pairs [][2]string // text, and what it stands on
	for _, on := range []string{"ground", "panel", "sunken"} {
		for _, text := range []string{"text", "dim", "accent", "brand", "good", "warn", "bad"} {
			pairs = append(pairs, [2]string{text, on})
		}
	}
	for _, tone := range []string{"good", "warn", "bad", "accent"} {
		pairs = append(pairs, [2]string{tone, tone + "-ground"}, [2]string{"text", tone + "-ground"})
	}
	pairs = append(pairs, [2]string{"panel", "accent"})
	for _, phase := range []string{"creating", "starting", "ready", "unready", "unhealthy", "draining", "stopping", "exited", "done", "leftover"} {
		pairs = append(pairs, [2]string{"white", phase})
	}
	for scheme, colours := range schemes {
		colours["white"] = "#ffffff"
		for _, p := range pairs {
			require.NotEmpty(t, colours[p[0]], p[0])
			require.NotEmpty(t, colours[p[1]], p[1])
			assert.GreaterOrEqual(t, contrast(t, colours[p[0]], colours[p[1]]), 4.5, fmt.Sprintf("%s on %s, %s", p[0], p[1], scheme))
		}
	}
}

// contrast is WCAG's ratio of two colours.
func contrast(t *testing.T, a, b string) float64 {
	t.Helper()
	x, y := luminance(t, a), luminance(t, b)
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

func luminance(t *testing.T, colour string) (sum float64) {
	t.Helper()
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		n, err := strconv.ParseUint(colour[1+2*i:3+2*i], 16, 8)
		require.NoError(t, err)
		c := float64(n) / 255
		if c <= 0.04045 {
			c /= 12.92
		} else {
			c = math.Pow((c+0.055)/1.055, 2.4)
		}
		sum += weight * c
	}
	return sum
}
