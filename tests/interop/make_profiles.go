// SPDX-License-Identifier: Apache-2.0

// Writes what Go's runtime/pprof writes: a CPU profile with labels, a heap and a goroutine profile.
//
// Usage: make_profiles DIRECTORY
package main

import (
	"context"
	"log"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"time"
)

var sink [][]byte
var sum uint64

//go:noinline
func burn(until time.Time) {
	for time.Now().Before(until) {
		for i := uint64(0); i < 100000; i++ {
			sum += i * i
		}
	}
}

//go:noinline
func recurse(depth int, until time.Time) {
	if depth > 0 {
		recurse(depth-1, until)
		return
	}
	burn(until)
}

//go:noinline
func allocate() {
	for i := 0; i < 64; i++ {
		sink = append(sink, make([]byte, 1<<20))
	}
}

func create(directory, name string) *os.File {
	file, err := os.Create(filepath.Join(directory, name))
	if err != nil {
		log.Fatal(err)
	}
	return file
}

func write(directory, name string) {
	file := create(directory, name+".pb.gz")
	defer file.Close()
	if err := pprof.Lookup(name).WriteTo(file, 0); err != nil {
		log.Fatal(err)
	}
}

func main() {
	directory := os.Args[1]
	file := create(directory, "cpu.pb.gz")
	if err := pprof.StartCPUProfile(file); err != nil {
		log.Fatal(err)
	}
	labels := pprof.Labels("request", "slow;one", "kind", "test")
	pprof.Do(context.Background(), labels, func(context.Context) {
		recurse(20, time.Now().Add(300*time.Millisecond))
	})
	burn(time.Now().Add(200 * time.Millisecond))
	pprof.StopCPUProfile()
	file.Close()
	allocate()
	runtime.GC()
	write(directory, "heap")
	write(directory, "goroutine")
}
