// Axes, regimes, inventory, equity and its budget, the overview; and the drawing of it all.

function sharp(canvas) {
  const ratio = window.devicePixelRatio || 1, width = Math.round(VIEW.width * ratio), height = Math.round(VIEW.height * ratio);
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width;
    canvas.height = height;
  }
  const ctx = canvas.getContext("2d");
  ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
  ctx.clearRect(0, 0, VIEW.width, VIEW.height);
  ctx.lineJoin = "round";
  return ctx;
}

function draw() {
  if (inner() < 20) return;
  const ctx = sharp(CANVAS), symbol = shown();
  scalePrice(symbol);
  drawBands(ctx, symbol);
  drawTimeAxis(ctx);
  drawValueAxis(ctx, VIEW.panes.price, VIEW.price, symbol.tick[0] / 2 / 10 ** symbol.tick[1], symbol.tick[1]);
  drawPrice(ctx, symbol);
  drawPosition(ctx, symbol);
  drawEquity(ctx);
  drawOverview(ctx, symbol);
  frameOf(ctx);
  tellRange(symbol);
  drawOver();
}

function frameOf(ctx) {
  ctx.strokeStyle = VIEW.colors.rule;
  ctx.lineWidth = 1;
  for (const name of ["price", "position", "equity", "overview"]) {
    const pane = VIEW.panes[name];
    ctx.strokeRect(LEFT + 0.5, pane.top + 0.5, inner() - 1, pane.height - 1);
  }
}

// Lines and labels of values at the right; `unit` is what one of the range's units is worth, `places` the finest decimals.
function drawValueAxis(ctx, pane, range, unit, places, count = Math.max(4, Math.floor(pane.height / 46))) {
  const low = range[0] * unit, high = range[1] * unit, step = niceStep(high - low, count);
  const shownPlaces = Math.min(Math.max(0, -Math.floor(Math.log10(step) + 1e-9)), Math.max(places, 0) + 1);
  ctx.font = "11px system-ui, sans-serif";
  ctx.textAlign = "left";
  ctx.lineWidth = 1;
  for (let value = Math.ceil(low / step) * step; value <= high; value += step) {
    const y = Math.round(yIn(pane, value / unit, range)) + 0.5;
    ctx.strokeStyle = VIEW.colors.grid;
    ctx.beginPath();
    ctx.moveTo(LEFT, y);
    ctx.lineTo(LEFT + inner(), y);
    ctx.stroke();
    ctx.fillStyle = VIEW.colors.ink;
    const text = (Math.abs(value) < step / 2 ? 0 : value).toLocaleString("en-US", { minimumFractionDigits: shownPlaces, maximumFractionDigits: shownPlaces });
    if (y > pane.top + 4 && y < pane.bottom - 2) ctx.fillText(text, LEFT + inner() + 6, y + 4);
  }
}

function drawTimeAxis(ctx) {
  const step = timeStep(VIEW.to - VIEW.from, Math.max(3, Math.floor(inner() / 95)));
  const origin = Number(START % BigInt(Math.max(step, 86400000000)));
  ctx.font = "11px system-ui, sans-serif";
  ctx.textAlign = "center";
  ctx.lineWidth = 1;
  const bottom = VIEW.panes.equity.bottom;
  for (let t = Math.ceil((VIEW.from + origin) / step) * step - origin; t <= VIEW.to; t += step) {
    const x = Math.round(xOf(t)) + 0.5;
    ctx.strokeStyle = VIEW.colors.grid;
    ctx.beginPath();
    ctx.moveTo(x, VIEW.panes.price.top);
    ctx.lineTo(x, bottom);
    ctx.stroke();
    ctx.fillStyle = VIEW.colors.ink;
    const isDay = step >= 86400000000, isMidnight = (t + origin) % 86400000000 === 0;
    const text = isDay ? timeText(t, step).slice(0, 10) : isMidnight ? timeText(t, step).slice(5, 10) : timeText(t, step, false);
    if (x > LEFT + 30 && x < LEFT + inner() - 26) ctx.fillText(text, x, VIEW.panes.axis.bottom + 2);
  }
}

// Regimes as bands behind the price and, in full colour and by name, on a strip below it.
function drawBands(ctx, symbol) {
  const pane = VIEW.panes.regimes, { t, code } = symbol.regimes;
  if (!pane || !t.length) return;
  const cells = worstByColumn(t, code);
  for (let x = 0; x < cells.length; ) {
    let end = x + 1;
    while (end < cells.length && cells[end] === cells[x]) end++;
    if (cells[x] >= 0) band(ctx, pane, LEFT + x, end - x, cells[x]);
    x = end;
  }
}

function band(ctx, pane, x, width, code) {
  const price = VIEW.panes.price;
  ctx.fillStyle = VIEW.regimes[code];
  if (code > 0) {
    ctx.globalAlpha = 0.13;
    ctx.fillRect(x, price.top, width, price.height);
  }
  ctx.globalAlpha = code > 0 ? 0.9 : 0.35;
  ctx.fillRect(x, pane.top, width, pane.height);
  ctx.globalAlpha = 1;
  const text = DATA.names.regimes[code];
  ctx.font = "10px system-ui, sans-serif";
  if (ctx.measureText(text).width + 22 > width) return;
  ctx.textAlign = "left";
  note(ctx, text, x + 5, pane.top + 11);
}

// The worst regime of each pixel: none is too short to be seen.
function worstByColumn(t, code) {
  const cells = new Int8Array(Math.ceil(inner())).fill(-1);
  for (let i = Math.max(0, placeOf(t, VIEW.from)); i < t.length && t[i] <= VIEW.to; i++) {
    const begin = Math.max(0, Math.floor(xOf(t[i]) - LEFT));
    const end = i + 1 < t.length ? Math.floor(xOf(t[i + 1]) - LEFT) : cells.length;
    for (let x = begin; x < Math.min(cells.length, Math.max(end, begin + 1)); x++) if (code[i] > cells[x]) cells[x] = code[i];
  }
  return cells;
}

function rangeOf(times, values, range) {
  const [begin, end] = rowsIn(times, VIEW.from, VIEW.to);
  for (let i = begin; i < end; i++) {
    if (values[i] < range[0]) range[0] = values[i];
    if (values[i] > range[1]) range[1] = values[i];
  }
  return range;
}

// Values that hold until the next, as a path; where many share a pixel, their extremes.
function steps(ctx, pane, range, times, values, close) {
  const [begin, end] = rowsIn(times, VIEW.from, VIEW.to);
  ctx.beginPath();
  let first = null, y = 0;
  for (let i = begin; i < end; i++) {
    const x = Math.min(Math.max(xOf(times[i]), LEFT), LEFT + inner());
    if (first !== null) ctx.lineTo(x, y);
    y = yIn(pane, values[i], range);
    if (first === null) ctx.moveTo((first = x), close === undefined ? y : close);
    ctx.lineTo(x, y);
  }
  if (first === null) return;
  const last = Math.min(xOf(LENGTH), LEFT + inner());
  ctx.lineTo(last, y);
  if (close !== undefined) ctx.lineTo(last, close);
}

function drawPosition(ctx, symbol) {
  const pane = VIEW.panes.position, { t, lots } = symbol.position, unit = symbol.lot[0] / 10 ** symbol.lot[1];
  const range = rangeOf(t, lots, [0, 0]), pad = 0.12 * (range[1] - range[0]) || 1;
  const scale = [range[0] - pad, range[1] + pad], zero = yIn(pane, 0, scale);
  drawValueAxis(ctx, pane, scale, unit, symbol.lot[1]);
  clip(ctx, pane);
  ctx.fillStyle = VIEW.colors.band;
  ctx.globalAlpha = 0.4;
  steps(ctx, pane, scale, t, lots, zero);
  ctx.fill();
  ctx.globalAlpha = 1;
  ctx.strokeStyle = VIEW.colors.ink;
  ctx.lineWidth = 1.2;
  steps(ctx, pane, scale, t, lots);
  ctx.stroke();
  ctx.restore();
  paneTitle(ctx, pane, `inventory, ${symbol.name}`);
}

// Equity, its peak and, dashed, the peak less the budget: where drawdown ends the trading.
function drawEquity(ctx) {
  const pane = VIEW.panes.equity, { equity, drawdown } = PORTFOLIO, unit = 10 ** -DATA.places;
  const range = rangeOf(drawdown.t, drawdown.peak, rangeOf(equity.t, equity.value, [Infinity, -Infinity]));
  const floor = drawdown.peak.map((value, i) => value - drawdown.budget[i]), hasBudget = drawdown.budget.some((value) => value > 0);
  const lowest = hasBudget ? rangeOf(drawdown.t, floor, [Infinity, -Infinity])[0] : Infinity;
  const isNear = lowest > range[0] - 3 * (range[1] - range[0]);
  if (isNear && lowest < range[0]) range[0] = lowest;
  const pad = 0.1 * (range[1] - range[0]) || 1, scale = [range[0] - pad, range[1] + pad];
  if (!(range[0] <= range[1])) return;
  drawValueAxis(ctx, pane, scale, unit, DATA.places);
  clip(ctx, pane);
  ctx.lineWidth = 1;
  ctx.strokeStyle = VIEW.colors.ink;
  ctx.globalAlpha = 0.5;
  steps(ctx, pane, scale, drawdown.t, drawdown.peak);
  ctx.stroke();
  ctx.globalAlpha = 1;
  if (hasBudget) {
    ctx.strokeStyle = VIEW.colors.limit;
    ctx.setLineDash([6, 4]);
    steps(ctx, pane, scale, drawdown.t, floor);
    ctx.stroke();
    ctx.setLineDash([]);
  }
  ctx.lineWidth = 1.5;
  ctx.strokeStyle = VIEW.colors.equity;
  steps(ctx, pane, scale, equity.t, equity.value);
  ctx.stroke();
  ctx.restore();
  const far = hasBudget && !isNear ? `; the budget ends at ${moneyText(lowest)}, below this view` : "";
  paneTitle(ctx, pane, `equity, ${DATA.quote}${far}`);
}

function paneTitle(ctx, pane, text) {
  ctx.font = "11px system-ui, sans-serif";
  ctx.textAlign = "left";
  note(ctx, text, LEFT + 6, pane.top + 14);
}

// The whole run, with what of it is shown above.
function drawOverview(ctx, symbol) {
  const pane = VIEW.panes.overview, levels = symbol.price.levels, one = LENGTH / inner();
  let level = levels[0];
  for (const each of levels) if (each.width <= one) level = each;
  const range = extremesIn(symbol.price, 0, LENGTH);
  if (range) {
    const scale = [range[0] - 1, range[1] + 1];
    ctx.fillStyle = VIEW.colors.band;
    for (let i = 0; i < level.low.length; i++) {
      const x = overviewX((level.first + i) * level.width), top = yIn(pane, level.high[i], scale);
      ctx.fillRect(x, top, Math.max(1, (level.width / LENGTH) * inner()), Math.max(1, yIn(pane, level.low[i], scale) - top));
    }
  }
  const left = overviewX(VIEW.from), right = Math.max(overviewX(VIEW.to), left + 3);
  ctx.fillStyle = VIEW.colors.buy;
  ctx.globalAlpha = 0.14;
  ctx.fillRect(left, pane.top, right - left, pane.height);
  ctx.globalAlpha = 1;
  ctx.strokeStyle = VIEW.colors.buy;
  ctx.lineWidth = 1.5;
  ctx.strokeRect(left, pane.top + 1, right - left, pane.height - 2);
}

// How much is shown, and how finely.
function tellRange(symbol) {
  const span = VIEW.to - VIEW.from, one = span / inner(), price = symbol.price;
  const whole = price.source === "quotes" && isWhole(price, VIEW.from) && isWhole(price, VIEW.to);
  let how = `each column is the lowest and highest mid of ${spanText(one)}`;
  if (one < price.levels[0].width) how = whole ? "every change of bid and ask" : `grey blocks: lowest and highest mid of ${spanText(price.levels[0].width)}`;
  document.getElementById("range").textContent = `${timeText(VIEW.from, span / 100)} to ${timeText(VIEW.to, span / 100, LENGTH > 86400e6)}, ${spanText(span)}; ${how}`;
}

// What follows the pointer: a line through all panes, a label of price and time, a ring around the fill that is told.
function drawOver() {
  const ctx = sharp(OVER), at = VIEW.pinned !== null ? VIEW.pinned : VIEW.hover && VIEW.hover.t;
  if (at === null || at === undefined || at < VIEW.from || at > VIEW.to) return;
  const x = Math.round(xOf(at)) + 0.5;
  ctx.strokeStyle = VIEW.pinned !== null ? VIEW.colors.sell : VIEW.colors.ink;
  ctx.lineWidth = 1;
  ctx.setLineDash(VIEW.pinned !== null ? [] : [3, 3]);
  ctx.beginPath();
  ctx.moveTo(x, VIEW.panes.price.top);
  ctx.lineTo(x, VIEW.panes.equity.bottom);
  ctx.stroke();
  ctx.setLineDash([]);
  timeLabel(ctx, at, x);
  const fill = VIEW.pinned !== null ? fillNear(at) : fillNear(at, VIEW.hover.y);
  if (fill >= 0) ring(ctx, fill);
  if (VIEW.hover && VIEW.hover.mid2 !== null) priceLabel(ctx, VIEW.hover.mid2);
}

function timeLabel(ctx, t, x) {
  const pane = VIEW.panes.axis, text = timeText(t, (VIEW.to - VIEW.from) / inner(), false);
  ctx.font = "11px system-ui, sans-serif";
  ctx.textAlign = "center";
  const width = ctx.measureText(text).width + 10, left = Math.min(Math.max(x - width / 2, LEFT), LEFT + inner() - width);
  ctx.fillStyle = VIEW.colors.ink;
  ctx.fillRect(left, pane.bottom - 10, width, 16);
  ctx.fillStyle = VIEW.colors.paper;
  ctx.fillText(text, left + width / 2, pane.bottom + 2);
}

function ring(ctx, fill) {
  const fills = shown().fills;
  ctx.lineWidth = 1.6;
  ctx.beginPath();
  ctx.arc(xOf(fills.t[fill]), yOf(2 * fills.price[fill]) + 4 * fills.side[fill], 10, 0, 7);
  ctx.stroke();
}

function priceLabel(ctx, mid2) {
  const symbol = shown(), y = yOf(mid2), pane = VIEW.panes.price;
  if (y < pane.top || y > pane.bottom) return;
  ctx.strokeStyle = VIEW.colors.ink;
  ctx.setLineDash([3, 3]);
  ctx.beginPath();
  ctx.moveTo(LEFT, Math.round(y) + 0.5);
  ctx.lineTo(LEFT + inner(), Math.round(y) + 0.5);
  ctx.stroke();
  ctx.setLineDash([]);
  ctx.font = "11px system-ui, sans-serif";
  ctx.textAlign = "left";
  const text = priceText(symbol, Math.round(mid2 / 2));
  ctx.fillStyle = VIEW.colors.ink;
  ctx.fillRect(LEFT + inner() + 1, y - 8, RIGHT - 2, 16);
  ctx.fillStyle = VIEW.colors.paper;
  ctx.fillText(text, LEFT + inner() + 6, y + 4);
}
