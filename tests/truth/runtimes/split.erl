%% SPDX-License-Identifier: Apache-2.0
%% Two functions, one with twice the work of the other, below a third; says at its end how much time each took.
%% The argument is the time to take, in milliseconds.
-module(split).
-export([main/1]).

work(0, Value) -> Value;
work(Units, Value) -> work(Units - 1, (Value * 1664525 + 1013904223) band 16#ffffffff).

large(Units) -> work(2 * Units, 1) + 1.
small(Units) -> work(Units, 1) + 1.

parts(End, Large, Small) ->
    Before = erlang:monotonic_time(nanosecond),
    large(100000),
    Between = erlang:monotonic_time(nanosecond),
    small(100000),
    After = erlang:monotonic_time(nanosecond),
    Used = {Large + Between - Before, Small + After - Between},
    case After < End of
        true -> {L, S} = Used, parts(End, L, S);
        false -> Used
    end.

main([Milliseconds]) ->
    End = erlang:monotonic_time(nanosecond) + list_to_integer(Milliseconds) * 1000000,
    {Large, Small} = parts(End, 0, 0),
    io:format("{\"functions\": {\"large\": ~b, \"small\": ~b}, \"pid\": ~s}~n", [Large, Small, os:getpid()]),
    halt().
