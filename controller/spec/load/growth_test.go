package load

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/spec"
)

// mostAllocated bounds the bytes that a load allocates in all; few of them are alive at a time.
const mostAllocated = 512 << 20

// TestSmallFilesDoNotGrow shows that small files that would become very large or take very
// long are refused at the place, and before they do.
func TestSmallFilesDoNotGrow(t *testing.T) {
	const plain = "services: {a: {image: b}}\n"
	value := func(key, text string) string {
		return "services:\n  a:\n    image: b\n    " + key + ": " + text + "\n"
	}
	doubling := func(quote string) string {
		text := "A0=" + strings.Repeat("x", 10) + "\n"
		for i := range 30 {
			text += fmt.Sprintf("A%d=%s${A%d}$A%d%s\n", i+1, quote, i, i, quote)
		}
		return text
	}
	for name, c := range map[string]struct{ compose, env, file, want string }{
		"doubling":           {plain, doubling(""), "", ".env:19:1: with the variables filled in, the values down to this one have more than 8388608 bytes"},
		"doubling in quotes": {plain, doubling(`"`), "", ".env:19:1: with the variables filled in"},
		"doubling env_file":  {value("env_file", "a.env"), "", doubling(""), "a.env:19:1: with the variables filled in"},
		"long and often":     {value("labels", "{a: \""+strings.Repeat("$A", 9000)+"\"}"), "A=" + strings.Repeat("x", 1000), "", "compose.yaml:4:17: with the variables filled in"},
		"long by aliases": {"x-a: &a \"$A" + strings.Repeat("x", 9000) + "\"\nx-b: [" + strings.Repeat("*a, ", 2000) + "]\n" + plain, "A=x", "",
			"compose.yaml:2:"},
		"ports":              {value("ports", `["1-65000:1-65000"]`), "", "", "compose.yaml:4:12: with these ports the project has more than 16384"},
		"ports by variables": {value("ports", `["1-${A}:1-${A}"]`), "A=65000", "", "compose.yaml:4:12: with these ports"},
		"ports, long form":   {value("ports", `[{target: 80, published: "1-65000"}]`), "", "", "compose.yaml:4:12: with these ports"},
		"exposed":            {value("expose", `["1-65000"]`), "", "", "compose.yaml:4:13: with these ports"},
		"braces":             {value("labels", "{a: \""+strings.Repeat("${A:-x}", 15_000)+"\"}"), "A=x", "", "compose.yaml:4:17: the value has too many variables with defaults"},
		"nested braces":      {value("labels", "{a: \""+strings.Repeat("${A:-", 3000)+strings.Repeat("}", 3000)+"\"}"), "", "", "compose.yaml:4:17: the value has too many"},
		"braces in .env":     {plain, "A=" + strings.Repeat("${B:-x}", 15_000), "", ".env:1:1: the value has too many variables with defaults"},
		"a command":          {value("command", strings.Repeat("x", 100_000)), "", "", "compose.yaml:4:14: the command has more than 32768 bytes"},
		"a command, filled":  {value("entrypoint", "\""+strings.Repeat("$A", 54_000)+"\""), "A=x", "", "compose.yaml:4:17: the entrypoint has more than 32768 bytes"},
		"nested lists":       {plain + "x-a: " + strings.Repeat("[", 9000) + strings.Repeat("]", 9000), "", "", "compose.yaml:2:8906: with its aliases expanded the document is nested deeper than 100 values"},
		"nested maps":        {plain + "x-a: " + strings.Repeat("{a: ", 4000) + "1" + strings.Repeat("}", 4000), "", "", "nested deeper than 100 values"},
		"nested by aliases":  {plain + "x-a: [&a [], &b [*a], &c [*b]]\nx-b: &d " + strings.Repeat("[", 50) + strings.Repeat("]", 50) + "\nx-c: " + strings.Repeat("[", 60) + "*d" + strings.Repeat("]", 60), "", "", "nested deeper than 100 values"},
		"what people write":  {value("ports", `["10000-20000:10000-20000/udp"]`), "A=${B:-x}", "", ""},
		"many small":         {value("environment", "["+strings.Repeat("\"${A:-x}=1\",", 1000)+"]"), "A=x", "", ""},
		"a script":           {value("command", "[sh, -c, \""+strings.Repeat("echo $$PATH ${A:-x};", 500)+"\"]"), "A=x", "", ""},
		"a long config":      {plain + "configs: {c: {content: \"" + strings.Repeat("proxy_set_header Host $$host; # ${A}\\n", 5000) + "\"}}", "A=x", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, filepath.Join(dir, "compose.yaml"), c.compose)
			write(t, filepath.Join(dir, ".env"), c.env)
			write(t, filepath.Join(dir, "a.env"), c.file)
			var err error
			cost := allocated(func() { _, err = Project(t.Context(), Options{ProjectDirectory: dir}) })
			assert.Less(t, cost, uint64(mostAllocated))
			if c.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorAs(t, err, new(spec.Errors))
			assert.Contains(t, err.Error(), c.want)
			assert.Less(t, cost, uint64(64<<20), "it is refused before it grows")
		})
	}
}

// FuzzComposeFile shows that no Compose file and no .env file takes much memory to load.
func FuzzComposeFile(f *testing.F) {
	f.Add("services: {a: {image: \"b:${A:-1}\", ports: [\"${B}:80\"], command: a b}}", "A=$B\nB=\"80-81\"")
	f.Add("x-a: &a [1]\nservices: {a: {image: b, env_file: .env, labels: *a}}", "A='x'")
	f.Fuzz(func(t *testing.T, compose, env string) {
		dir := t.TempDir()
		write(t, filepath.Join(dir, "compose.yaml"), compose)
		write(t, filepath.Join(dir, ".env"), env)
		began := time.Now()
		cost := allocated(func() { _, _ = Project(t.Context(), Options{ProjectDirectory: dir}) })
		require.Less(t, cost, uint64(mostAllocated))
		require.Less(t, time.Since(began), 30*time.Second)
	})
}
