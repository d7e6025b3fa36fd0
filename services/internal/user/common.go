package user

import (
	_ "embed"
	"strings"
	"sync"
)

// commonList holds the 10,000 most common passwords that are long enough, in lower
// case and one a line; common/LICENSE tells where they come from.
//
//go:embed common/passwords.txt
var commonList string

var commonPasswords = sync.OnceValue(func() map[string]struct{} {
	set := map[string]struct{}{}
	for password := range strings.Lines(commonList) {
		set[strings.TrimSpace(password)] = struct{}{}
	}
	return set
})

// common reports whether password is among those that are tried first (NIST SP
// 800-63B, section 5.1.1.2), in any mixture of cases.
func common(password string) bool {
	_, found := commonPasswords()[strings.ToLower(password)]
	return found
}
