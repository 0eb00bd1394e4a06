package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"maps"
	"sort"
	"strconv"
	"sync"
)

const (
	maxMessages  = 200_000
	maxLatencies = 1_000_000
)

// timeMark stands before the time, in Unix nanoseconds, at which a message was published.
var timeMark = []byte("/t=")

type receivedMessage struct {
	Topic  string `json:"topic"`
	Data   string `json:"data"` // base64: in mode bus the inner message, in mode scored the data of the gossip message
	Author string `json:"author"`
	Name   string `json:"name"` // of the envelope
	AtNs   int64  `json:"atNs"`
	*gossipFacts
}

// gossipFacts are known in mode scored only.
type gossipFacts struct {
	Neighbour      string `json:"neighbour"`
	Seqno          string `json:"seqno"` // hex
	SignatureBytes int    `json:"signatureBytes"`
	HasKey         bool   `json:"hasKey"`
}

// inbox keeps what was received from others, bounded; counts go on.
type inbox struct {
	lock      sync.Mutex
	discard   bool
	messages  []receivedMessage
	counts    map[string]int
	unique    map[string]map[string]bool
	latencies []uint32 // µs; with room for all, so that growing leaves no garbage in a peer that is measured
}

func newInbox(discard bool) *inbox {
	return &inbox{
		discard: discard, counts: map[string]int{}, unique: map[string]map[string]bool{},
		latencies: make([]uint32, 0, maxLatencies),
	}
}

// micros of a latency in nanoseconds; the hour that fits is more than any test takes.
func micros(ns int64) uint32 { return uint32(max(0, ns) / 1000) }

func (b *inbox) add(m receivedMessage, data, inner []byte) {
	b.lock.Lock()
	defer b.lock.Unlock()
	b.counts[m.Topic]++
	if sent, marked := sentAt(inner); marked && len(b.latencies) < maxLatencies {
		b.latencies = append(b.latencies, micros(m.AtNs-sent))
	}
	if b.discard {
		return
	}
	if b.unique[m.Topic] == nil {
		b.unique[m.Topic] = map[string]bool{}
	}
	b.unique[m.Topic][string(data)] = true
	if len(b.messages) < maxMessages {
		m.Data = base64.StdEncoding.EncodeToString(data)
		b.messages = append(b.messages, m)
	}
}

func sentAt(inner []byte) (int64, bool) {
	at := bytes.Index(inner, timeMark)
	if at < 0 {
		return 0, false
	}
	start := at + len(timeMark)
	end := start
	for end < len(inner) && inner[end] >= '0' && inner[end] <= '9' {
		end++
	}
	sent, err := strconv.ParseInt(string(inner[start:end]), 10, 64)
	return sent, err == nil
}

func handleReceived(_ context.Context, n *node, raw json.RawMessage) (any, error) {
	args, err := parse[struct {
		Topic string `json:"topic"`
	}](raw)
	if err != nil {
		return nil, err
	}
	n.inbox.lock.Lock()
	defer n.inbox.lock.Unlock()
	found := []receivedMessage{}
	for _, m := range n.inbox.messages {
		if args.Topic == "" || m.Topic == args.Topic {
			found = append(found, m)
		}
	}
	return found, nil
}

func handleReceivedCounts(_ context.Context, n *node, _ json.RawMessage) (any, error) {
	n.inbox.lock.Lock()
	defer n.inbox.lock.Unlock()
	return maps.Clone(n.inbox.counts), nil
}

func handleReceivedStats(_ context.Context, n *node, _ json.RawMessage) (any, error) {
	n.inbox.lock.Lock()
	defer n.inbox.lock.Unlock()
	unique := map[string]int{}
	for topic, all := range n.inbox.unique {
		unique[topic] = len(all)
	}
	sorted := append([]uint32{}, n.inbox.latencies...)
	sort.Slice(sorted, func(i, k int) bool { return sorted[i] < sorted[k] })
	quantile := func(q float64) float64 {
		if len(sorted) == 0 {
			return 0
		}
		return float64(sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]) / 1e3
	}
	return map[string]any{"counts": maps.Clone(n.inbox.counts), "unique": unique, "p50Ms": quantile(0.5), "p99Ms": quantile(0.99), "p999Ms": quantile(0.999)}, nil
}

func handleClearReceived(_ context.Context, n *node, _ json.RawMessage) (any, error) {
	n.inbox.lock.Lock()
	defer n.inbox.lock.Unlock()
	n.inbox.messages, n.inbox.latencies = nil, n.inbox.latencies[:0]
	n.inbox.counts, n.inbox.unique = map[string]int{}, map[string]map[string]bool{}
	return map[string]any{}, nil
}

// What was measured so far counts no longer; what was received still does.
func handleForgetLatencies(_ context.Context, n *node, _ json.RawMessage) (any, error) {
	n.inbox.lock.Lock()
	defer n.inbox.lock.Unlock()
	n.inbox.latencies = n.inbox.latencies[:0]
	return map[string]any{}, nil
}
