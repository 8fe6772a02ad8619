// SPDX-License-Identifier: MIT

package main

import "time"

// Go has no join: a channel brings the result.  It is made once, which is in Go's favour.
func spawn(n int) {
	n = count(n, 5000000)
	print("spawn to joined", spawnAndJoin(n, 1), "ns")
	print("spawn 1000, join 1000", spawnAndJoin(n, 1000), "ns")
}

func spawnAndJoin(n, batch int) float64 {
	results := make(chan int)
	sum := 0
	t0 := time.Now()
	for done := 0; done < n; done += batch {
		for i := 0; i < batch; i++ {
			go func() { results <- 1 }()
		}
		for i := 0; i < batch; i++ {
			sum += <-results
		}
	}
	each := nsEach(t0, sum)
	check(sum >= n, "all were joined")
	return each
}
