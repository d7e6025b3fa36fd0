package kubernetes

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// maxLabel is how long a name of one label is at most here: room is left for what
// Kubernetes and this package add to it, within the 63 characters of RFC 1035.
const maxLabel = 40

// noLabel is what a label of a name cannot hold.
var noLabel = regexp.MustCompile("[^-a-z0-9]")

// label returns the label of RFC 1035 that is nearest to a name.
func label(name string) string {
	l := strings.Trim(noLabel.ReplaceAllString(strings.ToLower(name), "-"), "-")
	if l == "" || l[0] >= '0' && l[0] <= '9' {
		l = strings.TrimSuffix("x-"+l, "-")
	}
	if len(l) > maxLabel {
		l = distinct(l[:maxLabel-6], name)
	}
	return l
}

// labels gives each name a label of its own. A name that is a label keeps it.
func labels(names map[string]bool) map[string]string {
	all, taken := map[string]string{}, map[string]bool{}
	for name := range names {
		if label(name) == name {
			all[name], taken[name] = name, true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if all[name] != "" {
			continue
		}
		l := label(name)
		if taken[l] {
			l = distinct(l[:min(len(l), maxLabel-6)], name)
		}
		all[name], taken[l] = l, true
	}
	return all
}

// distinct appends to a label what tells a name from others.
func distinct(l, name string) string {
	hash := sha256.Sum256([]byte(name))
	return strings.TrimRight(l, "-") + "-" + hex.EncodeToString(hash[:])[:5]
}
