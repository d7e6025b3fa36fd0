package order

import (
	"fmt"
	"strings"
	"testing"
)

func TestValidateNamesEachWrongField(t *testing.T) {
	many := newOrder{}
	for i := range maxItems + 1 {
		many.Items = append(many.Items, newItem{ProductID: fmt.Sprintf("p%d", i), Quantity: 1})
	}
	for _, test := range []struct {
		name  string
		order newOrder
		field string // "": valid
	}{
		{"one", newOrder{Items: []newItem{{"a", 1}}}, ""},
		{"the most", newOrder{Items: append(many.Items[:maxItems-1:maxItems-1], newItem{"last", maxQuantity})}, ""},
		{"none", newOrder{}, "items"},
		{"too many", many, "items"},
		{"no product", newOrder{Items: []newItem{{"", 1}}}, "items[0].productId"},
		{"one product twice", newOrder{Items: []newItem{{"a", 1}, {"a", 2}}}, "items[1].productId"},
		{"zero of it", newOrder{Items: []newItem{{"a", 1}, {"b", 0}}}, "items[1].quantity"},
		{"less than zero of it", newOrder{Items: []newItem{{"a", -1}}}, "items[0].quantity"},
		{"too much of it", newOrder{Items: []newItem{{"a", maxQuantity + 1}}}, "items[0].quantity"},
	} {
		t.Run(test.name, func(t *testing.T) {
			fields := test.order.fieldErrors()
			var got []string
			for _, field := range fields {
				got = append(got, field.Field)
			}
			if strings.Join(got, " ") != test.field {
				t.Errorf("wrong fields = %q, want %q", got, test.field)
			}
		})
	}
}
