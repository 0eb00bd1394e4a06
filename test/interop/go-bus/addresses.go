package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

const (
	addressStreamTimeout = 20 * time.Second
	maxRequestBytes      = 256     // of the bus's one read
	maxAnswerBytes       = 4096    // of the bus's one read
	maxAddressBytes      = 1 << 20 // of reads to the end
	maxAddressRequests   = 10_000
)

type requestArgs struct {
	PeerID    string   `json:"peerId"`
	Protocols []string `json:"protocols"` // as they are offered
	Text      string   `json:"text"`      // the wanted peer's id, or anything
	Silent    bool     `json:"silent"`    // write nothing
	HalfClose bool     `json:"halfClose"`
	ReadOnce  bool     `json:"readOnce"` // as the bus does; else to the end
}

// handleRequestAddresses asks one peer, and tells how it answered and ended.
func handleRequestAddresses(ctx context.Context, n *node, raw json.RawMessage) (any, error) {
	args, err := parse[requestArgs](raw)
	if err != nil {
		return nil, err
	}
	id, err := peer.Decode(args.PeerID)
	if err != nil {
		return nil, err
	}
	s, err := n.host.NewStream(ctx, id, protocol.ConvertFromStrings(args.Protocols)...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = s.Reset() }()
	started := time.Now()
	_ = s.SetDeadline(started.Add(addressStreamTimeout))
	if !args.Silent {
		_, err = s.Write([]byte(args.Text))
	}
	if args.HalfClose && err == nil {
		err = s.CloseWrite()
	}
	answer := []byte{}
	if err == nil {
		answer, err = readAnswer(s, args.ReadOnce)
	}
	return map[string]any{"protocol": string(s.Protocol()), "text": string(answer), "error": text(err), "ms": time.Since(started).Milliseconds()}, nil
}

func readAnswer(s network.Stream, once bool) ([]byte, error) {
	if !once {
		return io.ReadAll(io.LimitReader(s, maxAddressBytes))
	}
	buffer := make([]byte, maxAnswerBytes)
	read, err := s.Read(buffer)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return buffer[:read], err
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

type answerArgs struct {
	Protocols []string            `json:"protocols"`
	Addresses map[string][]string `json:"addresses"` // by wanted peer; [] for others
	Raw       string              `json:"raw"`       // instead of these
	Silent    bool                `json:"silent"`    // never answer
	ReadToEnd bool                `json:"readToEnd"` // else one read, as the bus does
}

type addressRequest struct {
	PeerID   string `json:"peerId"`
	Protocol string `json:"protocol"`
	Text     string `json:"text"`
	Ended    bool   `json:"ended"` // by a half close; known only if read to the end
	Error    string `json:"error,omitempty"`
}

// addressRequests are those that others made.
type addressRequests struct {
	lock sync.Mutex
	all  []addressRequest
}

// handleAnswerAddressRequests serves the protocols from now on.
func handleAnswerAddressRequests(_ context.Context, n *node, raw json.RawMessage) (any, error) {
	args, err := parse[answerArgs](raw)
	if err != nil {
		return nil, err
	}
	for _, id := range args.Protocols {
		n.host.SetStreamHandler(protocol.ID(id), func(s network.Stream) { n.scored.requests.answer(s, args) })
	}
	return map[string]any{}, nil
}

func (r *addressRequests) answer(s network.Stream, args answerArgs) {
	_ = s.SetDeadline(time.Now().Add(addressStreamTimeout))
	buffer, read, err := make([]byte, maxRequestBytes), 0, error(nil)
	for err == nil && read < len(buffer) {
		var more int
		more, err = s.Read(buffer[read:])
		read += more
		if !args.ReadToEnd {
			break
		}
	}
	request := addressRequest{PeerID: s.Conn().RemotePeer().String(), Protocol: string(s.Protocol()), Text: string(buffer[:read])}
	request.Ended = errors.Is(err, io.EOF)
	if err != nil && !request.Ended {
		request.Error = err.Error()
	}
	r.lock.Lock()
	if len(r.all) < maxAddressRequests {
		r.all = append(r.all, request)
	}
	r.lock.Unlock()
	if args.Silent {
		return
	}
	answer := []byte(args.Raw)
	if args.Raw == "" {
		answer, _ = json.Marshal(append([]string{}, args.Addresses[request.Text]...))
	}
	_, _ = s.Write(answer)
	_ = s.Close()
}

func handleAddressRequests(_ context.Context, n *node, _ json.RawMessage) (any, error) {
	n.scored.requests.lock.Lock()
	defer n.scored.requests.lock.Unlock()
	return append([]addressRequest{}, n.scored.requests.all...), nil
}
