// SPDX-License-Identifier: Apache-2.0
// What the page knows about itself, for its tests and for the console.
const readyMilliseconds = performance.now();
window.flameGraph = Object.freeze({
	readyMilliseconds,
	// When the first frame was on the screen, since the navigation began.
	painted: new Promise((resolve) => {
		requestAnimationFrame(() => setTimeout(() => resolve(performance.now())));
	}),
	state: () => ({
		nodes: chart.tree.count, frames: view.frames.length, depth: chart.tree.maxDepth,
		total: chart.tree.total[0], totalB: chart.tree.totalB[0], drawn: chart.drawn,
		zoomed: nameOf(chart.zoomed), selected: nameOf(chart.selected), rows: chart.rows,
		matches: matchNodes.length, drawMilliseconds: chart.milliseconds, searchMilliseconds,
	}),
	// Does the work of a draw now; its milliseconds.
	redraw: () => { chart.drawNow(); return chart.milliseconds; },
	search,
	zoomTo: (node) => zoom(node),
	// The widest node of the name, or -1.
	nodeNamed: (name) => chart.tree.frame.reduce((widest, f, node) => (view.frames[f] === name &&
		(widest < 0 || chart.tree.width[node] > chart.tree.width[widest]) ? node : widest), -1),
	valueOf: (node) => [chart.tree.total[node], chart.tree.self[node], chart.tree.totalB[node]],
	placeOf: (node) => {
		const [left, width] = chart.span(node);
		const box = chart.scroller.getBoundingClientRect();
		const top = chart.rowTop(chart.tree.depth[node]) - chart.scroller.scrollTop;
		return { x: box.left + left + width / 2, y: box.top + top + ROW / 2, width };
	},
});
