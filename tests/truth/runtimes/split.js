// SPDX-License-Identifier: Apache-2.0
// Two functions, one with twice the work of the other, below a third; says at its end how much CPU time each
// took. The argument is the CPU time to take, in seconds.
"use strict";

function work(units) {
  let value = 1;
  for (let i = 0; i < units; i++) value = (Math.imul(value, 1664525) + 1013904223) | 0;
  return value;
}

function large(units) { return work(2 * units) + 1; }
function small(units) { return work(units) + 1; }

function cpuNanoseconds() {
  const usage = process.cpuUsage();
  return (usage.user + usage.system) * 1000;
}

function parts(total) {
  const used = { large: 0, small: 0 };
  const start = cpuNanoseconds();
  let before = start, kept = 0;
  while (before - start < total) {
    kept ^= large(1000000);
    const between = cpuNanoseconds();
    kept ^= small(1000000);
    const after = cpuNanoseconds();
    used.large += between - before;
    used.small += after - between;
    before = after;
  }
  return [used, kept];
}

const [functions, kept] = parts(Number(process.argv[2] || "1") * 1e9);
console.error(kept);
console.log(JSON.stringify({ functions, pid: process.pid }));
