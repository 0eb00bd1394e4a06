// A WebSocket client for tests: opens many connections, counts what each gets, and leaves some unread. Driven by one JSON command a line on stdin,
// answering with one JSON line each. It ends when stdin closes.
package main

import (
	"bufio"
	"encoding/json"
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

var handlers = map[string]func(json.RawMessage) (any, error){
	"open":     handleOpen,
	"report":   handleReport,
	"frames":   handleFrames,
	"measured": handleMeasured,
	"send":     handleSend,
	"close":    handleClose,
	"rusage":   handleRusage,
}

func main() {
	out := json.NewEncoder(os.Stdout)
	var outLock sync.Mutex
	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			return
		}
		var c command
		if err := json.Unmarshal(line, &c); err != nil {
			fmt.Fprintln(os.Stderr, "no command:", err)
			continue
		}
		go func() {
			a := answer{ID: c.ID}
			h, known := handlers[c.Cmd]
			if !known {
				a.Error = fmt.Sprintf("unknown command %q", c.Cmd)
			} else if res, err := h(c.Args); err != nil {
				a.Error = err.Error()
			} else {
				a.OK, a.Result = true, res
			}
			outLock.Lock()
			defer outLock.Unlock()
			if err := out.Encode(a); err != nil {
				os.Exit(1)
			}
		}()
	}
}

func parse[T any](args json.RawMessage) (T, error) {
	var v T
	if len(args) == 0 {
		return v, nil
	}
	err := json.Unmarshal(args, &v)
	return v, err
}
