package main

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/network"
	drouting "github.com/libp2p/go-libp2p/p2p/discovery/routing"
	dutil "github.com/libp2p/go-libp2p/p2p/discovery/util"
	"github.com/multiformats/go-multihash"
)

var errNoDHT = errors.New("the DHT is off")

type keyArgs struct {
	Key string `json:"key"`
}

func keyCid(raw json.RawMessage) (cid.Cid, error) {
	args, err := parse[keyArgs](raw)
	if err != nil {
		return cid.Undef, err
	}
	sum, err := multihash.Sum([]byte(args.Key), multihash.SHA2_256, -1)
	if err != nil {
		return cid.Undef, err
	}
	return cid.NewCidV1(cid.Raw, sum), nil
}

func handleDhtProvide(ctx context.Context, p *testPeer, raw json.RawMessage) (any, error) {
	key, err := keyCid(raw)
	if err != nil || p.dht == nil {
		return nil, errors.Join(err, errNoDHT)
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	return map[string]any{}, p.dht.Provide(ctx, key, true)
}

func handleDhtFind(ctx context.Context, p *testPeer, raw json.RawMessage) (any, error) {
	key, err := keyCid(raw)
	if err != nil || p.dht == nil {
		return nil, errors.Join(err, errNoDHT)
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	found := []string{}
	for info := range p.dht.FindProvidersAsync(ctx, key, 20) {
		found = append(found, info.ID.String())
	}
	return found, nil
}

// handleRendezvous does what the network's nodes do: advertise each topic (which waits two minutes after a failure) and look for others.
func handleRendezvous(ctx context.Context, p *testPeer, _ json.RawMessage) (any, error) {
	if p.dht == nil {
		return nil, errNoDHT
	}
	// Who has nobody to tell fails, and tries again after two minutes.
	for range 400 {
		if p.dht.RoutingTable().Size() > 0 {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	discovery := drouting.NewRoutingDiscovery(p.dht)
	for name := range p.topics {
		dutil.Advertise(ctx, discovery, name)
	}
	go func() {
		for ctx.Err() == nil {
			for name := range p.topics {
				p.meet(ctx, discovery, name)
			}
			time.Sleep(time.Second)
		}
	}()
	return map[string]any{}, nil
}

func (p *testPeer) meet(ctx context.Context, discovery *drouting.RoutingDiscovery, name string) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	peers, err := discovery.FindPeers(ctx, name)
	if err != nil {
		return
	}
	for info := range peers {
		if info.ID != p.host.ID() && p.host.Network().Connectedness(info.ID) != network.Connected {
			_ = p.host.Connect(ctx, info)
		}
	}
}
