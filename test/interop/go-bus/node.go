package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	bus "github.com/bsv-blockchain/go-p2p-message-bus"
	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

const connectTimeout = 15 * time.Second

// node is the one peer of this process.
type node struct {
	handlers map[string]handler
	host     host.Host
	pubsub   *pubsub.PubSub
	inbox    *inbox
	jobs     *publishJobs
	// publish wraps an inner message in the envelope and sends it.
	publish func(ctx context.Context, topic string, inner []byte) error
	bus     *busClient
	scored  *scoredPeer
}

func protocolVersion(network string) string { return "/teranode/bitcoin/" + network + "/1.0.0" }

// topicsOf are the four that every node of a network joins.
func topicsOf(network string) []string {
	topics := []string{}
	for _, name := range []string{"block", "subtree", "rejected_tx", "node_status"} {
		topics = append(topics, "teranode/bitcoin/1.0.0/"+network+"-"+name)
	}
	return topics
}

// identity reads the key forms of this network: hex of 64 raw bytes, or hex of the libp2p protobuf. Without one it makes a key.
func identity(hexKey string) (crypto.PrivKey, error) {
	if hexKey == "" {
		key, _, err := crypto.GenerateEd25519Key(rand.Reader)
		return key, err
	}
	if raw, err := hex.DecodeString(hexKey); err == nil && len(raw) == 64 {
		return crypto.UnmarshalEd25519PrivateKey(raw)
	}
	return bus.PrivateKeyFromHex(hexKey)
}

func handleInfo(_ context.Context, n *node, _ json.RawMessage) (any, error) {
	addresses, listen := []string{}, []string{}
	for _, a := range n.host.Addrs() {
		addresses = append(addresses, fmt.Sprintf("%s/p2p/%s", a, n.host.ID()))
	}
	for _, a := range n.host.Network().ListenAddresses() {
		listen = append(listen, a.String())
	}
	return map[string]any{"peerId": n.host.ID().String(), "addresses": addresses, "listenAddresses": listen}, nil
}

type addressArgs struct {
	Address string `json:"address"`
	PeerID  string `json:"peerId"`
}

func peerArg(raw json.RawMessage) (peer.ID, error) {
	args, err := parse[addressArgs](raw)
	if err != nil {
		return "", err
	}
	return peer.Decode(args.PeerID)
}

func handleConnect(ctx context.Context, n *node, raw json.RawMessage) (any, error) {
	args, err := parse[addressArgs](raw)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	if n.bus != nil {
		return map[string]any{}, n.bus.client.Connect(ctx, args.Address)
	}
	info, err := peer.AddrInfoFromString(args.Address)
	if err != nil {
		return nil, err
	}
	return map[string]any{}, n.host.Connect(ctx, *info)
}

func handleConnectedness(_ context.Context, n *node, raw json.RawMessage) (any, error) {
	id, err := peerArg(raw)
	if err != nil {
		return nil, err
	}
	return n.host.Network().Connectedness(id).String(), nil
}

func handleConnections(_ context.Context, n *node, _ json.RawMessage) (any, error) {
	type connection struct {
		PeerID    string `json:"peerId"`
		Address   string `json:"address"`
		Direction string `json:"direction"`
		Security  string `json:"security"`
		Muxer     string `json:"muxer"`
	}
	all := []connection{}
	for _, c := range n.host.Network().Conns() {
		all = append(all, connection{
			PeerID: c.RemotePeer().String(), Address: c.RemoteMultiaddr().String(), Direction: strings.ToLower(c.Stat().Direction.String()),
			Security: string(c.ConnState().Security), Muxer: string(c.ConnState().StreamMultiplexer),
		})
	}
	return all, nil
}

// handleIdentify tells what a connected peer said of itself.
func handleIdentify(_ context.Context, n *node, raw json.RawMessage) (any, error) {
	id, err := peerArg(raw)
	if err != nil {
		return nil, err
	}
	conns := n.host.Network().ConnsToPeer(id)
	if len(conns) == 0 {
		return nil, fmt.Errorf("not connected to %s", id)
	}
	protocols, err := n.host.Peerstore().GetProtocols(id)
	if err != nil {
		return nil, err
	}
	state := conns[0].ConnState()
	return map[string]any{
		"protocolVersion": metadata(n, id, "ProtocolVersion"), "agent": metadata(n, id, "AgentVersion"), "listen": known(n, id),
		"protocols": protocol.ConvertToStrings(protocols), "security": string(state.Security), "muxer": string(state.StreamMultiplexer),
		"outbound": conns[0].Stat().Direction == network.DirOutbound,
	}, nil
}

// handleKnown tells the addresses that this peer has of another one, connected or not.
func handleKnown(_ context.Context, n *node, raw json.RawMessage) (any, error) {
	id, err := peerArg(raw)
	if err != nil {
		return nil, err
	}
	return known(n, id), nil
}

func known(n *node, id peer.ID) []string {
	addresses := []string{}
	for _, a := range n.host.Peerstore().Addrs(id) {
		addresses = append(addresses, a.String())
	}
	return addresses
}

func metadata(n *node, id peer.ID, key string) string {
	value, err := n.host.Peerstore().Get(id, key)
	if err != nil {
		return ""
	}
	text, _ := value.(string)
	return text
}
