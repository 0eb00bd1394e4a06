// A dashboard, decoded into Grafana's published types.
package main

import (
	"os"
	"strings"

	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

func grafana(path string) (any, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	plugins.RegisterDefaultPlugins()
	faults := []string{}
	read := dashboard.Dashboard{}
	for _, err := range []error{read.UnmarshalJSONStrict(text), read.Validate()} {
		if err == nil {
			continue
		}
		for _, line := range strings.Split(err.Error(), "\n") {
			// Grafana fills these in.
			if !strings.HasSuffix(line, "required field is missing from input") {
				faults = append(faults, line)
			}
		}
	}
	return map[string]any{"panels": len(read.Panels), "faults": faults}, nil
}
