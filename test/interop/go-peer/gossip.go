package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"sort"
	"strconv"
	"sync"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

const maxLatencies = 1_000_000

type receivedMessage struct {
	Topic     string `json:"topic"`
	Data      string `json:"data"` // base64
	Author    string `json:"author"`
	Neighbour string `json:"neighbour"`
	AtNs      int64  `json:"atNs"`
}

// inbox keeps what was received from others, bounded; counts go on.
type inbox struct {
	lock      sync.Mutex
	keep      int
	discard   bool
	messages  []receivedMessage
	counts    map[string]int
	unique    map[string]map[string]bool
	latencies []uint32 // µs; with room for all, so that growing leaves no garbage in a peer that is measured
}

func newInbox(keep int, discard bool) *inbox {
	if keep == 0 {
		keep = 200_000
	}
	return &inbox{
		keep: keep, discard: discard, counts: map[string]int{}, unique: map[string]map[string]bool{},
		latencies: make([]uint32, 0, maxLatencies),
	}
}

// micros of a latency in nanoseconds; the hour that fits is more than any test takes.
func micros(ns int64) uint32 { return uint32(max(0, ns) / 1000) }

func (b *inbox) add(topic string, m *pubsub.Message) {
	now := time.Now().UnixNano()
	b.lock.Lock()
	defer b.lock.Unlock()
	b.counts[topic]++
	if at := bytes.Index(m.Data, []byte("/t=")); at >= 0 && len(b.latencies) < maxLatencies {
		end := at + 3
		for end < len(m.Data) && m.Data[end] >= '0' && m.Data[end] <= '9' {
			end++
		}
		if sent, err := strconv.ParseInt(string(m.Data[at+3:end]), 10, 64); err == nil {
			b.latencies = append(b.latencies, micros(now-sent))
		}
	}
	if b.discard {
		return
	}
	if b.unique[topic] == nil {
		b.unique[topic] = map[string]bool{}
	}
	b.unique[topic][string(m.Data)] = true
	if len(b.messages) < b.keep {
		b.messages = append(b.messages, receivedMessage{
			Topic: topic, Data: base64.StdEncoding.EncodeToString(m.Data), Author: m.GetFrom().String(), Neighbour: m.ReceivedFrom.String(), AtNs: now,
		})
	}
}

func (p *testPeer) join(ctx context.Context, name string) error {
	topic, err := p.ps.Join(name)
	if err != nil {
		return err
	}
	p.topics[name] = topic
	sub, err := topic.Subscribe(pubsub.WithBufferSize(65_536))
	if err != nil {
		return err
	}
	go func() {
		for {
			m, err := sub.Next(ctx)
			if err != nil {
				return
			}
			if m.ReceivedFrom != p.host.ID() {
				p.inbox.add(name, m)
			}
		}
	}()
	return nil
}

// meshTracer knows who is in the mesh of each topic.
type meshTracer struct {
	lock  sync.Mutex
	mesh  map[string]map[peer.ID]bool
	count map[string]int
}

func newMeshTracer() *meshTracer {
	return &meshTracer{mesh: map[string]map[peer.ID]bool{}, count: map[string]int{}}
}

func (t *meshTracer) inc(what string) {
	t.lock.Lock()
	t.count[what]++
	t.lock.Unlock()
}

func (t *meshTracer) Graft(p peer.ID, topic string) {
	t.lock.Lock()
	defer t.lock.Unlock()
	if t.mesh[topic] == nil {
		t.mesh[topic] = map[peer.ID]bool{}
	}
	t.mesh[topic][p] = true
	t.count["graft"]++
}

func (t *meshTracer) Prune(p peer.ID, topic string) {
	t.lock.Lock()
	defer t.lock.Unlock()
	delete(t.mesh[topic], p)
	t.count["prune"]++
}

func (t *meshTracer) RemovePeer(p peer.ID) {
	t.lock.Lock()
	defer t.lock.Unlock()
	for _, members := range t.mesh {
		delete(members, p)
	}
}

func (t *meshTracer) AddPeer(peer.ID, protocol.ID)              {}
func (t *meshTracer) Join(string)                               {}
func (t *meshTracer) Leave(string)                              {}
func (t *meshTracer) ValidateMessage(*pubsub.Message)           {}
func (t *meshTracer) DeliverMessage(*pubsub.Message)            { t.inc("deliver") }
func (t *meshTracer) RejectMessage(_ *pubsub.Message, r string) { t.inc("reject " + r) }
func (t *meshTracer) DuplicateMessage(*pubsub.Message)          { t.inc("duplicate") }
func (t *meshTracer) ThrottlePeer(peer.ID)                      { t.inc("throttle") }
func (t *meshTracer) RecvRPC(*pubsub.RPC)                       {}
func (t *meshTracer) SendRPC(*pubsub.RPC, peer.ID)              {}
func (t *meshTracer) DropRPC(*pubsub.RPC, peer.ID)              { t.inc("dropRPC") }
func (t *meshTracer) UndeliverableMessage(*pubsub.Message)      { t.inc("undeliverable") }

func handleMesh(_ context.Context, p *testPeer, _ json.RawMessage) (any, error) {
	mesh, counts := p.tracer.snapshot(p.topics)
	// Asks pubsub's own loop, which calls the tracer and may be waiting for its lock: never while holding it.
	subscribers := map[string][]string{}
	for name, topic := range p.topics {
		subscribers[name] = []string{}
		for _, id := range topic.ListPeers() {
			subscribers[name] = append(subscribers[name], id.String())
		}
	}
	return map[string]any{"mesh": mesh, "subscribers": subscribers, "counts": counts}, nil
}

func (t *meshTracer) snapshot(topics map[string]*pubsub.Topic) (mesh map[string][]string, counts map[string]int) {
	t.lock.Lock()
	defer t.lock.Unlock()
	mesh = map[string][]string{}
	for name := range topics {
		mesh[name] = []string{}
		for id := range t.mesh[name] {
			mesh[name] = append(mesh[name], id.String())
		}
	}
	return mesh, maps.Clone(t.count)
}

type publishArgs struct {
	Topic string `json:"topic"`
	Data  string `json:"data"` // base64
}

func (p *testPeer) topic(name string) (*pubsub.Topic, error) {
	topic, ok := p.topics[name]
	if !ok {
		return nil, fmt.Errorf("topic %q not joined", name)
	}
	return topic, nil
}

func handlePublish(ctx context.Context, p *testPeer, raw json.RawMessage) (any, error) {
	args, err := parse[publishArgs](raw)
	if err != nil {
		return nil, err
	}
	topic, err := p.topic(args.Topic)
	if err != nil {
		return nil, err
	}
	data, err := base64.StdEncoding.DecodeString(args.Data)
	if err != nil {
		return nil, err
	}
	return map[string]any{}, topic.Publish(ctx, data)
}

type publishManyArgs struct {
	Topic         string  `json:"topic"`
	File          string  `json:"file"`     // one message a line
	Subtrees      int     `json:"subtrees"` // or: so many subtree announcements with random hashes
	First         int     `json:"first"`    // number of the first of them, in its URL
	Light         bool    `json:"light"`    // as the load generator of lightConnect
	RatePerSecond float64 `json:"ratePerSecond"`
}

type publishJobs struct {
	lock      sync.Mutex
	running   int
	published int
	failed    int
	startedAt time.Time // of the last job that began
	endedAt   time.Time // of the last job that ended
}

func handlePublishMany(ctx context.Context, p *testPeer, raw json.RawMessage) (any, error) {
	args, err := parse[publishManyArgs](raw)
	if err != nil {
		return nil, err
	}
	topic, err := p.topic(args.Topic)
	if err != nil {
		return nil, err
	}
	author, publish := p.host.ID(), func(data []byte) error { return topic.Publish(ctx, data) }
	if args.Light {
		if p.light == nil {
			return nil, errNoLight
		}
		author, publish = p.light.id, func(data []byte) error { return p.light.publish(args.Topic, data) }
	}
	next, err := messageSource(author.String(), args)
	if err != nil {
		return nil, err
	}
	p.jobs.begin()
	go p.jobs.each(ctx, args.RatePerSecond, func(int) (bool, error) {
		data := next()
		if data == nil {
			return false, nil
		}
		return true, publish(data)
	})
	return map[string]any{}, nil
}

func messageSource(id string, args publishManyArgs) (func() []byte, error) {
	if args.File == "" {
		left, number := args.Subtrees, args.First-1
		return func() []byte {
			if left == 0 {
				return nil
			}
			left--
			number++
			var hash [32]byte
			_, _ = rand.Read(hash[:])
			url := fmt.Sprintf("http://127.0.0.1:8090/api/v1/n=%d/t=%d", number, time.Now().UnixNano())
			return []byte(fmt.Sprintf(`{"Hash":"%s","DataHubURL":"%s","PeerID":"%s"}`, hex.EncodeToString(hash[:]), url, id))
		}, nil
	}
	content, err := os.ReadFile(args.File)
	if err != nil {
		return nil, err
	}
	scanner := bufio.NewScanner(bytes.NewReader(content))
	scanner.Buffer(make([]byte, 1<<16), 4<<20)
	return func() []byte {
		if !scanner.Scan() {
			return nil
		}
		return bytes.Clone(scanner.Bytes())
	}, nil
}

func handlePublishStatus(_ context.Context, p *testPeer, _ json.RawMessage) (any, error) {
	p.jobs.lock.Lock()
	defer p.jobs.lock.Unlock()
	j := p.jobs
	tookMs := j.endedAt.Sub(j.startedAt).Seconds() * 1000
	return map[string]any{"running": j.running, "published": j.published, "failed": j.failed, "tookMs": tookMs}, nil
}

func handleReceived(_ context.Context, p *testPeer, raw json.RawMessage) (any, error) {
	args, err := parse[struct {
		Topic string `json:"topic"`
		From  int    `json:"from"`
		Limit int    `json:"limit"`
	}](raw)
	if err != nil {
		return nil, err
	}
	p.inbox.lock.Lock()
	defer p.inbox.lock.Unlock()
	found := []receivedMessage{}
	for _, m := range p.inbox.messages {
		if args.Topic == "" || m.Topic == args.Topic {
			found = append(found, m)
		}
	}
	found = found[min(args.From, len(found)):]
	if args.Limit > 0 && len(found) > args.Limit {
		found = found[:args.Limit]
	}
	return found, nil
}

func handleReceivedCounts(_ context.Context, p *testPeer, _ json.RawMessage) (any, error) {
	p.inbox.lock.Lock()
	defer p.inbox.lock.Unlock()
	counts := map[string]int{}
	for topic, n := range p.inbox.counts {
		counts[topic] = n
	}
	return counts, nil
}

func handleReceivedStats(_ context.Context, p *testPeer, _ json.RawMessage) (any, error) {
	p.inbox.lock.Lock()
	defer p.inbox.lock.Unlock()
	unique := map[string]int{}
	for topic, all := range p.inbox.unique {
		unique[topic] = len(all)
	}
	counts := map[string]int{}
	for topic, n := range p.inbox.counts {
		counts[topic] = n
	}
	sorted := append([]uint32{}, p.inbox.latencies...)
	sort.Slice(sorted, func(i, k int) bool { return sorted[i] < sorted[k] })
	quantile := func(q float64) float64 {
		if len(sorted) == 0 {
			return 0
		}
		return float64(sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]) / 1e3
	}
	return map[string]any{"counts": counts, "unique": unique, "p50Ms": quantile(0.5), "p99Ms": quantile(0.99), "p999Ms": quantile(0.999)}, nil
}

func handleClearReceived(_ context.Context, p *testPeer, _ json.RawMessage) (any, error) {
	p.inbox.lock.Lock()
	defer p.inbox.lock.Unlock()
	p.inbox.messages, p.inbox.latencies = nil, p.inbox.latencies[:0]
	p.inbox.counts, p.inbox.unique = map[string]int{}, map[string]map[string]bool{}
	return map[string]any{}, nil
}

// What was measured so far counts no longer; what was received still does.
func handleForgetLatencies(_ context.Context, p *testPeer, _ json.RawMessage) (any, error) {
	p.inbox.lock.Lock()
	defer p.inbox.lock.Unlock()
	p.inbox.latencies = p.inbox.latencies[:0]
	return map[string]any{}, nil
}
