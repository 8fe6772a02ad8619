// SPDX-License-Identifier: MIT

package main

import (
	"runtime"
	"sync"
	"time"
)

// 100 goroutines yield in turn.
func yield(n int) {
	const tasks = 100
	var all sync.WaitGroup

	n = count(n, 20000000)
	all.Add(tasks)
	for i := 0; i < tasks; i++ {
		go func() {
			for left := n / tasks; left > 0; left-- {
				runtime.Gosched()
			}
			all.Done()
		}()
	}
	t0 := time.Now()
	all.Wait()
	print("yield, 100 tasks", nsEach(t0, n), "ns")
}
