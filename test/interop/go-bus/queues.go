package main

import (
	"reflect"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/peer"
)

// The client leaves pubsub its queues of 32, which overflow on a busy machine, and offers no setting. What it drops itself says nothing of who
// is between it and another.

// widenQueues makes room for messages that wait for validation and for RPCs that wait for a neighbour. Before the first subscription nothing
// passes through them.
func widenQueues(ps *pubsub.PubSub, size int) error {
	var widenErr error
	err := inLoop(ps, func() {
		if widenErr = widenOutbound(ps, size); widenErr == nil {
			widenErr = widenValidation(ps, size)
		}
	})
	if err != nil {
		return err
	}
	return widenErr
}

func widenOutbound(ps *pubsub.PubSub, size int) error {
	outbound, err := hidden(ps, "peerOutboundQueueSize")
	if err != nil {
		return err
	}
	outbound.SetInt(int64(size))
	queues, err := hidden(ps, "peers")
	if err != nil {
		return err
	}
	for _, id := range queues.MapKeys() {
		bound, err := hidden(queues.MapIndex(id).Interface(), "maxSize")
		if err != nil {
			return err
		}
		bound.SetInt(int64(size))
	}
	return nil
}

// widenValidation starts workers for a new queue. Those of the old one wait for ever.
func widenValidation(ps *pubsub.PubSub, size int) error {
	validation, err := hidden(ps, "val")
	if err != nil {
		return err
	}
	queue, err := hidden(validation.Interface(), "validateQ")
	if err != nil {
		return err
	}
	queue.Set(reflect.MakeChan(queue.Type(), size))
	validation.MethodByName("Start").Call([]reflect.Value{reflect.ValueOf(ps)})
	return nil
}

// widenSubscription makes room for messages that wait for the client.
func widenSubscription(ps *pubsub.PubSub, topic string, self peer.ID, size int) error {
	all, err := field[map[string]map[*pubsub.Subscription]struct{}](ps, "mySubs")
	if err != nil {
		return err
	}
	var widenErr error
	err = inLoop(ps, func() {
		for sub := range all[topic] {
			widenErr = widenOne(sub, self, size)
		}
	})
	if err != nil {
		return err
	}
	return widenErr
}

func widenOne(sub *pubsub.Subscription, self peer.ID, size int) error {
	queue, err := hidden(sub, "ch")
	if err != nil {
		return err
	}
	old := queue.Interface().(chan *pubsub.Message)
	wide := make(chan *pubsub.Message, max(size, cap(old)))
	queue.Set(reflect.ValueOf(wide))
	for {
		select {
		case m := <-old:
			wide <- m
		default:
			// Whoever waits at the old queue goes on to the new one after this message, which the client takes for its own.
			old <- &pubsub.Message{Message: &pb.Message{From: []byte(self)}}
			return nil
		}
	}
}
