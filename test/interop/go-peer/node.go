package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"time"

	"os"
	"strconv"

	"github.com/libp2p/go-libp2p"
	dht "github.com/libp2p/go-libp2p-kad-dht"
	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/control"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/pnet"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	"github.com/multiformats/go-multiaddr"
)

type initArgs struct {
	Listen         []string `json:"listen"`
	PSK            string   `json:"psk"`
	Security       string   `json:"security"` // tls, noise, both
	PrivateKey     string   `json:"privateKey"`
	Agent          string   `json:"agent"`
	Topics         []string `json:"topics"`
	DHT            string   `json:"dht"` // off, client, server, auto
	DHTPrefix      string   `json:"dhtPrefix"`
	Bootstrap      []string `json:"bootstrap"`
	RelayService   bool     `json:"relayService"`
	AutoNAT        bool     `json:"autonat"`      // version 2: dials back who asks
	HolePunching   bool     `json:"holePunching"` // DCUtR
	MaxMessageSize int      `json:"maxMessageSize"`
	Allow          []string `json:"allow"` // when given, no other peer may connect
	StreamProtocol string   `json:"streamProtocol"`
	KeepMessages   int      `json:"keepMessages"`
	Discard        bool     `json:"discard"`       // count only
	ValidateQueue  int      `json:"validateQueue"` // messages that may wait for validation; the library's default is 32
	OutboundQueue  int      `json:"outboundQueue"` // RPCs that may wait for one neighbour; the library's default is 32
	NoMesh         bool     `json:"noMesh"`        // in no mesh of peers that dial it: it asks for what it hears of
}

type testPeer struct {
	args      initArgs
	host      host.Host
	dht       *dht.IpfsDHT
	ps        *pubsub.PubSub
	tracer    *meshTracer
	topics    map[string]*pubsub.Topic
	inbox     *inbox
	jobs      *publishJobs
	stream    *streamLog
	announced *announcements
	light     *lightPublisher // nil before lightConnect
}

// gater lets only listed peers connect, to force a topology.
type gater struct{ allow map[peer.ID]bool }

func (g *gater) ok(p peer.ID) bool                                       { return len(g.allow) == 0 || g.allow[p] }
func (g *gater) InterceptPeerDial(p peer.ID) bool                        { return g.ok(p) }
func (g *gater) InterceptAddrDial(p peer.ID, _ multiaddr.Multiaddr) bool { return g.ok(p) }
func (g *gater) InterceptAccept(network.ConnMultiaddrs) bool             { return true }
func (g *gater) InterceptSecured(_ network.Direction, p peer.ID, _ network.ConnMultiaddrs) bool {
	return g.ok(p)
}
func (g *gater) InterceptUpgraded(network.Conn) (bool, control.DisconnectReason) { return true, 0 }

var _ connmgr.ConnectionGater = (*gater)(nil)

func newTestPeer(ctx context.Context, raw json.RawMessage) (*testPeer, error) {
	args, err := parse[initArgs](raw)
	if err != nil {
		return nil, err
	}
	h, err := newHost(args)
	if err != nil {
		return nil, err
	}
	p := &testPeer{args: args, host: h, topics: map[string]*pubsub.Topic{}, tracer: newMeshTracer(), jobs: &publishJobs{}}
	p.inbox = newInbox(args.KeepMessages, args.Discard)
	p.stream = newStreamLog(h, args.StreamProtocol)
	if p.announced, err = newAnnouncements(h); err != nil {
		return nil, err
	}
	if err := p.startDHT(ctx, args); err != nil {
		return nil, err
	}
	options := []pubsub.Option{pubsub.WithMessageSignaturePolicy(pubsub.StrictSign), pubsub.WithRawTracer(p.tracer)}
	if args.MaxMessageSize > 0 {
		options = append(options, pubsub.WithMaxMessageSize(args.MaxMessageSize))
	}
	if args.ValidateQueue > 0 {
		options = append(options, pubsub.WithValidateQueueSize(args.ValidateQueue))
	}
	if args.OutboundQueue > 0 {
		options = append(options, pubsub.WithPeerOutboundQueueSize(args.OutboundQueue))
	}
	if args.NoMesh {
		params := pubsub.DefaultGossipSubParams()
		params.D, params.Dlo, params.Dhi, params.Dout, params.Dscore = 0, 0, 0, 0, 0
		options = append(options, pubsub.WithGossipSubParams(params))
	}
	if p.ps, err = pubsub.NewGossipSub(ctx, h, options...); err != nil {
		return nil, err
	}
	for _, name := range args.Topics {
		if err := p.join(ctx, name); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func newHost(args initArgs) (host.Host, error) {
	listen := args.Listen
	if len(listen) == 0 {
		listen = []string{"/ip4/127.0.0.1/tcp/0"}
	}
	key, err := identity(args.PrivateKey)
	if err != nil {
		return nil, err
	}
	options := []libp2p.Option{libp2p.Identity(key), libp2p.ListenAddrStrings(listen...)}
	switch args.Security {
	case "tls":
		options = append(options, libp2p.Security(libp2ptls.ID, libp2ptls.New))
	case "noise":
		options = append(options, libp2p.Security(noise.ID, noise.New))
	default:
		options = append(options, libp2p.Security(libp2ptls.ID, libp2ptls.New), libp2p.Security(noise.ID, noise.New))
	}
	if args.Agent != "" {
		options = append(options, libp2p.UserAgent(args.Agent))
	}
	if args.PSK != "" {
		psk, err := pnet.DecodeV1PSK(strings.NewReader("/key/swarm/psk/1.0.0/\n/base16/\n" + args.PSK))
		if err != nil {
			return nil, err
		}
		options = append(options, libp2p.PrivateNetwork(psk))
	}
	if args.RelayService {
		options = append(options, libp2p.EnableRelayService(), libp2p.ForceReachabilityPublic())
	}
	if args.AutoNAT {
		options = append(options, libp2p.EnableAutoNATv2())
	}
	if args.HolePunching {
		options = append(options, libp2p.EnableHolePunching())
	}
	g := &gater{allow: map[peer.ID]bool{}}
	for _, id := range args.Allow {
		decoded, err := peer.Decode(id)
		if err != nil {
			return nil, err
		}
		g.allow[decoded] = true
	}
	return libp2p.New(append(options, libp2p.ConnectionGater(g), libp2p.EnableRelay())...)
}

func identity(hexKey string) (crypto.PrivKey, error) {
	if hexKey == "" {
		key, _, err := crypto.GenerateEd25519Key(rand.Reader)
		return key, err
	}
	raw, err := hex.DecodeString(hexKey)
	if err != nil {
		return nil, err
	}
	return crypto.UnmarshalEd25519PrivateKey(raw)
}

func (p *testPeer) startDHT(ctx context.Context, args initArgs) error {
	modes := map[string]dht.ModeOpt{"client": dht.ModeClient, "server": dht.ModeServer, "auto": dht.ModeAuto}
	mode, on := modes[args.DHT]
	if !on {
		return nil
	}
	options := []dht.Option{dht.Mode(mode)}
	if args.DHTPrefix != "" {
		options = append(options, dht.ProtocolPrefix(protocol.ID(args.DHTPrefix)))
	}
	bootstrap, err := addrInfos(args.Bootstrap)
	if err != nil {
		return err
	}
	if len(bootstrap) > 0 {
		options = append(options, dht.BootstrapPeers(bootstrap...))
	}
	if p.dht, err = dht.New(ctx, p.host, options...); err != nil {
		return err
	}
	for _, info := range bootstrap {
		go func() { _ = p.host.Connect(ctx, info) }()
	}
	return p.dht.Bootstrap(ctx)
}

func addrInfos(addresses []string) ([]peer.AddrInfo, error) {
	infos := make([]peer.AddrInfo, 0, len(addresses))
	for _, address := range addresses {
		info, err := peer.AddrInfoFromString(address)
		if err != nil {
			return nil, err
		}
		infos = append(infos, *info)
	}
	return infos, nil
}

func handleInfo(_ context.Context, p *testPeer, _ json.RawMessage) (any, error) {
	addresses := []string{}
	for _, a := range p.host.Addrs() {
		addresses = append(addresses, fmt.Sprintf("%s/p2p/%s", a, p.host.ID()))
	}
	return map[string]any{"peerId": p.host.ID().String(), "addresses": addresses}, nil
}

type addressArgs struct {
	Address string `json:"address"`
	PeerID  string `json:"peerId"`
}

func handleConnect(ctx context.Context, p *testPeer, raw json.RawMessage) (any, error) {
	args, err := parse[addressArgs](raw)
	if err != nil {
		return nil, err
	}
	info, err := peer.AddrInfoFromString(args.Address)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(network.WithAllowLimitedConn(ctx, "test"), 15*time.Second)
	defer cancel()
	return map[string]any{}, p.host.Connect(ctx, *info)
}

// announcements keeps what peers announced in identify.
type announcements struct {
	lock  sync.Mutex
	peers map[peer.ID][]string
}

func newAnnouncements(h host.Host) (*announcements, error) {
	all := &announcements{peers: map[peer.ID][]string{}}
	events, err := h.EventBus().Subscribe(new(event.EvtPeerIdentificationCompleted))
	if err != nil {
		return nil, err
	}
	go func() {
		for each := range events.Out() {
			done := each.(event.EvtPeerIdentificationCompleted)
			addresses := []string{}
			for _, a := range done.ListenAddrs {
				addresses = append(addresses, a.String())
			}
			all.lock.Lock()
			all.peers[done.Peer] = addresses
			all.lock.Unlock()
		}
	}()
	return all, nil
}

// handleAnnounced tells the addresses that a peer announced when it was last identified; null before.
func handleAnnounced(_ context.Context, p *testPeer, raw json.RawMessage) (any, error) {
	args, err := parse[addressArgs](raw)
	if err != nil {
		return nil, err
	}
	id, err := peer.Decode(args.PeerID)
	if err != nil {
		return nil, err
	}
	p.announced.lock.Lock()
	defer p.announced.lock.Unlock()
	return p.announced.peers[id], nil
}

func handleDisconnect(_ context.Context, p *testPeer, raw json.RawMessage) (any, error) {
	args, err := parse[addressArgs](raw)
	if err != nil {
		return nil, err
	}
	id, err := peer.Decode(args.PeerID)
	if err != nil {
		return nil, err
	}
	return map[string]any{}, p.host.Network().ClosePeer(id)
}

func handlePeers(_ context.Context, p *testPeer, _ json.RawMessage) (any, error) {
	type connection struct {
		PeerID    string   `json:"peerId"`
		Address   string   `json:"address"`
		Direction string   `json:"direction"`
		Security  string   `json:"security"`
		Agent     string   `json:"agent"`
		Protocols []string `json:"protocols"`
		Limited   bool     `json:"limited"`
	}
	all := []connection{}
	for _, c := range p.host.Network().Conns() {
		agent, _ := p.host.Peerstore().Get(c.RemotePeer(), "AgentVersion")
		name, _ := agent.(string)
		protocols, _ := p.host.Peerstore().GetProtocols(c.RemotePeer())
		all = append(all, connection{
			PeerID: c.RemotePeer().String(), Address: c.RemoteMultiaddr().String(), Direction: strings.ToLower(c.Stat().Direction.String()),
			Security: string(c.ConnState().Security), Agent: name, Protocols: protocol.ConvertToStrings(protocols), Limited: c.Stat().Limited,
		})
	}
	return all, nil
}

func handleRusage(_ context.Context, _ *testPeer, _ json.RawMessage) (any, error) {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return nil, err
	}
	micros := func(t syscall.Timeval) int64 { return t.Sec*1_000_000 + int64(t.Usec) }
	return map[string]any{"cpuMicros": micros(usage.Utime) + micros(usage.Stime), "maxRssBytes": usage.Maxrss * 1024, "rssBytes": currentRss()}, nil
}

func currentRss() int64 {
	status, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(status))
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseInt(fields[1], 10, 64)
	return pages * int64(os.Getpagesize())
}
