#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The whole daemon, sampling real load, with a backend that does everything wrong. Each case ends with the
account: taken + recovered = sent + waiting + dropped, in samples, and sent is what arrived.

Usage: test_backend.py BOLOMETER WORKLOAD [TEST...]"""
import socket
import time

from daemon_process import Backend, answer, check_balance, expect, main, starts
from driver import certificates
from http_server import reset

SETTLING_NS = 10**9  # from a refusal to its being known to what makes the payloads
ENDLESS_PAGE = b"<!doctype html><title>Welcome</title>" + b"<p>not a collector</p>" * 200


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def gone_and_coming_back(world):
    port = free_port()
    daemon = world.daemon(f"http://127.0.0.1:{port}")
    daemon.until(lambda: "is kept and sent later" in daemon.messages(), "a refused connection")
    time.sleep(2)
    with Backend(port=port) as backend:
        daemon.until(lambda: len(backend.received) > 4, "what waited")
        account = world.finish(daemon, backend)
        expect(account["waiting"] == account["dropped"] == 0 and not backend.repeated, f"{account}")
        expect("answers again" in daemon.messages(), daemon.messages())
        return f"{account['sent']} samples"


def gone_for_good(world):
    daemon = world.daemon(f"http://127.0.0.1:{free_port()}")
    time.sleep(2.5)
    account = world.finish(daemon)
    expect(account["waiting"] == account["taken"] and account["sent"] == 0, f"{account}")
    with Backend() as backend:
        daemon = world.daemon(backend.url)
        waited = account["waiting"]
        daemon.until(lambda: backend.samples > waited + 100, "what waited, and new ones")
        later = world.finish(daemon, backend)
        expect(later["recovered"] == account["waiting"] and later["waiting"] == 0, f"{later}")


def hanging(world):
    """At 1,000 Hz, and the drain loop does not notice."""
    with Backend(accept=lambda connection: time.sleep(1000)) as backend:
        daemon = world.daemon(backend.url, frequency=1000, timeout="10s")
        daemon.until(lambda: backend.connections, "a connection")
        time.sleep(4)
        account = world.finish(daemon, lost=0)
        expect(account["waiting"] == account["taken"], f"{account}")
        return f"{account['taken']} samples at 1,000 Hz, none lost"


def slow(world):
    def wait(request, connection):
        time.sleep(0.4)

    with Backend(wait) as backend:
        daemon = world.daemon(backend.url)
        daemon.until(lambda: len(backend.received) > 3, "some arrive")
        account = world.finish(daemon, backend)
        expect(account["dropped"] == 0, f"{account}")


def resetting(world):
    """The request was read, its answer lost: sent again as it was, and counted."""
    faults = [2]

    def rst(request, connection):
        if faults[0] == 0:
            return None
        faults[0] -= 1
        backend.note(request)
        reset(connection)
        return b""

    with Backend(rst) as backend:
        daemon = world.daemon(backend.url)
        daemon.until(lambda: not faults[0] and len(backend.received) > 6, "some arrive")
        account = world.finish(daemon, backend)
        expect(backend.repeated, "what was received was sent again")
        expect(account["maybe_repeated"] >= 1, f"{account}")


def answering_garbage(world):
    faults = [3]

    def garbage(request, connection):
        faults[0] -= 1
        return b"\x00\xff\x17 no HTTP \r\n\r\n" * 50 if faults[0] >= 0 else None

    with Backend(garbage) as backend:
        daemon = world.daemon(backend.url)
        daemon.until(lambda: len(backend.received) > 3, "some arrive")
        account = world.finish(daemon, backend)
        expect(account["dropped"] == 0, f"{account}")


def overloaded(world):
    times = []

    def later(request, connection):
        times.append(time.monotonic())
        return answer(429, Retry_After="2") if len(times) == 1 else None

    with Backend(later) as backend:
        daemon = world.daemon(backend.url)
        daemon.until(lambda: len(backend.received) > 2, "some arrive")
        account = world.finish(daemon, backend)
        expect(account["dropped"] == 0 and times[1] - times[0] >= 2, f"{account} {times[:2]}")


def refusing_large_requests(world):
    """Split without losing a sample; nothing as large as what was refused is sent again, and what is
    collected from then on is made smaller at once."""
    limit, refused, settled, later = 20000, [], [], []

    def small_only(request, connection):
        content = request.content()
        collected = min(starts(content))
        if settled and collected > settled[0]:
            later.append(len(content))
        if len(content) <= limit:
            return None
        refused.append(len(content))
        if len(content) <= 2 * limit and not settled:  # half of it is the limit that the daemon keeps
            settled.append(time.time_ns() + SETTLING_NS)
        return answer(413)

    with Backend(small_only) as backend:
        daemon = world.daemon(backend.url, frequency=999)
        daemon.until(lambda: len(later) > 20, "what was collected when the limit was known")
        account = world.finish(daemon, backend)
        expect(account["splits"] and account["dropped"] == account["waiting"] == 0, f"{account}")
        expect(refused == sorted(set(refused), reverse=True), f"the same was sent again: {refused}")
        daemon.watch.expect(max(later) <= limit, f"larger than was refused: {max(later)} after {refused}")
        return f"{len(refused)} refusals, {account['splits']} splits, {account['sent']} samples"


def refusing_everything_as_too_large(world):
    with Backend(lambda request, connection: answer(413)) as backend:
        daemon = world.daemon(backend.url)
        daemon.until(lambda: len(backend.requests) > 30, "tries")
        account = world.finish(daemon)
        expect(account["sent"] == 0, f"{account}")


def refusing_for_good(world):
    with Backend(lambda request, connection: answer(400)) as backend:
        daemon = world.daemon(backend.url)
        daemon.until(lambda: len(backend.requests) > 2, "tries")
        account = world.finish(daemon)
        expect(account.get("dropped_rejected", 0) == account["dropped"] > 0, f"{account}")


def lying(world):
    """A page that says success is nobody's answer."""
    def page(request, connection):
        return answer(200, ENDLESS_PAGE, Content_Type="text/html")

    with Backend(page) as backend:
        daemon = world.daemon(backend.url)
        daemon.until(lambda: len(backend.requests) > 2, "tries")
        account = world.finish(daemon)
        expect(account["waiting"] == account["taken"], f"{account}")
        expect("a web page answered" in daemon.messages(), daemon.messages())


def unknown_name(world):
    daemon = world.daemon("http://no-such-host.invalid:4318")
    daemon.until(lambda: "is kept and sent later" in daemon.messages(), "it says so")
    account = world.finish(daemon)
    expect(account["waiting"] == account["taken"], f"{account}")


def expired_certificate(world):
    made = certificates()
    with Backend(certificate=made.issue("expired", expired=True)) as backend:
        daemon = world.daemon(backend.url, exporter=f", tls: {{ca: '{made.path('ca')}'}}")
        daemon.until(lambda: "is kept and sent later" in daemon.messages(), "it says so")
        account = world.finish(daemon)
        expect(account["waiting"] == account["taken"] and not backend.received, f"{account}")
        expect("expired" in daemon.messages(), daemon.messages())


def reload_under_load(world):
    """Another rate, other headers, another queue, another backend: every sample arrives."""
    with Backend() as first, Backend() as second:
        daemon = world.daemon(first.url)
        for turn in range(6):
            time.sleep(0.4)
            daemon.reload(frequency=199 + 50 * turn,
                          exporter=f", headers: {{x-turn: t{turn}}}, spool: {{size: {64 + turn}MiB}}",
                          endpoint=(first, second)[turn % 2].url)
        time.sleep(1.2)
        recording, queues = daemon.end()
        for queue in queues:
            check_balance(queue)
        taken = sum(queue["taken"] for queue in queues)
        expect(taken == recording["taken"] and recording["dropped"] == recording["lost"] == 0,
               f"{recording} {queues}")
        # A request whose answer the reload cut off may have arrived: it is sent again, and counted.
        arrived = {**first.received, **second.received}
        expect(sum(arrived.values()) == taken, f"{sum(arrived.values())} of {taken} {queues}")
        twice = first.repeated + second.repeated + len(first.received.keys() & second.received)
        counted = sum(queue["maybe_repeated"] for queue in queues)  # payloads, of several profiles each
        expect(counted or not twice, f"{twice} twice, none counted as maybe repeated")
        return f"{taken} samples, {len(queues)} queues"


main([gone_and_coming_back, gone_for_good, hanging, slow, resetting, answering_garbage, overloaded,
      refusing_large_requests, refusing_everything_as_too_large, refusing_for_good, lying, unknown_name,
      expired_certificate, reload_under_load])
