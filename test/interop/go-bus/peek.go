package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"time"
	"unsafe"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/peer"
)

const loopTimeout = 10 * time.Second

var errLoopBusy = errors.New("the loop of pubsub did not answer")

// hidden is a field that its library keeps to itself. The versions of the libraries are pinned, so that it is there.
func hidden(of any, name string) (reflect.Value, error) {
	f := reflect.Indirect(reflect.ValueOf(of)).FieldByName(name)
	if !f.IsValid() || !f.CanAddr() {
		return f, fmt.Errorf("%T has no field %q", of, name)
	}
	return reflect.NewAt(f.Type(), unsafe.Pointer(f.UnsafeAddr())).Elem(), nil
}

func field[T any](of any, name string) (T, error) {
	var none T
	f, err := hidden(of, name)
	if err != nil {
		return none, err
	}
	value, ok := f.Interface().(T)
	if !ok {
		return none, fmt.Errorf("field %q of %T is no %T", name, of, none)
	}
	return value, nil
}

// inLoop runs a function where pubsub changes its state, and waits for it.
func inLoop(ps *pubsub.PubSub, run func()) error {
	eval, err := field[chan func()](ps, "eval")
	if err != nil {
		return err
	}
	done, deadline := make(chan struct{}), time.After(loopTimeout)
	select {
	case eval <- func() { defer close(done); run() }:
	case <-deadline:
		return errLoopBusy
	}
	select {
	case <-done:
		return nil
	case <-deadline:
		return errLoopBusy
	}
}

type meshMap = map[string]map[peer.ID]struct{}

// handleMesh tells the mesh of each joined topic and who subscribes to it.
func handleMesh(_ context.Context, n *node, _ json.RawMessage) (any, error) {
	router, err := field[*pubsub.GossipSubRouter](n.pubsub, "rt")
	if err != nil {
		return nil, err
	}
	members, err := field[meshMap](router, "mesh")
	if err != nil {
		return nil, err
	}
	mesh, subscribers := map[string][]string{}, map[string][]string{}
	for _, name := range n.pubsub.GetTopics() {
		mesh[name], subscribers[name] = []string{}, []string{}
		for _, id := range n.pubsub.ListPeers(name) {
			subscribers[name] = append(subscribers[name], id.String())
		}
	}
	err = inLoop(n.pubsub, func() {
		for name, ids := range members {
			for id := range ids {
				mesh[name] = append(mesh[name], id.String())
			}
		}
	})
	return map[string]any{"mesh": mesh, "subscribers": subscribers}, err
}
