// SPDX-License-Identifier: Apache-2.0
//! The split of CPU time for Rust: a plain function, a generic one and a closure's caller.
//!
//!     split_rust SECONDS

use std::hint::black_box;
use std::time::Duration;

#[repr(C)]
struct Timespec {
    seconds: i64,
    nanoseconds: i64,
}

extern "C" {
    fn clock_gettime(clock: i32, time: *mut Timespec) -> i32;
}

const CLOCK_PROCESS_CPUTIME_ID: i32 = 2;
const CLOCK_THREAD_CPUTIME_ID: i32 = 3;

fn clock_ns(clock: i32) -> u64 {
    let mut time = Timespec { seconds: 0, nanoseconds: 0 };
    unsafe { clock_gettime(clock, &mut time) };
    time.seconds as u64 * 1_000_000_000 + time.nanoseconds as u64
}

#[inline(never)]
fn plain_work(units: u64, seed: u64) -> u64 {
    let mut value = seed;
    for _ in 0..black_box(units) {
        value = black_box(value).wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
    }
    value
}

trait Mix {
    fn mix(self, other: Self) -> Self;
}

impl Mix for u64 {
    fn mix(self, other: u64) -> u64 {
        (self ^ (self >> 31)).wrapping_mul(0x94d049bb133111eb) ^ other
    }
}

#[inline(never)]
fn generic_work<T: Mix + Copy>(units: u64, seed: T) -> T {
    let mut value = seed;
    for _ in 0..black_box(units) {
        value = black_box(value.mix(seed));
    }
    value
}

#[inline(never)]
fn sorting_work(units: u64, seed: u64) -> u64 {
    let mut numbers: Vec<u64> = (0..units / 16 + 8).map(|n| (n ^ seed).wrapping_mul(0x9e3779b97f4a7c15)).collect();
    numbers.sort();
    numbers[0]
}

fn main() {
    let seconds: f64 = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(1.0);
    let total = Duration::from_secs_f64(seconds).as_nanos() as u64;
    let parts: [(&str, fn(u64, u64) -> u64, u64); 3] =
        [("plain_work", plain_work, 6), ("generic_work", generic_work::<u64>, 5), ("sorting_work", sorting_work, 5)];
    let mut used = [0u64; 3];
    let mut random = std::process::id() as u64 + 1;
    let start = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    let mut before = start;
    while before - start < total {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let mut choice = random >> 60;
        let mut index = 0;
        while index < 2 && choice >= parts[index].2 {
            choice -= parts[index].2;
            index += 1;
        }
        black_box(parts[index].1(2_400_000 + random % 2_400_000, random));
        let now = clock_ns(CLOCK_THREAD_CPUTIME_ID);
        used[index] += now - before;
        before = now;
    }
    let functions: Vec<String> = (0..3).map(|n| format!("\"{}\": {}", parts[n].0, used[n])).collect();
    println!(
        "{{\"functions\": {{{}}}, \"workload\": \"split_rust\", \"pid\": {}, \"self_ns\": {}, \"children_ns\": 0}}",
        functions.join(", "),
        std::process::id(),
        clock_ns(CLOCK_PROCESS_CPUTIME_ID)
    );
}
