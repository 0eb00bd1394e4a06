package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	bus "github.com/bsv-blockchain/go-p2p-message-bus"
	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/host"
)

var errNoBootstrap = errors.New("no bootstrap peers: the client would dial the public IPFS peers (a dead loopback address will do)")

type busArgs struct {
	Name            string   `json:"name"`
	PrivateKey      string   `json:"privateKey"`
	Port            int      `json:"port"`          // 0: a free one
	AnnounceAddrs   []string `json:"announceAddrs"` // default: loopback and the port
	BootstrapPeers  []string `json:"bootstrapPeers"`
	StaticPeers     []string `json:"staticPeers"`
	DHTMode         string   `json:"dhtMode"` // off, client, server
	Network         string   `json:"network"`
	ProtocolVersion string   `json:"protocolVersion"` // default: the network's
	PeerCacheFile   string   `json:"peerCacheFile"`   // none: no cache
	Discard         bool     `json:"discard"`         // count what is received, keep nothing
	Queues          int      `json:"queues"`          // 0: the library's own
}

// busClient is what mode bus has besides a node.
type busClient struct {
	client bus.Client
	topics []string // of the network
	queues int
	muted  *mutedLog
}

var busHandlers = handlersOf(map[string]handler{
	"subscribe":    handleSubscribe,
	"peers":        handlePeers,
	"mutedAuthors": handleMutedAuthors,
})

func newBus(raw json.RawMessage) (*node, error) {
	args, err := parse[busArgs](raw)
	if err != nil {
		return nil, err
	}
	if len(args.BootstrapPeers) == 0 {
		return nil, errNoBootstrap
	}
	if !slices.Contains([]string{"off", "client", "server"}, args.DHTMode) {
		return nil, fmt.Errorf("unknown DHT mode %q (expected off, client or server)", args.DHTMode)
	}
	config, err := busConfig(args)
	if err != nil {
		return nil, err
	}
	muted := &mutedLog{}
	config.Logger = muted
	client, err := bus.NewClient(config)
	if err != nil {
		return nil, err
	}
	n := &node{handlers: busHandlers, inbox: newInbox(args.Discard), jobs: &publishJobs{}, publish: client.Publish}
	n.bus = &busClient{client: client, topics: topicsOf(args.Network), queues: args.Queues, muted: muted}
	if n.host, err = field[host.Host](client, "host"); err != nil {
		return nil, err
	}
	if err = listens(n.host, config.Port); err != nil {
		return nil, errors.Join(err, client.Close())
	}
	if n.pubsub, err = field[*pubsub.PubSub](client, "pubsub"); err != nil || args.Queues == 0 {
		return n, err
	}
	return n, widenQueues(n.pubsub, args.Queues)
}

func busConfig(args busArgs) (bus.Config, error) {
	key, err := identity(args.PrivateKey)
	if err != nil {
		return bus.Config{}, err
	}
	if args.Port == 0 {
		if args.Port, err = freePort(); err != nil {
			return bus.Config{}, err
		}
	}
	if args.AnnounceAddrs == nil {
		args.AnnounceAddrs = []string{fmt.Sprintf("/ip4/127.0.0.1/tcp/%d", args.Port)}
	}
	if args.ProtocolVersion == "" {
		args.ProtocolVersion = protocolVersion(args.Network)
	}
	return bus.Config{
		Name: args.Name, PrivateKey: key, Port: args.Port, AnnounceAddrs: args.AnnounceAddrs, BootstrapPeers: args.BootstrapPeers,
		StaticPeers: args.StaticPeers, DHTMode: args.DHTMode, AllowPrivateIPs: true, ProtocolVersion: args.ProtocolVersion,
		PeerCacheFile: args.PeerCacheFile,
	}, nil
}

// Ports of peers that are given none: below those that the kernel gives to connections, and apart from those that tests choose.
const (
	firstPort  = 10_000
	portCount  = 10_000
	portStride = 97
	portTries  = 100
)

// freePort is chosen before the client starts, because the addresses that it announces contain it. Two programs that choose at the
// same moment begin at different ports: libp2p shares its ports, so that both would listen on the same one without an error.
func freePort() (int, error) {
	var err error
	for i := range portTries {
		port := firstPort + (os.Getpid()+i*portStride)%portCount
		var l net.Listener
		if l, err = net.Listen("tcp4", fmt.Sprintf(":%d", port)); err == nil {
			return port, l.Close()
		}
	}
	return 0, err
}

// listens fails where the client does not listen on IPv4: libp2p itself is content with the port of IPv6.
func listens(h host.Host, port int) error {
	for _, a := range h.Network().ListenAddresses() {
		if strings.HasPrefix(a.String(), "/ip4/") {
			return nil
		}
	}
	return fmt.Errorf("does not listen on port %d of IPv4", port)
}

// mutedLog writes the client's log to stderr and keeps the authors that it stopped to listen to, of which it tells nowhere else.
type mutedLog struct {
	lock    sync.Mutex
	authors []string
}

func (l *mutedLog) Debugf(string, ...any)          {}
func (l *mutedLog) Infof(format string, v ...any)  { log.Printf("[INFO] "+format, v...) }
func (l *mutedLog) Errorf(format string, v ...any) { log.Printf("[ERROR] "+format, v...) }
func (l *mutedLog) Warnf(format string, args ...any) {
	log.Printf("[WARN] "+format, args...)
	if !strings.HasPrefix(format, "Skipping peer ") || len(args) < 2 {
		return
	}
	l.lock.Lock()
	defer l.lock.Unlock()
	l.authors = append(l.authors, fmt.Sprint(args[1]))
}

func handleMutedAuthors(_ context.Context, n *node, _ json.RawMessage) (any, error) {
	n.bus.muted.lock.Lock()
	defer n.bus.muted.lock.Unlock()
	return append([]string{}, n.bus.muted.authors...), nil
}

// handlePeers answers with the authors that were heard, as the client tells them.
func handlePeers(_ context.Context, n *node, _ json.RawMessage) (any, error) {
	type author struct {
		PeerID    string   `json:"peerId"`
		Name      string   `json:"name"`
		Addresses []string `json:"addresses"`
	}
	all := []author{}
	for _, p := range n.bus.client.GetPeers() {
		all = append(all, author{PeerID: p.ID, Name: p.Name, Addresses: p.Addrs})
	}
	return all, nil
}

// handleSubscribe answers with the names once the client has joined them: a publication before that could join a topic first.
func handleSubscribe(ctx context.Context, n *node, raw json.RawMessage) (any, error) {
	args, err := parse[struct {
		Topics []string `json:"topics"`
	}](raw)
	if err != nil {
		return nil, err
	}
	if args.Topics == nil {
		args.Topics = n.bus.topics
	}
	for _, topic := range args.Topics {
		if slices.Contains(n.pubsub.GetTopics(), topic) {
			return nil, fmt.Errorf("subscribed to %q before", topic)
		}
		messages := n.bus.client.Subscribe(topic)
		go func() {
			for m := range messages {
				n.inbox.add(receivedMessage{Topic: m.Topic, Author: m.FromID, Name: m.From, AtNs: m.Timestamp.UnixNano()}, m.Data, m.Data)
			}
		}()
	}
	if err := n.awaitJoined(ctx, args.Topics); err != nil || n.bus.queues == 0 {
		return args.Topics, err
	}
	for _, topic := range args.Topics {
		if err := widenSubscription(n.pubsub, topic, n.host.ID(), n.bus.queues); err != nil {
			return nil, err
		}
	}
	return args.Topics, nil
}

func (n *node) awaitJoined(ctx context.Context, topics []string) error {
	ctx, cancel := context.WithTimeout(ctx, loopTimeout)
	defer cancel()
	for ; ; time.Sleep(time.Millisecond) {
		joined := n.pubsub.GetTopics()
		if !slices.ContainsFunc(topics, func(topic string) bool { return !slices.Contains(joined, topic) }) {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("joined only %v", joined)
		}
	}
}
