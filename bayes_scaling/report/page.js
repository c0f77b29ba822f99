"use strict";
// The page itself: which fit is shown, and the planner.

const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);

/** Column of little-endian float64 out of its base64 text. */
function column(text) {
  return new Float64Array(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer);
}

/**
 * The surfaces of a part: that of the law or of an IsoFLOP model's line, which `optimum` tells, and that of one
 * more budget, which is planned for; the same where nothing is scattered.
 */
function surfacesOf(part) {
  const columns = (texts) => Object.fromEntries(Object.entries(texts).map(([name, text]) => [name, column(text)]));
  const price = new Price(part.price);
  const make = (draws) => {
    const surface = part.law === "chinchilla"
      ? new LawSurface(draws, price)
      : new FrontierSurface(draws, price, part.typical_compute);
    return draws.slope ? new DeviatingSurface(surface, draws, part.runs.flops[1]) : surface;
  };
  const line = columns(part.columns);
  const own = make(line);
  const scattered = Object.keys(part.scattered).length ? make({ ...line, ...columns(part.scattered) }) : own;
  return { line: own, scattered };
}

const surfaces = new Map();
let part = data.parts[0];

/** Surfaces of the part that is shown, made when it is first shown. */
function shown() {
  if (!surfaces.has(part.key)) surfaces.set(part.key, surfacesOf(part));
  return surfaces.get(part.key);
}

const LIMITS = ["min_params", "max_params", "max_tokens", "served_tokens"];

/** What the form asks, or null where a field is no number above 0; that field is marked. */
function asked() {
  const read = (id, none) => {
    const field = byId(id), text = field.value.trim();
    const value = text || none === undefined ? parseQuantity(text) : none;
    const wrong = text !== "" && !(value > 0) || none === undefined && !(value > 0);
    field.setAttribute("aria-invalid", String(wrong));
    return wrong ? null : value;
  };
  const compute = read("compute");
  const [minParams, maxParams, maxTokens, served] = LIMITS.map((id, n) => read(id, n % 3 ? Infinity : 0));
  const all = [compute, minParams, maxParams, maxTokens, served];
  return all.includes(null) ? null : { compute, limits: { minParams, maxParams, maxTokens, served } };
}

/** Say by what factors a plan lies outside the runs. */
function beyond(found) {
  const sides = { compute: ["flops", found.compute], size: ["params", found.params], tokens: ["tokens", found.tokens] };
  const out = Object.entries(sides).map(([words, [name, value]]) => {
    const [low, high] = part.runs[name];
    return [words, formatFactor(Math.max(value / high, low / value, 1))];
  });
  return out.filter(([, factor]) => factor !== "1").map(([words, factor]) => `${factor}x in ${words}`).join(", ") || "no";
}

/** A share of which rounding alone is left is none. */
const share = (value) => formatShare(Math.abs(value) < 1e-9 ? 0 : value);

const percents = (value) => `${formatInterval(value, (end) => share(end).replace(/ %$/, ""))} %`;

/** The cells of the plan's table, in their order. */
function planCells(found) {
  return [
    formatQuantity(found.params),
    formatQuantity(found.tokens),
    formatFlops(found.compute),
    share(found.expected_regret),
    percents(found.regret),
    formatPlain(found.loss.estimate),
    formatInterval(found.loss, formatPlain),
    formatShare(found.oversized),
    formatInterval(found.params_opt, formatQuantity),
    beyond(found),
  ];
}

/**
 * Work out what is asked and show it.
 * @param {number} [most] draws for the plan, while the slider moves
 */
function answer(most) {
  const question = asked();
  const refuse = (text) => {
    byId("refusal").textContent = text;
    byId("refusal").hidden = !text;
    byId("answer").hidden = Boolean(text);
    byId("answer").setAttribute("aria-busy", String(most !== undefined));
  };
  if (!question) return refuse("Write numbers above 0, such as 5.76e23, 70B or 1.4T.");
  const { compute, limits } = question;
  const { line, scattered } = shown();
  const found = plan(scattered, limits, compute, data.prob, most);
  byId("command").textContent = command(compute);
  if (!found) return refuse("No size keeps all of these limits at this budget.");
  const best = optimum(line, compute, data.prob);
  for (const cell of byId("optimal").querySelectorAll("[data-value]")) {
    const [name, key] = cell.dataset.value.split(".");
    cell.textContent = (name === "loss_opt" ? formatPlain : formatQuantity)(best[name][key]);
  }
  const cells = byId("planned").querySelectorAll("td");
  planCells(found).forEach((text, n) => { cells[n].textContent = text; });
  drawCurve(found);
  byId("notes").textContent = notes(found, limits);
  refuse("");
}

/** What to know of the answer beside its numbers. */
function notes(found, limits) {
  const limited = Object.values(limits).some((value) => value !== 0 && value !== Infinity);
  const said = [`Regret is against ${limited ? "the best plan within the same limits" : "the optimum"}.`];
  if (limits.served) {
    said.push(
      "A token served is counted as a third of one trained on, and the budget pays for both; serving takes " +
        `${formatShare(found.serving_share)} of it.`,
    );
  }
  if (Object.keys(part.scattered).length) said.push("The plan is of one more budget, scattered about the line; the optimum is of the line.");
  if (part.draws < part.of) said.push(`From ${part.draws} of ${part.of} draws: the last digits may differ from those of the command.`);
  return said.join(" ");
}

/** Every digit of a compute, with an exponent. */
const exactly = (compute) => compute.toExponential().replace("e+", "e");

/** The command that gives the same answer. */
function command(compute) {
  const words = ["bayes-scaling plan fit.nc --compute", exactly(compute)];
  for (const id of LIMITS) if (byId(id).value.trim()) words.push(`--${id.replace("_", "-")}`, byId(id).value.trim());
  if (part.recipe) words.push("--recipe", `'${part.recipe.replaceAll("'", "'\\''")}'`);
  return words.join(" ");
}

/** Draw the regret of each size: a band, the expectation, the plan, and the interval of N_opt. */
function drawCurve(found) {
  const svg = byId("curve");
  const [left, right, top, bottom] = [60, 620, 15, 350];
  const near = found.curve.filter((point) => point.expected <= Math.max(0.5, found.expected_regret * 1.2));
  const ends = [near[0].params / 1.1, near.at(-1).params * 1.1].map(Math.log);
  const highest = Math.min(1, 1.05 * Math.max(...near.map((point) => point.expected)));
  const x = (params) => left + ((Math.log(params) - ends[0]) / (ends[1] - ends[0])) * (right - left);
  const y = (regret) => bottom - (Math.min(Math.max(regret, 0), highest) / highest) * (bottom - top);
  const at = (point, key) => `${x(point.params).toFixed(1)},${y(point[key]).toFixed(1)}`;
  const parts = [];
  const add = (name, attributes, text = "") => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.textContent = text;
    parts.push(element);
  };
  for (const tick of ticks(...ends.map(Math.exp))) {
    add("line", { class: "axis", x1: x(tick), x2: x(tick), y1: top, y2: bottom });
    add("text", { x: x(tick), y: bottom + 30, "text-anchor": "middle" }, formatQuantity(tick));
  }
  const step = [0.01, 0.02, 0.05, 0.1, 0.2].find((each) => highest / each < 7);
  for (let n = 0; n * step <= highest; n++) {
    add("line", { class: "axis", x1: left, x2: right, y1: y(n * step), y2: y(n * step) });
    add("text", { x: left - 6, y: y(n * step) + 5, "text-anchor": "end" }, formatShare(n * step, 2));
  }
  add("text", { x: (left + right) / 2, y: bottom + 48, "text-anchor": "middle" }, "size (parameters)");
  const band = [...near.map((point) => at(point, "high")), ...near.toReversed().map((point) => at(point, "low"))];
  add("polygon", { class: "band", points: band.join(" ") });
  add("polyline", { class: "expected", points: near.map((point) => at(point, "expected")).join(" ") });
  const within = (params) => Math.min(Math.max(x(params), left), right);
  add("line", { class: "optimum", x1: within(found.params_opt.low), x2: within(found.params_opt.high), y1: bottom + 7, y2: bottom + 7 });
  add("circle", { class: "plan", cx: x(found.params), cy: y(found.expected_regret), r: 6 });
  svg.replaceChildren(...parts);
}

/** Round numbers between two ends of a logarithmic axis. */
function ticks(low, high) {
  const powers = Math.log10(high / low);
  const steps = powers > 3 ? [1] : powers > 1 ? [1, 2, 5] : [1, 1.5, 2, 3, 4, 5, 7];
  const found = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++) {
    for (const step of steps) found.push(Number(`${step}e${power}`));
  }
  return found.filter((tick) => tick >= low && tick <= high);
}

/** Show one fit or recipe, and hide the others. */
function choose(key) {
  part = data.parts.find((each) => each.key === key);
  const of = key.split("-")[0];
  for (const element of document.querySelectorAll("[data-part]")) element.hidden = element.dataset.part !== key;
  for (const element of document.querySelectorAll("[data-fit]")) element.hidden = element.dataset.fit !== of;
  const slider = byId("slider");
  [slider.min, slider.max] = part.compute.map((end) => Math.log10(end).toFixed(2));
  moveSlider();
  answer();
}

/** Put the slider where the typed compute is. */
function moveSlider() {
  const compute = parseQuantity(byId("compute").value);
  if (!(compute > 0)) return;
  byId("slider").value = Math.log10(compute);
  byId("slider").setAttribute("aria-valuetext", `${formatFlops(compute)} FLOP`);
}

/** Draws that are worked with while something moves, and how long it has to rest before all of them are. */
const DRAFT = 500, REST = 120;

/** Answer before the next picture, however many events ask for it, and from all draws once they have ceased. */
let waiting = false, resting;
function soon() {
  clearTimeout(resting);
  resting = setTimeout(() => answer(), REST);
  byId("answer").setAttribute("aria-busy", "true");
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => {
    waiting = false;
    answer(DRAFT);
  });
}

byId("slider").addEventListener("input", () => {
  // What is shown is what is used: three digits, as they are written.
  byId("compute").value = formatFlops(10 ** Number(byId("slider").value));
  byId("slider").setAttribute("aria-valuetext", `${byId("compute").value} FLOP`);
  soon();
});
byId("compute").addEventListener("input", moveSlider);
byId("questions").addEventListener("input", (event) => event.target.id !== "slider" && soon());
byId("questions").addEventListener("submit", (event) => event.preventDefault());
byId("questions").addEventListener("reset", (event) => {
  event.preventDefault();
  for (const id of LIMITS) byId(id).value = "";
  byId("compute").value = exactly(data.compute);
  moveSlider();
  soon();
});
if (data.parts.length > 1) {
  byId("choose").hidden = false;
  byId("choice").addEventListener("change", (event) => choose(event.target.value));
}
byId("compute").value = exactly(data.compute);
byId("planner").hidden = false;
choose(part.key);
