// SPDX-License-Identifier: Apache-2.0
// The table of functions: self and total of every distinct frame within what is zoomed into. A
// recursive function counts once for a stack, at its outermost call.

const MAX_ROWS = 200;

function sumFrames(tree, frameCount, root) {
	const { frame, depth, end, self, selfB, total, totalB, isDiff } = tree;
	const sums = { self: new Float64Array(frameCount), total: new Float64Array(frameCount) };
	sums.selfB = isDiff ? new Float64Array(frameCount) : sums.self;
	sums.totalB = isDiff ? new Float64Array(frameCount) : sums.total;
	const active = new Int32Array(frameCount);
	const path = []; // frames from the root's level to the node
	for (let i = root; i < end[root]; i++) {
		const level = depth[i] - depth[root];
		while (path.length > level) active[path.pop()]--;
		const f = frame[i];
		path.push(f);
		sums.self[f] += self[i];
		if (isDiff) sums.selfB[f] += selfB[i];
		if (active[f]++) continue;
		sums.total[f] += total[i];
		if (isDiff) sums.totalB[f] += totalB[i];
	}
	return sums;
}

class Table {
	// onPick(name) is called when a person picks a function.
	constructor(onPick) {
		this.onPick = onPick;
		this.columns = document.getElementById('columns');
		this.rows = document.getElementById('rows');
		this.note = document.getElementById('table-note');
		this.sortKey = 'self';
		this.isAscending = false;
		this.rows.addEventListener('click', (event) => {
			const row = event.target.closest('tr');
			if (row) this.onPick(this.names[Number(row.dataset.frame)]);
		});
	}

	show(tree, names, unit, root, matched) {
		Object.assign(this, { tree, names, unit, matched });
		if (tree.isDiff && (this.sortKey === 'self' || this.sortKey === 'total'))
			this.sortKey = 'change';
		this.sums = sumFrames(tree, names.length, root);
		this.whole = tree.total[root] || 1;
		this.wholeB = tree.totalB[root] || 1;
		this.showColumns();
		this.showRows();
	}

	// Key, heading, value to sort by.
	definitions() {
		const { sums, whole, wholeB } = this;
		const share = (f) => sums.total[f] / whole;
		const shareB = (f) => sums.totalB[f] / wholeB;
		const name = ['name', 'Function', (f) => this.names[f]];
		if (this.tree.isDiff)
			return [['before', 'A', share], ['after', 'B', shareB],
				['change', 'Change', (f) => shareB(f) - share(f)], name];
		return [['self', 'Self', (f) => sums.self[f]], ['total', 'Total', (f) => sums.total[f]], name];
	}

	showColumns() {
		this.columns.replaceChildren(...this.definitions().map(([key, heading]) => {
			const isSorted = key === this.sortKey;
			const button = element('button', { type: 'button', textContent: heading });
			button.addEventListener('click', () => this.sortBy(key));
			const cell = element('th', { scope: 'col', className: key }, button);
			cell.setAttribute('aria-sort',
				!isSorted ? 'none' : this.isAscending ? 'ascending' : 'descending');
			return cell;
		}));
	}

	sortBy(key) {
		this.isAscending = key === this.sortKey ? !this.isAscending : key === 'name';
		this.sortKey = key;
		this.showColumns();
		this.showRows();
		this.columns.querySelector(`.${key} button`).focus();
	}

	sortedFrames() {
		const [, , valueOf] = this.definitions().find(([key]) => key === this.sortKey);
		const { total, totalB } = this.sums;
		const frames = [];
		for (let f = 0; f < this.names.length; f++)
			if (f !== this.tree.frame[0] && (total[f] || totalB[f]) &&
				(!this.matched || this.matched[f])) frames.push(f);
		if (this.sortKey === 'name') {
			const order = new Intl.Collator('en').compare;
			frames.sort((a, b) => order(valueOf(a), valueOf(b)));
		} else if (this.sortKey === 'change')
			frames.sort((a, b) => Math.abs(valueOf(a)) - Math.abs(valueOf(b)));
		else
			frames.sort((a, b) => valueOf(a) - valueOf(b) || total[a] - total[b]);
		return this.isAscending ? frames : frames.reverse();
	}

	showRows() {
		const frames = this.sortedFrames();
		const shown = frames.slice(0, MAX_ROWS);
		this.rows.replaceChildren(...shown.map((f) => this.row(f)));
		this.note.textContent = frames.length > shown.length
			? `${shown.length} of ${frames.length} functions; search to narrow them down`
			: `${frames.length} function${frames.length === 1 ? '' : 's'}`;
	}

	row(f) {
		const cells = this.tree.isDiff ? this.changeCells(f) : this.valueCells(f);
		const name = element('button',
			{ type: 'button', textContent: this.names[f], title: this.names[f] });
		const row = element('tr', {}, ...cells, element('td', { className: 'name' }, name));
		row.dataset.frame = f;
		return row;
	}

	valueCells(f) {
		return [this.sums.self[f], this.sums.total[f]].map((value) => {
			const cell = element('td', { className: 'value', title: formatValue(value, this.unit) },
				formatShare(value / this.whole));
			cell.style.setProperty('--share', `${Math.max(0, 100 * value / this.whole)}%`);
			return cell;
		});
	}

	changeCells(f) {
		const share = this.sums.total[f] / this.whole;
		const shareB = this.sums.totalB[f] / this.wholeB;
		const change = element('td',
			{ className: shareB > share ? 'more' : shareB < share ? 'less' : 'same' },
			formatPoints(shareB - share));
		return [element('td', {}, formatShare(share)), element('td', {}, formatShare(shareB)), change];
	}
}
