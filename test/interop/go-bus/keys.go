// Private keys in the forms in which Go nodes and clients write and read them. These commands need no node.
package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"os"
	"strings"

	bus "github.com/bsv-blockchain/go-p2p-message-bus"
	"github.com/libp2p/go-libp2p/core/peer"
)

var keyHandlers = map[string]handler{
	"makeKey":  handleMakeKey,
	"keyOfHex": handleKeyOfHex,
}

type keyFile struct {
	File string `json:"file"`
}

// handleMakeKey makes a key as the bus does, and returns it in the form of p2p_key.hex and in that of p2p.key.
func handleMakeKey(context.Context, *node, json.RawMessage) (any, error) {
	key, err := bus.GeneratePrivateKey()
	if err != nil {
		return nil, err
	}
	protobuf, err := bus.PrivateKeyToHex(key)
	if err != nil {
		return nil, err
	}
	raw, err := key.Raw()
	if err != nil {
		return nil, err
	}
	id, err := peer.IDFromPrivateKey(key)
	if err != nil {
		return nil, err
	}
	return map[string]string{"peerId": id.String(), "hex": hex.EncodeToString(raw), "protobuf": protobuf}, nil
}

// handleKeyOfHex reads a file as a node does, which takes every byte for a digit, and returns the peer id of its key.
func handleKeyOfHex(_ context.Context, _ *node, raw json.RawMessage) (any, error) {
	args, err := parse[keyFile](raw)
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(args.File)
	if err != nil {
		return nil, err
	}
	key, err := identity(strings.ToLower(string(text)))
	if err != nil {
		return nil, err
	}
	id, err := peer.IDFromPrivateKey(key)
	if err != nil {
		return nil, err
	}
	return map[string]string{"peerId": id.String()}, nil
}
