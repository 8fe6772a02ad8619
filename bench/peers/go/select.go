// SPDX-License-Identifier: MIT

package main

import (
	"runtime"
	"sync/atomic"
	"time"
)

const fill = 1000

type chans [4]chan int64

func selects(n int) {
	n = count(n, 2000000)
	print("select, 4 channels ready", allReady(n), "ns")
	print("select, 4 channels, parked and woken", woken(n), "ns")
}

func newChans(capacity int) (c chans) {
	for i := range c {
		c[i] = make(chan int64, capacity)
	}
	return c
}

func (c *chans) choose() (value int64, index int) {
	select {
	case value = <-c[0]:
		return value, 0
	case value = <-c[1]:
		return value, 1
	case value = <-c[2]:
		return value, 2
	case value = <-c[3]:
		return value, 3
	}
}

func allReady(n int) float64 {
	c := newChans(fill)
	next, sent, received := int64(0), int64(0), int64(0)
	var chosen [4]int
	ns, done := time.Duration(0), 0
	for ; done < n; done += fill {
		for i := range c {
			for ; len(c[i]) < fill; next++ {
				c[i] <- next
				sent += next
			}
		}
		t0 := time.Now()
		for i := 0; i < fill; i++ {
			value, index := c.choose()
			chosen[index]++
			received += value
		}
		ns += time.Since(t0)
	}
	for i := range c {
		check(chosen[i]*4 > done/10*8 && chosen[i]*4 < done/10*12, "a select is fair")
		for len(c[i]) > 0 {
			received += <-c[i]
		}
	}
	check(received == sent, "nothing is lost")
	return float64(ns) / float64(done)
}

// Every 61st time Go's scheduler takes the goroutine that yielded before one that is ready,
// hence "nearly".
func woken(n int) float64 {
	c := newChans(1)
	sums := make(chan int64)
	var received atomic.Int64
	go func() {
		sum := int64(0)
		for {
			value, _ := c.choose()
			if value < 0 {
				break
			}
			received.Add(1)
			sum += value
		}
		sums <- sum
	}()
	runtime.Gosched()
	behind := 0
	t0 := time.Now()
	for i := int64(0); i < int64(n); i++ {
		c[i%4] <- i
		runtime.Gosched()
		if received.Load() != i+1 {
			behind++
		}
	}
	each := nsEach(t0, n)
	check(behind <= n/50, "the select was parked nearly each time")
	c[0] <- -1
	check(<-sums == int64(n)*int64(n-1)/2, "what was sent arrived")
	return each
}
