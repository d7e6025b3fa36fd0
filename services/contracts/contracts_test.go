package contracts_test

import (
	"encoding/json"
	"path"
	"reflect"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/tendhq/tend/services/contracts"
)

func TestEachContractIsAValidOpenAPIDocument(t *testing.T) {
	for _, service := range []string{"user-service", "1.1.0/user-service", "product-service", "order-service", "payment-service"} {
		contract := contracts.Of(service)
		if contract.Service != path.Base(service) || len(contract.Endpoints) == 0 {
			t.Errorf("the contract of %s is of %q, with %d endpoints", service, contract.Service, len(contract.Endpoints))
		}
		description, err := contract.OpenAPI()
		if err != nil {
			t.Fatal(err)
		}
		written, err := json.Marshal(description)
		if err != nil {
			t.Fatal(err)
		}
		read, err := openapi3.NewLoader().LoadFromData(written)
		if err != nil {
			t.Fatalf("%s: %v\n%s", service, err, written)
		}
		if err := read.Validate(t.Context()); err != nil {
			t.Errorf("%s: %v", service, err)
		}
	}
}

// During a rollout, and after one that was taken back, clients meet either version.
func TestVersion110KeepsWhatVersion100Promises(t *testing.T) {
	before, after := contracts.Of("user-service"), contracts.Of("1.1.0/user-service")
	for name, promised := range before.Endpoints {
		kept := after.Endpoints[name]
		kept.Headers = promised.Headers // they may always be missing
		if !reflect.DeepEqual(kept, promised) {
			t.Errorf("%s is %+v, and was %+v", name, kept, promised)
		}
	}
	if !reflect.DeepEqual(after.Events, before.Events) || !reflect.DeepEqual(after.Consumes, before.Consumes) {
		t.Error("the events differ")
	}
}

func TestAContractWithAMistakeIsRefused(t *testing.T) {
	for name, endpoint := range map[string]contracts.Endpoint{
		"an unknown type":     {Response: map[string]any{"userId": "text"}},
		"a list of two types": {Response: []any{"string", "number"}},
		"a type of a request": {Request: map[string]any{"items": []any{map[string]any{"quantity": 1.0}}}},
		"a type of a query":   {Query: map[string]any{"page": "int"}},
	} {
		contract := contracts.Contract{Endpoints: map[string]contracts.Endpoint{"GET /api/things": endpoint}}
		if _, err := contract.OpenAPI(); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	contract := contracts.Contract{Endpoints: map[string]contracts.Endpoint{"/api/things": {}}}
	if _, err := contract.OpenAPI(); err == nil {
		t.Error("an endpoint without a method is accepted")
	}
}

// An event has one publisher, and nobody waits for one that has none.
func TestEachEventThatIsConsumedIsPublishedByOneService(t *testing.T) {
	publishers := map[string]string{}
	for _, contract := range contracts.All() {
		for eventType, data := range contract.Events {
			if other, ok := publishers[eventType]; ok {
				t.Errorf("%s is published by %s and by %s", eventType, other, contract.Service)
			}
			publishers[eventType] = contract.Service
			if _, err := contracts.Schema(data); err != nil {
				t.Errorf("%s: %v", eventType, err)
			}
		}
	}
	for _, contract := range contracts.All() {
		for _, eventType := range contract.Consumes {
			if publishers[eventType] == "" {
				t.Errorf("%s consumes %s, which nobody publishes", contract.Service, eventType)
			}
		}
	}
}
