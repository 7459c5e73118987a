// SPDX-License-Identifier: Apache-2.0
// Two functions, one with twice the work of the other, below a third; says at its end how much CPU time each
// took. The argument is the CPU time to take, in seconds.
import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;

class Split {
	static final ThreadMXBean THREADS = ManagementFactory.getThreadMXBean();
	static long largeUsed, smallUsed;

	static int work(int units) {
		int value = 1;
		for (int i = 0; i < units; i++)
			value = value * 1664525 + 1013904223;
		return value;
	}

	static int large(int units) {
		return work(2 * units) + 1;
	}

	static int small(int units) {
		return work(units) + 1;
	}

	static int parts(long total) {
		long start = THREADS.getCurrentThreadCpuTime(), before = start;
		int kept = 0;
		while (before - start < total) {
			kept ^= large(1000000);
			long between = THREADS.getCurrentThreadCpuTime();
			kept ^= small(1000000);
			long after = THREADS.getCurrentThreadCpuTime();
			largeUsed += between - before;
			smallUsed += after - between;
			before = after;
		}
		return kept;
	}

	public static void main(String[] arguments) {
		System.err.println(parts((long) (Double.parseDouble(arguments[0]) * 1e9)));
		System.out.println("{\"functions\": {\"large\": " + largeUsed + ", \"small\": " + smallUsed
				   + "}, \"pid\": " + ProcessHandle.current().pid() + "}");
	}
}
