package main

import (
	"context"
	"crypto/rand"
	"encoding/asn1"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"strings"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
)

// rawPublishArgs: messages that no library writes and Go's takes for valid, signed by an author of their own and handed to one neighbour by a
// host of their own.
type rawPublishArgs struct {
	Address string `json:"address"`
	Topic   string `json:"topic"`
	Kind    string `json:"kind"` // unknown_field, wide_tag, high_s, many_in_one
	Count   int    `json:"count"`
}

// unknownFields are kept by Go as they came, and signed over.
var unknownFields = map[string][]byte{
	"unknown_field": {0x7a, 1, 'x'},
	// Field 15, a varint of 0, its tag in six bytes where one would do.
	"wide_tag": {0xf8, 0x80, 0x80, 0x80, 0x80, 0, 0},
}

// In the one frame of many_in_one each message is so large that relays say to their neighbours that they need not send it.
const largeMessageBytes = 1100

var secp256k1Order, _ = new(big.Int).SetString("FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141", 16)

// highS signs with the larger one of the two values that verify.
type highS struct{ crypto.PrivKey }

func (k highS) Sign(data []byte) ([]byte, error) {
	signature, err := k.PrivKey.Sign(data)
	if err != nil {
		return nil, err
	}
	var v struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(signature, &v); err != nil {
		return nil, err
	}
	v.S = new(big.Int).Sub(secp256k1Order, v.S)
	return asn1.Marshal(v)
}

func rawAuthor(kind string) (crypto.PrivKey, peer.ID, error) {
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if kind == "high_s" {
		key, _, err = crypto.GenerateSecp256k1Key(rand.Reader)
		key = highS{key}
	}
	if err != nil {
		return nil, "", err
	}
	id, err := peer.IDFromPrivateKey(key)
	return key, id, err
}

func rawMessage(args rawPublishArgs, key crypto.PrivKey, id peer.ID, seqno uint64) (*pb.Message, error) {
	text := fmt.Sprintf(`{"Hash":"%064x","DataHubURL":"http://127.0.0.1:8090/api/v1","PeerID":"%s"}`, seqno, id)
	if args.Kind == "many_in_one" {
		text += strings.Repeat(" ", largeMessageBytes-len(text))
	}
	m := &pb.Message{From: []byte(id), Seqno: binary.BigEndian.AppendUint64(nil, seqno), Topic: &args.Topic, Data: []byte(text)}
	m.XXX_unrecognized = unknownFields[args.Kind]
	bytes, err := m.Marshal()
	if err != nil {
		return nil, err
	}
	m.Signature, err = key.Sign(append([]byte(pubsub.SignPrefix), bytes...))
	return m, err
}

// handlePublishRaw answers with the author's id once everything is written.
func handlePublishRaw(ctx context.Context, p *testPeer, raw json.RawMessage) (any, error) {
	args, err := parse[rawPublishArgs](raw)
	if err != nil {
		return nil, err
	}
	key, id, err := rawAuthor(args.Kind)
	if err != nil {
		return nil, err
	}
	frames, seqno := []*pb.RPC{}, uint64(time.Now().UnixNano())
	for i := range args.Count {
		m, err := rawMessage(args, key, id, seqno+uint64(i))
		if err != nil {
			return nil, err
		}
		if i == 0 || args.Kind != "many_in_one" {
			frames = append(frames, &pb.RPC{})
		}
		last := frames[len(frames)-1]
		last.Publish = append(last.Publish, m)
	}
	return id.String(), p.sendFrames(ctx, args.Address, frames)
}

// sendFrames writes to a gossip stream from a host of its own, which stays as long as the peer.
func (p *testPeer) sendFrames(ctx context.Context, address string, frames []*pb.RPC) error {
	h, err := newHost(initArgs{PSK: p.args.PSK, Security: p.args.Security})
	if err != nil {
		return err
	}
	info, err := peer.AddrInfoFromString(address)
	if err != nil {
		return err
	}
	if err := h.Connect(ctx, *info); err != nil {
		return err
	}
	s, err := h.NewStream(ctx, info.ID, pubsub.GossipSubID_v11)
	if err != nil {
		return err
	}
	go func() { _, _ = io.Copy(io.Discard, s) }()
	for _, frame := range frames {
		bytes, err := frame.Marshal()
		if err != nil {
			return err
		}
		if _, err := s.Write(append(binary.AppendUvarint(nil, uint64(len(bytes))), bytes...)); err != nil {
			return err
		}
	}
	return nil
}
