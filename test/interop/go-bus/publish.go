package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"sync"
	"time"
)

var errNothingToPublish = errors.New("give texts, or a template and a count")

func handlePublish(ctx context.Context, n *node, raw json.RawMessage) (any, error) {
	args, err := parse[struct {
		Topic string `json:"topic"`
		Text  string `json:"text"`
	}](raw)
	if err != nil {
		return nil, err
	}
	return map[string]any{}, n.publish(ctx, args.Topic, []byte(args.Text))
}

type publishManyArgs struct {
	Topic         string   `json:"topic"`
	Texts         []string `json:"texts"`
	Template      string   `json:"template"` // see fill
	Count         int      `json:"count"`    // of the template
	Light         bool     `json:"light"`    // as the load generator of lightConnect, in mode scored
	First         int      `json:"first"`    // {NUMBER} of the first of them
	RatePerSecond float64  `json:"ratePerSecond"`
}

// handlePublishMany publishes inner messages in the background.
func handlePublishMany(ctx context.Context, n *node, raw json.RawMessage) (any, error) {
	args, err := parse[publishManyArgs](raw)
	if err != nil {
		return nil, err
	}
	if (args.Texts == nil) == (args.Template == "" || args.Count == 0) {
		return nil, errNothingToPublish
	}
	id, count := n.host.ID().String(), max(len(args.Texts), args.Count)
	publish := func(inner []byte) error { return n.publish(ctx, args.Topic, inner) }
	if args.Light {
		if n.scored == nil || n.scored.light == nil {
			return nil, errNoLight
		}
		light := n.scored.light
		id, publish = light.id.String(), func(inner []byte) error {
			data, err := n.scored.envelop(inner)
			if err != nil {
				return err
			}
			return light.publish(args.Topic, data)
		}
	}
	n.jobs.begin()
	go n.jobs.each(ctx, args.RatePerSecond, count, func(i int) error {
		text := args.Template
		if args.Texts != nil {
			text = args.Texts[i]
		}
		return publish([]byte(fill(text, id, args.First+i)))
	})
	return map[string]any{}, nil
}

// fill replaces {HASH} by a random hash, {TIME_NS} by the time, {NUMBER} by the message's, and {PEER_ID} by the author's.
func fill(template, author string, number int) string {
	if !strings.Contains(template, "{") {
		return template
	}
	var hash [32]byte
	_, _ = rand.Read(hash[:])
	return strings.NewReplacer(
		"{HASH}", hex.EncodeToString(hash[:]), "{TIME_NS}", strconv.FormatInt(time.Now().UnixNano(), 10), "{PEER_ID}", author,
		"{NUMBER}", strconv.Itoa(number),
	).Replace(template)
}

func handlePublishStatus(_ context.Context, n *node, _ json.RawMessage) (any, error) {
	n.jobs.lock.Lock()
	defer n.jobs.lock.Unlock()
	j := n.jobs
	tookMs := j.endedAt.Sub(j.startedAt).Seconds() * 1000
	return map[string]any{"running": j.running, "published": j.published, "failed": j.failed, "tookMs": tookMs}, nil
}

type publishJobs struct {
	lock      sync.Mutex
	running   int
	published int
	failed    int
	startedAt time.Time // of the last job that began
	endedAt   time.Time // of the last job that ended
}

func (j *publishJobs) begin() {
	j.lock.Lock()
	j.running++
	j.startedAt = time.Now()
	j.lock.Unlock()
}

// Catching up at twice the rate is slow enough for the queues of 32 messages for a neighbor.
const slowestCatchUp = 2 * time.Millisecond

// each publishes by an absolute schedule: a late message does not make the next ones late. At low rates it catches up
// at twice the rate at most, because a burst would overflow its own queues.
func (j *publishJobs) each(ctx context.Context, rate float64, count int, publish func(i int) error) {
	start := time.Now()
	for i := 0; i < count && ctx.Err() == nil; i++ {
		if rate > 0 {
			due := start.Add(time.Duration(float64(i) / rate * float64(time.Second)))
			interval := time.Duration(float64(time.Second) / rate)
			if wait := time.Until(due); wait > time.Millisecond {
				time.Sleep(wait)
			} else if wait < -interval && interval >= slowestCatchUp {
				time.Sleep(interval / 2)
			}
		}
		err := publish(i)
		j.lock.Lock()
		if err != nil {
			j.failed++
		} else {
			j.published++
		}
		j.lock.Unlock()
	}
	j.lock.Lock()
	j.running--
	j.endedAt = time.Now()
	j.lock.Unlock()
}
