# SPDX-License-Identifier: Apache-2.0
"""What the daemon answers on its own host, asked of a real one over its three listeners.

    test_local.py BOLOMETER
"""
import contextlib
import gzip
import os
import pathlib
import shutil
import socket
import stat
import subprocess
import tempfile
import threading
import time

from running import (HERE, TOKEN, UnixConnection, basic, busy, expect_status, group_of_tests, running)
from harness import Stopwatch, Undecided, expect, main
from profile_reader import Profile

MAX_WINDOWS = 8
SECRET = "hunter2-in-an-argument"
ENVIRONMENT_SECRET = "hunter2-in-the-environment"


def profile_of(answer):
    expect_status(answer, 200)
    return Profile(gzip.decompress(answer.body))


def health(bolometer):
    with running(bolometer) as daemon:
        expect_status(daemon.health("/healthz"), 200)
        expect(daemon.health("/readyz").text == "ready\n", "not ready")
        metrics = expect_status(daemon.health("/metrics"), 200)
        expect(metrics.headers["Content-Type"].startswith("text/plain; version=0.0.4"), "content type")
        for path in ["/", "/api/status", "/api/live", "/debug/pprof/", "/debug/pprof/profile?seconds=1"]:
            expect_status(daemon.health(path), 404, path)
        expect_status(daemon.health("/metrics", "POST"), 405)
        expect_status(daemon.health("/metrics", headers={"Host": "rebound.example"}), 421)
        # A counter of the daemon's own goes on; the status agrees with the metrics.
        daemon.wait_for_interval()
        values = dict(line.rsplit(" ", 1) for line in daemon.health("/metrics").text.splitlines()
                      if not line.startswith("#"))
        expect(float(values['bolometer_ticks_total{outcome="sample"}']) > 0, values)
        expect(float(values["bolometer_process_cpu_seconds_total"]) > 0, values)
        entries, capacity = (float(values[f'bolometer_bpf_map_{name}{{map="binaries"}}'])
                             for name in ("entries", "capacity"))
        expect(0 < entries < capacity, f"{entries} binaries are known of {capacity}")
        expect(float(values["bolometer_process_resident_memory_bytes"]) > 1 << 20, values)
        expect(float(values['bolometer_http_requests_refused_total{listener="health"}']) == 7, values)
        promtool = shutil.which("promtool")
        if not promtool:
            print("SKIPPED: the metrics under promtool (Debian: prometheus)")
            return
        check = subprocess.run([promtool, "check", "metrics"], input=metrics.body, check=False,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        expect(check.returncode == 0 and not check.stdout, check.stdout.decode())


def check_symbols(daemon):
    """Names of kernel addresses are those of the kernel; others, and what is no address, have none."""
    def ask(body):
        head, *rest = expect_status(daemon.unix("/debug/pprof/symbol", "POST", body=body), 200).text.splitlines()
        expect(head == "num_symbols: 1", head)
        return [line.split("\t") for line in rest]

    functions = {}
    for line in pathlib.Path("/proc/kallsyms").read_text().splitlines():
        address, kind, name, *module = line.split()
        if kind in "tT" and not module and int(address, 16):
            functions.setdefault(int(address, 16), set()).add(name)
    some = sorted(functions)[100:2000:400]
    until = time.monotonic() + 60
    while len(answers := ask("+".join(f"{address:#x}" for address in some))) < len(some) and time.monotonic() < until:
        time.sleep(0.1)  # the daemon has just begun, and reads the kernel's list
    expect(len(answers) == len(some), f"{len(answers)} names of {len(some)}")
    for address, (shown, name) in zip(some, answers):
        expect(int(shown, 16) == address and name in functions[address], f"{shown} {name}")
    expect(ask("0x10+0x20+nonsense++") == [], "names for what is no address of the kernel")
    expect(expect_status(daemon.unix("/debug/pprof/symbol"), 200).text.strip() == "num_symbols: 1", "GET")


def profiles(bolometer):
    with running(bolometer) as daemon, busy() as pid:
        expect("profile?seconds" in daemon.unix("/debug/pprof/").text, "no index")
        expect(daemon.unix("/debug/pprof/cmdline").body == b"bolometer", "the name alone")
        check_symbols(daemon)
        answer = daemon.unix(f"/debug/pprof/profile?seconds=2&pid={pid}")
        profile = profile_of(answer)
        expect(answer.headers["Content-Type"] == "application/octet-stream", answer.headers)
        expect(profile.samples, "no samples of a busy process")
        pids = {sample.labels.get("process.pid") for sample in profile.samples}
        expect(pids == {pid}, f"asked for {pid}, got {pids}")
        expect(1.9e9 < profile.duration_ns < 10e9, f"{profile.duration_ns} ns")
        whole = profile_of(daemon.tcp("/debug/pprof/profile?seconds=1"))
        pids = {sample.labels.get("process.pid") for sample in whole.samples}
        expect(pid in pids, f"the whole host without {pid}: {pids}")
        for query in ["seconds=0", "seconds=601", "seconds=-1", "seconds=x", "seconds=", "pid=0", "pid=x",
                      "seconds=1&pid=99999999"]:
            refused = expect_status(daemon.unix("/debug/pprof/profile?" + query), 400, query)
            expect(refused.headers["X-Go-Pprof"] == "1", "pprof shows its text only with the header")
            expect(refused.headers["Content-Type"].startswith("text/plain"), refused.headers)
        expect_status(daemon.unix("/debug/pprof/profile?seconds=1&pid=4194304"), 404)


def go_tool(bolometer):
    find = subprocess.run([HERE.parent.parent / "scripts/find-go.sh"], stdout=subprocess.PIPE, text=True,
                          check=False)
    if find.returncode:
        print("SKIPPED: there is no Go")
        return
    with running(bolometer) as daemon, busy(), tempfile.TemporaryDirectory() as saved:
        url = f"http://me:{TOKEN.replace(' ', '%20')}@127.0.0.1:{daemon.port}/debug/pprof/profile?seconds=1"
        top = subprocess.run([find.stdout.strip(), "tool", "pprof", "-top", "-nodecount=1000", url],
                             env={**os.environ, "PPROF_TMPDIR": saved}, check=False,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=180)
        expect(top.returncode == 0 and "flat%" in top.stdout, top.stdout[-800:])
        expect("_PyEval_EvalFrameDefault" in top.stdout or "python" in top.stdout, top.stdout[-2000:])
        refused = subprocess.run([find.stdout.strip(), "tool", "pprof", "-top", url.replace("=1", "=9999")],
                                 env={**os.environ, "PPROF_TMPDIR": saved}, check=False,
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
        expect("a whole number from 1 to 600" in refused.stdout, refused.stdout)


def who_may_ask(bolometer):
    with running(bolometer) as daemon:
        for token in [None, "wrong", TOKEN[:-1], TOKEN + "x", "second line"]:
            answer = expect_status(daemon.tcp("/api/status", token=token), 401, token)
            expect("Basic" in answer.headers["WWW-Authenticate"], "no way to log in")
        expect_status(daemon.tcp("/api/stop", "POST", token=None), 401)
        expect_status(daemon.tcp("/api/status"), 200)
        expect_status(daemon.tcp("/api/status", token=None, headers=basic(TOKEN)), 200)
        expect_status(daemon.tcp("/api/status", token=None, headers=basic("wrong")), 401)
        daemon.token_file.write_text("another\n")
        expect_status(daemon.tcp("/api/status"), 401)
        expect_status(daemon.tcp("/api/status", token="another"), 200)
        daemon.token_file.unlink()
        expect_status(daemon.tcp("/api/status", token="another"), 401)
        daemon.token_file.write_text(TOKEN)
        expect_status(daemon.tcp("/api/status", headers={"Host": "rebound.example"}), 421)
        expect_status(daemon.tcp("/api/status", "PUT"), 405)
        expect_status(daemon.tcp("/api/stop"), 405)
        expect_status(daemon.tcp("/api/status", "POST"), 405)
        expect_status(daemon.tcp("/nothing"), 404)
        expect_status(daemon.tcp("/api/stop", "POST", headers={"Origin": "http://evil.example"}), 403)
        expect_status(daemon.tcp("/api/stop", "POST", headers={"Origin": "null"}), 403)
        expect(daemon.status()["sampling"]["on"], "another site stopped it")
        mode = stat.S_IMODE(os.stat(daemon.socket).st_mode)
        expect(mode == 0o660, f"the socket's mode is {mode:o}")
    expect(not daemon.socket.exists(), "the socket stays behind")


def windows_at_once(bolometer):
    with running(bolometer) as daemon, busy():
        answers = []
        threads = [threading.Thread(target=lambda: answers.append(
            daemon.unix("/debug/pprof/profile?seconds=3"))) for _ in range(MAX_WINDOWS)]
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + 2
        while daemon.status()["profiles_being_taken"] < MAX_WINDOWS:
            if time.monotonic() > deadline:
                raise Undecided("the first windows end before the last begins")
            time.sleep(0.02)
        refused = expect_status(daemon.unix("/debug/pprof/profile?seconds=1"), 503)
        expect(refused.headers["X-Go-Pprof"] == "1", "a text for people")
        for thread in threads:
            thread.join()
        for answer in answers:
            expect(profile_of(answer).samples, "an empty profile")
        expect(len(answers) == MAX_WINDOWS, f"{len(answers)} answers")
        # Who goes away gives the place free.
        clients = [UnixConnection(daemon.socket) for _ in range(MAX_WINDOWS)]
        for client in clients:
            client.request("GET", "/debug/pprof/profile?seconds=600")
        while daemon.status()["profiles_being_taken"] < MAX_WINDOWS:
            time.sleep(0.02)
        for client in clients:
            client.close()
        deadline = time.monotonic() + 30
        while daemon.status()["profiles_being_taken"]:
            expect(time.monotonic() < deadline, "a window stays open")
            time.sleep(0.02)
        profile_of(daemon.unix("/debug/pprof/profile?seconds=1"))


def stop_and_start(bolometer):
    with running(bolometer) as daemon, busy():
        daemon.wait_for_interval()
        expect(daemon.unix("/api/stop", "POST").text == "sampling is off\n", "not stopped")
        expect(daemon.unix("/api/stop", "POST").text == "sampling was already off\n", "stopped twice")
        expect_status(daemon.unix("/debug/pprof/profile?seconds=1"), 503)
        expect("off" in expect_status(daemon.health("/readyz"), 200).text, "ready to go on")
        before = daemon.status()
        expect(not before["sampling"]["on"], before)
        time.sleep(2)
        after = daemon.status()
        expect(after["counters"]["ticks"] == before["counters"]["ticks"], "it ticks all the same")
        expect(after["sampling"]["samples"] == before["sampling"]["samples"], "it samples all the same")
        interval = daemon.unix("/api/live").json["interval"]
        watch = Stopwatch()
        expect(daemon.unix("/api/start", "POST").text == "sampling is on\n", "not started")
        paused = daemon.status()["sampling"]["paused_seconds"]
        expect(paused > 1.9, f"a gap of {paused} s")
        live = daemon.wait_for_interval(interval)["status"]
        expect(live["sampling"]["samples"] > after["sampling"]["samples"], "no samples after the start")
        # The gap is no missed ticks.
        missed = live["counters"]["missed"] - after["counters"]["missed"]
        watch.expect(missed < 99 * live["cost"]["cpus"], f"{missed} ticks missed")
        expect(f"bolometer_sampling_paused_seconds_total {paused:.1f}"[:-2]
               in daemon.health("/metrics").text, "the gap is not in the metrics")
        expect(float(daemon.status()["sampling"]["paused_seconds"]) == paused, "the gap grows")


def cgroup_root():
    """Where groups can be made: the v2 hierarchy; None without."""
    for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
        mount, _, kind = line.partition(" - ")
        if kind.startswith("cgroup2 ") and mount.split()[3] == "/" and os.access(mount.split()[4], os.W_OK):
            return pathlib.Path(mount.split()[4])
    return None


@contextlib.contextmanager
def load_in(group):
    """A new group with a program that takes a CPU; both go at the end."""
    with group_of_tests(group.parent, group.name), busy() as pid:
        (group / "cgroup.procs").write_text(str(pid))
        yield


def cgroups_that_come(bolometer):
    """A selected group that is not there yet, and one of the same path after it was gone."""
    root = cgroup_root()
    if not root:
        print("SKIPPED: a cgroup that comes later: there is no cgroup2 hierarchy to make it in")
        return
    name = f"bolometer-test-{os.getpid()}"
    with running(bolometer, f"selection.cgroup=/{name}") as daemon, busy():
        expect("it is not there yet" in daemon.said(), "the log says that it is waited for")
        first = daemon.wait_for_interval()
        expect(first["status"]["sampling"]["samples"] == 0, "what is not selected is sampled")
        seen = 0
        for turn in ("made", "made again"):
            with load_in(root / name):
                deadline = time.monotonic() + 60
                while (now := daemon.status()["sampling"]["samples"]) < seen + 20:
                    expect(time.monotonic() < deadline, f"{turn}: {now - seen} samples, {daemon.said()}")
                    time.sleep(0.1)
            time.sleep(1)  # what is on the way of the one that is gone
            seen = daemon.status()["sampling"]["samples"]


def dumps(bolometer):
    recorder = "exporters: [{{type: pprof-directory, directory: {directory}/recorder}}]\n"
    with running(bolometer, extra=recorder) as daemon, busy() as pid:
        for last in ["0", "-1", "25h", "x", "10 apples"]:
            expect_status(daemon.unix("/api/dump?last=" + last.replace(" ", "%20")), 400, last)
        deadline = time.monotonic() + 30
        while daemon.status()["exporters"][0]["samples_sent"] == 0 and time.monotonic() < deadline:
            time.sleep(0.1)
        first = daemon.wait_for_interval()["interval"]
        second = daemon.wait_for_interval(first)["interval"]
        daemon.wait_for_interval(second)
        answer = daemon.unix("/api/dump?last=1m")
        whole = profile_of(answer)
        expect(int(answer.headers["X-Bolometer-Intervals"]) >= 2, answer.headers)
        expect(answer.headers["X-Bolometer-Skipped"] == "0", answer.headers)
        expect(pid in {s.labels.get("process.pid") for s in whole.samples}, "the busy process is missing")
        exporter = daemon.status()["exporters"][0]
        expect(exporter["running"] and exporter["type"] == "pprof-directory", exporter)
        expect(exporter["last_error"] is None, exporter)
    with running(bolometer, interval="2s") as daemon:
        expect_status(daemon.unix("/api/dump"), 404, "nothing is there yet:")
        daemon.wait_for_interval()
        answer = daemon.unix("/api/dump?last=10m")
        expect(profile_of(answer).samples and answer.headers["X-Bolometer-Intervals"] == "1", answer.headers)


def page_and_secrets(bolometer):
    with running(bolometer) as daemon, \
            busy(SECRET, env={"PASSWORD": ENVIRONMENT_SECRET}) as pid:
        expect_status(daemon.unix("/api/flame"), 404, "before the first interval:")
        live = daemon.wait_for_interval()
        live = daemon.wait_for_interval(live["interval"])
        expect(live["top"]["functions"] and live["top"]["total"] > 0, "no functions")
        expect(pid in [process["pid"] for process in live["processes"]], live["processes"])
        expect(live["processes"] == sorted(live["processes"], key=lambda p: -p["value"]), "not sorted")
        flame = daemon.unix("/api/flame").json
        expect(flame["views"][0]["frames"][0] == "all" and not flame["is_diff"], "no flame graph")
        page = daemon.unix("/")
        policy = page.headers["Content-Security-Policy"]
        expect("default-src 'none'" in policy and "frame-ancestors 'none'" in policy
               and "unsafe" not in policy, policy)
        everything = [daemon.unix(path).body for path in
                      ["/", "/api/status", "/api/status?format=text", "/api/live", "/api/flame", "/metrics",
                       "/debug/pprof/", "/debug/pprof/cmdline", "/debug/pprof/symbol"]]
        everything += [gzip.decompress(daemon.unix(path).body)
                       for path in ["/debug/pprof/profile?seconds=1", "/api/dump"]]
        for body in everything:
            for secret in [SECRET, ENVIRONMENT_SECRET, TOKEN]:
                expect(secret.encode() not in body, f"{secret} in {body[:100]}")


def slow_clients(bolometer):
    """Nobody who asks slowly, or does not read, takes a sample from anybody: 1,000 Hz without loss."""
    with running(bolometer, frequency=1000) as daemon, busy():
        daemon.wait_for_interval()
        before = daemon.status()
        watch = Stopwatch()
        clients = []
        for index in range(20):
            client = socket.socket(socket.AF_UNIX)
            client.connect(str(daemon.socket))
            # Half a request; or one whose large answer is not read; or a body that does not come.
            client.sendall([b"GET /api/st", b"GET /api/flame HTTP/1.1\r\nHost: x\r\n\r\n" * 20,
                            b"POST /api/start HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nx"][index % 3])
            clients.append(client)
        for _ in range(30):
            expect_status(daemon.unix("/api/live"), 200)
            expect_status(daemon.health("/metrics"), 200)
            time.sleep(0.1)
        after = daemon.status()
        for client in clients:
            client.close()
        taken = after["counters"]["samples"] - before["counters"]["samples"]
        watch.expect(taken > 1000, f"{taken} samples in 3 s")
        watch.expect(after["losses"]["samples"] == 0, after["losses"])
        watch.expect(after["counters"]["lost_ring_full"] == 0, after["counters"])


def large_requests(bolometer):
    with running(bolometer) as daemon:
        connection = UnixConnection(daemon.socket)
        try:
            connection.request("POST", "/debug/pprof/symbol", body=b"x" * (1 << 20))
            connection.getresponse()
            expect(False, "a body of 1 MiB was taken")
        except (ConnectionError, OSError, EOFError):
            pass
        except Exception as error:  # pylint: disable=broad-except
            expect("Disconnected" in type(error).__name__ or "Status" in type(error).__name__, repr(error))
        answer = daemon.unix("/api/status", headers={"X-Long": "x" * (64 << 10)})
        expect(answer.status in (413, 431, 400), answer)
        expect_status(daemon.health("/healthz"), 200)


def end_while_asked(bolometer):
    with running(bolometer) as daemon:
        answers = []
        thread = threading.Thread(
            target=lambda: answers.append(daemon.unix("/debug/pprof/profile?seconds=600")))
        thread.start()
        while daemon.status()["profiles_being_taken"] == 0:
            time.sleep(0.02)
        daemon.end()  # which does not wait for the window
        thread.join(10)
        expect_status(answers[0], 503)


def listeners(bolometer):
    """What was asked for and cannot be opened ends the daemon; a default that cannot is a warning."""
    with running(bolometer) as daemon:
        for setting, words in [(f"http.health_address=127.0.0.1:{daemon.health_port}", "another process"),
                               (f"http.socket={daemon.socket}", "another process"),
                               ("http.socket=/nowhere/at/all/socket", "No such file"),
                               ("http.socket_group=no-such-group", "there is no group")]:
            directory = daemon.directory / "second"
            sets = [f"http.socket={directory}/socket", "http.health_address=", "spool.directory=",
                    f"cache.directory={daemon.directory}/cache", setting]
            result = bolometer.run("daemon", *[word for key in sets for word in ("--set", key)])
            expect(result.returncode == 1 and words.encode() in result.stderr, setting, result)
        for setting, words in [("http.address=127.0.0.1:1", "http.token_file"),
                               ("http.token_file=/x", "http.address"),
                               ("http.socket_mode=999", "octal"),
                               ("http.health_address=somewhere", "ADDRESS:PORT"),
                               ("http.health_address=127.0.0.1:99999", "ADDRESS:PORT"),
                               ("http.socket=relative", "absolute")]:
            result = bolometer.run("daemon", "--set", setting)
            expect(result.returncode == 1 and words.encode() in result.stderr, setting, result)
    # The default's port is taken: in a network namespace of its own, by a socket it inherits.
    take = ("import os, socket, sys; s = socket.socket(); s.bind(('127.0.0.1', 7071)); s.listen(); "
            "s.set_inheritable(True); os.execv(sys.argv[1], sys.argv[1:])")
    command = ["unshare", "--net", "python3", "-c", take, bolometer.path, "daemon", "--set",
               "spool.directory=", "--set",
               f"http.socket={tempfile.gettempdir()}/bolometer-test-{os.getpid()}"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        said = ""
        for line in process.stderr:
            said += line
            if "sampling at" in line:
                break
        process.terminate()
        said += process.stderr.read()
        process.wait(30)
    expect(process.returncode == 0 and "warning: http.health_address: cannot listen" in said, said)


if __name__ == "__main__":
    main([health, profiles, go_tool, who_may_ask, windows_at_once, stop_and_start, cgroups_that_come, dumps,
          page_and_secrets, slow_clients, large_requests, end_while_asked, listeners], needs_root=True)
