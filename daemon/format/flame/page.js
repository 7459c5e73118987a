// SPDX-License-Identifier: Apache-2.0
// The page: its state (view, tree, zoom, search, theme), and what people do to it.

const byId = (id) => document.getElementById(id);
let profile = null; // what is drawn: title, times, comments and views
let isDiff = false;
const chart = new Chart(byId('chart'), byId('extent'), byId('canvas'));
const table = new Table((name) => search(name));

const LEAST_SEEN = 3; // pixels

let view = null; // of profile.views, with what is derived from it
let history = []; // of zooms, the latest last
let matchNodes = []; // topmost matches of the whole tree, widest first
let matchAt = -1;
let query = '';
let searchMilliseconds = 0;

function setProfile(data) {
	profile = data;
	isDiff = data.is_diff;
}

function prepareView(index) {
	const data = profile.views[index];
	if (!data.tree) {
		data.tree = Tree.read(data, isDiff);
		data.colours = frameColours(data.frames, data.kinds);
		data.lowerNames = data.frames.map((name) => name.toLowerCase());
		for (const column of ['frame', 'up', 'self', 'self_b']) delete data[column];
	}
	return data;
}

function invertedTree(data) {
	if (!data.inverted) {
		const order = data.frames.map((_, f) => f)
			.sort((a, b) => (data.frames[a] < data.frames[b] ? -1 : 1));
		const rank = new Int32Array(order.length);
		order.forEach((f, position) => { rank[f] = position; });
		data.inverted = invertTree(data.tree, rank);
	}
	return data.inverted;
}

function isPressed(id) {
	return byId(id).getAttribute('aria-pressed') === 'true';
}

function press(id, isOn) {
	byId(id).setAttribute('aria-pressed', String(isOn));
}

function showView(index) {
	view = prepareView(index);
	const tree = isPressed('invert') ? invertedTree(view) : view.tree;
	history = [];
	chart.setTree(tree, view.frames, isDiff ? changeColours(tree) : view.colours);
	showLegend();
	search(query, false);
	showZoom();
}

function zoom(node) {
	if (node < 0 || node === chart.zoomed) return;
	history.push(chart.zoomed);
	applyZoom(node);
}

function zoomBack() {
	if (history.length) applyZoom(history.pop());
}

function applyZoom(node) {
	chart.setZoom(node);
	chart.selected = node;
	hideTooltip();
	showZoom();
	showStatus();
}

// The path to what is zoomed into, and what depends on it.
function showZoom() {
	const { tree, zoomed } = chart;
	const path = [];
	for (let node = zoomed; node >= 0; node = tree.parent[node]) path.unshift(node);
	const shown = path.length > 9 ? [path[0], -1, ...path.slice(-7)] : path;
	byId('crumbs').replaceChildren(...shown.map((node) => {
		if (node < 0) return element('li', { className: 'skipped', textContent: '…' });
		const button = element('button', { type: 'button', textContent: nameOf(node), title: nameOf(node) });
		if (node === zoomed) button.setAttribute('aria-current', 'true');
		button.addEventListener('click', () => zoom(node));
		return element('li', {}, button);
	}));
	byId('reset').hidden = zoomed === 0;
	byId('crumbs').parentElement.hidden = zoomed === 0;
	chart.resize();
	chart.draw();
	showMatches();
	showTableSoon();
}

let tableTimer = 0;

// After the frame: the table is not what a person waits for.
function showTableSoon() {
	clearTimeout(tableTimer);
	if (!byId('panel').hidden) tableTimer = setTimeout(showTable, 60);
}

function showTable() {
	// Callers merged from the leaves have no self values of their own: the table stays the whole's.
	const root = isInverted() ? 0 : chart.zoomed;
	byId('panel-scope').textContent = root ? `in ${nameOf(root)}` : '';
	table.show(view.tree, view.frames, view.unit, root, chart.matched);
}

function nameOf(node) {
	return view.frames[chart.tree.frame[node]];
}

// A pattern that has capitals means them.
function matcher(text) {
	const hasCapitals = text !== text.toLowerCase();
	if (isPressed('regex')) {
		const pattern = new RegExp(text, hasCapitals ? '' : 'i');
		return (f) => pattern.test(view.frames[f]);
	}
	const names = hasCapitals ? view.frames : view.lowerNames;
	return (f) => names[f].includes(text);
}

// Every distinct frame is tried once.
function matchFrames(text) {
	const matches = matcher(text);
	const matched = new Uint8Array(view.frames.length);
	for (let f = 0; f < matched.length; f++) matched[f] = matches(f) ? 1 : 0;
	matched[chart.tree.frame[0]] = 0;
	return matched;
}

function search(text, isTyped = true) {
	const began = performance.now();
	query = text;
	if (byId('query').value !== text) byId('query').value = text;
	let error = '';
	chart.matched = null;
	try {
		if (text) chart.matched = matchFrames(text);
	} catch (problem) {
		error = problem.message;
	}
	byId('query').setAttribute('aria-invalid', String(Boolean(error)));
	byId('query').title = error || 'Search  ( / )';
	findMatches();
	showMatches();
	chart.draw();
	if (isTyped) showTableSoon();
	searchMilliseconds = performance.now() - began;
}

// Calls visit(node) for the topmost matches within a subtree.
function visitMatches(root, visit) {
	const { tree, matched } = chart;
	if (matched) for (let i = root; i < tree.end[root];) {
		if (matched[tree.frame[i]]) {
			visit(i);
			i = tree.end[i];
		} else i++;
	}
}

function findMatches() {
	const { width } = chart.tree;
	matchNodes = [];
	matchAt = -1;
	visitMatches(0, (node) => matchNodes.push(node));
	matchNodes.sort((a, b) => width[b] - width[a]);
	byId('previous').disabled = byId('next').disabled = !matchNodes.length;
}

// The matches' part of what is zoomed into.
function showMatches() {
	const { tree, zoomed, matched } = chart;
	let width = 0;
	visitMatches(zoomed, (node) => { width += tree.width[node]; });
	const isInvalid = byId('query').getAttribute('aria-invalid') === 'true';
	byId('matches').textContent = isInvalid ? 'not a pattern'
		: !matched ? '' : formatShare(tree.width[zoomed] ? width / tree.width[zoomed] : 0);
}

function goToMatch(step) {
	if (!matchNodes.length) return;
	const count = matchNodes.length;
	matchAt = matchAt < 0 && step < 0 ? count - 1 : (matchAt + step + count) % count;
	reveal(matchNodes[matchAt]);
	showStatus(`match ${matchAt + 1} of ${count}`);
}

// Selects a node, zooming to the farthest ancestor within which it can be seen, if need be.
function reveal(node) {
	const { tree } = chart;
	if (chart.span(node)[1] < LEAST_SEEN) {
		let root = node;
		const widest = (tree.width[node] * chart.width) / LEAST_SEEN;
		while (root > 0 && tree.width[tree.parent[root]] <= widest) root = tree.parent[root];
		zoom(root);
	}
	select(node);
}

function select(node) {
	if (node < 0) return;
	chart.selected = node;
	chart.showDepth(chart.tree.depth[node]);
	chart.draw();
	showStatus();
}

function isInverted() {
	return chart.tree !== view.tree;
}

function describe(node) {
	const { tree, zoomed } = chart;
	const value = (amount, whole) =>
		`${formatValue(amount, view.unit)} (${formatShare(whole ? amount / whole : 0)})`;
	const facts = [];
	if (isDiff) {
		facts.push(['A', value(tree.total[node], tree.total[0])],
			['B', value(tree.totalB[node], tree.totalB[0])],
			['change', `${formatPoints(tree.shareB(node) - tree.share(node))} points`]);
		if (!isInverted()) facts.push(['self A', value(tree.self[node], tree.total[0])],
			['self B', value(tree.selfB[node], tree.totalB[0])]);
		return facts;
	}
	facts.push(['total', value(tree.total[node], tree.total[0])]);
	if (!isInverted()) facts.push(['self', value(tree.self[node], tree.total[0])]);
	if (zoomed && node !== zoomed && tree.contains(zoomed, node))
		facts.push(['of view', formatShare(tree.width[node] / tree.width[zoomed])]);
	return facts;
}

function kindName(node) {
	return node === 0 ? '' : KINDS[kindOf(view.kinds[chart.tree.frame[node]])];
}

function showStatus(prefix = '') {
	const node = chart.selected;
	const facts = describe(node).map(([key, value]) => `${key} ${value}`);
	byId('status').textContent = [prefix, nameOf(node), ...facts].filter(Boolean).join(' · ');
}

function showTooltip(node, x, y) {
	const tooltip = byId('tooltip');
	const facts = describe(node).flatMap(([key, value]) =>
		[element('dt', { textContent: key }), element('dd', { textContent: value })]);
	tooltip.replaceChildren(element('strong', { textContent: nameOf(node) }),
		element('span', { className: 'kind', textContent: kindName(node) }), element('dl', {}, ...facts));
	tooltip.hidden = false;
	const { offsetWidth, offsetHeight } = tooltip;
	const left = Math.min(x + 14, window.innerWidth - offsetWidth - 8);
	const isBelow = y + 18 + offsetHeight < window.innerHeight;
	tooltip.style.left = `${Math.max(8, left)}px`;
	tooltip.style.top = `${Math.max(8, isBelow ? y + 18 : y - offsetHeight - 10)}px`;
}

function hideTooltip() {
	byId('tooltip').hidden = true;
	chart.hovered = -1;
}
