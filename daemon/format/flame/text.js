// SPDX-License-Identifier: Apache-2.0
// Values as people read them.

const UNITS = {
	nanoseconds: [[1e9 * 60, 'min'], [1e9, 's'], [1e6, 'ms'], [1e3, 'µs'], [1, 'ns']],
	microseconds: [[1e6 * 60, 'min'], [1e6, 's'], [1e3, 'ms'], [1, 'µs']],
	milliseconds: [[1e3 * 60, 'min'], [1e3, 's'], [1, 'ms']],
	seconds: [[60, 'min'], [1, 's']],
	bytes: [[2 ** 40, 'TiB'], [2 ** 30, 'GiB'], [2 ** 20, 'MiB'], [2 ** 10, 'KiB'], [1, 'B']],
};
const COUNTS = [[1e9, 'G'], [1e6, 'M'], [1, '']];

function formatValue(value, unit) {
	const steps = UNITS[unit] || COUNTS;
	const size = Math.abs(value);
	const [scale, name] = steps.find(([step]) => size >= step) || steps[steps.length - 1];
	const scaled = value / scale;
	const digits = scale === 1 ? 0 : Math.abs(scaled) >= 100 ? 0 : Math.abs(scaled) >= 10 ? 1 : 2;
	const number = scaled.toLocaleString('en', { maximumFractionDigits: digits });
	const suffix = UNITS[unit] ? name : name + (unit && unit !== 'count' ? ' ' + unit : '');
	return suffix ? `${number} ${suffix.trim()}` : number;
}

function formatShare(share) {
	const percent = 100 * share;
	if (percent === 0) return '0 %';
	if (Math.abs(percent) < 0.01) return '<0.01 %';
	return `${percent.toFixed(Math.abs(percent) < 99.95 ? 2 : 1)} %`;
}

// Points of a percentage: how far two shares are apart.
function formatPoints(difference) {
	const points = 100 * difference;
	return `${points < 0 ? '−' : '+'}${Math.abs(points).toFixed(2)}`;
}

function formatTime(ns) {
	return new Date(ns / 1e6).toLocaleString(undefined,
		{ dateStyle: 'medium', timeStyle: 'medium' });
}

// Element with properties and children; text is always text, never markup.
function element(tag, properties, ...children) {
	const created = Object.assign(document.createElement(tag), properties);
	created.append(...children);
	return created;
}
