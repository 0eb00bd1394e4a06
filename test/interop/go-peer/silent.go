package main

import (
	"bufio"
	"context"
	"encoding/json"
	"strings"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

const gossipPrefix = "/meshsub/"

// handleResetGossip ends the streams on which a neighbour gossips to us, as go-libp2p-pubsub does when it cannot read a frame. Answers with how many.
func handleResetGossip(_ context.Context, p *testPeer, raw json.RawMessage) (any, error) {
	args, err := parse[struct {
		PeerID string `json:"peerId"`
	}](raw)
	if err != nil {
		return nil, err
	}
	id, err := peer.Decode(args.PeerID)
	if err != nil {
		return nil, err
	}
	count := 0
	for _, c := range p.host.Network().ConnsToPeer(id) {
		for _, s := range c.GetStreams() {
			if strings.HasPrefix(string(s.Protocol()), gossipPrefix) && s.Stat().Direction == network.DirInbound {
				count++
				_ = s.Reset()
			}
		}
	}
	return count, nil
}

// peeked is a stream of which the beginning was looked at.
type peeked struct {
	network.Stream
	reader *bufio.Reader
}

func (s peeked) Read(p []byte) (int, error) { return s.reader.Read(p) }

// handleSilentGossip connects so many hosts of their own, which say that they speak gossip and leave each such stream open without an answer.
func handleSilentGossip(ctx context.Context, p *testPeer, raw json.RawMessage) (any, error) {
	args, err := parse[struct {
		Address string `json:"address"`
		Count   int    `json:"count"`
	}](raw)
	if err != nil {
		return nil, err
	}
	info, err := peer.AddrInfoFromString(args.Address)
	if err != nil {
		return nil, err
	}
	for range args.Count {
		h, err := newHost(initArgs{PSK: p.args.PSK, Security: p.args.Security})
		if err != nil {
			return nil, err
		}
		h.SetStreamHandler(pubsub.GossipSubID_v11, func(network.Stream) {})
		h.Network().SetStreamHandler(func(s network.Stream) { answerUnlessGossip(h.Mux(), s) })
		if err := h.Connect(ctx, *info); err != nil {
			return nil, err
		}
	}
	return args.Count, nil
}

// headBytes covers the greeting of multistream-select and the protocol that is asked for first.
const headBytes = 36

// answerUnlessGossip negotiates as a host does, unless gossip is asked for.
func answerUnlessGossip(mux protocol.Switch, s network.Stream) {
	head := peeked{Stream: s, reader: bufio.NewReader(s)}
	if bytes, err := head.reader.Peek(headBytes); err != nil || strings.Contains(string(bytes), gossipPrefix) {
		return
	}
	id, handle, err := mux.Negotiate(head)
	if err != nil || s.SetProtocol(id) != nil {
		_ = s.Reset()
		return
	}
	_ = handle(id, head)
}

// handleDeafGossip connects so many hosts of their own, which ask to be in the mesh of a topic and read nothing of what they are sent.
func handleDeafGossip(ctx context.Context, p *testPeer, raw json.RawMessage) (any, error) {
	args, err := parse[struct {
		Address string `json:"address"`
		Topic   string `json:"topic"`
		Count   int    `json:"count"`
	}](raw)
	if err != nil {
		return nil, err
	}
	info, err := peer.AddrInfoFromString(args.Address)
	if err != nil {
		return nil, err
	}
	joins := true
	frame, err := frameOf(&pb.RPC{
		Subscriptions: []*pb.RPC_SubOpts{{Subscribe: &joins, Topicid: &args.Topic}},
		Control:       &pb.ControlMessage{Graft: []*pb.ControlGraft{{TopicID: &args.Topic}}},
	})
	if err != nil {
		return nil, err
	}
	for range args.Count {
		h, err := newHost(initArgs{PSK: p.args.PSK, Security: p.args.Security})
		if err != nil {
			return nil, err
		}
		h.SetStreamHandler(pubsub.GossipSubID_v11, func(network.Stream) {})
		if err := h.Connect(ctx, *info); err != nil {
			return nil, err
		}
		s, err := h.NewStream(ctx, info.ID, pubsub.GossipSubID_v11)
		if err != nil {
			return nil, err
		}
		if _, err := s.Write(frame); err != nil {
			return nil, err
		}
	}
	return args.Count, nil
}
