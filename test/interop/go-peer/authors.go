package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"strings"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
)

type publishAsArgs struct {
	Topic         string  `json:"topic"`
	Template      string  `json:"template"` // PEER_ID in it becomes the author's
	Count         int     `json:"count"`
	RatePerSecond float64 `json:"ratePerSecond"`
}

// author is an identity that is never connected to anybody.
type author struct {
	key crypto.PrivKey
	id  peer.ID
}

func newAuthor() (author, error) {
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		return author{}, err
	}
	id, err := peer.IDFromPrivateKey(key)
	return author{key: key, id: id}, err
}

// handlePublishAs says one message each as so many peers that nobody has heard of, in the background, and answers with their ids.
func handlePublishAs(ctx context.Context, p *testPeer, raw json.RawMessage) (any, error) {
	args, err := parse[publishAsArgs](raw)
	if err != nil {
		return nil, err
	}
	topic, err := p.topic(args.Topic)
	if err != nil {
		return nil, err
	}
	authors, ids := make([]author, args.Count), make([]string, args.Count)
	for i := range authors {
		if authors[i], err = newAuthor(); err != nil {
			return nil, err
		}
		ids[i] = authors[i].id.String()
	}
	p.jobs.begin()
	go p.jobs.each(ctx, args.RatePerSecond, func(i int) (bool, error) {
		if i == len(authors) {
			return false, nil
		}
		data := []byte(strings.ReplaceAll(args.Template, "PEER_ID", ids[i]))
		return true, topic.Publish(ctx, data, pubsub.WithSecretKeyAndPeerId(authors[i].key, authors[i].id))
	})
	return ids, nil
}

func (j *publishJobs) begin() {
	j.lock.Lock()
	j.running++
	j.startedAt = time.Now()
	j.lock.Unlock()
}

// each publishes until it is told that nothing is left, by an absolute schedule: a late message does not make the next ones late.
func (j *publishJobs) each(ctx context.Context, rate float64, publish func(i int) (bool, error)) {
	start := time.Now()
	for i := 0; ctx.Err() == nil; i++ {
		if rate > 0 {
			due := start.Add(time.Duration(float64(i) / rate * float64(time.Second)))
			if wait := time.Until(due); wait > time.Millisecond {
				time.Sleep(wait)
			}
		}
		more, err := publish(i)
		if !more {
			break
		}
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
