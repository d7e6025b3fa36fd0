package user

import (
	"net/mail"
	"strings"
	"unicode/utf8"

	"github.com/tendhq/tend/services/internal/httpx"
)

const (
	maxEmail    = 254 // RFC 5321, section 4.5.3.1.3
	minPassword = 8   // characters; NIST SP 800-63B, section 5.1.1.1
	maxPassword = 256 // characters
	maxName     = 100 // characters
)

func normaliseEmail(email string) string {
	return strings.ToLower(strings.TrimSpace(email))
}

func (b *registration) normalise() {
	b.Email = normaliseEmail(b.Email)
	b.FirstName = strings.TrimSpace(b.FirstName)
	b.LastName = strings.TrimSpace(b.LastName)
}

func (b *registration) validate() error {
	var fields httpx.Fields
	fields.Check(validEmail(b.Email), "email", "must be an address such as ada@example.com")
	length := utf8.RuneCountInString(b.Password)
	fields.Check(length >= minPassword && length <= maxPassword, "password", "must have 8 to 256 characters")
	fields.Check(!common(b.Password), "password", "is one of the most common passwords, which are tried first; choose another")
	fields.Check(validName(b.FirstName), "firstName", "must have 1 to 100 printable characters")
	fields.Check(validName(b.LastName), "lastName", "must have 1 to 100 printable characters")
	return fields.Err()
}

func (c *changes) normalise() {
	if c.Email != nil {
		*c.Email = normaliseEmail(*c.Email)
	}
	for _, name := range []*string{c.FirstName, c.LastName} {
		if name != nil {
			*name = strings.TrimSpace(*name)
		}
	}
}

func (c *changes) validate() error {
	var fields httpx.Fields
	fields.Check(c.Email == nil || validEmail(*c.Email), "email", "must be an address such as ada@example.com")
	fields.Check(c.FirstName == nil || validName(*c.FirstName), "firstName", "must have 1 to 100 printable characters")
	fields.Check(c.LastName == nil || validName(*c.LastName), "lastName", "must have 1 to 100 printable characters")
	return fields.Err()
}

func validEmail(email string) bool {
	address, err := mail.ParseAddress(email)
	return err == nil && address.Address == email && len(email) <= maxEmail && httpx.Printable(email)
}

func validName(name string) bool {
	return name != "" && utf8.RuneCountInString(name) <= maxName && httpx.Printable(name)
}

func (b *credentials) validate() error {
	var fields httpx.Fields
	fields.Check(b.Email != "" && len(b.Email) <= maxEmail && httpx.Printable(b.Email), "email", "must be an address such as ada@example.com")
	fields.Check(b.Password != "", "password", "must not be empty")
	return fields.Err()
}
