# SPDX-License-Identifier: Apache-2.0
"""`bolometer status`, `start`, `stop` and `dump`, with a daemon and without one.

    test_control.py BOLOMETER
"""
import gzip
import json
import os
import re
import socket
import subprocess
import tempfile

from running import running
from harness import NOBODY, expect, main
from profile_reader import Profile

NO_DAEMON = 1
NOT_ALLOWED = 3


def asks_the_daemon(bolometer):
    recorder = "exporters: [{{type: pprof-directory, name: recorder, directory: {directory}/recorder}}]\n"
    with running(bolometer, extra=recorder) as daemon:
        def run(*arguments, status=0):
            result = bolometer.run(*arguments, "--socket", daemon.socket)
            expect(result.returncode == status, arguments, result)
            return result.stdout.decode()

        daemon.wait_for_interval()
        text = run("status")
        for word in ["sampling    on, 99 Hz", "exporter    recorder (pprof-directory): ", "processes"]:
            expect(word in text, f"no {word} in {text}")
        status = json.loads(run("status", "--json"))
        expect(status["sampling"]["on"] and status["pid"] == daemon.process.pid, status)
        expect(status["configuration_file"] == str(daemon.directory / "c.yaml"), status)
        expect(run("stop") == "sampling is off\n", "stop")
        expect("sampling    OFF" in run("status"), "status after stop")
        expect(run("start") == "sampling is on\n", "start")
        interval = daemon.wait_for_interval()["interval"]
        daemon.wait_for_interval(interval)
        run("dump", "--last", "2m", "-o", daemon.directory / "x.pb.gz", "-o", daemon.directory / "x.pb",
            "-o", daemon.directory / "x.html")
        for name in ["x.pb.gz", "x.pb"]:
            expect(Profile.read(daemon.directory / name).samples, f"{name} is empty")
        expect((daemon.directory / "x.html").read_text().startswith("<!DOCTYPE html>"), "no page")
        said = bolometer.run("dump", "-o", daemon.directory / "y.html", "--socket", daemon.socket).stderr.decode()
        expect(re.search(r"y\.html: \d+\.\d s until 2\d{3}-.*Z \(of 600 s asked for, there is no more\)$", said.strip()),
               f"how much it has: {said}")
        run("dump", "-o", daemon.directory / "missing/x.pb.gz", status=1)
        expect("refused: last:" in bolometer.run("dump", "--last", "30h", "-o", daemon.directory / "y.pb.gz",
                                                 "--socket", daemon.socket).stderr.decode(), "30 hours")
        expect(not (daemon.directory / "y.pb.gz").exists(), "a refused dump leaves a file")
        # The environment names the socket as it does for the daemon.
        result = subprocess.run([bolometer.path, "status"], stdout=subprocess.PIPE, check=False,
                                env={**os.environ, "BOLOMETER_HTTP_SOCKET": str(daemon.socket),
                                     "http_proxy": "http://127.0.0.1:1", "ALL_PROXY": "http://127.0.0.1:1"})
        expect(result.returncode == 0, "by the environment, in spite of a proxy")
        os.chmod(daemon.directory, 0o755)
        result = bolometer.run("status", "--socket", daemon.socket, unprivileged=True)
        expect(result.returncode == NOT_ALLOWED and b"run as root, or" in result.stderr, "nobody", result)


def belongs_to_a_group(bolometer):
    group = "nogroup"  # the group of NOBODY on Debian
    with running(bolometer, f"http.socket_group={group}") as daemon:
        os.chmod(daemon.directory, 0o755)
        expect(os.stat(daemon.socket).st_gid == NOBODY, "the socket's group")
        result = bolometer.run("status", "--socket", daemon.socket, unprivileged=True)
        expect(result.returncode == 0, "a member of the group", result)


GROW = "for i in range(60): b = bytearray(1 << 20); b[::4096] = bytes(256); time.sleep(0.02)"


def keeps_growth(bolometer):
    """With memory.growth each interval has a second file; merges take only those of CPU time; the account of
    samples holds for both."""
    recorder = "exporters: [{{type: pprof-directory, name: recorder, directory: {directory}/recorder}}]\n"
    with running(bolometer, "memory.growth=true", "memory.oom_directory=", extra=recorder) as daemon:
        # 1 MiB is mapped anew each time.
        subprocess.run(["python3", "-c", "import time\n" + GROW], check=True)
        interval = daemon.wait_for_interval()["interval"]
        daemon.wait_for_interval(interval)
        status = daemon.status()
        metrics = daemon.health("/metrics").text
        for name in ['bolometer_samples_total{event="growth"}', "bolometer_growth_bytes_total",
                     "bolometer_oom_victims_total", 'bolometer_page_faults_total{outcome="new"}']:
            expect(name in metrics, f"no {name} among the metrics")
        out = daemon.directory / "x.pb.gz"
        result = bolometer.run("dump", "--last", "2m", "-o", out, "--socket", daemon.socket)
        expect(result.returncode == 0, "dump", result)
        expect(Profile.read(out).default_sample_type == "cpu", "a dump is of CPU time")
        grown = daemon.directory / "growth.pb.gz"
        result = bolometer.run("dump", "--last", "2m", "-e", "growth", "-o", grown, "--socket", daemon.socket)
        expect(result.returncode == 0, "dump of growth", result)
        expect(Profile.read(grown).total("growth_space") > 0, "a dump without growth")
        result = bolometer.run("dump", "-e", "heap", "-o", daemon.directory / "none.pb.gz", "--socket", daemon.socket)
        expect(result.returncode == 1 and b"no heap profile of an interval of that time" in result.stderr,
               "dump of the heap", result)
        result = bolometer.run("dump", "-e", "cpu,heap", "--socket", daemon.socket)
        expect(result.returncode == 2 and b"one of cpu, growth and heap" in result.stderr, "two kinds", result)
        daemon.end()
        growth = [Profile.read(path) for path in (daemon.directory / "recorder").glob("*.growth.pb.gz")]
        cpu = [Profile.read(path) for path in (daemon.directory / "recorder").glob("*Z.pb.gz")]
        expect(len(growth) == len(cpu) >= 2, f"{len(growth)} files of growth, {len(cpu)} of CPU time")
        expect(sum(profile.total("growth_space") for profile in growth) > 0, "no growth")
        samples = sum(profile.total("samples") for profile in growth + cpu)
        account = re.search(r"recorder: samples taken=(\d+) .*sent=(\d+) waiting=0 dropped=0", daemon.said())
        expect(account and int(account[1]) == int(account[2]) == samples,
               f"{samples} samples in the files: {daemon.said()}")
        taken = re.search(r"recording: samples taken=(\d+) dropped=0", daemon.said())
        expect(taken and int(taken[1]) == samples, f"{samples} samples in the files: {daemon.said()}")
        expect("growth_bytes" in json.dumps(status), status)


def dumps_growth_without_files(bolometer):
    """Where no flight recorder writes, that of the last interval is kept."""
    with running(bolometer, "memory.growth=true", "memory.oom_directory=") as daemon:
        interval = daemon.wait_for_interval()["interval"]
        subprocess.run(["python3", "-c", "import time\n" + GROW], check=True)
        daemon.wait_for_interval(interval)
        answers = {}
        for events in ["growth", "cpu", "heap", "none"]:
            answers[events] = daemon.unix(f"/api/dump?events={events}")
        for events, shown in (("growth", "growth_space"), ("cpu", "cpu")):
            expect(answers[events].status == 200, f"{events}: {answers[events]}")
            shows = Profile(gzip.decompress(answers[events].body)).default_sample_type
            expect(shows == shown, f"{events}: {shows}")
        expect(answers["heap"].status == 404 and "memory.heap" in answers["heap"].text, f"{answers}")
        expect(answers["none"].status == 400, f"{answers}")


def tells_the_rate_in_force(bolometer):
    """Of a rate that no budget of a hundredth allows: what is in force, and why."""
    with running(bolometer, "budget.cpu=1%", frequency=10000) as daemon:
        daemon.wait_for_interval()
        text = daemon.unix("/api/status?format=text").text
        status = daemon.status()
        metrics = daemon.health("/metrics").text
        sampling, budget = status["sampling"], status["budget"]
        expect(0 < sampling["frequency_hz"] < 9000 and sampling["configured_frequency_hz"] == 10000, f"{sampling}")
        expect(re.search(r"^sampling +on, \d+ Hz of the 10000 asked for, an interval", text, re.M), text)
        expect(re.search(r"^budget .*; at \d+ Hz \(", text, re.M), text)
        expect(budget["frequency_limit"] in ("cost", "start", "onset") and budget["frequency_limit_reason"], f"{budget}")
        expect("\nbolometer_sampling_frequency_hertz 10000\n" in metrics, metrics)
        expect(0 < float(re.search(r"^bolometer_sampling_present_frequency_hertz (\S+)", metrics, re.M)[1]) < 9000, metrics)
        reasons = re.findall(r'^bolometer_budget_frequency_limit\{reason="(\w+)"\} 1$', metrics, re.M)
        expect(len(reasons) == 1 and reasons[0] != "asked", metrics)


def nobody_answers(bolometer):
    with tempfile.TemporaryDirectory() as directory:
        path = f"{directory}/socket"
        for command in ["status", "start", "stop", "dump"]:
            result = bolometer.run(command, "--socket", path, cwd=directory)
            expect(result.returncode == NO_DAEMON and b"no daemon runs here" in result.stderr, command, result)
        with socket.socket(socket.AF_UNIX) as left_behind:
            left_behind.bind(path)
        result = bolometer.run("status", "--socket", path)
        expect(result.returncode == NO_DAEMON and b"nobody listens" in result.stderr, "stale", result)
        result = bolometer.run("status", "--socket", "/" + "x" * 200)
        expect(result.returncode == NO_DAEMON and b"too long" in result.stderr, "long", result)
        expect(not os.path.exists(f"{directory}/dump.pb.gz"), "a failed dump leaves a file")
        result = bolometer.run("dump", "--last", "x")
        expect(result.returncode == 2, "no duration", result)


if __name__ == "__main__":
    main([asks_the_daemon, belongs_to_a_group, keeps_growth, dumps_growth_without_files,
          tells_the_rate_in_force, nobody_answers], needs_root=True)
