// SPDX-License-Identifier: MIT

package main

import (
	"sync"
	"sync/atomic"
	"time"
)

func channel(n int) {
	n = count(n, 5000000)
	print("channel round trip, capacity 1", roundTrip(n, 1), "ns")
	print("channel round trip, rendezvous", roundTrip(n, 0), "ns")
	print("channel 1 to 1, capacity 64", 1e3/stream(n, 1, 64), "M/s")
	print("channel 4 to 4, capacity 1024", 1e3/stream(n, 4, 1024), "M/s")
}

func roundTrip(n, capacity int) float64 {
	out := make(chan int64, capacity)
	in := make(chan int64, capacity)
	go func() {
		for value := range out {
			in <- value + 1
		}
	}()
	value := int64(0)
	t0 := time.Now()
	for i := 0; i < n; i++ {
		out <- value
		value = <-in
	}
	each := nsEach(t0, n)
	check(value == int64(n), "each trip adds one")
	close(out)
	return each
}

func stream(n, ends, capacity int) float64 {
	var senders, receivers sync.WaitGroup
	ch := make(chan int64, capacity)
	each := n / ends
	n = each * ends
	var received, sum atomic.Int64

	senders.Add(ends)
	receivers.Add(ends)
	for i := 0; i < ends; i++ {
		from, to := int64(i*each), int64((i+1)*each)
		go func() {
			for ; from < to; from++ {
				ch <- from
			}
			senders.Done()
		}()
		go func() {
			mine, mySum := int64(0), int64(0)
			for value := range ch {
				mine++
				mySum += value
			}
			received.Add(mine)
			sum.Add(mySum)
			receivers.Done()
		}()
	}
	t0 := time.Now()
	senders.Wait()
	close(ch)
	receivers.Wait()
	ns := nsEach(t0, n)
	check(received.Load() == int64(n), "each number arrived once")
	check(sum.Load() == int64(n)*int64(n-1)/2, "they are those sent")
	return ns
}
