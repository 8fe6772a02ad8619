// SPDX-License-Identifier: MIT

// The questions of bench/*.c, asked of Go on one thread: the same counts, the same checks,
// the same line of output.
//
//	peer NAME [N]	NAME: abort, channel, select, sleeps, spawn, token, yield
package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync/atomic"
	"time"
)

var names = map[string]func(n int){
	"abort":   abort,
	"channel": channel,
	"select":  selects,
	"sleeps":  sleeps,
	"spawn":   spawn,
	"token":   token,
	"yield":   yield,
}

func main() {
	runtime.GOMAXPROCS(1)
	if len(os.Args) < 2 || names[os.Args[1]] == nil {
		check(false, "usage: peer NAME [N]")
	}
	n := 0
	if len(os.Args) > 2 {
		n, _ = strconv.Atoi(os.Args[2])
	}
	names[os.Args[1]](n)
}

func count(n, fallback int) int {
	if n > 0 {
		return n
	}
	return fallback
}

func check(ok bool, what string) {
	if !ok {
		fmt.Fprintln(os.Stderr, "go: failed:", what)
		os.Exit(1)
	}
}

func nsEach(since time.Time, n int) float64 {
	return float64(time.Since(since)) / float64(n)
}

// Prints a figure; what the question before left behind is not in the next one's time.
func print(question string, figure float64, unit string) {
	rate := ""
	if unit == "ns" {
		rate = fmt.Sprintf("%.0f /s", 1e9/figure)
	}
	digits := 1
	if figure >= 1000 {
		digits = 0
	}
	fmt.Printf("%s\t%.*f %s\t%s\t\t\t\n", question, digits, figure, unit, rate)
	runtime.GC()
}

// Lets the other goroutines run until as many have counted themselves, and once more.
func untilParked(parked *atomic.Int64, n int64) {
	for parked.Load() < n {
		runtime.Gosched()
	}
	runtime.Gosched()
}
