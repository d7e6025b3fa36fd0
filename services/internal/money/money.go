// Package money represents amounts exactly.
package money

import (
	"fmt"
	"strconv"
	"strings"
)

// Amount is an amount of money in minor units (cents). JSON shows it as a
// number of major units with two decimals: 1999 is 19.99.
type Amount int64

// Max is more than any amount that JSON may carry. It is far from overflow when
// multiplied by the largest quantities of an order.
const Max Amount = 100_000_000_00

// String returns the amount in major units with two decimals.
func (a Amount) String() string {
	sign, minor := "", uint64(a)
	if a < 0 {
		sign, minor = "-", -minor
	}
	return fmt.Sprintf("%s%d.%02d", sign, minor/100, minor%100)
}

// MarshalJSON implements json.Marshaler.
func (a Amount) MarshalJSON() ([]byte, error) {
	return []byte(a.String()), nil
}

// UnmarshalJSON implements json.Unmarshaler. It takes a JSON number that is not
// negative and has at most two decimals, without an exponent, and never goes
// through a float.
func (a *Amount) UnmarshalJSON(data []byte) error {
	major, fraction, hasFraction := strings.Cut(string(data), ".")
	if hasFraction && (len(fraction) == 0 || len(fraction) > 2) {
		return fmt.Errorf("amount %s must have at most two decimals", data)
	}
	units, err := strconv.ParseUint(major, 10, 32)
	if err != nil || units >= uint64(Max)/100 {
		return fmt.Errorf("amount %s must be a number such as 19.99, less than %s", data, Max)
	}
	minor, err := strconv.ParseUint((fraction + "00")[:2], 10, 8)
	if err != nil {
		return fmt.Errorf("amount %s must be a number such as 19.99", data)
	}
	*a = Amount(units*100 + minor)
	return nil
}
