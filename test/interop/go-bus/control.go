package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"reflect"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/peer"
)

const pruneBackoff = time.Minute

type controlArgs struct {
	PeerID string   `json:"peerId"`
	Graft  []string `json:"graft"`
	Prune  []string `json:"prune"`
	Ihave  struct {
		Topic string   `json:"topic"`
		IDs   []string `json:"ids"` // base64
	} `json:"ihave"`
	Iwant []string `json:"iwant"` // base64
}

// handleControl sends one RPC of control messages on the stream of pubsub, whatever pubsub thinks of them. A pruned neighbour leaves our mesh
// and gets a back-off, as if pubsub had pruned it.
func handleControl(_ context.Context, n *node, raw json.RawMessage) (any, error) {
	args, err := parse[controlArgs](raw)
	if err != nil {
		return nil, err
	}
	id, err := peer.Decode(args.PeerID)
	if err != nil {
		return nil, err
	}
	rpc, err := controlRPC(args)
	if err != nil {
		return nil, err
	}
	router, err := field[*pubsub.GossipSubRouter](n.pubsub, "rt")
	if err != nil {
		return nil, err
	}
	var sendErr error
	err = inLoop(n.pubsub, func() {
		for _, topic := range args.Prune {
			if sendErr = dropFromMesh(router, id, topic); sendErr != nil {
				return
			}
		}
		sendErr = push(n.pubsub, id, rpc)
	})
	if err != nil {
		return nil, err
	}
	if sendErr == nil {
		n.scored.rpcs.SendRPC(rpc, id)
	}
	return map[string]any{}, sendErr
}

func controlRPC(args controlArgs) (*pubsub.RPC, error) {
	control := &pb.ControlMessage{}
	for _, topic := range args.Graft {
		control.Graft = append(control.Graft, &pb.ControlGraft{TopicID: &topic})
	}
	seconds := uint64(pruneBackoff / time.Second)
	for _, topic := range args.Prune {
		control.Prune = append(control.Prune, &pb.ControlPrune{TopicID: &topic, Backoff: &seconds})
	}
	if len(args.Ihave.IDs) > 0 {
		ids, err := decodeAll(args.Ihave.IDs)
		if err != nil {
			return nil, err
		}
		control.Ihave = []*pb.ControlIHave{{TopicID: &args.Ihave.Topic, MessageIDs: ids}}
	}
	if len(args.Iwant) > 0 {
		ids, err := decodeAll(args.Iwant)
		if err != nil {
			return nil, err
		}
		control.Iwant = []*pb.ControlIWant{{MessageIDs: ids}}
	}
	rpc := &pubsub.RPC{}
	rpc.Control = control
	return rpc, nil
}

func decodeAll(texts []string) ([]string, error) {
	all := make([]string, len(texts))
	for i, text := range texts {
		bytes, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return nil, err
		}
		all[i] = string(bytes)
	}
	return all, nil
}

// dropFromMesh runs in the loop of pubsub.
func dropFromMesh(router *pubsub.GossipSubRouter, id peer.ID, topic string) error {
	mesh, err := field[meshMap](router, "mesh")
	if err != nil {
		return err
	}
	backoff, err := field[map[string]map[peer.ID]time.Time](router, "backoff")
	if err != nil {
		return err
	}
	delete(mesh[topic], id)
	if backoff[topic] == nil {
		backoff[topic] = map[peer.ID]time.Time{}
	}
	backoff[topic][id] = time.Now().Add(pruneBackoff)
	return nil
}

// push runs in the loop of pubsub.
func push(ps *pubsub.PubSub, id peer.ID, rpc *pubsub.RPC) error {
	queues, err := hidden(ps, "peers")
	if err != nil {
		return err
	}
	queue := queues.MapIndex(reflect.ValueOf(id))
	if !queue.IsValid() {
		return fmt.Errorf("no gossip stream to %s", id)
	}
	answer := queue.MethodByName("Push").Call([]reflect.Value{reflect.ValueOf(rpc), reflect.ValueOf(false)})
	err, _ = answer[0].Interface().(error)
	return err
}
