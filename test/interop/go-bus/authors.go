package main

import (
	"context"
	"crypto/rand"
	"encoding/json"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
)

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

// handlePublishAs publishes one enveloped message each as so many new authors, in the background, and answers with their ids.
func handlePublishAs(ctx context.Context, n *node, raw json.RawMessage) (any, error) {
	args, err := parse[publishManyArgs](raw)
	if err != nil {
		return nil, err
	}
	topic, err := n.scored.topic(args.Topic)
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
	n.jobs.begin()
	go n.jobs.each(ctx, args.RatePerSecond, args.Count, func(i int) error {
		data, err := n.scored.envelop([]byte(fill(args.Template, ids[i], i)))
		if err != nil {
			return err
		}
		return topic.Publish(ctx, data, pubsub.WithSecretKeyAndPeerId(authors[i].key, authors[i].id))
	})
	return ids, nil
}
