package keys

import "strings"

// Refusable are the paths of the keys that are refused, whatever their value or for
// some.
func Refusable() (paths []string) {
	for _, row := range table {
		if row.support == refused || row.refuse != nil {
			for name := range strings.FieldsSeq(row.names) {
				paths = append(paths, row.under+"."+name)
			}
		}
	}
	return paths
}
