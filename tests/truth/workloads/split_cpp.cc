/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The split of CPU time for C++: a template, a virtual method and code behind an exception.
 *
 *	split_cpp SECONDS
 */
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "workload.h"

namespace truth {

template <typename Number> NOINLINE Number churn(uint64_t units, Number seed)
{
	Number value = seed;

	for (uint64_t unit = 0; unit < units; unit++)
		value = value * 25214903917ULL + 11;
	return value;
}

struct Shape {
	virtual ~Shape() = default;
	virtual uint64_t area(uint64_t units) const = 0;
};

struct Polygon : Shape {
	NOINLINE uint64_t area(uint64_t units) const override
	{
		uint64_t sum = units;

		for (uint64_t unit = 0; unit < units; unit++)
			sum = (sum ^ (sum >> 31)) * 0x94d049bb133111ebULL + unit;
		return sum;
	}
};

NOINLINE uint64_t catch_errors(uint64_t units)
{
	uint64_t caught = 0;

	for (uint64_t unit = 0; unit < units; unit++) {
		try {
			throw std::runtime_error("expected");
		} catch (const std::exception &error) {
			caught += static_cast<uint64_t>(error.what()[0]);
		}
	}
	return caught;
}

} // namespace truth

static uint64_t work_template(uint64_t units, uint64_t seed)
{
	uint64_t value = truth::churn<uint64_t>(units, seed);

	KEEP_FRAME();
	return value;
}

static uint64_t work_virtual(uint64_t units, uint64_t)
{
	static const std::unique_ptr<truth::Shape> shape = std::make_unique<truth::Polygon>();
	uint64_t value = shape->area(units);

	KEEP_FRAME();
	return value;
}

static uint64_t work_exception(uint64_t units, uint64_t)
{
	uint64_t value = truth::catch_errors(units);

	KEEP_FRAME();
	return value;
}

int main(int argc, char **argv)
{
	struct part parts[] = {
		{"truth::churn<", work_template, 6, 0, 0},
		{"truth::Polygon::area", work_virtual, 5, 0, 0},
		{"truth::catch_errors", work_exception, 5, 0, 0},
	};

	work_in_parts(parts, 3, argument_ns(argc > 1 ? argv[1] : "1"), (uint64_t)getpid() + 1);
	printf("{");
	print_parts(parts, 3);
	print_end("split_cpp");
	return 0;
}
