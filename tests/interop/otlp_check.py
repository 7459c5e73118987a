#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks files that hold an OTLP profiles message (ExportProfilesServiceRequest or ProfilesData) against
the rules of otlp_rules.py. Prints each finding; the status is 1 when there is any, 77 when the official
schema cannot be had.

Usage: otlp_check.py SCHEMA-DIRECTORY FILE..."""
import sys

import otlp_rules
import otlp_schema


def read(schema, path):
    data = schema.ProfilesData()
    with open(path, "rb") as file:
        data.ParseFromString(file.read())  # refuses text that is not UTF-8
    return data


def main():
    if len(sys.argv) < 3:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        schema = otlp_schema.load(sys.argv[1])
    except otlp_schema.Unavailable as reason:
        print(f"skipped: {reason}")
        return 77
    found = 0
    for path in sys.argv[2:]:
        for finding in otlp_rules.all_findings(read(schema, path)):
            print(f"{path}: {finding}")
            found += 1
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
