"use strict";
// What the page holds, decoded: columns of integers are differences, zigzag, seven bits a byte, base64.

const DATA = JSON.parse(document.getElementById("grinder-data").textContent);

function bytesOf(text) {
  const raw = atob(text), out = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) out[i] = raw.charCodeAt(i);
  return out;
}

function numbers(column) {
  const bytes = bytesOf(column.b), out = new Float64Array(column.n);
  let at = 0;
  for (let i = 0; i < column.n; i++) {
    let byte = bytes[at++], value = byte & 127, place = 128;
    while (byte > 127) {
      byte = bytes[at++];
      value += (byte & 127) * place;
      place *= 128;
    }
    if (value < 2147483648) out[i] = (value >>> 1) ^ -(value & 1);
    else out[i] = value % 2 ? -(value + 1) / 2 : value / 2;
  }
  for (let turn = 0; turn < column.d; turn++) for (let i = 1; i < out.length; i++) out[i] += out[i - 1];
  return out;
}

function columnsOf(mapping) {
  const out = {};
  for (const name in mapping) out[name] = numbers(mapping[name]);
  return out;
}

// The last place whose value is at most x; -1 before the first.
function placeOf(values, x) {
  let low = 0, high = values.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle] <= x) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

// Extremes of ever longer stretches: each level has a quarter of the one before.
function pyramid(first, width, low, high) {
  const levels = [{ first, width, low, high }];
  while (levels[levels.length - 1].low.length > 64) {
    const below = levels[levels.length - 1], begin = Math.floor(below.first / 4);
    const count = Math.floor((below.first + below.low.length - 1) / 4) - begin + 1;
    const least = new Float64Array(count).fill(Infinity), most = new Float64Array(count).fill(-Infinity);
    for (let i = 0; i < below.low.length; i++) {
      const k = Math.floor((below.first + i) / 4) - begin;
      if (below.low[i] < least[k]) least[k] = below.low[i];
      if (below.high[i] > most[k]) most[k] = below.high[i];
    }
    levels.push({ first: begin, width: below.width * 4, low: least, high: most });
  }
  return levels;
}

function priceOf(given) {
  const low = numbers(given.low), height = numbers(given.height), high = low.map((value, i) => value + height[i]);
  const t = numbers(given.quotes.t), bid = numbers(given.quotes.bid), spread = numbers(given.quotes.spread);
  return {
    levels: pyramid(given.first, given.width, low, high),
    spans: numbers(given.spans), t, bid, ask: bid.map((value, i) => value + spread[i]),
    changes: given.changes, kept: given.kept, source: given.source,
  };
}

// Places of the fills that open and close the same cycle, as pairs.
function linksOf(fills) {
  const opened = new Map(), out = [];
  for (let i = 0; i < fills.t.length; i++) {
    if (fills.cycle[i] < 0) continue;
    if (fills.role[i] === 0) {
      if (!opened.has(fills.cycle[i])) opened.set(fills.cycle[i], i);
    } else if (opened.has(fills.cycle[i])) out.push([opened.get(fills.cycle[i]), i]);
  }
  return out;
}

const KNOWN = new Map();

function symbolOf(s) {
  if (!KNOWN.has(s)) {
    const given = DATA.symbols[s], fills = columnsOf(given.fills), ladder = columnsOf(given.ladder), held = columnsOf(given.position);
    ladder.to = ladder.from.map((value, i) => value + ladder.length[i]);
    KNOWN.set(s, {
      name: given.name, tick: given.tick, lot: given.lot, left: given.left, price: priceOf(given.price), fills, ladder,
      links: linksOf(fills), regimes: columnsOf(given.regimes), gates: columnsOf(given.gates), position: { t: [0, ...held.t], lots: [0, ...held.lots] },
    });
  }
  return KNOWN.get(s);
}

const PORTFOLIO = { equity: columnsOf(DATA.portfolio.equity), drawdown: columnsOf(DATA.portfolio.drawdown) };

const PLANS = (() => {
  const out = {}, given = DATA.plans;
  for (const name in given) if (name !== "levels" && name !== "left") out[name] = numbers(given[name]);
  out.levels = columnsOf(given.levels);
  out.begin = new Float64Array(out.t.length + 1);
  for (let i = 0; i < out.t.length; i++) out.begin[i + 1] = out.begin[i] + out.levels.count[i];
  out.of = DATA.symbols.map(() => []);
  for (let i = 0; i < out.t.length; i++) if (out.symbol[i] >= 0) out.of[out.symbol[i]].push(i);
  out.times = out.of.map((rows) => rows.map((row) => out.t[row]));
  return out;
})();

// Row of a plan -> its lines: section, name, text, why.
let EXPLAINED = null;

function explanationOf(row) {
  if (EXPLAINED === null) {
    const given = DATA.explained, word = numbers(given.line_word), sizes = numbers(given.line_words), lines = [];
    let at = 0;
    for (const size of sizes) {
      const words = [];
      for (let i = 0; i < size; i++) words.push(given.words[word[at++]]);
      lines.push(words.join(" ").split(" \t ").map((part) => part.trim()));
    }
    EXPLAINED = new Map();
    const rows = numbers(given.row), counts = numbers(given.lines), places = numbers(given.line);
    at = 0;
    for (let i = 0; i < rows.length; i++) {
      EXPLAINED.set(rows[i], Array.from(places.subarray(at, at + counts[i]), (place) => lines[place]));
      at += counts[i];
    }
  }
  return EXPLAINED.get(row);
}
