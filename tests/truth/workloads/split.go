// SPDX-License-Identifier: Apache-2.0

// The split of CPU time for Go: goroutines of different functions on one locked thread each.
//
//	split_go SECONDS
package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"unsafe"
)

const (
	processClock = 2
	threadClock  = 3
)

func clockNs(clock uintptr) int64 {
	var now syscall.Timespec
	syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, clock, uintptr(unsafe.Pointer(&now)), 0)
	return now.Nano()
}

//go:noinline
func plainWork(units, value uint64) uint64 {
	for unit := uint64(0); unit < units; unit++ {
		value = value*6364136223846793005 + 1442695040888963407
	}
	return value
}

type mixer interface{ mix(units, value uint64) uint64 }

type shifter struct{ shift uint }

//go:noinline
func (s *shifter) mix(units, value uint64) uint64 {
	for unit := uint64(0); unit < units; unit++ {
		value = (value ^ (value >> s.shift)) * 0x94d049bb133111eb
	}
	return value
}

var sink uint64

// run works for total nanoseconds of its thread's CPU time and says how much it used.
func run(total int64, work func(units, value uint64) uint64) int64 {
	runtime.LockOSThread()
	start := clockNs(threadClock)
	now := start
	for now-start < total {
		sink += work(6000000, uint64(now))
		now = clockNs(threadClock)
	}
	return now - start
}

func main() {
	seconds := 1.0
	if len(os.Args) > 1 {
		seconds, _ = strconv.ParseFloat(os.Args[1], 64)
	}
	total := int64(seconds * 1e9)
	var mixing mixer = &shifter{31}
	names := []string{"main.plainWork", "main.(*shifter).mix"}
	works := []func(units, value uint64) uint64{plainWork, mixing.mix}
	shares := []int64{total * 2 / 3, total / 3}
	used := make([]int64, 2)
	var group sync.WaitGroup
	for index := range works {
		group.Add(1)
		go func() {
			defer group.Done()
			used[index] = run(shares[index], works[index])
		}()
	}
	group.Wait()
	functions := []string{}
	for index, name := range names {
		functions = append(functions, fmt.Sprintf("%q: %d", name, used[index]))
	}
	fmt.Printf("{\"functions\": {%s}, \"workload\": \"split_go\", \"pid\": %d, \"self_ns\": %d, \"children_ns\": 0}\n",
		strings.Join(functions, ", "), os.Getpid(), clockNs(processClock))
}
