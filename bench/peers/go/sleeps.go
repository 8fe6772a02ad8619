// SPDX-License-Identifier: MIT

package main

import (
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

func cpuNow() time.Duration {
	var usage syscall.Rusage

	check(syscall.Getrusage(syscall.RUSAGE_SELF, &usage) == nil, "getrusage")
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func random(state *uint64) uint64 {
	*state ^= *state << 13
	*state ^= *state >> 7
	*state ^= *state << 17
	return *state
}

func sleeps(n int) {
	n = count(n, 100000)
	state := uint64(88172645463325252)
	var rested atomic.Int64
	var all sync.WaitGroup
	t0 := cpuNow()
	all.Add(n)
	for i := 0; i < n; i++ {
		ns := time.Millisecond + time.Duration(random(&state)%uint64(49*time.Millisecond))
		go func() {
			began := time.Now()
			time.Sleep(ns)
			if time.Since(began) >= ns {
				rested.Add(1)
			}
			all.Done()
		}()
	}
	all.Wait()
	cpu := cpuNow() - t0
	check(rested.Load() == int64(n), "each slept as long as it was to")
	print("100 000 sleeps of 1-50 ms, CPU", float64(cpu)/1e6, "ms")
}
