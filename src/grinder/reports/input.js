// Wheel, pointer, touch and keys.

const POINTERS = new Map();
let PENDING = false, DRAG = null;

function redraw() {
  if (PENDING) return;
  PENDING = true;
  requestAnimationFrame(() => {
    PENDING = false;
    draw();
  });
}

function placeIn(event) {
  const box = CANVAS.getBoundingClientRect();
  return [event.clientX - box.left, event.clientY - box.top];
}

function inOverview(y) {
  return y >= VIEW.panes.overview.top - 2;
}

function within(t) {
  return Math.min(Math.max(t, 0), LENGTH);
}

function onWheel(event) {
  event.preventDefault();
  const [x, y] = placeIn(event);
  if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) pan((event.deltaX || event.deltaY) / inner());
  else zoom(Math.exp(Math.min(Math.max(event.deltaY, -300), 300) / 400), inOverview(y) ? overviewTime(x) : timeAt(x));
  redraw();
}

function pan(share) {
  const by = share * (VIEW.to - VIEW.from);
  show(VIEW.from + by, VIEW.to + by);
}

function onDown(event) {
  if (event.pointerType === "mouse" && event.button !== 0) return;
  const [x, y] = placeIn(event);
  CANVAS.setPointerCapture(event.pointerId);
  POINTERS.set(event.pointerId, [x, y]);
  DRAG = { x, y, from: VIEW.from, to: VIEW.to, moved: false, overview: inOverview(y), apart: apart() };
  if (DRAG.overview) centerOn(overviewTime(x));
}

function apart() {
  const places = [...POINTERS.values()];
  return places.length === 2 ? Math.max(20, Math.abs(places[0][0] - places[1][0])) : 0;
}

function centerOn(t) {
  const half = (VIEW.to - VIEW.from) / 2;
  show(t - half, t + half);
  redraw();
}

function onMove(event) {
  const [x, y] = placeIn(event);
  if (!POINTERS.has(event.pointerId)) return hoverAt(x, y);
  POINTERS.set(event.pointerId, [x, y]);
  if (!DRAG) return;
  if (Math.abs(x - DRAG.x) > 3) DRAG.moved = true;
  if (DRAG.apart && POINTERS.size === 2) pinch();
  else if (DRAG.overview) centerOn(overviewTime(x));
  else if (DRAG.moved) {
    const by = ((DRAG.x - x) / inner()) * (DRAG.to - DRAG.from);
    show(DRAG.from + by, DRAG.to + by);
    redraw();
  }
}

function pinch() {
  const places = [...POINTERS.values()], middle = (places[0][0] + places[1][0]) / 2;
  DRAG.moved = true;
  VIEW.from = DRAG.from;
  VIEW.to = DRAG.to;
  zoom(DRAG.apart / apart(), timeAt(middle));
  redraw();
}

function onUp(event) {
  const [x, y] = placeIn(event), wasClick = DRAG && !DRAG.moved && !DRAG.overview && POINTERS.size === 1;
  POINTERS.delete(event.pointerId);
  DRAG = null;
  if (wasClick && event.type === "pointerup") togglePin(within(timeAt(x)), y);
}

function togglePin(t, y) {
  const near = y === undefined ? -1 : fillNear(t, y), at = near >= 0 ? shown().fills.t[near] : t;
  if (VIEW.pinned !== null) letGo();
  else pin(at);
  if (y !== undefined && VIEW.pinned === null) hoverAt(xOf(t), y);
  drawOver();
}

function pin(t) {
  VIEW.pinned = t;
  tellMoment(t);
  drawOver();
}

function letGo() {
  VIEW.pinned = null;
  drawOver();
}

function hoverAt(x, y) {
  if (x < LEFT || x > LEFT + inner() || inOverview(y)) return leave();
  const pane = VIEW.panes.price, isPrice = y >= pane.top && y <= pane.bottom;
  const mid2 = isPrice ? VIEW.price[0] + ((pane.bottom - y) / pane.height) * (VIEW.price[1] - VIEW.price[0]) : null;
  VIEW.hover = { t: within(timeAt(x)), y, mid2 };
  if (VIEW.pinned === null) tellMoment(VIEW.hover.t, y);
  drawOver();
}

function leave() {
  VIEW.hover = null;
  drawOver();
}

function toFill(step) {
  const t = shown().fills.t, at = VIEW.pinned !== null ? VIEW.pinned : (VIEW.from + VIEW.to) / 2;
  let i = step > 0 ? placeOf(t, at) + 1 : placeOf(t, at - 1e-9);
  if (step < 0 && i >= 0 && t[i] === at) i = placeOf(t, at - 1);
  if (i < 0 || i >= t.length) return;
  goTo(t[i]);
}

function goTo(t) {
  const span = Math.min(VIEW.to - VIEW.from, 600e6);
  show(t - span / 2, t + span / 2);
  VIEW.hover = null;
  pin(t);
  redraw();
}

const KEYS = {
  ArrowLeft: () => pan(-0.1),
  ArrowRight: () => pan(0.1),
  "+": () => zoom(0.7, keyCenter()),
  "=": () => zoom(0.7, keyCenter()),
  "-": () => zoom(1 / 0.7, keyCenter()),
  0: () => show(0, LENGTH),
  Home: () => show(0, VIEW.to - VIEW.from),
  End: () => show(LENGTH - (VIEW.to - VIEW.from), LENGTH),
  n: () => toFill(1),
  p: () => toFill(-1),
  Enter: () => togglePin(VIEW.hover ? VIEW.hover.t : (VIEW.from + VIEW.to) / 2),
  Escape: letGo,
};

function keyCenter() {
  const at = VIEW.pinned !== null ? VIEW.pinned : VIEW.hover ? VIEW.hover.t : (VIEW.from + VIEW.to) / 2;
  return at >= VIEW.from && at <= VIEW.to ? at : (VIEW.from + VIEW.to) / 2;
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || !(event.key in KEYS)) return;
  event.preventDefault();
  KEYS[event.key]();
  redraw();
}

function listen() {
  CANVAS.addEventListener("wheel", onWheel, { passive: false });
  CANVAS.addEventListener("pointerdown", onDown);
  CANVAS.addEventListener("pointermove", onMove);
  CANVAS.addEventListener("pointerup", onUp);
  CANVAS.addEventListener("pointercancel", onUp);
  CANVAS.addEventListener("pointerleave", leave);
  CANVAS.addEventListener("dblclick", () => {
    letGo();
    show(0, LENGTH);
    redraw();
  });
  CANVAS.addEventListener("keydown", onKey);
  for (const button of document.querySelectorAll("[data-span]")) button.addEventListener("click", () => showSpan(Number(button.dataset.span) * 1e6));
  for (const button of document.querySelectorAll("[data-step]")) button.addEventListener("click", () => toFill(Number(button.dataset.step)));
  addEventListener("beforeprint", () => {
    for (const one of document.querySelectorAll("details")) one.open = true;
  });
  new ResizeObserver(resize).observe(CANVAS);
  for (const query of ["(prefers-color-scheme: dark)", "print"]) matchMedia(query).addEventListener("change", recolor);
}

function showSpan(span) {
  const middle = keyCenter();
  if (span) show(middle - span / 2, middle + span / 2);
  else show(0, LENGTH);
  redraw();
}

function resize() {
  if (!CANVAS.clientWidth) return;
  layOut();
  draw();
}

function recolor() {
  readColors();
  drawLegend();
  resize();
}
