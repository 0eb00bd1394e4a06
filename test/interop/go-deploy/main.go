// Reads deployment files with the parsers of the programs that load them, and prints JSON:
//
//	go-deploy dockerfile FILE      stages and warnings of BuildKit's linter
//	go-deploy context FOLDER       files of a build context, as .dockerignore leaves them
//	go-deploy compose FILE         the project of Compose, with the variables of the environment
//	go-deploy kubernetes FILE      objects, decoded strictly into the types of Kubernetes
//	go-deploy grafana FILE         fields that Grafana's types of a dashboard do not have or that have other types
package main

import (
	"encoding/json"
	"fmt"
	"os"
)

func main() {
	if len(os.Args) != 3 {
		fail(fmt.Errorf("expected a command and a path, got %d arguments", len(os.Args)-1))
	}
	commands := map[string]func(string) (any, error){
		"dockerfile": dockerfile,
		"context":    buildContext,
		"compose":    compose,
		"kubernetes": kubernetes,
		"grafana":    grafana,
	}
	command, isKnown := commands[os.Args[1]]
	if !isKnown {
		fail(fmt.Errorf("unknown command %q", os.Args[1]))
	}
	result, err := command(os.Args[2])
	if err != nil {
		fail(err)
	}
	if err := json.NewEncoder(os.Stdout).Encode(result); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
