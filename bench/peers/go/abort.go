// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"sync/atomic"
	"time"
)

const batch = 500

type victim struct {
	cancel  context.CancelFunc
	aborted chan bool
}

// Nothing aborts a goroutine from outside: it waits for a context of its own as well.
func abort(n int) {
	n = count(n, 500000)
	print("abort+join, asleep", abortAndJoin(n, asleep, 1, false), "ns")
	print("abort 500, join 500, asleep", abortAndJoin(n, asleep, 1, true), "ns")
	print("abort+join, on a channel", abortAndJoin(n, onChannel, 7, false), "ns")
}

type waits func(ctx context.Context, ch chan int64) bool

func asleep(ctx context.Context, _ chan int64) bool {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	select {
	case <-timer.C:
		return false
	case <-ctx.Done():
		return true
	}
}

func onChannel(ctx context.Context, ch chan int64) bool {
	select {
	case <-ch:
		return false
	case <-ctx.Done():
		return true
	}
}

func abortAndJoin(n int, wait waits, stride int, together bool) float64 {
	ch := make(chan int64, 1)
	ns := time.Duration(0)
	done := 0
	for ; done < n; done += batch {
		victims := spawnVictims(wait, ch)
		t0 := time.Now()
		if together {
			for i := range victims {
				victims[i*stride%batch].cancel()
			}
		}
		for i := range victims {
			v := &victims[i*stride%batch]
			v.cancel()
			check(<-v.aborted, "a victim was not aborted")
		}
		ns += time.Since(t0)
	}
	return float64(ns) / float64(done)
}

func spawnVictims(wait waits, ch chan int64) []victim {
	victims := make([]victim, batch)
	var parked atomic.Int64
	for i := range victims {
		ctx, cancel := context.WithCancel(context.Background())
		aborted := make(chan bool, 1)
		victims[i] = victim{cancel, aborted}
		go func() {
			parked.Add(1)
			aborted <- wait(ctx, ch)
		}()
	}
	untilParked(&parked, batch)
	return victims
}
