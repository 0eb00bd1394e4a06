package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"

	dhtpb "github.com/libp2p/go-libp2p-kad-dht/pb"
	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/multiformats/go-multihash"
	"google.golang.org/protobuf/proto"
)

// passing connects so many hosts of their own, a few at a time.
func (p *testPeer) passing(count int, args func(i int) initArgs, use func(host.Host) error) (int, error) {
	var done atomic.Int64
	var group sync.WaitGroup
	var first atomic.Value
	slots := make(chan struct{}, 16)
	for i := range count {
		slots <- struct{}{}
		group.Add(1)
		go func() {
			defer group.Done()
			defer func() { <-slots }()
			h, err := newHost(args(i))
			if err == nil {
				err = use(h)
			}
			if err != nil {
				first.CompareAndSwap(nil, err)
				return
			}
			done.Add(1)
		}()
	}
	group.Wait()
	err, _ := first.Load().(error)
	if done.Load() > 0 {
		err = nil
	}
	return int(done.Load()), err
}

// handleCrowd has so many hosts connect and stay, each of an address of its own in a part of loopback if one is given. They gossip nothing;
// with topics they subscribe, and keep nothing.
func handleCrowd(ctx context.Context, p *testPeer, raw json.RawMessage) (any, error) {
	args, err := parse[struct {
		Address string   `json:"address"`
		Count   int      `json:"count"`
		From    string   `json:"from"`
		Topics  []string `json:"topics"`
	}](raw)
	if err != nil {
		return nil, err
	}
	info, err := peer.AddrInfoFromString(args.Address)
	if err != nil {
		return nil, err
	}
	hostArgs := func(i int) initArgs {
		if args.From == "" {
			return initArgs{PSK: p.args.PSK}
		}
		return initArgs{PSK: p.args.PSK, Listen: []string{fmt.Sprintf("/ip4/%s.%d/tcp/0", args.From, i+1)}}
	}
	return p.passing(args.Count, hostArgs, func(h host.Host) error {
		if len(args.Topics) > 0 {
			if err := subscribe(ctx, h, args.Topics); err != nil {
				return err
			}
		}
		return h.Connect(ctx, *info)
	})
}

// subscribe has a host gossip, and drop what it gets.
func subscribe(ctx context.Context, h host.Host, topics []string) error {
	ps, err := pubsub.NewGossipSub(ctx, h)
	if err != nil {
		return err
	}
	for _, name := range topics {
		topic, err := ps.Join(name)
		if err != nil {
			return err
		}
		sub, err := topic.Subscribe()
		if err != nil {
			return err
		}
		go func() {
			for err == nil {
				_, err = sub.Next(ctx)
			}
		}()
	}
	return nil
}

// handleVisits has so many hosts connect, subscribe to a topic and leave, each of an address of its own in a part of loopback, up to 250.
func handleVisits(ctx context.Context, p *testPeer, raw json.RawMessage) (any, error) {
	args, err := parse[struct {
		Address string `json:"address"`
		Count   int    `json:"count"`
		From    string `json:"from"`
		Topic   string `json:"topic"`
	}](raw)
	if err != nil {
		return nil, err
	}
	info, err := peer.AddrInfoFromString(args.Address)
	if err != nil {
		return nil, err
	}
	subscribe := true
	frame, err := frameOf(&pb.RPC{Subscriptions: []*pb.RPC_SubOpts{{Subscribe: &subscribe, Topicid: &args.Topic}}})
	if err != nil {
		return nil, err
	}
	hostArgs := func(i int) initArgs {
		return initArgs{PSK: p.args.PSK, Listen: []string{fmt.Sprintf("/ip4/%s.%d/tcp/0", args.From, i%250+1)}}
	}
	return p.passing(args.Count, hostArgs, func(h host.Host) error {
		defer func() { _ = h.Close() }()
		if err := h.Connect(ctx, *info); err != nil {
			return err
		}
		s, err := h.NewStream(ctx, info.ID, protocol.ID(pubsub.GossipSubID_v11))
		if err != nil {
			return err
		}
		_, err = s.Write(frame)
		return err
	})
}

// handleManyAddresses registers with a neighbour as provider of a key, so many times, each time with so many addresses of its own that are none.
func handleManyAddresses(ctx context.Context, p *testPeer, raw json.RawMessage) (any, error) {
	args, err := parse[struct {
		PeerID    string `json:"peerId"`
		Protocol  string `json:"protocol"`
		Addresses int    `json:"addresses"`
		Times     int    `json:"times"`
	}](raw)
	if err != nil {
		return nil, err
	}
	id, err := peer.Decode(args.PeerID)
	if err != nil {
		return nil, err
	}
	key, err := multihash.Sum([]byte("many addresses"), multihash.SHA2_256, -1)
	if err != nil {
		return nil, err
	}
	for round := range args.Times {
		addresses := make([][]byte, args.Addresses)
		for i := range addresses {
			n := round*args.Addresses + i
			addresses[i] = []byte{4, 10, byte(n >> 16), byte(n >> 8), byte(n), 6, 1, byte(round)}
		}
		provider := &dhtpb.Message_Peer{Id: []byte(p.host.ID()), Addrs: addresses}
		m := &dhtpb.Message{Type: dhtpb.Message_ADD_PROVIDER, Key: key, ProviderPeers: []*dhtpb.Message_Peer{provider}}
		bytes, err := proto.Marshal(m)
		if err != nil {
			return nil, err
		}
		s, err := p.host.NewStream(ctx, id, protocol.ID(args.Protocol))
		if err != nil {
			return nil, err
		}
		if _, err := s.Write(append(binary.AppendUvarint(nil, uint64(len(bytes))), bytes...)); err != nil {
			return nil, err
		}
		if err := s.CloseWrite(); err != nil {
			return nil, err
		}
	}
	return map[string]any{}, nil
}
