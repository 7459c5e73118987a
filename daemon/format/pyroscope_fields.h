/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers of the fields of Pyroscope's PushRequest. Source: pyroscope's api/push/v1/push.proto. */
#pragma once

enum {
	REQUEST_SERIES = 1, /* PushRequest */
	SERIES_SAMPLES = 2, /* RawProfileSeries; its labels are those of pyroscope_labels.c */
	SAMPLE_PROFILE = 1, /* RawSample */
	SAMPLE_ID = 2,
};
