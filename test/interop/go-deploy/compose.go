// A project of Compose, read and checked against its specification by the library of `docker compose`.
package main

import (
	"context"

	"github.com/compose-spec/compose-go/v2/cli"
)

func compose(path string) (any, error) {
	options, err := cli.NewProjectOptions([]string{path}, cli.WithOsEnv)
	if err != nil {
		return nil, err
	}
	return options.LoadProject(context.Background())
}
