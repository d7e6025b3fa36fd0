package httpx

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"
)

const (
	maxBody           = 64 << 10
	maxIdempotencyKey = 255
	defaultLimit      = 20
	maxLimit          = 100
	maxPage           = 1_000_000
)

// Decode reads the request's body, one JSON object with no unknown field and of
// at most 64 KiB, into target.
func Decode(w http.ResponseWriter, r *http.Request, target any) error {
	mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || mediaType != "application/json" {
		return NewProblem(http.StatusUnsupportedMediaType, "send the header Content-Type: application/json")
	}
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(target); err != nil {
		return decodeProblem(err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return NewProblem(http.StatusBadRequest, "the body must be one JSON object and nothing after it")
	}
	return nil
}

func decodeProblem(err error) error {
	var tooLarge *http.MaxBytesError
	var wrongType *json.UnmarshalTypeError
	switch {
	case errors.As(err, &tooLarge):
		return NewProblem(http.StatusRequestEntityTooLarge, fmt.Sprintf("the body is larger than %d bytes", tooLarge.Limit))
	case errors.As(err, &wrongType) && wrongType.Field != "":
		return Fields{{Field: wrongType.Field, Detail: "must not be a " + wrongType.Value}}.Err()
	case errors.Is(err, io.EOF):
		return NewProblem(http.StatusBadRequest, "the body is empty, want a JSON object")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return NewProblem(http.StatusBadRequest, "the body ends in the middle of a JSON value")
	}
	return NewProblem(http.StatusBadRequest, "the body is not valid: "+strings.TrimPrefix(err.Error(), "json: "))
}

// Printable reports whether s is valid UTF-8 without control characters, among
// them NUL, which Postgres' text refuses.
func Printable(s string) bool {
	return utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) < 0
}

// ParseID returns an id that has the one form the services write: a UUID of 36
// characters. Other forms of a UUID would give a thing several names.
func ParseID(s string) (uuid.UUID, error) {
	id, err := uuid.Parse(s)
	if err == nil && id.String() != s {
		err = fmt.Errorf("the UUID %q is not in its canonical form", s)
	}
	return id, err
}

var productID = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,63}$`)

// ProductID reports whether s has the form of a product's id.
func ProductID(s string) bool { return productID.MatchString(s) }

// PathID answers problem where the path's parameter name is not an id as ParseID
// wants it. It comes first, so that such a request costs no more than this.
func PathID(name string, problem *Problem) func(http.Handler) http.Handler {
	return Path(name, func(s string) bool { _, err := ParseID(s); return err == nil }, problem)
}

// Path answers problem where the path's parameter name does not have the form that
// ok asks for.
func Path(name string, ok func(string) bool, problem *Problem) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return Handler(func(w http.ResponseWriter, r *http.Request) error {
			if !ok(chi.URLParam(r, name)) {
				return problem
			}
			next.ServeHTTP(w, r)
			return nil
		})
	}
}

// ClientNetwork returns where a request comes from: an IPv4 address, or the 64 bits
// of an IPv6 address that one client is given. The gateway says it in X-Real-IP, for
// which it takes no client's word.
func ClientNetwork(r *http.Request) string {
	address, err := netip.ParseAddr(r.Header.Get("X-Real-IP"))
	if err != nil {
		peer, err := netip.ParseAddrPort(r.RemoteAddr)
		if err != nil {
			return r.RemoteAddr
		}
		address = peer.Addr()
	}
	address = address.Unmap().WithZone("")
	if address.Is4() {
		return address.String()
	}
	prefix, err := address.Prefix(64)
	if err != nil {
		return address.String()
	}
	return prefix.String()
}

// Page is a part of a list: Number counts from 1, Limit is its largest length.
type Page struct {
	Number, Limit int
}

// Offset returns how many items come before the page.
func (p Page) Offset() int { return (p.Number - 1) * p.Limit }

// Total returns the number of pages that hold count items.
func (p Page) Total(count int) int { return (count + p.Limit - 1) / p.Limit }

// ParsePage reads the parameters page and limit.
func ParsePage(query url.Values) (Page, error) {
	var fields Fields
	page := Page{
		Number: number(&fields, query, "page", 1, maxPage),
		Limit:  number(&fields, query, "limit", defaultLimit, maxLimit),
	}
	return page, fields.Err()
}

// NewPage is ParsePage for numbers that are 0 where they are not given.
func NewPage(page, limit int32) (Page, error) {
	query := url.Values{}
	for name, value := range map[string]int32{"page": page, "limit": limit} {
		if value != 0 {
			query.Set(name, strconv.Itoa(int(value)))
		}
	}
	return ParsePage(query)
}

func number(fields *Fields, query url.Values, name string, fallback, largest int) int {
	if !query.Has(name) {
		return fallback
	}
	n, err := strconv.Atoi(query.Get(name))
	fields.Check(err == nil && n >= 1 && n <= largest, name, fmt.Sprintf("must be a number from 1 to %d", largest))
	return n
}

// IdempotencyKey returns the request's Idempotency-Key header, nil where there is none.
func IdempotencyKey(r *http.Request) (*string, error) {
	return ParseKey(r.Header.Values("Idempotency-Key"))
}

// ParseKey returns the one value of an idempotency key, nil where there is none.
func ParseKey(values []string) (*string, error) {
	if len(values) == 0 {
		return nil, nil
	}
	key := values[0]
	printable := strings.IndexFunc(key, func(c rune) bool { return c < '!' || c > '~' }) < 0
	if len(values) > 1 || key == "" || len(key) > maxIdempotencyKey || !printable {
		return nil, NewProblem(http.StatusBadRequest,
			fmt.Sprintf("Idempotency-Key must be one value of 1 to %d printable ASCII characters without spaces", maxIdempotencyKey))
	}
	return &key, nil
}

// Fingerprint returns a digest of a decoded request, stored beside its
// idempotency key to notice a key that is used again for another request.
func Fingerprint(request any) ([]byte, error) {
	encoded, err := json.Marshal(request)
	if err != nil {
		return nil, fmt.Errorf("fingerprint of request: %w", err)
	}
	digest := sha256.Sum256(encoded)
	return digest[:], nil
}

// ErrKeyReused reports that an idempotency key came with two different requests.
var ErrKeyReused = NewProblem(http.StatusUnprocessableEntity, "this Idempotency-Key was used for a different request; use a new key")

// CheckReplay returns ErrKeyReused unless the stored fingerprint is this request's, and
// marks the response as a replay.
func CheckReplay(w http.ResponseWriter, stored, fingerprint []byte) error {
	if !bytes.Equal(stored, fingerprint) {
		return ErrKeyReused
	}
	MarkReplay(w)
	return nil
}

// MarkReplay marks the response as one to an earlier request.
func MarkReplay(w http.ResponseWriter) { w.Header().Set("Idempotency-Replayed", "true") }
