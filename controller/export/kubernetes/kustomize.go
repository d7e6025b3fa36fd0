package kubernetes

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Kustomization is the name of the file that lists the others of a kustomize base.
const Kustomization = "kustomization.yaml"

// Base is the objects as a kustomize base: a file for each, and one that lists them.
func (r Result) Base() (map[string][]byte, error) {
	files := map[string][]byte{}
	var names []string
	for _, o := range r.Objects {
		text, err := encode(o.fields)
		if err != nil {
			return nil, err
		}
		name := strings.ToLower(o.Kind) + "-" + o.Name + ".yaml"
		files[name] = text
		names = append(names, name)
	}
	text, err := encode(kustomization(names))
	if err != nil {
		return nil, err
	}
	files[Kustomization] = text
	return files, nil
}

func kustomization(resources []string) object {
	return object{"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "resources": resources}
}

// placeholders are the fields, by kind, whose value no project says.
var placeholders = map[string]string{
	"PersistentVolumeClaim": "/spec/resources/requests/storage",
	"StatefulSet":           "/spec/volumeClaimTemplates/0/spec/resources/requests/storage",
	"Cluster":               "/spec/storage/size",
	"Ingress":               "/spec/rules/0/host",
	"HTTPRoute":             "/spec/hostnames/0",
	"Gateway":               "/spec/gatewayClassName",
}

// Overlay is a kustomization on a base, which it leaves as it is: it has the name of each image
// and each placeholder, with the value of the base, for a person to write another.
func (r Result) Overlay(base string) ([]byte, error) {
	var patches []object
	for _, o := range r.Objects {
		path := placeholders[o.Kind]
		if value := valueAt(o.fields, path); value != "" {
			patches = append(patches, object{
				"target": object{"kind": o.Kind, "name": o.Name},
				"patch":  fmt.Sprintf("- op: replace\n  path: %s\n  value: %s\n", path, value),
			})
		}
	}
	overlay := kustomization([]string{base}).with("images", imagesOf(r.images)).with("patches", patches)
	text, err := encode(overlay)
	return append([]byte("# What a cluster wants otherwise. Each value here is that of the base; an image takes newTag and digest, too.\n"), text...), err
}

// valueAt is the text at a path of a JSON Patch in an object; empty where there is none.
func valueAt(v any, path string) string {
	for _, key := range strings.Split(path, "/")[1:] {
		i, _ := strconv.Atoi(key)
		switch at := v.(type) {
		case object:
			v = at[key]
		case []object:
			v = at[i]
		case []string:
			v = at[i]
		}
	}
	text, _ := v.(string)
	return text
}

// imagesOf are the entries of a kustomization for images as containers name them. They have no
// tags, which would hold an image at the one of today when the base is another.
func imagesOf(all []string) (entries []object) {
	names := map[string]bool{}
	for _, image := range all {
		name, _, _ := strings.Cut(image, "@")
		if i := strings.LastIndex(name, ":"); i > strings.LastIndex(name, "/") {
			name = name[:i]
		}
		names[name] = true
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		entries = append(entries, object{"name": name, "newName": name})
	}
	return entries
}
