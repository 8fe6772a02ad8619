// SPDX-License-Identifier: MIT

package main

import (
	"sync"
	"sync/atomic"
	"time"
)

// Go has no join: what is cheaper brings the result, a channel for one, a group for many.
func spawn(n int) {
	n = count(n, 5000000)
	print("spawn to joined", oneByOne(n), "ns")
	print("spawn 1000, join 1000", batches(n, 1000), "ns")
}

func oneByOne(n int) float64 {
	results := make(chan int)
	sum := 0
	t0 := time.Now()
	for i := 0; i < n; i++ {
		go func() { results <- 1 }()
		sum += <-results
	}
	each := nsEach(t0, n)
	check(sum == n, "all were joined")
	return each
}

func batches(n, batch int) float64 {
	var all sync.WaitGroup
	var sum atomic.Int64
	t0 := time.Now()
	for done := 0; done < n; done += batch {
		all.Add(batch)
		for i := 0; i < batch; i++ {
			go func() {
				sum.Add(1)
				all.Done()
			}()
		}
		all.Wait()
	}
	each := nsEach(t0, int(sum.Load()))
	check(sum.Load() >= int64(n), "all were joined")
	return each
}
