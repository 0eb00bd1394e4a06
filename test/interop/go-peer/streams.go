package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/client"
)

const maxStreamBytes = 64 << 20

type streamMessage struct {
	PeerID string `json:"peerId"`
	Data   string `json:"data"` // base64
	Error  string `json:"error,omitempty"`
}

// streamLog records what came over the direct stream.
type streamLog struct {
	lock     sync.Mutex
	messages []streamMessage
}

func newStreamLog(h host.Host, id string) *streamLog {
	l := &streamLog{}
	if id == "" {
		return l
	}
	h.SetStreamHandler(protocol.ID(id), func(s network.Stream) { l.read(s) })
	return l
}

// read records one stream and returns what it carried.
func (l *streamLog) read(s network.Stream) []byte {
	defer s.Close()
	_ = s.SetReadDeadline(time.Now().Add(30 * time.Second))
	data, err := io.ReadAll(io.LimitReader(s, maxStreamBytes))
	m := streamMessage{PeerID: s.Conn().RemotePeer().String(), Data: base64.StdEncoding.EncodeToString(data)}
	if err != nil {
		m.Error = err.Error()
	}
	l.lock.Lock()
	defer l.lock.Unlock()
	if len(l.messages) < 10_000 {
		l.messages = append(l.messages, m)
	}
	return data
}

func handleStreams(_ context.Context, p *testPeer, _ json.RawMessage) (any, error) {
	p.stream.lock.Lock()
	defer p.stream.lock.Unlock()
	return append([]streamMessage{}, p.stream.messages...), nil
}

type streamSendArgs struct {
	PeerID   string `json:"peerId"`
	Protocol string `json:"protocol"`
	Data     string `json:"data"`    // base64
	PauseMs  int    `json:"pauseMs"` // after each byte
	KeepOpen bool   `json:"keepOpen"`
	Repeat   int    `json:"repeat"`
}

// handleStreamSend opens a stream, writes, closes the writing side, and tells how the other side ended it.
func handleStreamSend(ctx context.Context, p *testPeer, raw json.RawMessage) (any, error) {
	args, err := parse[streamSendArgs](raw)
	if err != nil {
		return nil, err
	}
	id, err := peer.Decode(args.PeerID)
	if err != nil {
		return nil, err
	}
	data, err := base64.StdEncoding.DecodeString(args.Data)
	if err != nil {
		return nil, err
	}
	s, err := p.host.NewStream(network.WithAllowLimitedConn(ctx, "test"), id, protocol.ID(args.Protocol))
	if err != nil {
		return nil, err
	}
	started := time.Now()
	written, writeErr := writeStream(s, data, args)
	if !args.KeepOpen && writeErr == nil {
		writeErr = s.CloseWrite()
	}
	_ = s.SetReadDeadline(time.Now().Add(60 * time.Second))
	_, readErr := io.ReadAll(io.LimitReader(s, maxStreamBytes))
	_ = s.Reset()
	return map[string]any{"written": written, "writeError": text(writeErr), "readError": text(readErr), "ms": time.Since(started).Milliseconds()}, nil
}

func writeStream(s network.Stream, data []byte, args streamSendArgs) (int, error) {
	written := 0
	for range max(1, args.Repeat) {
		if args.PauseMs == 0 {
			n, err := s.Write(data)
			written += n
			if err != nil {
				return written, err
			}
			continue
		}
		for _, b := range data {
			if _, err := s.Write([]byte{b}); err != nil {
				return written, err
			}
			written++
			time.Sleep(time.Duration(args.PauseMs) * time.Millisecond)
		}
	}
	return written, nil
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// handleRelayReserve asks a relay for a place, so that others reach this peer through it.
func handleRelayReserve(ctx context.Context, p *testPeer, raw json.RawMessage) (any, error) {
	args, err := parse[addressArgs](raw)
	if err != nil {
		return nil, err
	}
	info, err := peer.AddrInfoFromString(args.Address)
	if err != nil {
		return nil, err
	}
	if err := p.host.Connect(ctx, *info); err != nil {
		return nil, err
	}
	reservation, err := client.Reserve(ctx, p.host, *info)
	if err != nil {
		return nil, err
	}
	return map[string]any{"expires": reservation.Expiration.Unix()}, nil
}

// handshakeMessage has its fields in the order in which the network's nodes write them.
type handshakeMessage struct {
	Type        string `json:"type"`
	PeerID      string `json:"peerID"`
	BestHeight  uint32 `json:"bestHeight"`
	BestHash    string `json:"bestHash"`
	DataHubURL  string `json:"dataHubURL"`
	UserAgent   string `json:"userAgent"`
	Services    uint64 `json:"services"`
	TopicPrefix string `json:"topicPrefix"`
}

type handshakeArgs struct {
	Protocol string           `json:"protocol"`
	Topic    string           `json:"topic"` // joined at init
	Says     handshakeMessage `json:"says"`
}

// handleHandshake makes the peer take part in the handshake as a Teranode server does: a version to whoever connects from now on, over a stream
// or two seconds later on the topic; a verack over a stream to whoever hands it a version, which on the topic is the neighbour; another prefix
// is ignored.
func handleHandshake(ctx context.Context, p *testPeer, raw json.RawMessage) (any, error) {
	args, err := parse[handshakeArgs](raw)
	if err != nil {
		return nil, err
	}
	topic, joined := p.topics[args.Topic]
	if !joined {
		return nil, fmt.Errorf("topic %q was not joined", args.Topic)
	}
	sub, err := topic.Subscribe()
	if err != nil {
		return nil, err
	}
	p.host.SetStreamHandler(protocol.ID(args.Protocol), func(s network.Stream) {
		p.hearHandshake(ctx, args, p.stream.read(s), s.Conn().RemotePeer())
	})
	go p.hearTopic(ctx, sub, args)
	p.host.Network().Notify(&network.NotifyBundle{ConnectedF: func(_ network.Network, c network.Conn) {
		go p.greet(ctx, topic, args, c.RemotePeer())
	}})
	return map[string]any{}, nil
}

func (p *testPeer) hearTopic(ctx context.Context, sub *pubsub.Subscription, args handshakeArgs) {
	for {
		m, err := sub.Next(ctx)
		if err != nil {
			return
		}
		if m.ReceivedFrom != p.host.ID() {
			go p.hearHandshake(ctx, args, m.Data, m.ReceivedFrom)
		}
	}
}

func (p *testPeer) hearHandshake(ctx context.Context, args handshakeArgs, data []byte, from peer.ID) {
	var heard handshakeMessage
	if json.Unmarshal(data, &heard) != nil || heard.TopicPrefix != args.Says.TopicPrefix || heard.Type != "version" {
		return
	}
	_ = p.sayHandshake(ctx, args, "verack", from)
}

func (p *testPeer) greet(ctx context.Context, topic *pubsub.Topic, args handshakeArgs, id peer.ID) {
	if p.sayHandshake(ctx, args, "version", id) == nil {
		return
	}
	time.Sleep(2 * time.Second)
	if data, err := p.handshakeBytes(args, "version"); err == nil {
		_ = topic.Publish(ctx, data)
	}
}

func (p *testPeer) handshakeBytes(args handshakeArgs, kind string) ([]byte, error) {
	says := args.Says
	says.Type, says.PeerID = kind, p.host.ID().String()
	return json.Marshal(says)
}

func (p *testPeer) sayHandshake(ctx context.Context, args handshakeArgs, kind string, to peer.ID) error {
	data, err := p.handshakeBytes(args, kind)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(network.WithAllowLimitedConn(ctx, "test"), 10*time.Second)
	defer cancel()
	s, err := p.host.NewStream(ctx, to, protocol.ID(args.Protocol))
	if err != nil {
		return err
	}
	if _, err := s.Write(data); err != nil {
		_ = s.Reset()
		return err
	}
	return s.Close()
}
