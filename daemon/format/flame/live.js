// SPDX-License-Identifier: Apache-2.0
// The daemon's page: asks where it came from for the state, and for the flame graph of each interval.
// Zoom, selection, search and order stay what they are when the picture changes.

const POLL_MILLISECONDS = 2000;
const HIDDEN_MILLISECONDS = 15000; // nobody looks
const SECTION_ROWS = 100;

let shownInterval = 0;
let isStarted = false;
let isFrozen = false;

async function ask(path) {
	const answer = await fetch(location.origin + path, { cache: 'no-store' });
	if (!answer.ok) throw new Error(`${path}: ${answer.status} ${(await answer.text()).trim()}`);
	return answer.json();
}

// ---- State

function percent(part, whole) {
	return formatShare(whole > 0 ? part / whole : 0);
}

function formatCount(value) {
	return value.toLocaleString('en');
}

function figure(name, value, isBad = false) {
	return element('div', { className: isBad ? 'bad' : '' },
		element('dt', { textContent: name }), element('dd', { textContent: value }));
}

function isFailing(exporter) {
	return !exporter.running || exporter.failures_in_a_row > 0 || exporter.refusals_in_a_row > 0;
}

function describeSampling(sampling) {
	if (!sampling.on) return 'off';
	const isLower = sampling.frequency_hz !== sampling.configured_frequency_hz;
	return `on, ${sampling.frequency_hz} Hz${isLower ? ` of ${sampling.configured_frequency_hz}` : ''}`;
}

function budgetFigures(budget) {
	if (!budget) return [];
	return [figure('Budget', `${formatShare(budget.minute_cost_ratio)} of ${formatShare(budget.cpu_ratio)} of all CPUs`,
		budget.infeasible),
	figure('Rate', budget.frequency_limit_reason)];
}

function showFigures(status) {
	const { sampling, cost, last_interval: interval, exporters, budget } = status;
	const failing = exporters.filter(isFailing);
	byId('figures').replaceChildren(
		figure('Sampling', describeSampling(sampling), !sampling.on),
		...budgetFigures(budget),
		figure('Interval', formatValue(sampling.interval_seconds, 'seconds')),
		figure('Samples a second', interval.samples_per_second === null ? '–'
			: formatCount(Math.round(interval.samples_per_second))),
		figure('Lost', percent(interval.lost, interval.lost + interval.samples), interval.lost > 0),
		figure('Busy', `${(interval.captured_seconds / (interval.seconds || 1)).toFixed(2)} of ${cost.cpus} CPUs`),
		figure('Own cost', `${formatShare(interval.own_cpus)} of a CPU, kernel ${formatShare(interval.bpf_cpus)}`),
		figure('Memory', `${formatValue(cost.memory_bytes, 'bytes')} + ${formatValue(cost.bpf_map_bytes, 'bytes')} maps`),
		figure('Processes', formatCount(sampling.processes)),
		figure('Exporters', !exporters.length ? 'none' : failing.length
			? `${failing.length} of ${exporters.length} failing` : `${exporters.length}, all sending`,
		failing.length > 0));
}

function cell(text, className = '') {
	return element('td', { textContent: text, title: text, className });
}

function fillRows(section, rows) {
	document.querySelector(`#${section} tbody`).replaceChildren(
		...rows.map((cells) => element('tr', {}, ...cells)));
}

function showProcesses(processes, total) {
	byId('processes').hidden = !processes;
	fillRows('processes', (processes || []).slice(0, SECTION_ROWS).map((process) => [
		cell(percent(process.value, total)), cell(process.pid || ''),
		cell(process.name || '(kernel)', 'text'), cell((process.container || '').slice(0, 12), 'text'),
	]));
}

function showLosses(status) {
	const { counters, stack_ends: ends, losses, sampling } = status;
	const samples = sampling.samples;
	const whole = ['complete', 'exiting', 'starting a program'];
	const rows = [['samples lost', losses.samples, percent(losses.samples, losses.samples + samples)],
		['ticks in which nothing could run', counters.missed, percent(counters.missed, counters.ticks)],
		['frames without a name', sampling.frames_unnamed,
			percent(sampling.frames_unnamed, sampling.frames)]];
	for (const [name, count] of Object.entries(ends))
		if (!whole.includes(name)) rows.push([`stack: ${name}`, count, percent(count, samples)]);
	for (const [name, count] of Object.entries(losses))
		if (name !== 'samples') rows.push([name.replaceAll('_', ' '), count, '']);
	fillRows('losses', rows.map(([name, count, share]) =>
		[cell(name, 'text'), cell(formatCount(count)), cell(share)]));
}

function describeExporter(exporter) {
	if (!exporter.running) return 'not running, see the log';
	const state = exporter.failures_in_a_row
		? `failing (${formatCount(exporter.failures_in_a_row)} in a row)` : exporter.refusals_in_a_row
			? `refused (${formatCount(exporter.refusals_in_a_row)} in a row)` : 'sending';
	return `${state}: ${formatCount(exporter.samples_sent)} samples sent, ` +
		`${formatCount(exporter.samples_waiting)} waiting, ${formatCount(exporter.samples_dropped)} dropped`;
}

function showExporters(exporters) {
	document.querySelector('#exporters ul').replaceChildren(...(exporters.length ? exporters : [null])
		.map((exporter) => {
			if (!exporter)
				return element('li', { textContent: 'none: profiles are made and thrown away' });
			const item = element('li', {}, element('strong', { textContent: exporter.name }),
				` (${exporter.type})`, element('small',
					{ textContent: describeExporter(exporter), className: isFailing(exporter) ? 'bad' : '' }));
			if (exporter.last_error)
				item.append(element('small', { textContent: `last error: ${exporter.last_error}` }));
			return item;
		}));
}

// ---- The flame graph

// The node at the end of a path of names, or as far as it goes.
function followPath(names) {
	let at = 0;
	for (const name of names.slice(1)) {
		const { tree } = chart;
		let found = -1;
		for (let i = at + 1; i < tree.end[at] && found < 0; i = tree.end[i])
			if (nameOf(i) === name) found = i;
		if (found < 0) break;
		at = found;
	}
	return at;
}

function pathTo(node) {
	const names = [];
	for (; node >= 0; node = chart.tree.parent[node]) names.unshift(nameOf(node));
	return names;
}

function redrawInterval() {
	const zoomed = pathTo(chart.zoomed);
	const selected = pathTo(chart.selected);
	const place = chart.isIcicle ? chart.scroller.scrollTop : chart.distanceFromRoot();
	const focused = document.activeElement.closest('#rows tr button')?.textContent;
	hideTooltip();
	showView(profile.first_view);
	const node = followPath(zoomed);
	if (node) {
		history.push(0);
		applyZoom(node);
	}
	chart.selected = followPath(selected);
	chart.scroller.scrollTop = chart.isIcicle ? place : chart.contentHeight - chart.height - place;
	chart.draw();
	showStatus();
	showTable();
	if (focused !== undefined) [...document.querySelectorAll('#rows button')]
		.find((button) => button.textContent === focused)?.focus({ preventScroll: true });
}

function drawInterval(data) {
	setProfile(data);
	document.body.classList.remove('waiting');
	if (isStarted) redrawInterval();
	else start();
	isStarted = true;
	showHeading();
}

function toggleFreeze() {
	isFrozen = !isFrozen;
	press('freeze', isFrozen);
}

// ---- Following

function showConnection(text) {
	byId('connection').textContent = text;
	byId('connection').hidden = !text;
}

function showState({ status, top, processes }) {
	showFigures(status);
	showProcesses(processes, top ? top.total : 0);
	showLosses(status);
	showExporters(status.exporters);
	byId('title').textContent = status.host;
	document.title = `${status.host} · Bolometer`;
}

// There is nothing to draw, search or turn before the first interval has ended.
function showWaiting(sampling) {
	byId('facts').textContent = sampling.on ? 'the first interval is being sampled' : 'sampling is off';
	byId('waiting').textContent = sampling.on
		? `The flame graph comes when the first interval, ${formatValue(sampling.interval_seconds, 'seconds')}, has ended.`
		: 'Nothing has been sampled yet: bolometer start switches sampling on.';
}

async function update() {
	try {
		const live = await ask('/api/live');
		if (live.interval && live.interval !== shownInterval && !isFrozen) {
			drawInterval(await ask('/api/flame'));
			shownInterval = live.interval;
		}
		showState(live);
		if (!isStarted) showWaiting(live.status.sampling);
		showConnection('');
	} catch (problem) {
		showConnection(`The daemon does not answer; what is shown is not now. (${problem.message})`);
	}
	setTimeout(update, document.hidden ? HIDDEN_MILLISECONDS : POLL_MILLISECONDS);
}

function startLive() {
	byId('profile').remove();
	document.body.classList.add('waiting');
	byId('extent').append(element('p', { id: 'waiting', className: 'notice', textContent: 'The daemon is asked.' }));
	const freeze = element('button', { type: 'button', id: 'freeze', textContent: 'Freeze',
		title: 'Keep what is drawn, or follow again  (f)' });
	freeze.setAttribute('aria-pressed', 'false');
	freeze.addEventListener('click', toggleFreeze);
	byId('theme').before(freeze);
	KEYS.f = toggleFreeze;
	restoreTheme();
	update();
}

startLive();
