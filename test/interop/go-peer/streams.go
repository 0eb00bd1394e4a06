package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"sync"
	"time"

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
	h.SetStreamHandler(protocol.ID(id), func(s network.Stream) {
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
	})
	return l
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
