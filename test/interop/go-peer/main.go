// A Go peer for tests: go-libp2p with the options of the Teranode network, driven by one JSON command a line on stdin and answering with
// one JSON line each. It ends when stdin closes.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
)

type command struct {
	ID   int64           `json:"id"`
	Cmd  string          `json:"cmd"`
	Args json.RawMessage `json:"args"`
}

type answer struct {
	ID     int64  `json:"id"`
	OK     bool   `json:"ok"`
	Result any    `json:"result,omitempty"`
	Error  string `json:"error,omitempty"`
}

type handler func(ctx context.Context, p *testPeer, args json.RawMessage) (any, error)

var errNoPeer = errors.New("send init first")

var handlers = map[string]handler{
	"info":            handleInfo,
	"connect":         handleConnect,
	"disconnect":      handleDisconnect,
	"announced":       handleAnnounced,
	"peers":           handlePeers,
	"mesh":            handleMesh,
	"publish":         handlePublish,
	"publishMany":     handlePublishMany,
	"publishAs":       handlePublishAs,
	"publishRaw":      handlePublishRaw,
	"lightConnect":    handleLightConnect,
	"publishStatus":   handlePublishStatus,
	"resetGossip":     handleResetGossip,
	"silentGossip":    handleSilentGossip,
	"deafGossip":      handleDeafGossip,
	"flood":           handleFlood,
	"crowd":           handleCrowd,
	"visits":          handleVisits,
	"manyAddresses":   handleManyAddresses,
	"received":        handleReceived,
	"receivedCounts":  handleReceivedCounts,
	"receivedStats":   handleReceivedStats,
	"clearReceived":   handleClearReceived,
	"forgetLatencies": handleForgetLatencies,
	"rusage":          handleRusage,
	"streams":         handleStreams,
	"streamSend":      handleStreamSend,
	"handshake":       handleHandshake,
	"dhtProvide":      handleDhtProvide,
	"dhtFind":         handleDhtFind,
	"rendezvous":      handleRendezvous,
	"relayReserve":    handleRelayReserve,
}

func main() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	out := json.NewEncoder(os.Stdout)
	var outLock sync.Mutex
	reply := func(a answer) {
		outLock.Lock()
		defer outLock.Unlock()
		if err := out.Encode(a); err != nil {
			os.Exit(1)
		}
	}
	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	var peer *testPeer
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			return
		}
		var c command
		if err := json.Unmarshal(line, &c); err != nil {
			reply(answer{Error: "no command: " + err.Error()})
			continue
		}
		if c.Cmd == "init" {
			peer, err = newTestPeer(ctx, c.Args)
			reply(result(c.ID, map[string]bool{"started": err == nil}, err))
			continue
		}
		h, known := handlers[c.Cmd]
		if !known || peer == nil {
			err := errNoPeer
			if !known {
				err = fmt.Errorf("unknown command %q", c.Cmd)
			}
			reply(result(c.ID, nil, err))
			continue
		}
		// Each command in a goroutine of its own: a slow dial must not hold up the rest.
		go func(p *testPeer) {
			res, err := h(ctx, p, c.Args)
			reply(result(c.ID, res, err))
		}(peer)
	}
}

func result(id int64, res any, err error) answer {
	if err != nil {
		return answer{ID: id, Error: err.Error()}
	}
	return answer{ID: id, OK: true, Result: res}
}

func parse[T any](args json.RawMessage) (T, error) {
	var v T
	if len(args) == 0 {
		return v, nil
	}
	err := json.Unmarshal(args, &v)
	return v, err
}
