// Numbers and times as text.

// A whole number of units as decimal text: unit is [25, 2] for 0.25.
function decimal(value, unit) {
  let digits = (BigInt(Math.abs(value)) * BigInt(unit[0])).toString();
  if (unit[1]) {
    digits = digits.padStart(unit[1] + 1, "0");
    digits = digits.slice(0, -unit[1]) + "." + digits.slice(-unit[1]);
  }
  return (value < 0 ? "-" : "") + digits;
}

function trimmed(text) {
  return text.includes(".") ? text.replace(/0+$/, "").replace(/\.$/, "") : text;
}

function priceText(symbol, ticks) {
  return decimal(ticks, symbol.tick);
}

// Without zeros beyond a price's decimals.
function midText(symbol, mid2) {
  const places = symbol.tick[1], text = decimal(mid2, [symbol.tick[0] * 5, places + 1]);
  return text.endsWith("0") ? (places ? text.slice(0, -1) : text.slice(0, -2)) : text;
}

function moneyText(value) {
  return `${decimal(value, [1, DATA.places])} ${DATA.quote}`;
}

function signedMoney(value) {
  return (value > 0 ? "+" : "") + moneyText(value);
}

// 1e-8 units in % from 1 % on, else in bp.
function ratioText(value) {
  return Math.abs(value) >= 1000000 ? `${trimmed(decimal(value, [1, 6]))} %` : `${trimmed(decimal(value, [1, 4]))} bp`;
}

function centerText(symbol, value) {
  const [whole, rest] = decimal(value, [symbol.tick[0], symbol.tick[1] + 6]).split(".");
  const kept = rest.replace(/0+$/, "").padEnd(symbol.tick[1], "0");
  return `${kept ? `${whole}.${kept}` : whole} ${DATA.quote}`;
}

const START = BigInt(DATA.start);

// A time of the chart, microseconds from the start, as UTC; no finer than `unit` microseconds.
function timeText(t, unit = 1, withDay = true) {
  const at = START + BigInt(Math.round(t)), us = Number(((at % 1000000n) + 1000000n) % 1000000n);
  const text = new Date(Number((at - BigInt(us)) / 1000n)).toISOString();
  const day = text.slice(0, 10), clock = text.slice(11, unit >= 60000000 ? 16 : 19);
  const places = unit >= 1000000 ? 0 : unit >= 1000 ? 3 : 6;
  const part = places ? "." + String(us).padStart(6, "0").slice(0, places) : "";
  return (withDay ? day + " " : "") + clock + part;
}

function momentText(t) {
  return trimmed(timeText(t, 1));
}

function spanText(us) {
  if (us < 1000) return `${Math.round(us)} \u00b5s`;
  if (us < 1000000) return `${trimmed((us / 1000).toFixed(us < 10000 ? 1 : 0))} ms`;
  const seconds = us / 1000000;
  if (seconds < 60) return `${trimmed(seconds.toFixed(seconds < 10 ? 1 : 0))} s`;
  const whole = Math.floor(seconds), days = Math.floor(whole / 86400), hours = Math.floor(whole / 3600) % 24;
  const minutes = Math.floor(whole / 60) % 60;
  if (days) return `${days} d ${hours} h`;
  return hours ? `${hours} h ${minutes} min` : `${minutes} min ${whole % 60} s`;
}

function bitsText(mask, names) {
  const found = names.filter((_, i) => Math.floor(mask / 2 ** i) % 2 === 1);
  return found.length ? found.join(", ") : "none";
}

function countText(count) {
  return String(count).replace(/\B(?=(\d{3})+$)/g, ",");
}

// Steps of an axis that a reader can count in: 1, 2 or 5 times a power of ten.
function niceStep(range, count) {
  const rough = Math.max(range / Math.max(count, 1), 1e-12), power = 10 ** Math.floor(Math.log10(rough));
  for (const times of [1, 2, 5]) if (times * power >= rough) return times * power;
  return 10 * power;
}

const TIME_STEPS = (() => {
  const out = [];
  for (let unit = 1; unit < 1000000; unit *= 10) out.push(unit, 2 * unit, 5 * unit);
  for (const seconds of [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 14400, 21600, 43200, 86400]) out.push(seconds * 1000000);
  for (let days = 2; days < 20000; days *= 2) out.push(days * 86400000000);
  return out;
})();

function timeStep(range, count) {
  return TIME_STEPS.find((step) => range / step <= count) || TIME_STEPS[TIME_STEPS.length - 1];
}
