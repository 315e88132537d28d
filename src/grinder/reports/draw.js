// The price pane: extremes of the mid or single quotes, resting orders, fills.

const REACH = 0.75, NEAREST = 2, MANY = 300;

function clip(ctx, pane) {
  ctx.save();
  ctx.beginPath();
  ctx.rect(LEFT, pane.top, inner(), pane.height);
  ctx.clip();
}

// Stretches of [from, to] in which quotes are kept one by one, and those between them.
function piecesOf(price, from, to) {
  const out = [];
  let at = from;
  for (let i = Math.max(0, placeOf(price.spans, from) & ~1); i + 1 < price.spans.length && price.spans[i] <= to; i += 2) {
    const begin = Math.max(price.spans[i], from), end = Math.min(price.spans[i + 1], to);
    if (end < begin) continue;
    if (begin > at) out.push({ from: at, to: begin, whole: false });
    out.push({ from: begin, to: end, whole: true });
    at = end;
  }
  if (at < to) out.push({ from: at, to, whole: false });
  return out;
}

// Range of the price pane: the mid, fills, and resting orders that are not far off; counts of those that are.
function scalePrice(symbol) {
  let range = extremesIn(symbol.price, VIEW.from, VIEW.to);
  const fills = symbol.fills, [begin, end] = rowsIn(fills.t, VIEW.from, VIEW.to);
  for (let i = begin; i < end; i++) {
    if (fills.t[i] < VIEW.from) continue;
    const at = 2 * fills.price[i];
    range = range ? [Math.min(range[0], at), Math.max(range[1], at)] : [at, at];
  }
  VIEW.above = VIEW.below = 0;
  if (!range) return void (VIEW.price = [0, 1]);
  const [low, high] = range, reach = Math.max(REACH * (high - low), 2), ladder = symbol.ladder;
  const over = [], under = [];
  for (let i = 0; i < ladder.from.length; i++) {
    if (ladder.from[i] > VIEW.to || ladder.to[i] < VIEW.from) continue;
    const at = 2 * ladder.price[i];
    if (at > high) over.push(at);
    else if (at < low) under.push(-at);
  }
  const top = edge(over, high, high + reach), bottom = -edge(under, -low, reach - low);
  VIEW.above = over.filter((at) => at > top).length;
  VIEW.below = under.filter((at) => -at < bottom).length;
  const pad = Math.max(0.05 * (top - bottom), 1.5);
  VIEW.price = [bottom - pad, top + pad];
}

// The farthest of what is near: within reach, or among the nearest few where nothing is.
function edge(values, inside, reach) {
  let far = inside;
  for (const value of values) if (value <= reach && value > far) far = value;
  if (far > inside) return far;
  const nearest = Float64Array.from(new Set(values)).sort();
  return nearest.length ? nearest[Math.min(NEAREST, nearest.length) - 1] : inside;
}

function drawPrice(ctx, symbol) {
  const pane = VIEW.panes.price, price = symbol.price, one = (VIEW.to - VIEW.from) / inner();
  clip(ctx, pane);
  drawLadder(ctx, symbol);
  drawLinks(ctx, symbol);
  const [first, last] = rowsIn(symbol.fills.t, VIEW.from, VIEW.to), isCrowded = last - first > MANY;
  if (isCrowded) drawFills(ctx, symbol); // they would hide the price
  if (one >= price.levels[0].width) drawBand(ctx, price, VIEW.from, VIEW.to, true);
  else for (const piece of piecesOf(price, VIEW.from, VIEW.to)) {
    if (piece.whole) drawQuotes(ctx, price, piece.from, piece.to);
    else drawBand(ctx, price, piece.from, piece.to, false);
  }
  if (!isCrowded) drawFills(ctx, symbol);
  ctx.restore();
  drawEdges(ctx, pane);
}

// Lowest to highest mid: a column a pixel, or a block a stretch where stretches are longer than that.
function drawBand(ctx, price, from, to, isExact) {
  const x0 = Math.floor(xOf(from)), x1 = Math.ceil(xOf(to)), one = (VIEW.to - VIEW.from) / inner();
  let level = price.levels[0];
  for (const each of price.levels) if (each.width <= one) level = each;
  ctx.fillStyle = isExact ? VIEW.colors.mid : VIEW.colors.band;
  ctx.beginPath();
  if (level.width > one) {
    const begin = Math.max(0, Math.floor(from / level.width) - level.first);
    const end = Math.min(level.low.length - 1, Math.floor(to / level.width) - level.first);
    for (let i = begin; i <= end; i++) {
      const left = Math.max(x0, xOf((level.first + i) * level.width)), right = Math.min(x1, xOf((level.first + i + 1) * level.width));
      column(ctx, left, right - left, level.low[i], level.high[i]);
    }
  } else for (let x = x0; x < x1; x++) {
    const begin = Math.max(0, Math.floor(timeAt(x) / level.width) - level.first);
    const end = Math.min(level.low.length, Math.max(begin + 1, Math.floor(timeAt(x + 1) / level.width) - level.first));
    let low = Infinity, high = -Infinity;
    for (let i = begin; i < end; i++) {
      if (level.low[i] < low) low = level.low[i];
      if (level.high[i] > high) high = level.high[i];
    }
    if (low <= high && timeAt(x + 1) >= level.first * level.width) column(ctx, x, 1, low, high);
  }
  ctx.globalAlpha = isExact ? 0.95 : 0.55;
  ctx.fill();
  ctx.globalAlpha = 1;
}

function column(ctx, x, width, low, high) {
  const top = yOf(high), height = Math.max(yOf(low) - top, 1.2);
  ctx.rect(x, top - (height === 1.2 ? 0.6 : 0), width, height);
}

// Bid and ask of every quote as steps, and a point at each where there is room; the mid alone where the two would be one line.
function drawQuotes(ctx, price, from, to) {
  const [begin, end] = rowsIn(price.t, from, to);
  if (begin >= end || price.t[begin] > to) return;
  const left = Math.max(xOf(from), xOf(price.t[begin])), right = xOf(to), { mid, "quote-bid": bid, "quote-ask": ask } = VIEW.colors;
  const path = (heightOf) => {
    const points = [];
    for (let i = begin; i < end; i++) {
      const y = yOf(heightOf(i));
      points.push([Math.max(left, xOf(price.t[i])), y], [i + 1 < end ? Math.max(left, xOf(price.t[i + 1])) : right, y]);
    }
    return points;
  };
  if (isOneLine(price, begin, end)) return stroke(ctx, path((i) => price.bid[i] + price.ask[i]), mid, 1.3);
  const bids = path((i) => 2 * price.bid[i]), asks = path((i) => 2 * price.ask[i]);
  ctx.fillStyle = VIEW.colors.band;
  ctx.globalAlpha = 0.22;
  trace(ctx, bids.concat(asks.slice().reverse()));
  ctx.fill();
  ctx.globalAlpha = 1;
  stroke(ctx, bids, bid, 1.2);
  stroke(ctx, asks, ask, 1.2);
  if ((end - begin) * 6 > right - left) return;
  for (const [values, color] of [[price.bid, bid], [price.ask, ask]]) {
    ctx.fillStyle = color;
    for (let i = begin; i < end; i++) if (price.t[i] >= from) dot(ctx, xOf(price.t[i]), yOf(2 * values[i]), 2.2);
  }
}

// Whether bid and ask are mostly closer than two pixels, and changes too dense for points of their own.
function isOneLine(price, begin, end) {
  let apart = 0;
  for (let i = begin; i < end; i++) apart += price.ask[i] - price.bid[i];
  return (end - begin) * 3 > inner() && (2 * apart * VIEW.panes.price.height) / (end - begin) < 2 * (VIEW.price[1] - VIEW.price[0]);
}

function stroke(ctx, points, color, width) {
  ctx.lineWidth = width;
  ctx.strokeStyle = color;
  trace(ctx, points);
  ctx.stroke();
}

function trace(ctx, points) {
  ctx.beginPath();
  for (const [x, y] of points) ctx.lineTo(x, y);
}

function dot(ctx, x, y, radius) {
  ctx.beginPath();
  ctx.arc(x, y, radius, 0, 7);
  ctx.fill();
}

// A line for every stretch in which an order rested at one price: entries solid, exits dashed.
function drawLadder(ctx, symbol) {
  const ladder = symbol.ladder, groups = new Map();
  for (let i = 0; i < ladder.from.length; i++) {
    if (ladder.from[i] > VIEW.to || ladder.to[i] < VIEW.from) continue;
    const key = Math.sign(ladder.kind[i]) * (Math.abs(ladder.kind[i]) === 1 ? 1 : 2);
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(i);
  }
  for (const [key, places] of groups) {
    const few = places.length < 400;
    ctx.strokeStyle = key > 0 ? VIEW.colors.buy : VIEW.colors.sell;
    ctx.globalAlpha = few ? 0.8 : places.length < 3000 ? 0.42 : 0.28;
    ctx.lineWidth = few ? 1.3 : 0.8;
    ctx.setLineDash(Math.abs(key) === 2 && places.length < 1500 ? [4, 3] : []);
    ctx.beginPath();
    for (const i of places) {
      const y = yOf(2 * ladder.price[i]);
      ctx.moveTo(Math.max(LEFT - 5, xOf(ladder.from[i])), y);
      ctx.lineTo(Math.min(LEFT + inner() + 5, xOf(ladder.to[i])), y);
    }
    ctx.stroke();
  }
  ctx.setLineDash([]);
  ctx.globalAlpha = 1;
}

// From the entry of a completed cycle to its exit.
function drawLinks(ctx, symbol) {
  const t = symbol.fills.t, there = symbol.links.filter(([a, b]) => t[a] <= VIEW.to && t[b] >= VIEW.from);
  if (there.length > 600) return;
  ctx.strokeStyle = VIEW.colors.ink;
  ctx.globalAlpha = there.length < 60 ? 0.45 : 0.2;
  ctx.lineWidth = 0.8;
  ctx.beginPath();
  for (const [a, b] of there) {
    ctx.moveTo(xOf(t[a]), yOf(2 * symbol.fills.price[a]));
    ctx.lineTo(xOf(t[b]), yOf(2 * symbol.fills.price[b]));
  }
  ctx.stroke();
  ctx.globalAlpha = 1;
}

// A triangle that stands under its price for a buy, over it for a sell; exits are hollow, other roles are squares.
function drawFills(ctx, symbol) {
  const fills = symbol.fills, [begin, end] = rowsIn(fills.t, VIEW.from, VIEW.to);
  const count = end - begin, size = count < 60 ? 7 : count <= MANY ? 5.5 : 4.5;
  ctx.lineWidth = size > 4 ? 1.3 : 0.9;
  for (let i = begin; i < end; i++) {
    if (fills.t[i] < VIEW.from) continue;
    fillMark(ctx, xOf(fills.t[i]), yOf(2 * fills.price[i]), fills.side[i], fills.role[i], size);
  }
}

function fillMark(ctx, x, y, side, role, size) {
  ctx.beginPath();
  if (role > 1) ctx.rect(x - 0.6 * size, y - 0.6 * size, 1.2 * size, 1.2 * size);
  else {
    ctx.moveTo(x, y);
    ctx.lineTo(x - 0.62 * size, y + side * 1.15 * size);
    ctx.lineTo(x + 0.62 * size, y + side * 1.15 * size);
    ctx.closePath();
  }
  const color = side > 0 ? VIEW.colors.buy : VIEW.colors.sell;
  ctx.fillStyle = role === 0 ? color : VIEW.colors.paper;
  ctx.strokeStyle = role === 0 ? VIEW.colors.paper : color;
  ctx.fill();
  ctx.stroke();
}

function drawEdges(ctx, pane) {
  ctx.font = "11px system-ui, sans-serif";
  ctx.textAlign = "right";
  for (const [count, y, where] of [[VIEW.above, pane.top + 12, "above"], [VIEW.below, pane.bottom - 5, "below"]]) {
    if (count) note(ctx, `${countText(count)} resting order${count === 1 ? "" : "s"} ${where} this view`, LEFT + inner() - 6, y);
  }
}

// Text on a ground of its own, so that it is legible over whatever is drawn.
function note(ctx, text, x, y) {
  const width = ctx.measureText(text).width, left = ctx.textAlign === "right" ? x - width : x;
  ctx.globalAlpha = 0.85;
  ctx.fillStyle = VIEW.colors.paper;
  ctx.fillRect(left - 3, y - 11, width + 6, 15);
  ctx.globalAlpha = 1;
  ctx.fillStyle = VIEW.colors.ink;
  ctx.fillText(text, x, y);
}
