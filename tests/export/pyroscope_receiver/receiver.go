// SPDX-License-Identifier: Apache-2.0

// Receives what is pushed to Pyroscope's PusherService, through Pyroscope's own schema and its own Connect
// handler, and prints a line of JSON for each series: its labels, and what its profile holds. Anything that
// the schema does not know is refused.
//
// Usage: receiver ADDRESS     prints "listening ADDRESS" first
package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"

	"connectrpc.com/connect"
	googlev1 "github.com/grafana/pyroscope/api/gen/proto/go/google/v1"
	pushv1 "github.com/grafana/pyroscope/api/gen/proto/go/push/v1"
	"github.com/grafana/pyroscope/api/gen/proto/go/push/v1/pushv1connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

type received struct {
	Labels    map[string]string `json:"labels"`
	Types     []string          `json:"types"`
	Sums      []int64           `json:"sums"`
	Functions map[string]int64  `json:"functions"` // the first value by the leaf's function
	Period    int64             `json:"period"`
	Duration  int64             `json:"duration_nanos"`
}

type pusher struct{ output sync.Mutex }

// Known by its first bytes, as Pyroscope does it.
func expand(raw []byte) ([]byte, error) {
	if !bytes.HasPrefix(raw, []byte{0x1f, 0x8b}) {
		return raw, nil
	}
	reader, err := gzip.NewReader(bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(reader)
}

func parse(raw []byte) (*googlev1.Profile, error) {
	plain, err := expand(raw)
	if err != nil {
		return nil, err
	}
	profile := &googlev1.Profile{}
	if err := proto.Unmarshal(plain, profile); err != nil {
		return nil, err
	}
	return profile, refuseUnknown(profile.ProtoReflect())
}

func refuseUnknown(message protoreflect.Message) error {
	if length := len(message.GetUnknown()); length != 0 {
		return fmt.Errorf("%s: %d bytes that the schema does not know", message.Descriptor().FullName(), length)
	}
	return nil
}

func leafName(profile *googlev1.Profile, sample *googlev1.Sample, locations map[uint64]*googlev1.Location,
	functions map[uint64]*googlev1.Function) string {
	if len(sample.LocationId) == 0 {
		return ""
	}
	location := locations[sample.LocationId[0]]
	if location == nil || len(location.Line) == 0 {
		return ""
	}
	return profile.StringTable[functions[location.Line[0].FunctionId].Name]
}

func summary(series *pushv1.RawProfileSeries, profile *googlev1.Profile) received {
	result := received{Labels: map[string]string{}, Functions: map[string]int64{}, Period: profile.Period,
		Duration: profile.DurationNanos, Sums: make([]int64, len(profile.SampleType))}
	for _, label := range series.Labels {
		result.Labels[label.Name] = label.Value
	}
	for _, kind := range profile.SampleType {
		result.Types = append(result.Types, profile.StringTable[kind.Type]+"/"+profile.StringTable[kind.Unit])
	}
	locations := map[uint64]*googlev1.Location{}
	for _, location := range profile.Location {
		locations[location.Id] = location
	}
	functions := map[uint64]*googlev1.Function{}
	for _, function := range profile.Function {
		functions[function.Id] = function
	}
	for _, sample := range profile.Sample {
		for i, value := range sample.Value {
			result.Sums[i] += value
		}
		result.Functions[leafName(profile, sample, locations, functions)] += sample.Value[0]
	}
	return result
}

func (pusher *pusher) Push(_ context.Context, request *connect.Request[pushv1.PushRequest]) (
	*connect.Response[pushv1.PushResponse], error) {
	for _, series := range request.Msg.Series {
		for _, sample := range series.Samples {
			profile, err := parse(sample.RawProfile)
			if err != nil {
				fmt.Fprintln(os.Stderr, err)
				return nil, connect.NewError(connect.CodeInvalidArgument, err)
			}
			line, err := json.Marshal(summary(series, profile))
			if err != nil {
				return nil, connect.NewError(connect.CodeInternal, err)
			}
			pusher.output.Lock()
			fmt.Println(string(line))
			pusher.output.Unlock()
		}
	}
	return connect.NewResponse(&pushv1.PushResponse{}), nil
}

func main() {
	listener, err := net.Listen("tcp", os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("listening", listener.Addr())
	mux := http.NewServeMux()
	mux.Handle(pushv1connect.NewPusherServiceHandler(&pusher{}))
	fmt.Fprintln(os.Stderr, http.Serve(listener, mux))
	os.Exit(1)
}
