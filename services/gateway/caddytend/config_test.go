package caddytend_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
)

func TestRefusesABadConfiguration(t *testing.T) {
	for name, test := range map[string]struct {
		global, source, transport string
		want                      string
	}{
		"url is no URL":              {"url tend:7071", "dynamic tend web", "tend", "is not like http://tend:7071"},
		"unknown global option":      {"address x", "dynamic tend web", "tend", `unrecognized option "address"`},
		"global option without":      {"url", "dynamic tend web", "tend", "wrong argument count"},
		"no workload":                {"", "dynamic tend", "tend", "wrong argument count"},
		"two workloads":              {"", "dynamic tend web api", "tend", "wrong argument count"},
		"unknown option":             {"", "dynamic tend web {\nnet x\n}", "tend", `unrecognized option "net"`},
		"port is no number":          {"url http://tend:7071", "dynamic tend web {\nport http\n}", "tend", "port of web"},
		"fallback without port":      {"", "dynamic tend web {\nfallback web\n}", "tend", "missing port in address"},
		"neither tend nor fallback":  {"", "dynamic tend web", "tend", "neither a tend to follow nor a fallback"},
		"HTTP/3":                     {"url http://tend:7071", "dynamic tend web", "tend {\nversions 3\n}", "does not speak HTTP/3"},
		"argument of repeatable":     {"url http://tend:7071", "dynamic tend web\nlb_retry_match {\nrepeatable x\n}", "tend", "wrong argument count"},
		"good":                       {"url http://tend:7071", "dynamic tend web", "tend", ""},
		"good, transport of another": {"url http://tend:7071", "dynamic tend web", "http", ""},
	} {
		t.Run(name, func(t *testing.T) {
			source := "{\nadmin off\nauto_https off\ntend {\n" + test.global + "\n}\n}\n:0 {\nreverse_proxy {\n" +
				test.source + "\ntransport " + test.transport + "\n}\n}\n"
			err := validate(source)
			switch {
			case test.want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("the error is %v, want %q", err, test.want)
			}
		})
	}
}

func validate(source string) error {
	config, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(source), nil)
	if err != nil {
		return err
	}
	var decoded caddy.Config
	if err := json.Unmarshal(config, &decoded); err != nil {
		return err
	}
	return caddy.Validate(&decoded)
}
