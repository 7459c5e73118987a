// SPDX-License-Identifier: Apache-2.0

// Prints what the Go runtime itself says of its code: "main ADDRESS", "chain PC FUNCTION FILE LINE" for
// each logical frame of one call stack, and "at PC FUNCTION FILE LINE" (the innermost call) for every
// address of some functions. All addresses are those of instructions, not return addresses.
package main

import (
	"fmt"
	"os"
	"reflect"
	"runtime"
	"sort"
	"strings"
)

var (
	stack [64]uintptr
	depth int
)

//go:noinline
func record() {
	depth = runtime.Callers(2, stack[:])
}

func innermost() {
	record()
	depth *= 1
}

func middle(n int) int {
	n *= 3
	innermost()
	return n - 1
}

//go:noinline
func outermost(n int) int {
	return middle(n) + 2
}

func generic[T int | string](values []T, equal T) (n int) {
	for _, v := range values {
		if v == equal {
			n++
		}
	}
	return n
}

type shape struct{ sides int }

//go:noinline
func (s *shape) Method(by int) func() int {
	return func() int {
		s.sides += by * strings.Count("a,b,c", ",")
		return s.sides
	}
}

func printFunction(function any) {
	start := reflect.ValueOf(function).Pointer()
	f := runtime.FuncForPC(start)
	inside := func(pc uintptr) bool {
		g := runtime.FuncForPC(pc)
		return g != nil && g.Entry() == f.Entry()
	}
	for pc := start; inside(pc + 1); pc++ {
		frame, _ := runtime.CallersFrames([]uintptr{pc + 1}).Next()
		if frame.Line == 0 {
			continue // padding behind the function
		}
		fmt.Printf("at %x %s %s %d\n", pc, frame.Function, frame.File, frame.Line)
	}
}

func main() {
	fmt.Printf("main %x\n", reflect.ValueOf(main).Pointer())
	outermost(len(os.Args))
	frames := runtime.CallersFrames(stack[:depth])
	for {
		frame, more := frames.Next()
		fmt.Printf("chain %x %s %s %d\n", stack[0]-1, frame.Function, frame.File, frame.Line)
		if !more {
			break
		}
	}
	s := &shape{len(os.Args)}
	printFunction(s.Method(2))
	printFunction(outermost)
	printFunction(main)
	printFunction(generic[int])
	printFunction(fmt.Fprintf)
	printFunction(strings.ToUpper)
	printFunction(sort.Strings)
	printFunction(runtime.GC)
}
