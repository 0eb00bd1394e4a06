// The stages of a Dockerfile as BuildKit reads them, and what its linter has to say.
package main

import (
	"bytes"
	"context"
	"fmt"
	"os"

	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/client/llb/sourceresolver"
	"github.com/moby/buildkit/frontend/dockerfile/dockerfile2llb"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/solver/pb"
	"github.com/opencontainers/go-digest"
)

type step struct {
	Name string `json:"name"`
	// The whole instruction as it is written.
	Text string `json:"text"`
	// RUN: the command line of the shell. CMD, ENTRYPOINT, HEALTHCHECK: words. COPY: sources and the target.
	Args []string `json:"args"`
	From string   `json:"from,omitempty"`
}

type stage struct {
	Name  string `json:"name"`
	Base  string `json:"base"`
	Steps []step `json:"steps"`
}

type image struct {
	Stages   []stage  `json:"stages"`
	Warnings []string `json:"warnings"`
}

func dockerfile(path string) (any, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	parsed, err := parser.Parse(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	stages, _, err := instructions.Parse(parsed.AST, nil)
	if err != nil {
		return nil, err
	}
	result := image{Warnings: []string{}}
	for _, warning := range parsed.Warnings {
		result.Warnings = append(result.Warnings, warning.Short)
	}
	for _, each := range stages {
		read := stage{Name: each.Name, Base: each.BaseName}
		for _, command := range each.Commands {
			read.Steps = append(read.Steps, stepOf(command))
		}
		result.Stages = append(result.Stages, read)
	}
	return lint(text, result)
}

func stepOf(command instructions.Command) step {
	read := step{Name: command.Name(), Text: fmt.Sprint(command), Args: []string{}}
	switch each := command.(type) {
	case *instructions.RunCommand:
		read.Args = each.CmdLine
	case *instructions.CmdCommand:
		read.Args = each.CmdLine
	case *instructions.EntrypointCommand:
		read.Args = each.CmdLine
	case *instructions.HealthCheckCommand:
		read.Args = each.Health.Test
	case *instructions.CopyCommand:
		read.Args = append(append(read.Args, each.SourcePaths...), each.DestPath)
		read.From = each.From
	case *instructions.WorkdirCommand:
		read.Args = []string{each.Path}
	case *instructions.UserCommand:
		read.Args = []string{each.User}
	case *instructions.VolumeCommand:
		read.Args = each.Volumes
	case *instructions.ExposeCommand:
		read.Args = each.Ports
	case *instructions.StopSignalCommand:
		read.Args = []string{each.Signal}
	case *instructions.EnvCommand:
		for _, pair := range each.Env {
			read.Args = append(read.Args, pair.Key+"="+pair.Value)
		}
	}
	return read
}

// Base images are not asked for: their configuration is empty.
type emptyImages struct{}

func (emptyImages) ResolveImageConfig(_ context.Context, name string, _ sourceresolver.Opt) (string, digest.Digest, []byte, error) {
	return name, "", []byte(`{"architecture":"amd64","os":"linux","config":{}}`), nil
}

func (emptyImages) ResolveSourceMetadata(context.Context, *pb.SourceOp, sourceresolver.Opt) (*sourceresolver.MetaResponse, error) {
	return nil, fmt.Errorf("no sources")
}

func lint(text []byte, result image) (any, error) {
	source := llb.NewSourceMap(nil, "Dockerfile", "Dockerfile", text)
	source.Definition = &llb.Definition{}
	options := dockerfile2llb.ConvertOpt{MetaResolver: emptyImages{}, SourceMap: source}
	found, err := dockerfile2llb.DockerfileLint(context.Background(), text, options)
	if err != nil {
		return nil, err
	}
	for _, warning := range found.Warnings {
		result.Warnings = append(result.Warnings, warning.RuleName+": "+warning.Detail)
	}
	return result, nil
}
