package main

import (
	"context"
	"encoding/hex"
	"encoding/json"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/peer"
	"google.golang.org/protobuf/proto"
)

// handleForward sends signed messages of others to one neighbour, as if they had just arrived here.
func handleForward(_ context.Context, n *node, raw json.RawMessage) (any, error) {
	args, err := parse[struct {
		PeerID   string   `json:"peerId"`
		Messages []string `json:"messages"` // hex
	}](raw)
	if err != nil {
		return nil, err
	}
	id, err := peer.Decode(args.PeerID)
	if err != nil {
		return nil, err
	}
	rpc := &pubsub.RPC{}
	for _, text := range args.Messages {
		bytes, err := hex.DecodeString(text)
		if err != nil {
			return nil, err
		}
		message := &pb.Message{}
		if err := proto.Unmarshal(bytes, message); err != nil {
			return nil, err
		}
		rpc.Publish = append(rpc.Publish, message)
	}
	var sendErr error
	err = inLoop(n.pubsub, func() { sendErr = push(n.pubsub, id, rpc) })
	if err == nil {
		err = sendErr
	}
	return map[string]any{}, err
}
