// One connection: what it got, by type, with a fingerprint of the hashes, so that two clients that got the same frames are known without keeping
// them.
package main

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"strconv"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

type client struct {
	conn *websocket.Conn
	keep int
	// Of subtrees: which ones, and how long after the time in their URL they came.
	measures  bool
	unique    map[uint64]struct{}
	latencies []int64

	lock        sync.Mutex
	counts      map[string]int64
	fingerprint uint64
	lastHash    [8]byte
	kept        []string
	closeCode   int
	closeReason string
	ended       bool
}

var (
	typeMark = []byte(`"type":"`)
	hashMark = []byte(`"hash":"`)
	timeMark = []byte(`/t=`)
)

// read ends with the connection.
func (c *client) read() {
	// Grows with the frames: ten thousand clients have one each.
	buffer := make([]byte, 0, 1<<10)
	for {
		kind, reader, err := c.conn.NextReader()
		if err == nil {
			buffer, err = readInto(buffer[:0], reader)
		}
		if err != nil {
			c.end(err)
			return
		}
		if kind == websocket.TextMessage {
			c.count(buffer)
		}
	}
}

func readInto(buffer []byte, reader io.Reader) ([]byte, error) {
	for {
		if len(buffer) == cap(buffer) {
			buffer = append(buffer, 0)[:len(buffer)]
		}
		n, err := reader.Read(buffer[len(buffer):cap(buffer)])
		buffer = buffer[:len(buffer)+n]
		if err == io.EOF {
			return buffer, nil
		}
		if err != nil {
			return buffer, err
		}
	}
}

func (c *client) count(frame []byte) {
	now := time.Now().UnixNano()
	kind := after(frame, typeMark)
	c.lock.Lock()
	defer c.lock.Unlock()
	c.counts[string(kind)]++
	if hash := after(frame, hashMark); len(hash) >= 16 && string(kind) == "subtree" {
		if _, err := hex.Decode(c.lastHash[:], hash[:16]); err == nil {
			var sum uint64
			for _, b := range c.lastHash {
				sum = sum<<8 | uint64(b)
			}
			c.fingerprint += sum
			if c.measures {
				c.measure(sum, frame, now)
			}
		}
	}
	if len(c.kept) < c.keep {
		c.kept = append(c.kept, string(frame))
	}
}

func (c *client) measure(hash uint64, frame []byte, now int64) {
	c.unique[hash] = struct{}{}
	if sent, err := strconv.ParseInt(string(after(frame, timeMark)), 10, 64); err == nil {
		c.latencies = append(c.latencies, now-sent)
	}
}

// after gives the text between a mark and the next quote.
func after(frame, mark []byte) []byte {
	at := bytes.Index(frame, mark)
	if at < 0 {
		return nil
	}
	rest := frame[at+len(mark):]
	if end := bytes.IndexByte(rest, '"'); end >= 0 {
		return rest[:end]
	}
	return nil
}

func (c *client) end(err error) {
	c.lock.Lock()
	defer c.lock.Unlock()
	c.ended = true
	var closed *websocket.CloseError
	if errors.As(err, &closed) {
		c.closeCode, c.closeReason = closed.Code, closed.Text
	} else {
		c.closeReason = err.Error()
	}
	_ = c.conn.Close()
}

func (c *client) close() {
	message := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")
	_ = c.conn.WriteControl(websocket.CloseMessage, message, time.Now().Add(time.Second))
	_ = c.conn.Close()
}
