// What is shown: a symbol, a stretch of time, and where things are on the canvas.

const CANVAS = document.getElementById("canvas"), OVER = document.getElementById("over");
const LENGTH = Math.max(1, DATA.length);
const LEFT = 8, RIGHT = 74, GAP = 8, AXIS = 20, STRIP = 14, OVERVIEW = 46;
const LEAST_SPAN = Math.min(LENGTH, 20);
const VIEW = { s: 0, from: 0, to: LENGTH, width: 0, height: 0, panes: {}, price: [0, 1], pinned: null, hover: null, colors: {} };

function shown() {
  return symbolOf(VIEW.s);
}

function show(from, to) {
  let span = Math.min(Math.max(to - from, LEAST_SPAN), LENGTH);
  const middle = (from + to) / 2;
  VIEW.from = Math.min(Math.max(middle - span / 2, 0), LENGTH - span);
  VIEW.to = VIEW.from + span;
}

function zoom(factor, at) {
  const share = (at - VIEW.from) / (VIEW.to - VIEW.from);
  const span = Math.min(Math.max((VIEW.to - VIEW.from) * factor, LEAST_SPAN), LENGTH);
  const from = Math.min(Math.max(at - share * span, 0), LENGTH - span);
  VIEW.from = from;
  VIEW.to = from + span;
}

function inner() {
  return VIEW.width - LEFT - RIGHT;
}

function xOf(t) {
  return LEFT + ((t - VIEW.from) / (VIEW.to - VIEW.from)) * inner();
}

function timeAt(x) {
  return VIEW.from + ((x - LEFT) / inner()) * (VIEW.to - VIEW.from);
}

function overviewX(t) {
  return LEFT + (t / LENGTH) * inner();
}

function overviewTime(x) {
  return ((x - LEFT) / inner()) * LENGTH;
}

// Panes from top to bottom: price, strip of regimes, inventory, equity, axis of time, overview.
function layOut() {
  VIEW.width = CANVAS.clientWidth;
  VIEW.height = CANVAS.clientHeight;
  const strip = DATA.gated ? STRIP + GAP : 0;
  const room = VIEW.height - AXIS - OVERVIEW - 4 * GAP - strip, price = Math.round(room * 0.64), position = Math.round(room * 0.15);
  let y = 4;
  const pane = (height) => {
    const made = { top: y, bottom: y + height, height };
    y += height + GAP;
    return made;
  };
  VIEW.panes = { price: pane(price) };
  if (DATA.gated) VIEW.panes.regimes = pane(STRIP);
  VIEW.panes.position = pane(position);
  VIEW.panes.equity = pane(room - price - position);
  VIEW.panes.axis = pane(AXIS - GAP);
  VIEW.panes.overview = pane(OVERVIEW);
}

function yIn(pane, value, range) {
  return pane.bottom - ((value - range[0]) / (range[1] - range[0] || 1)) * pane.height;
}

function yOf(mid2) {
  return yIn(VIEW.panes.price, mid2, VIEW.price);
}

function readColors() {
  const style = getComputedStyle(document.querySelector(".grinder-report"));
  const names = "ink mid band paper buy sell grid quote-bid quote-ask equity limit rule calm t-up t-down down thin toxic pause wash";
  for (const name of names.split(" ")) VIEW.colors[name] = style.getPropertyValue("--" + name).trim();
  const c = VIEW.colors;
  VIEW.regimes = [c.calm, c["t-up"], c["t-down"], c.down, c.thin, c.toxic, c.pause, c.ink];
}

// Lowest and highest mid of a stretch of time, of whole stretches that touch it; null where there is no price.
function extremesIn(price, from, to) {
  const wanted = (to - from) / 256;
  let level = price.levels[0];
  for (const one of price.levels) if (one.width <= wanted) level = one;
  const begin = Math.max(0, Math.floor(from / level.width) - level.first);
  const end = Math.min(level.low.length - 1, Math.floor(to / level.width) - level.first);
  let low = Infinity, high = -Infinity;
  for (let i = begin; i <= end; i++) {
    if (level.low[i] < low) low = level.low[i];
    if (level.high[i] > high) high = level.high[i];
  }
  return low <= high ? [low, high] : null;
}

// Places [a, b) of rows between two times, with the one that holds at the beginning.
function rowsIn(times, from, to) {
  return [Math.max(0, placeOf(times, from)), placeOf(times, to) + 1];
}

// Whether every change of bid and ask is kept at a time.
function isWhole(price, t) {
  const place = placeOf(price.spans, t);
  return place >= 0 && (place % 2 === 0 || price.spans[place] === t);
}
