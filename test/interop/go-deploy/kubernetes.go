// Objects of Kubernetes, decoded into the types of its API: an unknown field or a value of another type is an error.
package main

import (
	"bytes"
	"fmt"
	"os"

	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	"sigs.k8s.io/yaml"
)

type object struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
}

func kubernetes(path string) (any, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	objects := []any{}
	for i, document := range bytes.Split(text, []byte("\n---\n")) {
		read, err := decode(document)
		if err != nil {
			return nil, fmt.Errorf("object %d: %w", i+1, err)
		}
		objects = append(objects, read)
	}
	return objects, nil
}

func decode(document []byte) (any, error) {
	var of object
	if err := yaml.Unmarshal(document, &of); err != nil {
		return nil, err
	}
	var target any
	switch of {
	case object{"v1", "ConfigMap"}:
		target = &core.ConfigMap{}
	case object{"v1", "Service"}:
		target = &core.Service{}
	case object{"apps/v1", "StatefulSet"}:
		target = &apps.StatefulSet{}
	case object{"networking.k8s.io/v1", "NetworkPolicy"}:
		target = &networking.NetworkPolicy{}
	default:
		return nil, fmt.Errorf("unexpected %s %s", of.APIVersion, of.Kind)
	}
	return target, yaml.UnmarshalStrict(document, target)
}
