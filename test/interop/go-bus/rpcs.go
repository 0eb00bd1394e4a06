package main

import (
	"context"
	"encoding/json"
	"maps"
	"sync"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

const maxFrames = 20_000

type prune struct {
	Topic          string `json:"topic"`
	BackoffSeconds uint64 `json:"backoffSeconds"`
	Peers          int    `json:"peers"` // of the peer exchange
}

// frame is one RPC of gossip without its messages. The numbers count ids.
type frame struct {
	AtNs        int64    `json:"atNs"`
	Subscribe   []string `json:"subscribe,omitempty"`
	Unsubscribe []string `json:"unsubscribe,omitempty"`
	Graft       []string `json:"graft,omitempty"`
	Prune       []prune  `json:"prune,omitempty"`
	Ihave       int      `json:"ihave,omitempty"`
	Iwant       int      `json:"iwant,omitempty"`
	Idontwant   int      `json:"idontwant,omitempty"`
	Extensions  bool     `json:"extensions,omitempty"`
	Messages    int      `json:"messages,omitempty"`
}

func frameOf(rpc *pb.RPC) frame {
	f := frame{AtNs: time.Now().UnixNano(), Messages: len(rpc.GetPublish())}
	for _, s := range rpc.GetSubscriptions() {
		if s.GetSubscribe() {
			f.Subscribe = append(f.Subscribe, s.GetTopicid())
		} else {
			f.Unsubscribe = append(f.Unsubscribe, s.GetTopicid())
		}
	}
	control := rpc.GetControl()
	for _, g := range control.GetGraft() {
		f.Graft = append(f.Graft, g.GetTopicID())
	}
	for _, p := range control.GetPrune() {
		f.Prune = append(f.Prune, prune{Topic: p.GetTopicID(), BackoffSeconds: p.GetBackoff(), Peers: len(p.GetPeers())})
	}
	for _, i := range control.GetIhave() {
		f.Ihave += len(i.GetMessageIDs())
	}
	for _, i := range control.GetIwant() {
		f.Iwant += len(i.GetMessageIDs())
	}
	for _, i := range control.GetIdontwant() {
		f.Idontwant += len(i.GetMessageIDs())
	}
	f.Extensions = control.GetExtensions() != nil
	return f
}

// hasMore is false for frames of nothing but messages, which are counted only.
func (f frame) hasMore() bool {
	return len(f.Subscribe)+len(f.Unsubscribe)+len(f.Graft)+len(f.Prune)+f.Ihave+f.Iwant+f.Idontwant > 0 || f.Extensions
}

type traffic struct {
	Counts map[string]int `json:"counts"`
	Frames []frame        `json:"frames"`
}

func (t *traffic) add(f frame) {
	t.Counts["frames"]++
	t.Counts["messages"] += f.Messages
	t.Counts["subscribe"] += len(f.Subscribe)
	t.Counts["unsubscribe"] += len(f.Unsubscribe)
	t.Counts["graft"] += len(f.Graft)
	t.Counts["prune"] += len(f.Prune)
	t.Counts["ihave"] += f.Ihave
	t.Counts["iwant"] += f.Iwant
	t.Counts["idontwant"] += f.Idontwant
	if f.hasMore() && len(t.Frames) < maxFrames {
		t.Frames = append(t.Frames, f)
	}
}

func (t *traffic) clone() traffic {
	return traffic{Counts: maps.Clone(t.Counts), Frames: append([]frame{}, t.Frames...)}
}

// rpcTracer knows what each neighbour sent and was sent, and what became of messages.
type rpcTracer struct {
	lock     sync.Mutex
	received map[peer.ID]*traffic
	sent     map[peer.ID]*traffic
	protocol map[peer.ID]string
	count    map[string]int
}

func newRPCTracer() *rpcTracer {
	return &rpcTracer{received: map[peer.ID]*traffic{}, sent: map[peer.ID]*traffic{}, protocol: map[peer.ID]string{}, count: map[string]int{}}
}

func (t *rpcTracer) record(all map[peer.ID]*traffic, id peer.ID, rpc *pb.RPC) {
	f := frameOf(rpc)
	t.lock.Lock()
	defer t.lock.Unlock()
	if all[id] == nil {
		all[id] = &traffic{Counts: map[string]int{}}
	}
	all[id].add(f)
}

func (t *rpcTracer) inc(what string) {
	t.lock.Lock()
	t.count[what]++
	t.lock.Unlock()
}

func (t *rpcTracer) RecvRPC(rpc *pubsub.RPC)             { t.record(t.received, rpc.From(), &rpc.RPC) }
func (t *rpcTracer) SendRPC(rpc *pubsub.RPC, id peer.ID) { t.record(t.sent, id, &rpc.RPC) }
func (t *rpcTracer) OnNewOutboundStream(id peer.ID, p protocol.ID) {
	t.lock.Lock()
	t.protocol[id] = string(p)
	t.lock.Unlock()
}
func (t *rpcTracer) OnClosedOutboundStream(peer.ID)            {}
func (t *rpcTracer) Join(string)                               {}
func (t *rpcTracer) Leave(string)                              {}
func (t *rpcTracer) Graft(peer.ID, string)                     {}
func (t *rpcTracer) Prune(peer.ID, string)                     {}
func (t *rpcTracer) ValidateMessage(*pubsub.Message)           {}
func (t *rpcTracer) DeliverMessage(*pubsub.Message)            { t.inc("deliver") }
func (t *rpcTracer) RejectMessage(_ *pubsub.Message, r string) { t.inc("reject " + r) }
func (t *rpcTracer) DuplicateMessage(*pubsub.Message)          { t.inc("duplicate") }
func (t *rpcTracer) ThrottlePeer(peer.ID)                      { t.inc("throttle") }
func (t *rpcTracer) DropRPC(*pubsub.RPC, peer.ID)              { t.inc("dropRPC") }
func (t *rpcTracer) UndeliverableMessage(*pubsub.Message)      { t.inc("undeliverable") }

// handleRpcs tells the traffic with one neighbour, and the counts of all messages.
func handleRpcs(_ context.Context, n *node, raw json.RawMessage) (any, error) {
	id, err := peerArg(raw)
	if err != nil {
		return nil, err
	}
	t := n.scored.rpcs
	t.lock.Lock()
	defer t.lock.Unlock()
	of := func(all map[peer.ID]*traffic) traffic {
		if all[id] == nil {
			return traffic{Counts: map[string]int{}, Frames: []frame{}}
		}
		return all[id].clone()
	}
	return map[string]any{"received": of(t.received), "sent": of(t.sent), "protocol": t.protocol[id], "counts": maps.Clone(t.count)}, nil
}
