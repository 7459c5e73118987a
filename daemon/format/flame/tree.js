// SPDX-License-Identifier: Apache-2.0
// The call tree in typed arrays, nodes in preorder: the subtree of node i is [i, end[i]), so drawing
// and searching skip it by one assignment. The data's format: daemon/format/flame_columns.h.

function readBase64(text) {
	const binary = atob(text);
	const bytes = new Uint8Array(binary.length);
	for (let i = 0; i < bytes.length; i++) bytes[i] = binary.charCodeAt(i);
	return bytes;
}

// Calls add(value) for each LEB128 integer. Sums of products, not shifts: values are 64-bit.
function readVarints(text, add) {
	const bytes = readBase64(text);
	for (let at = 0; at < bytes.length;) {
		let value = 0;
		let scale = 1;
		for (; bytes[at] >= 128; scale *= 128) value += (bytes[at++] - 128) * scale;
		add(value + bytes[at++] * scale);
	}
}

function readFrames(text) {
	const bytes = readBase64(text);
	let count = 0;
	for (let i = 0; i < bytes.length; i++) count += bytes[i] < 128;
	const frames = new Int32Array(count);
	for (let at = 0, i = 0; i < count; i++) {
		let frame = 0;
		for (let shift = 0; ; shift += 7) {
			frame |= (bytes[at] & 127) << shift;
			if (bytes[at++] < 128) break;
		}
		frames[i] = frame;
	}
	return frames;
}

// Pairs of how many zeros come first and a value, into values, which are zeros before.
function readSparse(text, values) {
	let at = 0;
	let isValue = false;
	readVarints(text, (value) => {
		if (isValue) values[at++] = value;
		else at += value;
		isValue = !isValue;
	});
	return values;
}

function readSigned(text, count) {
	const values = readSparse(text, new Float64Array(count));
	for (let i = 0; i < count; i++)
		if (values[i]) values[i] = values[i] % 2 ? -(values[i] + 1) / 2 : values[i] / 2;
	return values;
}

class Tree {
	constructor(count, isDiff) {
		this.count = count;
		this.isDiff = isDiff;
		this.frame = new Int32Array(count);
		this.parent = new Int32Array(count);
		this.depth = new Int32Array(count);
		this.end = new Int32Array(count);
		this.self = new Float64Array(count);
		this.total = new Float64Array(count);
		this.selfB = isDiff ? new Float64Array(count) : this.self;
		this.totalB = isDiff ? new Float64Array(count) : this.total;
		this.start = new Float64Array(count); // where the node begins, in [0, 1)
		this.width = new Float64Array(count); // share of the whole
		this.maxDepth = 0;
	}

	static read(view, isDiff) {
		const frame = readFrames(view.frame);
		const tree = new Tree(frame.length, isDiff);
		const up = readSparse(view.up, new Int32Array(tree.count));
		tree.frame = frame;
		tree.self = readSigned(view.self, tree.count);
		tree.selfB = isDiff ? readSigned(view.self_b, tree.count) : tree.self;
		tree.parent[0] = -1;
		for (let i = 1; i < tree.count; i++) {
			let parent = i - 1;
			for (let k = up[i]; k > 0; k--) parent = tree.parent[parent];
			tree.parent[i] = parent;
			tree.depth[i] = tree.depth[parent] + 1;
		}
		tree.finish();
		return tree;
	}

	// Totals, ends and places, once frame, parent, depth and self are there.
	finish() {
		const { count, parent, end, self, selfB, total, totalB, isDiff } = this;
		total.set(self);
		if (isDiff) totalB.set(selfB);
		for (let i = count - 1; i >= 0; i--) {
			if (end[i] === 0) end[i] = i + 1;
			if (this.depth[i] > this.maxDepth) this.maxDepth = this.depth[i];
			if (i === 0) break;
			const p = parent[i];
			total[p] += total[i];
			if (isDiff) totalB[p] += totalB[i];
			if (end[p] < end[i]) end[p] = end[i];
		}
		this.place();
	}

	// Widths are shares; in a difference the mean of both profiles' shares, so that what only one
	// of them has is seen. A negative value, as differences of heaps have, takes no room.
	place() {
		const { count, parent, self, selfB, start, width, isDiff } = this;
		let sum = 0;
		let sumB = 0;
		for (let i = 0; i < count; i++) {
			if (self[i] > 0) sum += self[i];
			if (isDiff && selfB[i] > 0) sumB += selfB[i];
		}
		const scale = (isDiff && sumB ? 0.5 : 1) / (sum || 1);
		const scaleB = isDiff ? (sum ? 0.5 : 1) / (sumB || 1) : 0;
		for (let i = count - 1; i >= 0; i--) {
			if (self[i] > 0) width[i] += self[i] * scale;
			if (isDiff && selfB[i] > 0) width[i] += selfB[i] * scaleB;
			if (i > 0) width[parent[i]] += width[i];
		}
		const cursor = new Float64Array(count);
		for (let i = 1; i < count; i++) {
			const p = parent[i];
			start[i] = start[p] + cursor[p];
			cursor[p] += width[i];
		}
	}

	// The shares of a node of both whole profiles.
	share(node) {
		return this.total[0] ? this.total[node] / this.total[0] : 0;
	}

	shareB(node) {
		return this.totalB[0] ? this.totalB[node] / this.totalB[0] : 0;
	}

	contains(ancestor, node) {
		return node >= ancestor && node < this.end[ancestor];
	}
}

// Interns (parent, frame) -> node while a tree grows: open addressing, linear probing.
class Steps {
	constructor() {
		this.parent = [];
		this.frame = [];
		this.grow(1 << 16);
	}

	grow(capacity) {
		this.mask = capacity - 1;
		this.slots = new Int32Array(capacity);
		for (let node = 1; node < this.frame.length; node++)
			this.slots[this.find(this.parent[node], this.frame[node])] = node;
	}

	find(parent, frame) {
		let slot = Math.imul(Math.imul(parent, 0x9e3779b1) ^ frame, 0x85ebca6b);
		slot = (slot ^ (slot >>> 15)) & this.mask;
		for (let node; (node = this.slots[slot]) !== 0; slot = (slot + 1) & this.mask)
			if (this.parent[node] === parent && this.frame[node] === frame) break;
		return slot;
	}

	add(parent, frame) {
		const slot = this.find(parent, frame);
		if (this.slots[slot]) return this.slots[slot];
		const node = this.frame.push(frame) - 1;
		this.parent.push(parent);
		this.slots[slot] = node;
		if (node * 2 > this.mask) this.grow(2 * (this.mask + 1));
		return node;
	}
}

// The same samples from their leaves: below the root every function that ran, below it its callers.
// rank[frame] orders siblings.
function invertTree(tree, rank) {
	const steps = new Steps();
	steps.frame.push(tree.frame[0]);
	steps.parent.push(-1);
	const leafOf = new Int32Array(tree.count);
	for (let i = 1; i < tree.count; i++) {
		if (!tree.self[i] && !tree.selfB[i]) continue;
		let node = 0;
		for (let k = i; k > 0; k = tree.parent[k]) node = steps.add(node, tree.frame[k]);
		leafOf[i] = node;
	}
	return orderTree(tree, steps, leafOf, rank);
}

// Lays the interned nodes out in preorder, siblings by rank.
function orderTree(tree, steps, leafOf, rank) {
	const count = steps.frame.length;
	const firstChild = new Int32Array(count);
	const nextSibling = new Int32Array(count);
	for (const node of nodesByRankDescending(steps.frame, rank)) {
		if (node === 0) continue;
		nextSibling[node] = firstChild[steps.parent[node]];
		firstChild[steps.parent[node]] = node;
	}
	const inverted = new Tree(count, tree.isDiff);
	const place = new Int32Array(count);
	inverted.parent[0] = -1;
	inverted.frame[0] = steps.frame[0];
	for (let node = 0, at = 0; ;) {
		place[node] = at;
		inverted.frame[at] = steps.frame[node];
		if (at > 0) {
			inverted.parent[at] = place[steps.parent[node]];
			inverted.depth[at] = inverted.depth[inverted.parent[at]] + 1;
		}
		at++;
		if (firstChild[node]) {
			node = firstChild[node];
			continue;
		}
		while (node > 0 && !nextSibling[node]) node = steps.parent[node];
		if (node <= 0) break;
		node = nextSibling[node];
	}
	for (let i = 0; i < tree.count; i++) {
		inverted.self[place[leafOf[i]]] += tree.self[i];
		if (tree.isDiff) inverted.selfB[place[leafOf[i]]] += tree.selfB[i];
	}
	inverted.finish();
	return inverted;
}

// A counting sort: as many ranks as frames.
function nodesByRankDescending(frames, rank) {
	const offsets = new Int32Array(rank.length + 1);
	for (const frame of frames) offsets[rank.length - 1 - rank[frame] + 1]++;
	for (let i = 0; i < rank.length; i++) offsets[i + 1] += offsets[i];
	const sorted = new Int32Array(frames.length);
	for (let node = 0; node < frames.length; node++)
		sorted[offsets[rank.length - 1 - rank[frames[node]]]++] = node;
	return sorted;
}
