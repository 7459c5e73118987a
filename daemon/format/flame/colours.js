// SPDX-License-Identifier: Apache-2.0
// The colour of a frame: its kind gives the hue, its name one of a few shades so that neighbours can
// be told apart. In a difference the colour is the change of the frame's share: red is more, blue less.

// The letters of flame_columns.h: 'a' + 2 * enum frame_type (daemon/profile/profile.h) + is_inlined.
const FRAME_TYPES = ['native', 'kernel', 'JIT', 'interpreter', 'Go', 'mark'];
const MARK = 5;
const INLINED = FRAME_TYPES.length;
const KINDS = [...FRAME_TYPES.slice(0, MARK), 'not code', 'inlined'];
// Hue, saturation, lightness of the light theme, of the dark one.
const KIND_COLOURS = [
	[[35, 84, 66], [30, 58, 33]], // native: amber
	[[6, 72, 71], [4, 46, 43]], // kernel: red
	[[146, 42, 62], [150, 36, 29]], // JIT: green
	[[268, 58, 77], [266, 34, 49]], // interpreter: violet
	[[194, 60, 65], [198, 48, 33]], // Go: cyan
	[[220, 8, 76], [220, 7, 39]], // not code: grey
	[[51, 78, 73], [47, 50, 27]], // inlined: yellow
];
const SHADES = 6;
const CHANGE_STEPS = 24;

function kindOf(letter) {
	const code = letter.charCodeAt(0) - 97;
	return code % 2 && code >> 1 !== MARK ? INLINED : code >> 1;
}

function nameHash(name) {
	let hash = 0x811c9dc5;
	for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193);
	return (hash ^ (hash >>> 15)) >>> 0;
}

// Per frame, an index into the palette.
function frameColours(names, kinds) {
	const colours = new Uint8Array(names.length);
	for (let i = 0; i < names.length; i++)
		colours[i] = kindOf(kinds[i]) * SHADES + (nameHash(names[i]) % SHADES);
	return colours;
}

function kindColour(kind, isDark, shade = (SHADES - 1) / 2) {
	const [hue, saturation, lightness] = KIND_COLOURS[kind][isDark ? 1 : 0];
	const shift = (shade / (SHADES - 1) - 0.5) * 2;
	return `hsl(${hue + 5 * shift} ${saturation}% ${lightness + (isDark ? 3 : 3.5) * shift}%)`;
}

function kindPalette(isDark) {
	return KINDS.flatMap((_, kind) =>
		Array.from({ length: SHADES }, (__, shade) => kindColour(kind, isDark, shade)));
}

// Change in [-1, 1]: -1 is gone, 0 the same share, 1 new.
function relativeChange(share, shareB) {
	return share + shareB > 0 ? (shareB - share) / (shareB + share) : 0;
}

function changeColour(change, isDark) {
	const size = Math.abs(change);
	const hue = change > 0 ? 6 : 214;
	if (isDark) return `hsl(${hue} ${8 + 50 * size}% ${35 + 14 * size}%)`;
	return `hsl(${hue} ${8 + 72 * size}% ${87 - 24 * size}%)`;
}

function changePalette(isDark) {
	return Array.from({ length: 2 * CHANGE_STEPS + 1 }, (_, i) =>
		changeColour(i / CHANGE_STEPS - 1, isDark));
}

// Per node, an index into changePalette().
function changeColours(tree) {
	const colours = new Uint8Array(tree.count);
	for (let i = 0; i < tree.count; i++) {
		const change = relativeChange(Math.max(tree.share(i), 0), Math.max(tree.shareB(i), 0));
		colours[i] = Math.round((change + 1) * CHANGE_STEPS);
	}
	return colours;
}
