// SPDX-License-Identifier: Apache-2.0
// Mouse, touch, keyboard, buttons; the heading and the legend; and how a page starts.

function showHeading() {
	const title = profile.title || (isDiff ? 'Difference' : 'Flame graph');
	document.title = isDiff && profile.name_a ? `${profile.name_a} → ${profile.name_b}` : title;
	byId('title').textContent = title;
	const facts = [];
	if (isDiff) facts.push(`A: ${profile.name_a || 'first'}   →   B: ${profile.name_b || 'second'}`);
	if (profile.host) facts.push(profile.host);
	if (profile.time_ns) facts.push(formatTime(profile.time_ns));
	if (profile.duration_ns) facts.push(formatValue(profile.duration_ns, 'nanoseconds'));
	const totals = isDiff ? [view.tree.total[0], view.tree.totalB[0]] : [view.tree.total[0]];
	facts.push(`${totals.map((total) => formatValue(total, view.unit)).join('   →   ')} ${view.type || ''}`.trim());
	if (!totals.some((total) => total)) facts.push('nothing to draw');
	const below = view.tree.self.reduce((sum, value) => sum + Math.min(value, 0), 0);
	if (below < 0 && !isDiff) facts.push(`${formatValue(below, view.unit)} of it below zero: not drawn`);
	byId('facts').textContent = facts.join('  ·  ');
	byId('comments').replaceChildren(
		...profile.comments.map((line) => element('p', { textContent: line })));
	byId('recording').hidden = !profile.comments.length;
	byId('version').textContent = `Written by Bolometer ${profile.version}`;
}

function swatch(colour, text) {
	const mark = element('span', { className: 'swatch' });
	mark.style.background = colour;
	return element('li', {}, mark, text);
}

// Per kind that occurs the part of the samples that ran in it; marks do not run, and count for the
// stacks they are in, wherever they are in them; the groups at the root are none.
function kindParts(tree) {
	const parts = new Array(KINDS.length);
	const isMarked = new Uint8Array(tree.count);
	for (let i = 1; i < tree.count; i++) {
		const kind = kindOf(view.kinds[tree.frame[i]]);
		const wasMarked = isMarked[tree.parent[i]];
		if (tree.depth[i] <= profile.group_levels) {
			if (tree.self[i]) parts[MARK] = (parts[MARK] || 0) + tree.self[i] / (tree.total[0] || 1);
			continue;
		}
		isMarked[i] = wasMarked || kind === MARK ? 1 : 0;
		const value = kind !== MARK ? tree.self[i] : wasMarked ? 0 : tree.total[i];
		parts[kind] = (parts[kind] || 0) + value / (tree.total[0] || 1);
	}
	return parts;
}

// The kinds that occur, each with its part of the samples, or the scale of changes.
function showLegend() {
	const isDark = isDarkTheme();
	const legend = byId('legend');
	if (isDiff) {
		const scale = element('span', { className: 'scale' });
		scale.style.background = `linear-gradient(to right, ${[-1, -0.5, 0, 0.5, 1]
			.map((change) => changeColour(change, isDark)).join(', ')})`;
		legend.replaceChildren(element('li', {}, 'only in A ', scale, ' only in B'),
			element('li', { textContent: 'shares of each profile; widths are their mean' }));
		return;
	}
	const parts = kindParts(view.tree);
	legend.replaceChildren(...[...KINDS.keys()].filter((kind) => parts[kind] !== undefined)
		.map((kind) => swatch(kindColour(kind, isDark),
			`${KINDS[kind]} ${formatShare(parts[kind])}`)));
	legend.title = 'Part of the samples that ran in frames of this kind; of marks, that have one';
}

function isDarkTheme() {
	const chosen = document.documentElement.dataset.theme;
	return chosen ? chosen === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
}

function applyTheme() {
	const style = getComputedStyle(document.documentElement);
	const colour = (name) => style.getPropertyValue(`--${name}`).trim();
	chart.theme = { background: colour('background'), root: colour('root'), match: colour('match'),
		matchText: colour('match-text'), frameText: colour('frame-text'), hover: colour('hover'),
		selection: colour('selection') };
	chart.palette = isDiff ? changePalette(isDarkTheme()) : kindPalette(isDarkTheme());
	chart.draw();
}

function switchTheme() {
	const theme = isDarkTheme() ? 'light' : 'dark';
	document.documentElement.dataset.theme = theme;
	try {
		localStorage.setItem('bolometer-theme', theme);
	} catch { /* a page without storage forgets */ }
	applyTheme();
	showLegend();
}

function restoreTheme() {
	try {
		const theme = localStorage.getItem('bolometer-theme');
		if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
	} catch { /* a page without storage follows the system */ }
}

function togglePanel() {
	const panel = byId('panel');
	panel.hidden = !panel.hidden;
	press('functions', !panel.hidden);
	showTableSoon();
	chart.resize();
	chart.draw();
}

function toggleReverse() {
	press('reverse', !chart.isIcicle);
	chart.setIcicle(!chart.isIcicle);
}

function toggleInvert() {
	press('invert', !isPressed('invert'));
	showView(profile.views.indexOf(view));
}

function toggleHelp() {
	const help = byId('help');
	if (help.open) help.close();
	else help.showModal();
}

function escape() {
	if (query) {
		search('');
		showStatus();
	} else if (chart.zoomed) zoom(0);
	byId('chart').focus({ preventScroll: true });
}

// To the widest child, the parent, or the neighbour on the same level.
function move(direction) {
	const { tree, selected, zoomed } = chart;
	const up = chart.isIcicle ? 'ArrowDown' : 'ArrowUp';
	if (direction === 'ArrowLeft' || direction === 'ArrowRight') {
		select(neighbour(tree, selected, direction === 'ArrowRight'));
	} else if (direction !== up) {
		select(tree.parent[selected]);
	} else if (tree.contains(selected, zoomed) && selected !== zoomed) {
		let node = zoomed;
		while (tree.parent[node] !== selected) node = tree.parent[node];
		select(node);
	} else {
		let widest = -1;
		for (let i = selected + 1; i < tree.end[selected]; i = tree.end[i])
			if (widest < 0 || tree.width[i] > tree.width[widest]) widest = i;
		select(widest);
	}
}

// The next node of the same depth within the zoom, or -1.
function neighbour(tree, node, isRight) {
	const level = tree.depth[node];
	if (isRight) {
		for (let i = tree.end[node]; i < tree.end[chart.zoomed]; i++)
			if (tree.depth[i] === level) return i;
	} else {
		for (let i = node - 1; i > chart.zoomed; i--)
			if (tree.depth[i] === level) return i;
	}
	return -1;
}

const KEYS = {
	'/': () => { byId('query').focus(); byId('query').select(); },
	n: () => goToMatch(1),
	N: () => goToMatch(-1),
	i: toggleInvert,
	r: toggleReverse,
	t: togglePanel,
	d: switchTheme,
	'?': toggleHelp,
	Escape: escape,
	Backspace: zoomBack,
};

function onKey(event) {
	if (event.ctrlKey || event.metaKey || event.altKey || byId('help').open) return;
	const isTyping = event.target.matches('input, select');
	if (isTyping) {
		if (event.key === 'Escape') escape();
		else if (event.key === 'Enter' && event.target === byId('query'))
			goToMatch(event.shiftKey ? -1 : 1);
		return;
	}
	const inChart = event.target === document.body || event.target === byId('chart');
	if (KEYS[event.key]) KEYS[event.key]();
	else if (inChart && event.key.startsWith('Arrow')) move(event.key);
	else if (inChart && event.key === 'Enter') zoom(chart.selected);
	else return;
	event.preventDefault();
}

function placeInChart(event) {
	const box = chart.scroller.getBoundingClientRect();
	return chart.nodeAt(event.clientX - box.left, event.clientY - box.top);
}

function onHover(event) {
	const node = placeInChart(event);
	if (node < 0) hideTooltip();
	else showTooltip(node, event.clientX, event.clientY);
	if (node !== chart.hovered || node < 0) {
		chart.hovered = node;
		chart.draw();
	}
	chart.scroller.style.cursor = node < 0 ? 'default' : 'pointer';
}

function listen() {
	const on = (id, type, action) => byId(id).addEventListener(type, action);
	on('chart', 'click', (event) => zoom(placeInChart(event)));
	on('chart', 'mousemove', onHover);
	on('chart', 'mouseleave', () => { hideTooltip(); chart.draw(); });
	on('chart', 'scroll', () => { hideTooltip(); chart.draw(); });
	on('chart', 'focus', () => chart.draw());
	on('chart', 'blur', () => chart.draw());
	on('query', 'input', () => search(byId('query').value));
	on('regex', 'click', () => { press('regex', !isPressed('regex')); search(query); });
	on('next', 'click', () => goToMatch(1));
	on('previous', 'click', () => goToMatch(-1));
	on('invert', 'click', toggleInvert);
	on('reverse', 'click', toggleReverse);
	on('functions', 'click', togglePanel);
	on('theme', 'click', switchTheme);
	on('help-button', 'click', toggleHelp);
	on('reset', 'click', () => zoom(0));
	on('view', 'change', () => { showView(Number(byId('view').value)); showHeading(); });
	document.addEventListener('keydown', onKey);
	matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
		applyTheme();
		showLegend();
	});
	// It is told after the frame's callbacks: what is not drawn here and now is seen empty, as black.
	new ResizeObserver(() => { chart.resize(); chart.drawNow(); }).observe(byId('chart'));
}

function start() {
	restoreTheme();
	applyTheme();
	byId('view').replaceChildren(...profile.views.map((data, index) =>
		element('option', { value: index,
			textContent: `${data.type || 'value'} (${data.unit || 'count'})` })));
	byId('view').value = profile.first_view;
	byId('view-field').hidden = profile.views.length < 2;
	showView(profile.first_view);
	showHeading();
	showStatus();
	listen();
	if (window.innerWidth >= 1200) togglePanel();
	chart.drawNow();
	byId('chart').focus({ preventScroll: true });
}
