"use strict";
// What to train at a budget, as planning/optimum.py and planning/plan.py work it out, for every draw.

/** FLOPs of a token served over those of a token trained on (laws/lifetime.py). */
const INFERENCE_SHARE = 1 / 3;
/** Step in log N by which a plan is called too large. */
const NUDGE = 1e-4;
/** Sizes of the curve, and how far it reaches beyond the best sizes of the draws. */
const SIZES = 81, BEYOND = 10;

/**
 * What a plan is judged by (planning/problem.py, planning/reference.py): what it costs, what it reaches, and what
 * the best plan within the same limits would have cost.
 */
class Problem {
  /**
   * @param {LawSurface|FrontierSurface|DeviatingSurface} surface
   * @param {{minParams: number, maxParams: number, maxTokens: number, served: number}} limits 0 or Infinity
   *   where there is none
   */
  constructor(surface, limits) {
    this.surface = surface;
    this.price = surface.price;
    Object.assign(this, limits);
    this.plain = !this.served && !this.minParams && this.maxParams === Infinity && this.maxTokens === Infinity;
  }

  /** Compute that a budget leaves for training, once a size is served. */
  training(params, cost) {
    return this.served ? cost - this.price.compute(params, this.served * INFERENCE_SHARE) : cost;
  }

  tokens(params, cost) {
    return cost / this.price.compute(params, 1) - this.served * INFERENCE_SHARE;
  }

  loss(i, params, cost) {
    return this.surface.loss(i, params, this.training(params, cost));
  }

  /** Whether a smaller model would have had the lower loss at the same cost. */
  tooLarge(i, params, cost) {
    const larger = params * Math.exp(NUDGE), smaller = params * Math.exp(-NUDGE);
    if (this.training(larger, cost) <= 0) return true;
    return this.loss(i, larger, cost) > this.loss(i, smaller, cost);
  }

  /** Size that a cost can serve with next to nothing left to train it. */
  largest(cost) {
    if (!this.served) return Infinity;
    return this.price.params(cost / (this.served * INFERENCE_SHARE)) * (1 - 10 * NUDGE);
  }

  /** Best size at a cost; serving makes it smaller. */
  best(i, cost, halvings = 40) {
    const plain = this.surface.size(i, cost);
    if (!this.served) return plain;
    let high = Math.min(Math.log(plain) + 0.1, Math.log(this.largest(cost)));
    let low = high - Math.log(1e12);
    for (let n = 0; n < halvings; n++) {
      const middle = (low + high) / 2;
      if (this.tooLarge(i, Math.exp(middle), cost)) high = middle;
      else low = middle;
    }
    return Math.exp((low + high) / 2);
  }

  /** Smallest and largest size that spend a cost within the limits. */
  bounds(cost) {
    // Whoever may not buy more tokens can spend the rest on size alone.
    const most = this.maxTokens + this.served * INFERENCE_SHARE;
    const least = most === Infinity ? 0 : this.price.params(cost / most);
    return [Math.max(this.minParams, least), Math.min(this.maxParams, this.largest(cost))];
  }

  bestLoss(i, cost, [low, high]) {
    const params = Math.min(Math.max(this.best(i, cost, 26), low), high);
    return this.loss(i, params, cost);
  }

  /** Share of a cost that the best plan within the same limits would have saved at equal loss. */
  regret(i, params, cost) {
    if (this.plain) return this.surface.regret(i, params, cost);
    return 1 - this.leastCost(i, this.loss(i, params, cost)) / cost;
  }

  /**
   * Prepare `leastCost` for plans of at most one cost. What the least cost to a loss is over the least training
   * compute to it changes slowly: it is worked out at some costs, and between them follows cubics.
   * @param {number} cost
   * @param {number[]} draws for which
   */
  prepare(cost, draws) {
    if (this.plain) return;
    const served = this.minParams ? this.price.compute(this.minParams, this.served * INFERENCE_SHARE) : 0;
    const cheapest = Math.max(cost * 1e-7, Math.min(1.0011 * served, Math.sqrt(served * cost)));
    const costs = Float64Array.from({ length: NODES }, (_, n) => cost * (cheapest / cost) ** ((n / (NODES - 1)) ** 2));
    const bounds = Array.from(costs, (at) => this.bounds(at));
    const logCosts = costs.map(Math.log);
    this.table = new Map(draws.map((i) => {
      const loss = costs.map((at, n) => this.bestLoss(i, at, bounds[n]));
      // Nobody has to spend all of a budget.
      for (let n = NODES - 2; n >= 0; n--) loss[n] = Math.min(loss[n], loss[n + 1]);
      const logCompute = loss.map((at) => Math.log(this.surface.leastCompute(i, at)));
      for (let n = 0; n < NODES; n++) {
        if (!Number.isFinite(logCompute[n])) logCompute[n] = logCosts[n];
        if (n) logCompute[n] = Math.min(logCompute[n], logCompute[n - 1]);
      }
      const excess = logCosts.map((at, n) => at - logCompute[n]);
      return [i, { logCompute, excess, slope: slopes(logCosts, logCompute) }];
    }));
  }

  /** Least cost to a loss by the best plan within the limits. */
  leastCost(i, loss) {
    const { logCompute, excess, slope } = this.table.get(i);
    const last = NODES - 1;
    const at = Math.min(Math.max(Math.log(this.surface.leastCompute(i, loss)), logCompute[last]), logCompute[0]);
    let node = 0;
    while (node < last - 1 && at <= logCompute[node + 1]) node++;
    const span = logCompute[node] - logCompute[node + 1];
    const share = (logCompute[node] - at) / (span > 0 ? span : 1), rest = 1 - share;
    const over = rest ** 2 * (1 + 2 * share) * excess[node] + share ** 2 * (1 + 2 * rest) * excess[node + 1] +
      share * rest * span * (share * (slope[node + 1] - 1) - rest * (slope[node] - 1));
    return Math.exp(at + over);
  }
}

const NODES = 32;

/** Slope of log cost in log compute at the nodes, kept where cubics rise all the way (Fritsch and Carlson 1980). */
function slopes(logCosts, logCompute) {
  const last = NODES - 2;
  const step = Array.from({ length: NODES - 1 }, (_, n) => logCosts[n] - logCosts[n + 1]);
  const bought = step.map((at, n) => (logCompute[n] - logCompute[n + 1]) / at);
  const inner = bought.slice(0, -1).map((at, n) => {
    const weight = step[n + 1] / (step[n + 1] + step[n]);
    return weight * at + (1 - weight) * bought[n + 1];
  });
  const rate = [2 * bought[0] - inner[0], ...inner, 2 * bought[last] - inner[last - 1]];
  const least = bought.map((at) => 1 / Math.max(at, 1e-12));
  return Float64Array.from(rate, (at, n) => {
    const most = 3 * Math.min(least[Math.max(n - 1, 0)], least[Math.min(n, last)]);
    return Math.min(1 / Math.max(at, 1e-12), most);
  });
}

/** Quantiles of draws, between ranks on a line as NumPy takes them; the draws are sorted in place. */
function quantiles(draws, levels) {
  draws.sort();
  return levels.map((level) => {
    const rank = level * (draws.length - 1), below = Math.floor(rank), share = rank - below;
    const low = draws[below], high = draws[Math.min(below + 1, draws.length - 1)];
    if (low === high) return low;
    return share < 0.5 ? low + (high - low) * share : high - (high - low) * (1 - share);
  });
}

/** Median and equal-tailed interval of draws, which are sorted in place. */
function interval(draws, prob) {
  const [estimate, low, high] = quantiles(draws, [0.5, (1 - prob) / 2, (1 + prob) / 2]);
  return { estimate, low, high };
}

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

/**
 * The posterior of the compute-optimal run, as `bayes-scaling optimum` prints it.
 * @param {LawSurface|FrontierSurface|DeviatingSurface} surface
 * @param {number} compute
 * @param {number} prob
 */
function optimum(surface, compute, prob) {
  const draws = { params_opt: [], tokens_opt: [], tokens_per_param: [], loss_opt: [] };
  for (const name in draws) draws[name] = new Float64Array(surface.draws);
  for (let i = 0; i < surface.draws; i++) {
    const params = surface.size(i, compute);
    const tokens = compute / surface.price.compute(params, 1);
    draws.params_opt[i] = params;
    draws.tokens_opt[i] = tokens;
    draws.tokens_per_param[i] = tokens / params;
    draws.loss_opt[i] = surface.leastLoss(i, compute);
  }
  return Object.fromEntries(Object.entries(draws).map(([name, values]) => [name, interval(values, prob)]));
}

/**
 * The size of least expected regret at a budget, as `bayes-scaling plan` chooses it, and the regret of others.
 * @param {LawSurface|FrontierSurface|DeviatingSurface} surface
 * @param {{minParams: number, maxParams: number, maxTokens: number, served: number}} limits
 * @param {number} cost
 * @param {number} prob
 * @param {number} [most] draws to work with, evenly spaced ones of more
 * @returns {object|null} null where no size keeps all limits
 */
function plan(surface, limits, cost, prob, most = Infinity) {
  const problem = new Problem(surface, limits);
  const [floor, ceiling] = problem.bounds(cost);
  if (floor > ceiling * (1 + 1e-9)) return null;
  const step = Math.ceil(surface.draws / most) || 1;
  const draws = Array.from({ length: Math.ceil(surface.draws / step) }, (_, n) => n * step);
  problem.prepare(cost, draws);
  const every = (value) => Float64Array.from(draws, value);
  const best = every((i) => problem.best(i, cost));
  const expected = (params) => {
    let sum = 0;
    for (const i of draws) sum += problem.regret(i, params, cost);
    return sum / draws.length;
  };

  const within = (size) => Math.min(Math.max(size, floor), ceiling);
  // Of thousands of draws the last few may lie anywhere; the curve need not be stretched for them.
  const [smallest, greatest] = quantiles(best.slice(), [0.001, 0.999]);
  const low = within(smallest / BEYOND), high = within(Math.min(greatest * BEYOND, problem.largest(cost)));
  const count = low < high ? SIZES : 1;
  const curve = Array.from({ length: count }, (_, n) => {
    const params = n === count - 1 ? high : low * (high / low) ** (n / (SIZES - 1));
    const regret = every((i) => problem.regret(i, params, cost));
    return { params, expected: mean(regret), ...interval(regret, prob) };
  });
  const at = curve.reduce((least, point, n) => (point.expected < curve[least].expected ? n : least), 0);
  let params = curve[at].params;
  if (count > 1) {
    const ends = [curve[Math.max(at - 1, 0)], curve[Math.min(at + 1, count - 1)]].map((end) => Math.log(end.params));
    const found = Math.exp(goldenSection((log) => expected(Math.exp(log)), ...ends));
    if (expected(found) < curve[at].expected) params = found;
  }
  const regret = every((i) => problem.regret(i, params, cost));
  return {
    params,
    tokens: problem.tokens(params, cost),
    compute: problem.training(params, cost),
    expected_regret: mean(regret),
    regret: interval(regret, prob),
    loss: interval(every((i) => problem.loss(i, params, cost)), prob),
    oversized: mean(every((i) => Number(problem.tooLarge(i, params, cost)))),
    serving_share: 1 - problem.training(params, cost) / cost,
    params_opt: interval(best, prob),
    curve,
  };
}

/** Where a function with one minimum has it, between two points, to within 1e-7. */
function goldenSection(value, low, high) {
  const share = (Math.sqrt(5) - 1) / 2;
  let inner = high - share * (high - low), outer = low + share * (high - low);
  let atInner = value(inner), atOuter = value(outer);
  while (high - low > 1e-7) {
    if (atInner < atOuter) {
      [high, outer, atOuter] = [outer, inner, atInner];
      inner = high - share * (high - low);
      atInner = value(inner);
    } else {
      [low, inner, atInner] = [inner, outer, atOuter];
      outer = low + share * (high - low);
      atOuter = value(outer);
    }
  }
  return atInner < atOuter ? inner : outer;
}
