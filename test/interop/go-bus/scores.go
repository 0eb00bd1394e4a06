package main

import (
	"context"
	"encoding/json"
	"maps"
	"sync"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/peer"
)

const inspectPeriod = time.Second

// scoreOptions are the scoring of the bus since v0.1.23. The library counts no loopback address as shared, so that the colocation of peers
// costs nothing in tests.
func scoreOptions(board *scoreBoard) []pubsub.Option {
	params := &pubsub.PeerScoreParams{
		Topics:                      map[string]*pubsub.TopicScoreParams{},
		AppSpecificScore:            func(peer.ID) float64 { return 0 },
		IPColocationFactorWeight:    -35,
		IPColocationFactorThreshold: 10,
		BehaviourPenaltyWeight:      -16,
		BehaviourPenaltyThreshold:   6,
		BehaviourPenaltyDecay:       0.928,
		DecayInterval:               12 * time.Second,
		DecayToZero:                 0.01,
		RetainScore:                 6 * time.Hour,
	}
	thresholds := &pubsub.PeerScoreThresholds{GossipThreshold: -2000, PublishThreshold: -4000, GraylistThreshold: -8000, AcceptPXThreshold: 1}
	return []pubsub.Option{
		pubsub.WithPeerScore(params, thresholds),
		pubsub.WithPeerScoreInspect(pubsub.ExtendedPeerScoreInspectFn(board.inspect), inspectPeriod),
	}
}

type peerScore struct {
	Score              float64 `json:"score"`
	Lowest             float64 `json:"lowest"` // of all inspections
	BehaviourPenalty   float64 `json:"behaviourPenalty"`
	HighestPenalty     float64 `json:"highestPenalty"`
	IPColocationFactor float64 `json:"ipColocationFactor"`
	AppSpecificScore   float64 `json:"appSpecificScore"`
}

// scoreBoard keeps the latest score of each neighbour, also of those that went, and the worst.
type scoreBoard struct {
	lock        sync.Mutex
	inspections int
	peers       map[string]peerScore
}

func newScoreBoard() *scoreBoard { return &scoreBoard{peers: map[string]peerScore{}} }

func (b *scoreBoard) inspect(snapshots map[peer.ID]*pubsub.PeerScoreSnapshot) {
	b.lock.Lock()
	defer b.lock.Unlock()
	b.inspections++
	for id, s := range snapshots {
		before, known := b.peers[id.String()]
		now := peerScore{
			Score: s.Score, Lowest: s.Score, BehaviourPenalty: s.BehaviourPenalty, HighestPenalty: s.BehaviourPenalty,
			IPColocationFactor: s.IPColocationFactor, AppSpecificScore: s.AppSpecificScore,
		}
		if known {
			now.Lowest, now.HighestPenalty = min(now.Lowest, before.Lowest), max(now.HighestPenalty, before.HighestPenalty)
		}
		b.peers[id.String()] = now
	}
}

func handleScores(_ context.Context, n *node, _ json.RawMessage) (any, error) {
	board := n.scored.scores
	board.lock.Lock()
	defer board.lock.Unlock()
	return map[string]any{"inspections": board.inspections, "peers": maps.Clone(board.peers)}, nil
}

// handleForgetScores resets the lowest scores seen.
func handleForgetScores(_ context.Context, n *node, _ json.RawMessage) (any, error) {
	board := n.scored.scores
	board.lock.Lock()
	defer board.lock.Unlock()
	board.inspections, board.peers = 0, map[string]peerScore{}
	return map[string]any{}, nil
}
