#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The alert rules in config/prometheus: every metric in them exists, and Prometheus' own promtool finds that each
alert fires where its fault is and nowhere else.

Usage: test_alert_rules.py"""
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(HERE.parent / "command"))
from harness import SKIPPED, expect, run_tests  # noqa: E402

RULES = ROOT / "config/prometheus/bolometer-rules.yaml"
# {alert: (where it fires, labels beside instance, minutes)}
FIRES = {
    "BolometerIsAway": ("gone", {}, 50),
    "BolometerTakesNoTicks": ("still", {}, 50),
    "BolometerKillSwitch": ("off", {"reason": "file"}, 110),
    "BolometerLosesSamples": ("ill", {}, 50),
    "BolometerKnowsTooManyFiles": ("ill", {"map": "binaries"}, 50),
    "BolometerBackendDoesNotTake": ("ill", {"exporter": "it"}, 55),
    "BolometerQueueFills": ("ill", {"exporter": "it"}, 50),
    "BolometerQueueOnlyInMemory": ("ill", {"exporter": "it"}, 50),
    "BolometerDropsSamples": ("ill", {"exporter": "it", "reason": "rejected"}, 50),
    "BolometerConfigurationNotInForce": ("ill", {}, 50),
    "BolometerCostsTooMuch": ("ill", {}, 50),
}


def metrics_exist():
    sources = "".join(path.read_text() for path in (ROOT / "daemon/service").glob("metrics*.c"))
    wanted = set(re.findall(r"bolometer_([a-z_]+)\b(?=[\[{ )])", "".join(
        line for line in RULES.read_text().splitlines(True) if "summary" not in line)))
    expect(len(wanted) > 10, f"metrics in the rules: {wanted}")
    missing = sorted(name for name in wanted if f'"{name}"' not in sources)
    expect(not missing, f"the daemon has no {missing}")


def expectation(alert, summaries, severities):
    where, labels, minutes = FIRES[alert]
    labels = {"instance": where, **labels}
    summary = re.sub(r"{{ \$labels\.(\w+) }}", lambda match: labels[match[1]], summaries[alert])
    shown = ", ".join(f"{name}: {value}" for name, value in
                      {"severity": severities[alert], "job": "bolometer", **labels}.items())
    return (f"      - eval_time: {minutes}m\n        alertname: {alert}\n        exp_alerts:\n"
            f"          - exp_labels: {{{shown}}}\n            exp_annotations: {{summary: \"{summary}\"}}\n")


def promtool(*arguments):
    result = subprocess.run(["promtool", *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                            check=False)
    expect(result.returncode == 0, result.stdout)


def alerts_fire():
    if not shutil.which("promtool"):
        return "SKIPPED: no promtool (Debian: prometheus)"
    text = RULES.read_text()
    summaries = dict(re.findall(r'alert: (\w+)\n.*?summary: "(.*?)"\n', text, re.S))
    severities = dict(re.findall(r"alert: (\w+)\n.*?severity: (\w+)", text, re.S))
    expect(set(summaries) == set(FIRES), f"alerts without a test, or tests without an alert: {set(summaries) ^ set(FIRES)}")
    promtool("check", "rules", str(RULES))
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write((HERE / "alert_rules_test.yaml").read_text().replace("RULES", str(RULES)).replace(
            "ALERTS\n", "".join(expectation(alert, summaries, severities) for alert in FIRES)))
        file.flush()
        promtool("test", "rules", file.name)
    return None


if __name__ == "__main__":
    sys.exit(run_tests([(test.__name__, test) for test in (metrics_exist, alerts_fire)]))
