// Package web serves the shop's pages: the files that `make web` builds from src, which
// run in a browser and call the services through the gateway.
package web

import (
	"bytes"
	"compress/gzip"
	"embed"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"regexp"
	"strconv"
	"strings"

	"github.com/go-chi/chi/v5"

	"github.com/tendhq/tend/services/internal/httpx"
	"github.com/tendhq/tend/services/internal/server"
)

//go:embed dist/index.html dist/assets
var dist embed.FS

// Service is the front end's server.
var Service = server.Service{Name: "web", Port: 3006, New: newApp}

// routes are the addresses of the pages, which src/app.tsx shows.
var routes = []string{
	"/", "/products/{productId}", "/basket", "/checkout", "/orders", "/orders/{orderId}", "/profile", "/sign-in", "/sign-up", "/stock",
}

// policy lets a page run the files of its own origin and nothing else: what a name or a
// description holds cannot become code.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

func newApp(*server.Runtime) (*server.App, error) {
	files, err := readFiles(dist)
	if err != nil {
		return nil, err
	}
	index := files["index.html"]
	return &server.App{Routes: func(r chi.Router) {
		r.Use(secure)
		for _, route := range routes {
			r.Get(route, index.serve)
			r.Head(route, index.serve)
		}
		serve := assets(files)
		r.Method(http.MethodGet, "/assets/{name}", serve)
		r.Method(http.MethodHead, "/assets/{name}", serve)
		// The page says that there is nothing.
		r.NotFound(index.missing)
	}}, nil
}

func secure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for name, value := range map[string]string{
			"Content-Security-Policy":      policy,
			"Cross-Origin-Opener-Policy":   "same-origin",
			"Cross-Origin-Resource-Policy": "same-origin",
			"Permissions-Policy":           "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
			"Referrer-Policy":              "no-referrer",
			"X-Content-Type-Options":       "nosniff",
			"X-Frame-Options":              "DENY",
		} {
			w.Header().Set(name, value)
		}
		next.ServeHTTP(w, r)
	})
}

// file is a file that was built.
type file struct {
	mediaType string
	content   []byte
	zipped    []byte
	hash      string // of its name, "" where it has none
}

// hashed matches the names of assets: a name, the hash of the content, an extension.
var hashed = regexp.MustCompile(`^([a-z]+)-([A-Z0-9]{8})(\.[a-z]+)$`)

// readFiles returns the files below dist, index.html and the assets, by their names without hashes.
func readFiles(dist fs.FS) (map[string]*file, error) {
	files := map[string]*file{}
	err := fs.WalkDir(dist, "dist", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := fs.ReadFile(dist, name)
		if err != nil {
			return err
		}
		f := &file{mediaType: mime.TypeByExtension(path.Ext(name)), content: content}
		if f.zipped, err = zip(content); err != nil {
			return err
		}
		plain := path.Base(name)
		if m := hashed.FindStringSubmatch(plain); m != nil {
			plain, f.hash = m[1]+m[3], m[2]
		}
		files[plain] = f
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the pages: %w", err)
	}
	return files, nil
}

func zip(content []byte) ([]byte, error) {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(content); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// assets serves what the page loads. During a rollout a page may ask this version for the
// file of another one. It gets this one's, which no cache may keep: a page that mixes two
// versions for a moment is better than one that does not load.
func assets(files map[string]*file) httpx.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		m := hashed.FindStringSubmatch(chi.URLParam(r, "name"))
		if m == nil || files[m[1]+m[3]] == nil {
			return httpx.NotFound(w, r)
		}
		f := files[m[1]+m[3]]
		if f.hash == m[2] {
			w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
		} else {
			w.Header().Set("Cache-Control", "no-store")
		}
		f.write(w, r, http.StatusOK)
		return nil
	}
}

// serve answers with a file whose content the next version changes under the same name.
func (f *file) serve(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-cache")
	f.write(w, r, http.StatusOK)
}

func (f *file) missing(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	f.write(w, r, http.StatusNotFound)
}

func (f *file) write(w http.ResponseWriter, r *http.Request, status int) {
	content := f.content
	w.Header().Set("Content-Type", f.mediaType)
	w.Header().Set("Vary", "Accept-Encoding")
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		content = f.zipped
		w.Header().Set("Content-Encoding", "gzip")
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(content)))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		// Whoever has left does not miss it.
		_, _ = w.Write(content)
	}
}
