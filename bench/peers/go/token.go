// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"sync/atomic"
	"time"
)

const waiters = 10000

// The token is a context.
func token(n int) {
	n = count(n, 1000000)
	ns, done := time.Duration(0), 0
	for ; done < n; done += waiters {
		ns += fire()
	}
	print("token fired, 10 000 waiters, each", float64(ns)/float64(done), "ns")
}

func fire() time.Duration {
	ctx, cancel := context.WithCancel(context.Background())
	var parked, woken atomic.Int64
	last := make(chan time.Time, 1)
	for i := 0; i < waiters; i++ {
		go func() {
			parked.Add(1)
			<-ctx.Done()
			if woken.Add(1) == waiters {
				last <- time.Now()
			}
		}()
	}
	untilParked(&parked, waiters)
	check(woken.Load() == 0, "all wait")
	t0 := time.Now()
	cancel()
	return (<-last).Sub(t0)
}
