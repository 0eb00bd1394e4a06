// Groups of clients and the commands on them.
package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/gorilla/websocket"
)

const (
	maxDialsAtOnce = 50
	dialDeadline   = 20 * time.Second
	maxReasons     = 20
)

var (
	groupsLock sync.Mutex
	groups     = map[string][]*client{}
)

type openArgs struct {
	Group   string `json:"group"`
	URL     string `json:"url"`
	Clients int    `json:"clients"`
	// Without it the clients never read, and the kernel's buffers fill up.
	Reads bool `json:"reads"`
	Keep  int  `json:"keep"`
	// Latencies of subtrees are kept, from the time in their URL.
	Measures bool   `json:"measures"`
	CaFile   string `json:"caFile"`
	Origin   string `json:"origin"`
}

type openResult struct {
	Opened int `json:"opened"`
	// Status of refused upgrades, or the error, with how often.
	Refused map[string]int `json:"refused"`
}

func handleOpen(raw json.RawMessage) (any, error) {
	args, err := parse[openArgs](raw)
	if err != nil {
		return nil, err
	}
	dialer, err := dialerOf(args.CaFile)
	if err != nil {
		return nil, err
	}
	header := http.Header{}
	if args.Origin != "" {
		header.Set("Origin", args.Origin)
	}
	result := openResult{Refused: map[string]int{}}
	var lock sync.Mutex
	var waiting sync.WaitGroup
	places := make(chan struct{}, maxDialsAtOnce)
	for range args.Clients {
		places <- struct{}{}
		waiting.Add(1)
		go func() {
			defer waiting.Done()
			conn, response, err := dialer.Dial(args.URL, header)
			<-places
			lock.Lock()
			defer lock.Unlock()
			if err != nil {
				result.Refused[refusal(response, err)]++
				return
			}
			result.Opened++
			c := &client{
				conn: conn, keep: args.Keep, counts: map[string]int64{}, measures: args.Measures, unique: map[uint64]struct{}{},
			}
			groupsLock.Lock()
			groups[args.Group] = append(groups[args.Group], c)
			groupsLock.Unlock()
			if args.Reads {
				go c.read()
			}
		}()
	}
	waiting.Wait()
	return result, nil
}

func dialerOf(caFile string) (*websocket.Dialer, error) {
	dialer := &websocket.Dialer{HandshakeTimeout: dialDeadline, ReadBufferSize: 16 << 10, WriteBufferSize: 1 << 10}
	if caFile == "" {
		return dialer, nil
	}
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("no certificate in %s", caFile)
	}
	dialer.TLSClientConfig = &tls.Config{RootCAs: pool}
	return dialer, nil
}

func refusal(response *http.Response, err error) string {
	if response != nil {
		return strconv.Itoa(response.StatusCode)
	}
	return err.Error()
}

type groupArgs struct {
	Group string `json:"group"`
	Index int    `json:"index"`
	Text  string `json:"text"`
	// Instead of text: so many bytes.
	Bytes int `json:"bytes"`
	// After this answer latencies begin anew.
	Forget bool `json:"forget"`
}

func groupOf(raw json.RawMessage) ([]*client, groupArgs, error) {
	args, err := parse[groupArgs](raw)
	if err != nil {
		return nil, args, err
	}
	groupsLock.Lock()
	defer groupsLock.Unlock()
	return slices.Clone(groups[args.Group]), args, nil
}

type countRange struct {
	Min int64 `json:"min"`
	Max int64 `json:"max"`
}

type report struct {
	Clients int `json:"clients"`
	Open    int `json:"open"`
	// Fewest and most frames that one client got, by type.
	Types map[string]countRange `json:"types"`
	// Sum of the first eight bytes of all subtree hashes a client got, as text, with how many clients have it.
	Fingerprints map[string]int `json:"fingerprints"`
	Codes        map[string]int `json:"codes"`
	Reasons      []string       `json:"reasons"`
}

func handleReport(raw json.RawMessage) (any, error) {
	all, _, err := groupOf(raw)
	if err != nil {
		return nil, err
	}
	r := report{
		Clients: len(all), Types: map[string]countRange{}, Fingerprints: map[string]int{}, Codes: map[string]int{},
		Reasons: []string{},
	}
	names := map[string]bool{}
	for _, c := range all {
		c.lock.Lock()
		for name := range c.counts {
			names[name] = true
		}
		c.lock.Unlock()
	}
	for i, c := range all {
		c.lock.Lock()
		for name := range names {
			n := c.counts[name]
			old := r.Types[name]
			if i == 0 {
				old = countRange{Min: n, Max: n}
			}
			r.Types[name] = countRange{Min: min(old.Min, n), Max: max(old.Max, n)}
		}
		r.Fingerprints[strconv.FormatUint(c.fingerprint, 10)]++
		if c.ended {
			r.Codes[strconv.Itoa(c.closeCode)]++
			if len(r.Reasons) < maxReasons {
				r.Reasons = append(r.Reasons, c.closeReason)
			}
		} else {
			r.Open++
		}
		c.lock.Unlock()
	}
	return r, nil
}

func handleFrames(raw json.RawMessage) (any, error) {
	all, args, err := groupOf(raw)
	if err != nil {
		return nil, err
	}
	if args.Index >= len(all) {
		return nil, fmt.Errorf("no client %d", args.Index)
	}
	c := all[args.Index]
	c.lock.Lock()
	defer c.lock.Unlock()
	return slices.Clone(c.kept), nil
}

// What a client that measures was given: different subtrees, and their latencies since it was last told to forget them.
func handleMeasured(raw json.RawMessage) (any, error) {
	all, args, err := groupOf(raw)
	if err != nil {
		return nil, err
	}
	if args.Index >= len(all) {
		return nil, fmt.Errorf("no client %d", args.Index)
	}
	c := all[args.Index]
	c.lock.Lock()
	defer c.lock.Unlock()
	sorted := slices.Clone(c.latencies)
	if args.Forget {
		c.latencies = nil
	}
	slices.Sort(sorted)
	quantile := func(q float64) float64 {
		if len(sorted) == 0 {
			return 0
		}
		return float64(sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]) / 1e6
	}
	return map[string]any{"unique": len(c.unique), "p50Ms": quantile(0.5), "p99Ms": quantile(0.99), "p999Ms": quantile(0.999)}, nil
}

// A message from every client of the group; how many could be written.
func handleSend(raw json.RawMessage) (any, error) {
	all, args, err := groupOf(raw)
	if err != nil {
		return nil, err
	}
	message := []byte(args.Text)
	if args.Bytes > 0 {
		message = bytes.Repeat([]byte("a"), args.Bytes)
	}
	written := 0
	for _, c := range all {
		_ = c.conn.SetWriteDeadline(time.Now().Add(dialDeadline))
		if c.conn.WriteMessage(websocket.TextMessage, message) == nil {
			written++
		}
	}
	return map[string]int{"written": written}, nil
}

func handleClose(raw json.RawMessage) (any, error) {
	all, args, err := groupOf(raw)
	if err != nil {
		return nil, err
	}
	for _, c := range all {
		c.close()
	}
	groupsLock.Lock()
	delete(groups, args.Group)
	groupsLock.Unlock()
	return map[string]int{"closed": len(all)}, nil
}

func handleRusage(json.RawMessage) (any, error) {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return nil, err
	}
	micros := func(t syscall.Timeval) int64 { return t.Sec*1_000_000 + t.Usec }
	return map[string]int64{"cpuMicros": micros(usage.Utime) + micros(usage.Stime)}, nil
}
