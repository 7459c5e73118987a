/* SPDX-License-Identifier: Apache-2.0 */
/* Two hundred functions, and one that calls each of them through the PLT, as others may take their place. */
#include <stdint.h>

#define FUNCTION(n)                                                                                                    \
	uint64_t lazy_##n(uint64_t value)                                                                              \
	{                                                                                                              \
		return value ^ n;                                                                                      \
	}
#define CALL(n) value = lazy_##n(value);
#define TEN(X, a) X(a##0) X(a##1) X(a##2) X(a##3) X(a##4) X(a##5) X(a##6) X(a##7) X(a##8) X(a##9)
#define HUNDRED(X, a)                                                                                                  \
	TEN(X, a##0)                                                                                                   \
	TEN(X, a##1)                                                                                                   \
	TEN(X, a##2)                                                                                                   \
	TEN(X, a##3)                                                                                                   \
	TEN(X, a##4)                                                                                                   \
	TEN(X, a##5)                                                                                                   \
	TEN(X, a##6)                                                                                                   \
	TEN(X, a##7)                                                                                                   \
	TEN(X, a##8)                                                                                                   \
	TEN(X, a##9)

HUNDRED(FUNCTION, 1)
HUNDRED(FUNCTION, 2)

uint64_t call_all(uint64_t value)
{
	HUNDRED(CALL, 1)
	HUNDRED(CALL, 2)
	return value + 1; /* the last one is no tail call */
}
