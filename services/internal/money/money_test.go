package money_test

import (
	"encoding/json"
	"testing"

	"github.com/tendhq/tend/services/internal/money"
)

func TestAmountIsExactOnTheWire(t *testing.T) {
	for wire, want := range map[string]money.Amount{
		"0": 0, "0.01": 1, "0.1": 10, "19.99": 1999, "1234567.80": 123456780, "99999999.99": 9_999_999_999,
	} {
		var got money.Amount
		if err := json.Unmarshal([]byte(wire), &got); err != nil || got != want {
			t.Errorf("%s: got %d, %v, want %d", wire, got, err, want)
		}
	}
	for amount, want := range map[money.Amount]string{0: "0.00", 5: "0.05", 1999: "19.99", -250: "-2.50"} {
		if got, err := json.Marshal(amount); err != nil || string(got) != want {
			t.Errorf("%d: got %s, %v, want %s", int64(amount), got, err, want)
		}
	}
}

func TestAmountRefusesWhatItCannotHoldExactly(t *testing.T) {
	for _, wire := range []string{`-1`, `1.999`, `1e3`, `"5"`, `true`, `100000000`, `99999999999999999999`, `1.5e1`, `-0`} {
		var got money.Amount
		if err := json.Unmarshal([]byte(wire), &got); err == nil {
			t.Errorf("%s: accepted as %d", wire, got)
		}
	}
}
