package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
)

var errNoCrowd = errors.New("no crowd")

// crowd are hosts of their own in this process, which gossip but keep nothing.
type crowd struct {
	lock    sync.Mutex
	members []member
}

type member struct {
	host   host.Host
	topics map[string]*pubsub.Topic
}

type crowdArgs struct {
	Address    string   `json:"address"`
	Count      int      `json:"count"`
	PerAddress int      `json:"perAddress"` // default 10
	From       string   `json:"from"`       // first three parts of their addresses, default 127.0.1
	Network    string   `json:"network"`
	Topics     []string `json:"topics"`
}

// handleCrowd has so many hosts connect to one peer, subscribe to topics and stay. Answers with the ids of these hosts.
func handleCrowd(ctx context.Context, n *node, raw json.RawMessage) (any, error) {
	args, err := parse[crowdArgs](raw)
	if err != nil {
		return nil, err
	}
	if args.PerAddress == 0 {
		args.PerAddress = 10
	}
	if args.From == "" {
		args.From = "127.0.1"
	}
	info, err := peer.AddrInfoFromString(args.Address)
	if err != nil {
		return nil, err
	}
	crowd, ids := n.scored.crowd, []string{}
	crowd.lock.Lock()
	defer crowd.lock.Unlock()
	for i := range args.Count {
		listen := fmt.Sprintf("/ip4/%s.%d/tcp/0", args.From, i/args.PerAddress+1)
		m, err := newMember(ctx, scoredArgs{Listen: []string{listen}, Network: args.Network}, args.Topics)
		if err != nil {
			return nil, err
		}
		if err := m.host.Connect(ctx, *info); err != nil {
			return nil, err
		}
		crowd.members = append(crowd.members, m)
		ids = append(ids, m.host.ID().String())
	}
	return ids, nil
}

func newMember(ctx context.Context, args scoredArgs, topics []string) (member, error) {
	h, err := plainHost(args)
	if err != nil {
		return member{}, err
	}
	ps, err := pubsub.NewGossipSub(ctx, h, pubsub.WithPeerExchange(true))
	if err != nil {
		return member{}, err
	}
	m := member{host: h, topics: map[string]*pubsub.Topic{}}
	for _, name := range topics {
		if m.topics[name], err = ps.Join(name); err != nil {
			return m, err
		}
		sub, err := m.topics[name].Subscribe()
		if err != nil {
			return m, err
		}
		go func() {
			for err == nil {
				_, err = sub.Next(ctx)
			}
		}()
	}
	return m, nil
}

type crowdPublishArgs struct {
	Topic         string   `json:"topic"`
	Template      string   `json:"template"` // inner message, see fill
	Data          []string `json:"data"`     // or: base64 of whole gossip messages, in turn
	PerMember     int      `json:"perMember"`
	RatePerSecond float64  `json:"ratePerSecond"` // of all together
}

// handleCrowdPublish has each member publish so many messages, in the background.
func handleCrowdPublish(ctx context.Context, n *node, raw json.RawMessage) (any, error) {
	args, err := parse[crowdPublishArgs](raw)
	if err != nil {
		return nil, err
	}
	n.scored.crowd.lock.Lock()
	members := append([]member{}, n.scored.crowd.members...)
	n.scored.crowd.lock.Unlock()
	if len(members) == 0 {
		return nil, errNoCrowd
	}
	data, err := decodeAll(args.Data)
	if err != nil {
		return nil, err
	}
	n.jobs.begin()
	go n.jobs.each(ctx, args.RatePerSecond, args.PerMember*len(members), func(i int) error {
		m := members[i%len(members)]
		topic, joined := m.topics[args.Topic]
		if !joined {
			return fmt.Errorf("topic %q not joined", args.Topic)
		}
		if len(data) > 0 {
			return topic.Publish(ctx, []byte(data[i/len(members)%len(data)]))
		}
		enveloped, err := n.scored.envelop([]byte(fill(args.Template, m.host.ID().String(), i)))
		if err != nil {
			return err
		}
		return topic.Publish(ctx, enveloped)
	})
	return map[string]any{}, nil
}
