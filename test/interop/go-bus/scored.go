package main

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p"
	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
)

const subscriptionBuffer = 65_536

type scoredArgs struct {
	Name            string   `json:"name"` // in its envelopes
	PrivateKey      string   `json:"privateKey"`
	Listen          []string `json:"listen"`   // default 127.0.0.1, a free port
	Security        string   `json:"security"` // tls, noise, both
	Agent           string   `json:"agent"`
	Network         string   `json:"network"`
	ProtocolVersion string   `json:"protocolVersion"` // default: the network's
	Topics          []string `json:"topics"`          // default: the network's four
	DirectPeers     []string `json:"directPeers"`
	OutboundQueue   int      `json:"outboundQueue"` // RPCs that may wait for one neighbour; the library's default is 32
	ValidateQueue   int      `json:"validateQueue"` // messages that may wait for validation; the library's default is 32
	Discard         bool     `json:"discard"`       // verify and count, keep nothing
}

// scoredPeer is what mode scored has besides a node.
type scoredPeer struct {
	name     string
	network  string
	lock     sync.Mutex
	topics   map[string]*pubsub.Topic
	subs     map[string]*pubsub.Subscription
	scores   *scoreBoard
	rpcs     *rpcTracer
	requests *addressRequests
	crowd    *crowd
	light    *lightPublisher // nil before lightConnect
}

var scoredHandlers = handlersOf(map[string]handler{
	"join":                  handleJoin,
	"leave":                 handleLeave,
	"disconnect":            handleDisconnect,
	"publishRaw":            handlePublishRaw,
	"publishAs":             handlePublishAs,
	"lightConnect":          handleLightConnect,
	"scores":                handleScores,
	"forgetScores":          handleForgetScores,
	"rpcs":                  handleRpcs,
	"control":               handleControl,
	"forward":               handleForward,
	"requestAddresses":      handleRequestAddresses,
	"answerAddressRequests": handleAnswerAddressRequests,
	"addressRequests":       handleAddressRequests,
	"crowd":                 handleCrowd,
	"crowdPublish":          handleCrowdPublish,
})

func newScored(ctx context.Context, raw json.RawMessage) (*node, error) {
	args, err := parse[scoredArgs](raw)
	if err != nil {
		return nil, err
	}
	h, err := plainHost(args)
	if err != nil {
		return nil, err
	}
	s := &scoredPeer{
		name: args.Name, network: args.Network, topics: map[string]*pubsub.Topic{}, subs: map[string]*pubsub.Subscription{},
		scores: newScoreBoard(), rpcs: newRPCTracer(), requests: &addressRequests{}, crowd: &crowd{},
	}
	n := &node{handlers: scoredHandlers, host: h, inbox: newInbox(args.Discard), jobs: &publishJobs{}, scored: s}
	n.publish = n.publishEnveloped
	options, err := gossipOptions(args, s)
	if err != nil {
		return nil, err
	}
	if n.pubsub, err = pubsub.NewGossipSub(ctx, h, options...); err != nil {
		return nil, err
	}
	if args.Topics == nil {
		args.Topics = topicsOf(args.Network)
	}
	for _, topic := range args.Topics {
		if err := n.join(ctx, topic); err != nil {
			return nil, err
		}
	}
	return n, nil
}

// plainHost has the options of a bus client, and listens on loopback only.
func plainHost(args scoredArgs) (host.Host, error) {
	key, err := identity(args.PrivateKey)
	if err != nil {
		return nil, err
	}
	if len(args.Listen) == 0 {
		args.Listen = []string{"/ip4/127.0.0.1/tcp/0"}
	}
	if args.ProtocolVersion == "" {
		args.ProtocolVersion = protocolVersion(args.Network)
	}
	options := []libp2p.Option{
		libp2p.Identity(key), libp2p.Transport(tcp.NewTCPTransport), libp2p.ListenAddrStrings(args.Listen...),
		libp2p.ProtocolVersion(args.ProtocolVersion), libp2p.EnableRelay(),
	}
	switch args.Security {
	case "tls":
		options = append(options, libp2p.Security(libp2ptls.ID, libp2ptls.New))
	case "noise":
		options = append(options, libp2p.Security(noise.ID, noise.New))
	}
	if args.Agent != "" {
		options = append(options, libp2p.UserAgent(args.Agent))
	}
	return libp2p.New(options...)
}

func gossipOptions(args scoredArgs, s *scoredPeer) ([]pubsub.Option, error) {
	options := []pubsub.Option{
		pubsub.WithMessageSignaturePolicy(pubsub.StrictSign), pubsub.WithPeerExchange(true), pubsub.WithRawTracer(s.rpcs),
	}
	options = append(options, scoreOptions(s.scores)...)
	if args.OutboundQueue > 0 {
		options = append(options, pubsub.WithPeerOutboundQueueSize(args.OutboundQueue))
	}
	if args.ValidateQueue > 0 {
		options = append(options, pubsub.WithValidateQueueSize(args.ValidateQueue))
	}
	direct := []peer.AddrInfo{}
	for _, address := range args.DirectPeers {
		info, err := peer.AddrInfoFromString(address)
		if err != nil {
			return nil, err
		}
		direct = append(direct, *info)
	}
	if len(direct) > 0 {
		options = append(options, pubsub.WithDirectPeers(direct))
	}
	return options, nil
}

func (n *node) join(ctx context.Context, name string) error {
	s := n.scored
	s.lock.Lock()
	defer s.lock.Unlock()
	if s.subs[name] != nil {
		return fmt.Errorf("subscribed to %q already", name)
	}
	topic, err := s.topics[name], error(nil)
	if topic == nil {
		if topic, err = n.pubsub.Join(name); err != nil {
			return err
		}
		s.topics[name] = topic
	}
	sub, err := topic.Subscribe(pubsub.WithBufferSize(subscriptionBuffer))
	if err != nil {
		return err
	}
	s.subs[name] = sub
	go n.read(ctx, sub)
	return nil
}

// read ends when the subscription is cancelled.
func (n *node) read(ctx context.Context, sub *pubsub.Subscription) {
	for {
		m, err := sub.Next(ctx)
		if err != nil {
			return
		}
		if m.ReceivedFrom == n.host.ID() {
			continue
		}
		received := receivedMessage{Topic: m.GetTopic(), AtNs: time.Now().UnixNano()}
		if n.inbox.discard {
			n.inbox.add(received, nil, nil)
			continue
		}
		received.Author = m.GetFrom().String()
		received.gossipFacts = &gossipFacts{
			Neighbour: m.ReceivedFrom.String(), Seqno: hex.EncodeToString(m.GetSeqno()), SignatureBytes: len(m.GetSignature()), HasKey: len(m.GetKey()) > 0,
		}
		var e envelope
		_ = json.Unmarshal(m.Data, &e)
		received.Name = e.Name
		n.inbox.add(received, m.Data, e.Data)
	}
}

// envelope has its fields in the order in which the bus writes them.
type envelope struct {
	Name string `json:"name"`
	Data []byte `json:"data"`
}

func (s *scoredPeer) envelop(inner []byte) ([]byte, error) {
	return json.Marshal(envelope{Name: s.name, Data: inner})
}

func (s *scoredPeer) topic(name string) (*pubsub.Topic, error) {
	s.lock.Lock()
	defer s.lock.Unlock()
	topic, joined := s.topics[name]
	if !joined {
		return nil, fmt.Errorf("topic %q not joined", name)
	}
	return topic, nil
}

func (n *node) publishEnveloped(ctx context.Context, name string, inner []byte) error {
	topic, err := n.scored.topic(name)
	if err != nil {
		return err
	}
	data, err := n.scored.envelop(inner)
	if err != nil {
		return err
	}
	return topic.Publish(ctx, data)
}

type topicArgs struct {
	Topic string `json:"topic"`
	Data  string `json:"data"` // base64
}

func handleJoin(ctx context.Context, n *node, raw json.RawMessage) (any, error) {
	args, err := parse[topicArgs](raw)
	if err != nil {
		return nil, err
	}
	return map[string]any{}, n.join(ctx, args.Topic)
}

// handleLeave unsubscribes, which prunes the whole mesh of the topic with a back-off of 10 s.
func handleLeave(_ context.Context, n *node, raw json.RawMessage) (any, error) {
	args, err := parse[topicArgs](raw)
	if err != nil {
		return nil, err
	}
	n.scored.lock.Lock()
	defer n.scored.lock.Unlock()
	sub, joined := n.scored.subs[args.Topic]
	if !joined {
		return nil, fmt.Errorf("not subscribed to %q", args.Topic)
	}
	delete(n.scored.subs, args.Topic)
	sub.Cancel()
	return map[string]any{}, nil
}

func handleDisconnect(_ context.Context, n *node, raw json.RawMessage) (any, error) {
	id, err := peerArg(raw)
	if err != nil {
		return nil, err
	}
	return map[string]any{}, n.host.Network().ClosePeer(id)
}

// handlePublishRaw publishes any bytes, without an envelope.
func handlePublishRaw(ctx context.Context, n *node, raw json.RawMessage) (any, error) {
	args, err := parse[topicArgs](raw)
	if err != nil {
		return nil, err
	}
	topic, err := n.scored.topic(args.Topic)
	if err != nil {
		return nil, err
	}
	data, err := base64.StdEncoding.DecodeString(args.Data)
	if err != nil {
		return nil, err
	}
	return map[string]any{}, topic.Publish(ctx, data)
}
