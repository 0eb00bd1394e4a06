// A load generator: it signs messages and writes them to one neighbour on a gossip stream of its own. pubsub also verifies what it has just
// signed, and remembers it: over half of its CPU, which a receiver on the same machine would lack.
package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"google.golang.org/protobuf/proto"
)

var errNoLight = errors.New("send lightConnect first")

// lightPublisher has one job at a time.
type lightPublisher struct {
	id     peer.ID
	key    crypto.PrivKey
	stream network.Stream
	seqno  uint64
}

// handleLightConnect connects a host of its own, which is in no mesh and reads nothing. Answers with its id.
func handleLightConnect(ctx context.Context, n *node, raw json.RawMessage) (any, error) {
	args, err := parse[struct {
		Address string `json:"address"`
	}](raw)
	if err != nil {
		return nil, err
	}
	info, err := peer.AddrInfoFromString(args.Address)
	if err != nil {
		return nil, err
	}
	h, err := plainHost(scoredArgs{Network: n.scored.network})
	if err != nil {
		return nil, err
	}
	// So that the neighbour sees a peer that gossips.
	h.SetStreamHandler(pubsub.GossipSubID_v11, func(s network.Stream) { _, _ = io.Copy(io.Discard, s) })
	if err := h.Connect(ctx, *info); err != nil {
		return nil, err
	}
	s, err := h.NewStream(ctx, info.ID, pubsub.GossipSubID_v11)
	if err != nil {
		return nil, err
	}
	n.scored.light = &lightPublisher{
		id: h.ID(), key: h.Peerstore().PrivKey(h.ID()), stream: s, seqno: uint64(time.Now().UnixNano()),
	}
	return h.ID().String(), nil
}

// publish blocks while the neighbour takes nothing.
func (l *lightPublisher) publish(topic string, data []byte) error {
	l.seqno++
	m := &pb.Message{From: []byte(l.id), Seqno: binary.BigEndian.AppendUint64(nil, l.seqno), Topic: &topic, Data: data}
	bytes, err := proto.Marshal(m)
	if err != nil {
		return err
	}
	if m.Signature, err = l.key.Sign(append([]byte(pubsub.SignPrefix), bytes...)); err != nil {
		return err
	}
	rpc := &pb.RPC{Publish: []*pb.Message{m}}
	if bytes, err = proto.Marshal(rpc); err != nil {
		return err
	}
	_, err = l.stream.Write(append(binary.AppendUvarint(nil, uint64(len(bytes))), bytes...))
	return err
}
