// Package page is the page in the browser: files that show what the API tells, and ask it.
// They are served as they are; nothing is built.
package page

import (
	"bytes"
	"embed"
	"io/fs"
	"net/http"
	"path"
	"time"
)

//go:embed index.html files vendor
var content embed.FS

// types are the media types of the files. Whatever has another name is not served.
var types = map[string]string{
	".js": "text/javascript; charset=utf-8", ".mjs": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8",
	".svg": "image/svg+xml", ".txt": "text/plain; charset=utf-8",
}

// policy lets the page load its own files and ask its own origin, and nothing else.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// Index serves the page.
func Index(w http.ResponseWriter, r *http.Request) {
	serve(w, r, "index.html", "text/html; charset=utf-8")
}

// File serves a file of the page by its name, and reports whether there is one.
func File(w http.ResponseWriter, r *http.Request, name string) bool {
	kind := types[path.Ext(name)]
	for _, folder := range []string{"files/", "vendor/"} {
		if _, err := fs.Stat(content, folder+name); err == nil && kind != "" {
			serve(w, r, folder+name, kind)
			return true
		}
	}
	return false
}

func serve(w http.ResponseWriter, r *http.Request, file, kind string) {
	text, err := content.ReadFile(file)
	if err != nil {
		panic("page: " + err.Error()) // a programming error
	}
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("Content-Security-Policy", policy)
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	http.ServeContent(w, r, file, time.Time{}, bytes.NewReader(text))
}
