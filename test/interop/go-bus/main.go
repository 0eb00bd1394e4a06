// A Go peer of the message-bus wire for tests, driven by one JSON command a line on stdin and answering with one JSON line each. In mode
// "bus" it is a client of go-p2p-message-bus as Teranode's nodes are; in mode "scored" it is a plain go-libp2p host that scores its neighbours.
// It ends when stdin closes.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
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

type handler func(ctx context.Context, n *node, args json.RawMessage) (any, error)

var errNoNode = errors.New("send init first")

// commonHandlers serve both modes.
var commonHandlers = map[string]handler{
	"info":            handleInfo,
	"connect":         handleConnect,
	"connections":     handleConnections,
	"connectedness":   handleConnectedness,
	"identify":        handleIdentify,
	"known":           handleKnown,
	"mesh":            handleMesh,
	"publish":         handlePublish,
	"publishMany":     handlePublishMany,
	"publishStatus":   handlePublishStatus,
	"received":        handleReceived,
	"receivedCounts":  handleReceivedCounts,
	"receivedStats":   handleReceivedStats,
	"clearReceived":   handleClearReceived,
	"forgetLatencies": handleForgetLatencies,
	"rusage":          handleRusage,
}

type initArgs struct {
	Mode string `json:"mode"` // bus, scored
}

func newNode(ctx context.Context, raw json.RawMessage) (*node, error) {
	args, err := parse[initArgs](raw)
	if err != nil {
		return nil, err
	}
	switch args.Mode {
	case "bus":
		return newBus(raw)
	case "scored":
		return newScored(ctx, raw)
	default:
		return nil, fmt.Errorf("unknown mode %q (expected bus or scored)", args.Mode)
	}
}

func handlersOf(special map[string]handler) map[string]handler {
	all := maps.Clone(commonHandlers)
	maps.Copy(all, special)
	return all
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
	var current *node
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
			current, err = newNode(ctx, c.Args)
			reply(result(c.ID, map[string]bool{"started": err == nil}, err))
			continue
		}
		if h, isOfKeys := keyHandlers[c.Cmd]; isOfKeys {
			res, err := h(ctx, nil, c.Args)
			reply(result(c.ID, res, err))
			continue
		}
		if current == nil {
			reply(result(c.ID, nil, errNoNode))
			continue
		}
		h, known := current.handlers[c.Cmd]
		if !known {
			reply(result(c.ID, nil, fmt.Errorf("unknown command %q in this mode", c.Cmd)))
			continue
		}
		// Each command in a goroutine of its own: a slow dial must not hold up the rest.
		go func(n *node) {
			res, err := h(ctx, n, c.Args)
			reply(result(c.ID, res, err))
		}(current)
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
