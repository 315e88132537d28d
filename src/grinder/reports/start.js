// What stands around the chart, and its first drawing.

const SVG = document.getElementById("sample").namespaceURI;

function drawn(shapes) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 26 12");
  for (const [name, attributes] of shapes) {
    const node = svg.appendChild(document.createElementNS(SVG, name));
    for (const key in attributes) node.setAttribute(key, attributes[key]);
  }
  return svg;
}

function drawLegend() {
  const c = VIEW.colors, line = (color, dash) => ["path", { d: "M1 6H25", stroke: color, "stroke-width": 1.8, "stroke-dasharray": dash || "none", fill: "none" }];
  const mark = (up, color, hollow) => ["path", { d: up ? "M13 1L8 11H18Z" : "M13 11L8 1H18Z", fill: hollow ? c.paper : color, stroke: color, "stroke-width": 1.4 }];
  const entries = [
    ["mid, lowest to highest", [["rect", { x: 1, y: 3, width: 24, height: 6, fill: c.mid }]]],
    ["bid", [line(c["quote-bid"])]], ["ask", [line(c["quote-ask"])]],
    ["buy order", [line(c.buy)]], ["its take-profit kind", [line(c.buy, "4 3")]], ["sell order", [line(c.sell)]], ["its take-profit kind", [line(c.sell, "4 3")]],
    ["buy entry", [mark(true, c.buy)]], ["buy exit", [mark(true, c.buy, true)]], ["sell entry", [mark(false, c.sell)]], ["sell exit", [mark(false, c.sell, true)]],
    ["completed cycle", [["path", { d: "M1 10L25 2", stroke: c.ink, "stroke-opacity": 0.5, fill: "none" }]]],
    ["equity", [line(c.equity)]], ["its peak", [["path", { d: "M1 6H25", stroke: c.ink, "stroke-opacity": 0.5, fill: "none" }]]], ["drawdown budget", [line(c.limit, "6 4")]],
  ];
  const list = document.getElementById("legend");
  list.replaceChildren(...entries.concat(regimeEntries()).map(([text, shapes]) => {
    const item = made("li");
    item.append(drawn(shapes), text.replace("its take-profit kind", "closing order"));
    return item;
  }));
}

// The regimes that there were, each in its colour.
function regimeEntries() {
  const seen = new Set(DATA.gated ? DATA.symbols.flatMap((one) => [...numbers(one.regimes.code)]) : []);
  return [...seen].sort().map((code) => [DATA.names.regimes[code], [["rect", { x: 1, y: 1, width: 24, height: 10, fill: VIEW.regimes[code], "fill-opacity": code ? 0.9 : 0.35 }]]]);
}

function tellNotes() {
  const notes = [...DATA.notes], symbol = shown(), price = symbol.price;
  if (price.source === "quotes" && price.kept < price.changes) {
    notes.push(`${symbol.name}: of ${countText(price.changes)} changes of bid or ask the ${countText(price.kept)} around fills, plans and regimes are kept one by one; elsewhere the lowest and highest mid of every ${spanText(price.levels[0].width)}, so that no extreme is hidden.`);
  }
  const words = { ladder: "resting orders, the shortest", fills: "fills, evenly", marks: "marks, none of them an extreme" };
  for (const name in symbol.left) notes.push(`${symbol.name}: ${countText(symbol.left[name])} ${words[name]}, are not drawn.`);
  if (DATA.plans.left) notes.push(`${countText(DATA.plans.left)} plans are not in this page.`);
  document.getElementById("notes").replaceChildren(...notes.map((text) => made("li", text)));
}

function chooseSymbol(s) {
  VIEW.s = s;
  VIEW.pinned = VIEW.hover = null;
  TOLD = { plan: null, s: null };
  tellNotes();
  redraw();
}

function fillSelector() {
  const select = document.getElementById("symbol");
  DATA.symbols.forEach((one, s) => select.appendChild(made("option", one.name)).value = s);
  select.addEventListener("change", () => chooseSymbol(Number(select.value)));
  document.getElementById("which").hidden = DATA.symbols.length < 2;
}

// Rows of tables that stand for a moment: a click shows it.
function listenToRows() {
  const base = Number(START);
  document.querySelector(".grinder-report").classList.add("live");
  for (const row of document.querySelectorAll("tr.at")) {
    const [, s, ns] = row.className.split(" ");
    row.addEventListener("click", () => {
      document.getElementById("symbol").value = s;
      if (VIEW.s !== Number(s)) chooseSymbol(Number(s));
      goTo(Number(BigInt(ns) / 1000n) - base);
      document.getElementById("chart").scrollIntoView({ block: "start" });
    });
  }
}

// One window of the digest's chain: the first digits of the link of every stage.
function listenToWindows() {
  const box = document.getElementById("windows"), { links, window: size, t } = DATA.digest, times = numbers(t);
  const count = Math.ceil(DATA.events / size), number = made("input"), list = made("div");
  if (!Object.keys(links).length && count) box.append(made("p", `The links of ${countText(count)} windows are in run.digest.links.`, "faint"));
  if (!Object.keys(links).length || !count) return;
  Object.assign(number, { type: "number", min: 0, max: count - 1, value: count - 1 });
  const tell = () => {
    const k = Math.min(Math.max(Math.floor(Number(number.value)) || 0, 0), count - 1);
    const when = k < times.length ? `, from ${momentText(times[k])} UTC` : "", last = Math.min((k + 1) * size, DATA.events) - 1;
    list.replaceChildren(made("p", `events ${countText(k * size)} to ${countText(last)}${when}`, "faint"),
      rowsOf(Object.keys(links).map((stage) => [stage, links[stage].slice(16 * k, 16 * k + 16)])));
  };
  number.addEventListener("input", tell);
  const label = made("label", `chain, window (0 to ${count - 1}) `, "windows");
  label.append(number);
  box.append(label, list);
  tell();
}

function start() {
  readColors();
  layOut();
  fillSelector();
  drawLegend();
  tellNotes();
  draw();
  performance.mark("grinder-drawn");
  listen();
  listenToRows();
  listenToWindows();
  window.grinderReport = { view: VIEW, symbolOf, extremesIn };
}

start();
