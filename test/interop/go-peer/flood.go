package main

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/core/record"
	"github.com/multiformats/go-multiaddr"
)

// floodArgs: a host of its own writes frames of gossip to one neighbour, one after the other, as fast as they are taken.
type floodArgs struct {
	Address  string `json:"address"`
	Topic    string `json:"topic"`
	Kind     string `json:"kind"`     // control, long_ids, bad_ed25519, bad_secp256k1, unfinished
	PerFrame int    `json:"perFrame"` // messages or control messages of a frame
	Frames   int    `json:"frames"`   // 0: until the time is over
	Seconds  int    `json:"seconds"`
	Streams  int    `json:"streams"` // open at once, each with the same frames
	Px       string `json:"px"`      // address of the peers that each PRUNE names
}

const longIDBytes = 1<<20 - 1000

// handleFlood answers with the number of frames that were written when all are, or the time is over. The host stays.
func handleFlood(ctx context.Context, p *testPeer, raw json.RawMessage) (any, error) {
	args, err := parse[floodArgs](raw)
	if err != nil {
		return nil, err
	}
	h, err := newHost(initArgs{PSK: p.args.PSK, Security: p.args.Security})
	if err != nil {
		return nil, err
	}
	h.SetStreamHandler(gossipVersion(args), func(s network.Stream) { _, _ = io.Copy(io.Discard, s) })
	info, err := peer.AddrInfoFromString(args.Address)
	if err != nil {
		return nil, err
	}
	if err := h.Connect(ctx, *info); err != nil {
		return nil, err
	}
	next, err := floodFrames(args)
	if err != nil {
		return nil, err
	}
	streams := make([]network.Stream, max(1, args.Streams))
	for i := range streams {
		if streams[i], err = h.NewStream(ctx, info.ID, gossipVersion(args)); err != nil {
			return nil, err
		}
	}
	until, written := time.Now().Add(time.Duration(args.Seconds)*time.Second), 0
	for i := 0; (args.Frames == 0 || i < args.Frames) && (args.Seconds == 0 || time.Now().Before(until)); i++ {
		frame, err := next()
		if err != nil {
			return nil, err
		}
		for _, s := range streams {
			_ = s.SetWriteDeadline(time.Now().Add(30 * time.Second))
			if _, err := s.Write(frame); err != nil {
				return map[string]any{"written": written, "error": err.Error()}, nil
			}
			written++
		}
	}
	return map[string]any{"written": written}, nil
}

// gossipVersion is 1.2 for IDONTWANT.
func gossipVersion(args floodArgs) protocol.ID {
	if args.Kind == "control" {
		return pubsub.GossipSubID_v12
	}
	return pubsub.GossipSubID_v11
}

func floodFrames(args floodArgs) (func() ([]byte, error), error) {
	switch args.Kind {
	case "control":
		return controlFrames(args)
	case "long_ids":
		return func() ([]byte, error) {
			id := make([]byte, longIDBytes)
			_, _ = rand.Read(id[:16])
			ihave := &pb.ControlIHave{TopicID: &args.Topic, MessageIDs: []string{string(id)}}
			return frameOf(&pb.RPC{Control: &pb.ControlMessage{Ihave: []*pb.ControlIHave{ihave}}})
		}, nil
	case "unfinished":
		return always(append(binary.AppendUvarint(nil, 1<<20-1), make([]byte, 1<<20-2)...), nil)
	}
	key, err := floodKey(args.Kind)
	if err != nil {
		return nil, err
	}
	return always(badMessages(args, key))
}

// controlFrames hold GRAFTs, PRUNEs, of which ten name peers, and new ids in IHAVE and IDONTWANT, as many of each.
func controlFrames(args floodArgs) (func() ([]byte, error), error) {
	control := &pb.ControlMessage{Ihave: []*pb.ControlIHave{{TopicID: &args.Topic}}, Idontwant: []*pb.ControlIDontWant{{}}}
	for i := range args.PerFrame {
		prune := &pb.ControlPrune{TopicID: &args.Topic}
		for range 16 {
			if i >= 10 || args.Px == "" {
				break
			}
			named, err := namedPeer(args.Px)
			if err != nil {
				return nil, err
			}
			prune.Peers = append(prune.Peers, named)
		}
		control.Graft = append(control.Graft, &pb.ControlGraft{TopicID: &args.Topic})
		control.Prune = append(control.Prune, prune)
	}
	return func() ([]byte, error) {
		ids := make([]string, args.PerFrame)
		for i := range ids {
			id := make([]byte, 46)
			_, _ = rand.Read(id)
			ids[i] = string(id)
		}
		control.Ihave[0].MessageIDs, control.Idontwant[0].MessageIDs = ids, ids
		return frameOf(&pb.RPC{Control: control})
	}, nil
}

// namedPeer has a record that it signed, with this address.
func namedPeer(address string) (*pb.PeerInfo, error) {
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		return nil, err
	}
	id, err := peer.IDFromPrivateKey(key)
	if err != nil {
		return nil, err
	}
	addr, err := multiaddr.NewMultiaddr(address)
	if err != nil {
		return nil, err
	}
	signed, err := record.Seal(&peer.PeerRecord{PeerID: id, Addrs: []multiaddr.Multiaddr{addr}, Seq: 1}, key)
	if err != nil {
		return nil, err
	}
	bytes, err := signed.Marshal()
	return &pb.PeerInfo{PeerID: []byte(id), SignedPeerRecord: bytes}, err
}

func always(frame []byte, err error) (func() ([]byte, error), error) {
	return func() ([]byte, error) { return frame, nil }, err
}

func frameOf(rpc *pb.RPC) ([]byte, error) {
	bytes, err := rpc.Marshal()
	return append(binary.AppendUvarint(nil, uint64(len(bytes))), bytes...), err
}

func floodKey(kind string) (crypto.PrivKey, error) {
	var key crypto.PrivKey
	err := fmt.Errorf("unknown kind %q", kind)
	switch kind {
	case "bad_ed25519":
		key, _, err = crypto.GenerateEd25519Key(rand.Reader)
	case "bad_secp256k1":
		key, _, err = crypto.GenerateSecp256k1Key(rand.Reader)
	}
	return key, err
}

// badMessages are all one author's, with a signature of something else.
func badMessages(args floodArgs, key crypto.PrivKey) ([]byte, error) {
	id, err := peer.IDFromPrivateKey(key)
	if err != nil {
		return nil, err
	}
	signature, err := key.Sign([]byte("something else"))
	if err != nil {
		return nil, err
	}
	rpc := &pb.RPC{}
	for i := range args.PerFrame {
		rpc.Publish = append(rpc.Publish, &pb.Message{
			From: []byte(id), Seqno: binary.BigEndian.AppendUint64(nil, math.MaxUint64-uint64(i)), Topic: &args.Topic,
			Data: []byte("{}"), Signature: signature,
		})
	}
	return frameOf(rpc)
}
