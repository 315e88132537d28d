// What was so at a moment: quote, inventory, equity, regime, gates, and the plan in force with what decided each of its numbers.

const READOUT = document.getElementById("readout");
const PLAN_LINES = [["center", "center"], ["step", "ratio"], ["width_down", "ratio"], ["width_up", "ratio"], ["tp_step", "ratio"],
  ["budget", "money"], ["worst_down", "money"], ["worst_up", "money"]];
let TOLD = { plan: null, s: null };

function made(tag, text, name) {
  const node = document.createElement(tag);
  if (text !== undefined) node.textContent = text;
  if (name) node.className = name;
  return node;
}

function rowsOf(lines) {
  const table = made("table"), body = table.appendChild(made("tbody"));
  for (const [name, text, why] of lines) {
    const row = body.appendChild(made("tr"));
    row.appendChild(made("th", name)).scope = "row";
    const cell = row.appendChild(made("td", text));
    if (why) cell.appendChild(made("small", why));
  }
  return table;
}

// The fill nearest to a point, within a few pixels of it; without a height the first at just this time; -1 where there is none.
function fillNear(t, y) {
  const fills = shown().fills, reach = y === undefined ? 0 : (9 * (VIEW.to - VIEW.from)) / inner();
  let best = -1, least = 14;
  for (let i = placeOf(fills.t, t - reach - 0.5) + 1; i < fills.t.length && fills.t[i] <= t + reach; i++) {
    const at = yOf(2 * fills.price[i]) + 4 * fills.side[i], far = y === undefined ? 0 : Math.hypot(xOf(fills.t[i]) - xOf(t), at - y);
    if (far < least) [best, least] = [i, far];
  }
  return best;
}

function tellMoment(t, y) {
  const symbol = shown(), place = placeOf(PLANS.times[VIEW.s], t), row = place < 0 ? -1 : PLANS.of[VIEW.s][place];
  const head = made("div");
  head.appendChild(made("h4", `${symbol.name} at ${timeText(t, (VIEW.to - VIEW.from) / inner())} UTC`));
  if (VIEW.pinned !== null) head.appendChild(made("p", "pinned; Esc or another click lets go", "pin"));
  head.appendChild(rowsOf([...fillLines(symbol, t, y), ...quoteLines(symbol, t), ...stateLines(symbol, t)]));
  if (TOLD.plan !== row || TOLD.s !== VIEW.s || !READOUT.lastChild || !READOUT.lastChild.dataset.plan) {
    READOUT.replaceChildren(head, planOf(symbol, row));
    TOLD = { plan: row, s: VIEW.s };
  } else READOUT.replaceChild(head, READOUT.firstChild);
  const age = READOUT.querySelector("[data-age]");
  if (age) age.textContent = `${momentText(PLANS.t[row])}, ${spanText(t - PLANS.t[row])} before`;
}

function fillLines(symbol, t, y) {
  const i = fillNear(t, y);
  if (i < 0) return [];
  const others = placeOf(symbol.fills.t, symbol.fills.t[i]) - placeOf(symbol.fills.t, symbol.fills.t[i] - 0.5) - 1;
  const more = others ? `; ${others} more at this time` : "";
  const f = symbol.fills, what = `${f.side[i] > 0 ? "BUY" : "SELL"} ${DATA.names.roles[f.role[i]]}, ${f.taker[i] ? "taker" : "maker"}`;
  const text = `${what}: ${decimal(f.qty[i], symbol.lot)} at ${priceText(symbol, f.price[i])} ${DATA.quote}`;
  return [["fill", text, `${momentText(f.t[i])}; fee ${moneyText(f.fee[i])}; order ${f.order[i]}${f.cycle[i] >= 0 ? `, cycle ${f.cycle[i]}` : ""}${more}`]];
}

function quoteLines(symbol, t) {
  const price = symbol.price;
  if (price.source === "quotes" && isWhole(price, t)) {
    const i = placeOf(price.t, t);
    if (i < 0) return [["quote", "none yet"]];
    return [
      ["bid, ask", `${priceText(symbol, price.bid[i])}, ${priceText(symbol, price.ask[i])} ${DATA.quote}`],
      ["mid", `${midText(symbol, price.bid[i] + price.ask[i])} ${DATA.quote}`, `spread ${priceText(symbol, price.ask[i] - price.bid[i])}; changed ${momentText(price.t[i])}`],
    ];
  }
  const level = price.levels[0], k = Math.floor(t / level.width) - level.first;
  if (k < 0 || k >= level.low.length) return [["mid", "none yet"]];
  return [["mid", `${midText(symbol, level.low[k])} to ${midText(symbol, level.high[k])} ${DATA.quote}`, `of ${spanText(level.width)}: single quotes are not kept here`]];
}

function stateLines(symbol, t) {
  const lines = [], position = placeOf(symbol.position.t, t), equity = placeOf(PORTFOLIO.equity.t, t), down = placeOf(PORTFOLIO.drawdown.t, t);
  lines.push(["position", position < 0 ? decimal(0, symbol.lot) : decimal(symbol.position.lots[position], symbol.lot)]);
  if (equity >= 0) lines.push(["equity", moneyText(PORTFOLIO.equity.value[equity]), `at the last mark, ${momentText(PORTFOLIO.equity.t[equity])}`]);
  if (down >= 0) {
    const d = PORTFOLIO.drawdown, share = d.budget[down] > 0 ? `, ${((100 * d.drawdown[down]) / d.budget[down]).toFixed(1)} %` : "";
    lines.push(["drawdown", moneyText(d.drawdown[down]), `of a budget of ${moneyText(d.budget[down])}${share}`]);
  }
  return [...lines, ...regimeLines(symbol, t)];
}

function regimeLines(symbol, t) {
  if (!DATA.gated) return [["regime", "RANGE", "this policy looks at no gate"]];
  const { t: times, code, why } = symbol.regimes, i = placeOf(times, t);
  if (i < 0) return [];
  const since = i === 0 ? "from the start" : `since ${momentText(times[i])}, ${spanText(t - times[i])}; before it ${DATA.names.regimes[code[i - 1]]}`;
  const reasons = why[i] ? `; ${bitsText(why[i], DATA.names.reasons)}` : "";
  return [["regime", DATA.names.regimes[code[i]], since + reasons], ["gates", gatesText(symbol, t)]];
}

function gatesText(symbol, t) {
  const gates = symbol.gates, now = new Map();
  for (let i = 0; i <= placeOf(gates.t, t); i++) now.set(gates.gate[i], i);
  const open = [];
  for (const [gate, i] of now) {
    if (!gates.to[i]) continue;
    const isToxic = DATA.names.gates[gate] === "toxicity", by = isToxic ? ` by ${bitsText(gates.reasons[i], DATA.names.toxicity)}` : "";
    open.push(DATA.names.gates[gate] + (isToxic ? ` ${["LOW", "MID", "HIGH", "EXTREME"][gates.to[i]]}${by}` : ""));
  }
  return open.length ? open.join("; ") : "none open";
}

// The plan in force and what decided each number; where that is not kept, the numbers of the record.
function planOf(symbol, row) {
  const box = made("div");
  box.dataset.plan = row;
  if (row < 0) {
    box.appendChild(made("h4", "no plan in force yet"));
    return box;
  }
  box.appendChild(made("h4", DATA.plans.left ? `plan ${PLANS.plan[row]}, the last before that this page has` : `plan ${PLANS.plan[row]} in force`));
  const names = DATA.names, sides = [["down", "buys"], ["up", "sells"]].map(([way, what]) => `${PLANS["levels_" + way][row]} ${what} ${names.adds[PLANS["adds_" + way][row]]}`);
  const lines = [["made", "", `at event ${countText(PLANS.event[row])}`], ["regime, mode", `${names.regimes[PLANS.regime[row]]}, ${names.modes[PLANS.mode[row]]}`], ["levels", sides.join(", ")], ["reasons", bitsText(PLANS.reasons[row], names.reasons)]];
  const head = box.appendChild(rowsOf(lines)), age = document.createElement("span");
  age.dataset.age = "";
  head.querySelector("td").prepend(age);
  const told = explanationOf(row);
  if (told) tellSections(box, told);
  else box.append(rowsOf(PLAN_LINES.map(([name, unit]) => [name, recorded(symbol, row, name, unit)])), made("p", `What decided them is kept of the plans in force longest. To see it: grinder explain ${DATA.name} --at "${momentText(PLANS.t[row])}"`, "faint"));
  tellLevels(box, symbol, row);
  return box;
}

function recorded(symbol, row, name, unit) {
  const value = PLANS[name][row];
  return unit === "ratio" ? ratioText(value) : unit === "money" ? moneyText(value) : centerText(symbol, value);
}

// What decided a number of the plan stands where it is derived.
const DECIDED = { center: "center.center", step: "step.step", tp_step: "step.tp_step", width_down: "buys.width", width_up: "sells.width",
  worst_down: "buys.worst_case", worst_up: "sells.worst_case" };

function tellSections(box, lines) {
  const whys = new Map(lines.map(([section, name, , why]) => [`${section}.${name}`, why]));
  let section = "plan", rows = [];
  const flush = () => {
    if (!rows.length) return;
    if (section !== "plan") box.appendChild(made("h4", section.replace(/_/g, " ")));
    box.appendChild(rowsOf(rows));
    rows = [];
  };
  for (const [name, ...line] of lines) {
    if (name !== section) flush();
    section = name;
    if (name === "plan" && !line[2]) line[2] = whys.get(DECIDED[line[0]]) || "";
    rows.push(line);
  }
  flush();
}

function tellLevels(box, symbol, row) {
  const levels = PLANS.levels, lines = { 1: [], "-1": [] };
  if (!levels.count[row] && PLANS.levels_down[row] + PLANS.levels_up[row]) box.append(made("p", "Its levels are not kept in this page.", "faint"));
  for (let i = PLANS.begin[row]; i < PLANS.begin[row + 1]; i++) lines[levels.side[i]].push([priceText(symbol, levels.price[i]), decimal(levels.qty[i], symbol.lot)]);
  for (const [side, name] of [[1, "buy levels"], [-1, "sell levels"]]) {
    if (lines[side].length) box.append(made("h4", name), rowsOf(lines[side]));
  }
}
