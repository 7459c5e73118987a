// SPDX-License-Identifier: Apache-2.0
// The drawing. The canvas is as large as what is seen of it and sticks in the scrolling element, whose
// extent is the whole tree; so memory and time depend on the window, not on the depth of stacks. A
// subtree narrower than SLIVER pixels is one sliver, and what falls on pixels drawn already is nothing.

const ROW = 19;
const SLIVER = 0.3;
const FONT_SIZE = 12;
const FONT = `${FONT_SIZE}px ui-monospace, "SFMono-Regular", Menlo, Consolas, "DejaVu Sans Mono", monospace`;
const LABEL_PADDING = 4;

class Chart {
	constructor(scroller, extent, canvas) {
		this.scroller = scroller;
		this.extent = extent;
		this.canvas = canvas;
		this.context = canvas.getContext('2d', { alpha: false });
		this.tree = null;
		this.names = [];
		this.colourOf = null; // per frame or, in a difference, per node
		this.palette = [];
		this.theme = {};
		this.isIcicle = false;
		this.zoomed = 0;
		this.selected = 0;
		this.hovered = -1;
		this.matched = null; // per frame, or null
		this.drawn = 0;
		this.pending = 0;
	}

	setTree(tree, names, colourOf) {
		Object.assign(this, { tree, names, colourOf });
		this.zoomed = this.selected = 0;
		this.hovered = -1;
		this.setZoom(0);
	}

	// Draws before the browser's next frame, once however often it is asked.
	draw() {
		if (!this.pending) this.pending = requestAnimationFrame(() => this.drawNow());
	}

	// What is seen at the root's side stays where it is.
	resize() {
		const fromRoot = this.distanceFromRoot();
		const width = this.scroller.clientWidth;
		const height = this.scroller.clientHeight;
		const ratio = window.devicePixelRatio || 1;
		this.width = width;
		this.height = height;
		this.ratio = ratio;
		this.sizeCanvas(Math.max(1, Math.round(width * ratio)), Math.max(1, Math.round(height * ratio)));
		this.context.font = FONT;
		this.characterWidth = this.context.measureText('M').width || 7;
		this.fit();
		if (!this.isIcicle) this.scroller.scrollTop = this.contentHeight - height - fromRoot;
	}

	// Setting a canvas's size, even to what it is, throws its pixels away.
	sizeCanvas(width, height) {
		const { canvas } = this;
		if (canvas.width === width && canvas.height === height) return;
		canvas.width = width;
		canvas.height = height;
		canvas.style.width = `${this.width}px`;
		canvas.style.height = `${this.height}px`;
	}

	// By the height of before or of now, whichever is less: a browser whose window grew has moved
	// the place to keep it within the extent.
	distanceFromRoot() {
		if (this.isIcicle || !this.contentHeight) return 0;
		const height = Math.max(this.height, this.scroller.clientHeight);
		return Math.max(0, this.contentHeight - height - this.scroller.scrollTop);
	}

	// The extent's height for what is zoomed into.
	fit() {
		const { tree } = this;
		let deepest = 0;
		if (this.zoomed === 0) deepest = tree.maxDepth;
		else for (let i = this.zoomed; i < tree.end[this.zoomed]; i++)
			if (tree.depth[i] > deepest) deepest = tree.depth[i];
		this.rows = deepest + 1;
		this.contentHeight = Math.max(this.rows * ROW, this.height);
		this.extent.style.height = `${this.contentHeight}px`;
	}

	setZoom(node) {
		this.zoomed = node;
		this.resize();
		this.showDepth(Math.max(0, this.tree.depth[node] - 1), true);
		this.draw();
	}

	setIcicle(isIcicle) {
		this.isIcicle = isIcicle;
		this.showDepth(0, true);
		this.draw();
	}

	rowTop(depth) {
		return this.isIcicle ? depth * ROW : this.contentHeight - (depth + 1) * ROW;
	}

	// Scrolls so that the row is seen; atRoot: so that it is the row at the root's side.
	showDepth(depth, atRoot = false) {
		const top = this.rowTop(depth);
		const { scrollTop } = this.scroller;
		if (atRoot)
			this.scroller.scrollTop = this.isIcicle ? top : top + ROW - this.height;
		else if (top < scrollTop)
			this.scroller.scrollTop = top - ROW;
		else if (top + ROW > scrollTop + this.height)
			this.scroller.scrollTop = top + 2 * ROW - this.height;
	}

	// Left edge and width in CSS pixels, the frames below the zoomed one over the whole width.
	span(node) {
		const { tree, zoomed, width } = this;
		if (tree.contains(node, zoomed)) return [0, width];
		if (!tree.contains(zoomed, node) || !tree.width[zoomed]) return [0, 0];
		const scale = width / tree.width[zoomed];
		return [(tree.start[node] - tree.start[zoomed]) * scale, tree.width[node] * scale];
	}

	// The node at a place of the scroller, or -1.
	nodeAt(x, y) {
		const { tree, zoomed } = this;
		const place = y + this.scroller.scrollTop;
		const depth = Math.floor((this.isIcicle ? place : this.contentHeight - place) / ROW);
		if (depth < 0 || depth >= this.rows || x < 0 || x > this.width) return -1;
		let node = zoomed;
		if (depth <= tree.depth[zoomed]) {
			while (tree.depth[node] > depth) node = tree.parent[node];
			return node;
		}
		const at = tree.start[zoomed] + (x / this.width) * tree.width[zoomed];
		for (let i = zoomed + 1; i < tree.end[zoomed];) {
			const inside = at >= tree.start[i] && at < tree.start[i] + tree.width[i];
			if (!inside) i = tree.end[i];
			else if (tree.depth[i] === depth) return i;
			else i++;
		}
		return -1;
	}

	drawNow() {
		this.pending = 0;
		const began = performance.now();
		const { context, theme } = this;
		context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
		context.fillStyle = theme.background;
		context.fillRect(0, 0, this.width, this.height);
		context.font = FONT;
		context.textBaseline = 'middle';
		this.drawn = 0;
		this.drawAncestors();
		this.drawSubtree();
		this.drawOutline(this.hovered, theme.hover, 1);
		if (document.activeElement === this.scroller || this.selected !== this.zoomed)
			this.drawOutline(this.selected, theme.selection, 2);
		this.milliseconds = performance.now() - began;
	}

	drawAncestors() {
		for (let node = this.tree.parent[this.zoomed]; node >= 0; node = this.tree.parent[node])
			this.drawFrame(node, 0, this.width, true);
	}

	drawSubtree() {
		const { tree, zoomed, width, ratio } = this;
		const { start, end, depth } = tree;
		const scale = width / (tree.width[zoomed] || 1);
		const origin = start[zoomed];
		const [first, last] = this.visibleDepths();
		const pixel = 1 / ratio;
		const drawnTo = new Float64Array(this.rows + 1);
		for (let i = zoomed; i < end[zoomed];) {
			const d = depth[i];
			const left = (start[i] - origin) * scale;
			const w = i === zoomed ? width : tree.width[i] * scale;
			if (d > last || w === 0 || left + w <= drawnTo[d]) {
				i = end[i];
				continue;
			}
			if (w < SLIVER) {
				if (d >= first) this.drawSliver(i, Math.max(left, drawnTo[d]), pixel);
				drawnTo[d] = Math.max(left, drawnTo[d]) + pixel;
				i = end[i];
				continue;
			}
			if (d >= first) this.drawFrame(i, left, w, false);
			drawnTo[d] = left + w;
			i++;
		}
	}

	visibleDepths() {
		const { scrollTop } = this.scroller;
		const top = Math.floor(scrollTop / ROW);
		const bottom = Math.ceil((scrollTop + this.height) / ROW);
		if (this.isIcicle) return [top, bottom];
		const rows = this.contentHeight / ROW;
		return [Math.floor(rows - bottom), Math.ceil(rows - top)];
	}

	colour(node) {
		const { tree, theme, matched } = this;
		if (matched && matched[tree.frame[node]]) return theme.match;
		if (node === 0) return theme.root;
		return this.palette[this.colourOf[tree.isDiff ? node : tree.frame[node]]];
	}

	drawSliver(node, left, pixel) {
		this.context.globalAlpha = 0.6;
		this.context.fillStyle = this.colour(node);
		const top = this.rowTop(this.tree.depth[node]) - this.scroller.scrollTop;
		this.context.fillRect(left, top, pixel, ROW - 1);
		this.context.globalAlpha = 1;
		this.drawn++;
	}

	drawFrame(node, left, width, isAncestor) {
		const { context, tree, theme, matched } = this;
		const top = this.rowTop(tree.depth[node]) - this.scroller.scrollTop;
		const gap = width > 3 ? 1 : 0;
		const isMatch = matched && matched[tree.frame[node]];
		context.globalAlpha = isAncestor ? 0.55 : matched && !isMatch ? 0.45 : 1;
		context.fillStyle = this.colour(node);
		context.fillRect(left, top, width - gap, ROW - 1);
		context.globalAlpha = isAncestor ? 0.8 : 1;
		this.drawn++;
		const room = Math.floor((width - gap - 2 * LABEL_PADDING + 2) / this.characterWidth);
		if (room < 3) return;
		const name = this.names[tree.frame[node]];
		const text = name.length <= room ? name : `${name.slice(0, room - 1)}…`;
		context.fillStyle = isMatch ? theme.matchText : theme.frameText;
		context.fillText(text, left + LABEL_PADDING, top + ROW / 2);
		context.globalAlpha = 1;
	}

	drawOutline(node, colour, thickness) {
		if (node < 0) return;
		const [left, width] = this.span(node);
		if (!width) return;
		const top = this.rowTop(this.tree.depth[node]) - this.scroller.scrollTop;
		this.context.strokeStyle = colour;
		this.context.lineWidth = thickness;
		this.context.strokeRect(left + thickness / 2, top + thickness / 2 - 0.5,
			Math.max(width - 1 - thickness, 1), ROW - thickness);
	}
}
