"use strict";
// The loss of any run by every draw of a posterior, and what follows from it: bayes_scaling/laws and
// planning/*_surface.py once more. A draw is a position i in the columns; sizes are in parameters, compute in
// FLOPs. Names are those of the Python functions; there a run is (params, tokens), here (params, compute).

/** Logarithm of e^x + e^y. */
function logaddexp(x, y) {
  const high = Math.max(x, y);
  return high === -Infinity ? high : high + Math.log1p(Math.exp(-Math.abs(x - y)));
}

/** What a token costs (planning/price.py): k = level exp(rise / (1 + (N / middle)^-power)). */
class Price {
  constructor({ level, rise, middle, power }) {
    Object.assign(this, { level, rise, middle, power });
  }

  /** FLOPs per parameter and token of a size. */
  k(params) {
    return this.rise ? this.level * Math.exp(this.rise * this.done(params)) : this.level;
  }

  /** Power of the size with which k grows there. */
  drift(params) {
    const done = this.done(params);
    return this.rise * this.power * done * (1 - done);
  }

  /** Training compute k N D. */
  compute(params, tokens) {
    return this.k(params) * params * tokens;
  }

  /** Size whose tokens cost so many FLOPs each, by Newton's method. */
  params(flopsPerToken) {
    if (!this.rise || !Number.isFinite(flopsPerToken) || flopsPerToken <= 0) return flopsPerToken / this.level;
    const wanted = Math.log(flopsPerToken);
    let logParams = wanted - Math.log(this.k(flopsPerToken / this.level));
    for (let n = 0; n < 40; n++) {
      const size = Math.exp(logParams);
      const step = (logParams + Math.log(this.k(size)) - wanted) / (1 + this.drift(size));
      logParams -= step;
      if (Math.abs(step) < 1e-14 * (1 + Math.abs(logParams))) break;
    }
    return Math.exp(logParams);
  }

  /** Share of the rise that a size has behind it. */
  done(params) {
    const logits = this.power * (Math.log(params) - Math.log(this.middle));
    return 1 / (1 + Math.exp(-Math.min(Math.max(logits, -700), 700)));
  }
}

/**
 * The Chinchilla law L = E + A / N^alpha + B / D^beta (laws/chinchilla.py, laws/inverse.py). Where k grows with
 * the size, the law in k N is about a size a Chinchilla law again (planning/law_surface.py).
 */
class LawSurface {
  /**
   * @param {Object<string, Float64Array>} law E, A, B, alpha and beta by draw
   * @param {Price} price
   */
  constructor(law, price) {
    this.law = law;
    this.price = price;
    this.draws = law.E.length;
    this.logA = law.A.map(Math.log);
    this.logB = law.B.map(Math.log);
    this.logBalance = law.A.map((_, i) => this.balance(this.logA[i], i, law.alpha[i]));
  }

  /** Logarithm of G = (alpha A / (beta B))^(1 / (alpha + beta)), by which N_opt = G (C/k)^a. */
  balance(logA, i, alpha) {
    const beta = this.law.beta[i];
    return (Math.log(alpha) + logA - Math.log(beta) - this.logB[i]) / (alpha + beta);
  }

  /** N_opt at a compute. */
  size(i, compute) {
    const alpha = this.law.alpha[i], beta = this.law.beta[i];
    const a = beta / (alpha + beta);
    let params = Math.exp(this.logBalance[i] + a * Math.log(compute / this.price.level));
    for (let n = 0; n < (this.price.rise ? 16 : 0); n++) {
      const near = this.near(i, params), last = params;
      const share = beta / (near.alpha + beta);
      params = near.size(this.balance(near.logA, i, near.alpha) + share * Math.log(compute));
      if (Math.abs(params / last - 1) < 1e-14) break;
    }
    return params;
  }

  /** Loss of a size that a compute is spent on. */
  loss(i, params, compute) {
    const { E, alpha, beta } = this.law;
    const logTokens = Math.log(compute / this.price.compute(params, 1));
    const size = Math.exp(this.logA[i] - alpha[i] * Math.log(params));
    return E[i] + size + Math.exp(this.logB[i] - beta[i] * logTokens);
  }

  /** Least loss at a compute. */
  leastLoss(i, compute) {
    return this.loss(i, this.size(i, compute), compute);
  }

  /** Least compute that reaches a loss; infinite where nothing does. */
  leastCompute(i, loss) {
    const alpha = this.law.alpha[i], beta = this.law.beta[i];
    const logRoom = Math.log(Math.max(loss - this.law.E[i], 0));
    if (!this.price.rise) {
      const atOne = this.logA[i] - alpha * this.logBalance[i] + Math.log1p(alpha / beta);
      return this.price.level * Math.exp((atOne - logRoom) * (1 / alpha + 1 / beta));
    }
    let params = Math.exp((this.logA[i] - logRoom + Math.log1p(alpha / beta)) / alpha);
    let tokens = Infinity;
    for (let n = 0; n < 3; n++) {
      // At the optimum the size's share of the reducible loss is a, and the data's b.
      const near = this.near(i, params);
      params = near.size((near.logA - logRoom + Math.log1p(near.alpha / beta)) / near.alpha);
      tokens = Math.exp((this.logB[i] - logRoom + Math.log1p(beta / near.alpha)) / beta);
    }
    return this.price.compute(params, tokens);
  }

  /** Share of a compute that the optimal run would have saved at the loss of this size. */
  regret(i, params, compute) {
    if (this.price.rise) return 1 - this.leastCompute(i, this.loss(i, params, compute)) / compute;
    const alpha = this.law.alpha[i], beta = this.law.beta[i];
    const a = beta / (alpha + beta), b = alpha / (alpha + beta);
    const logRatio = Math.log(params) - this.logBalance[i] - a * Math.log(compute / this.price.level);
    const worse = logaddexp(Math.log(a) - alpha * logRatio, Math.log(b) + beta * logRatio);
    return -Math.expm1(-worse * (1 / alpha + 1 / beta));
  }

  /** The law in k N as it is about a size: log A and alpha, and what turns log(k N) back into a size. */
  near(i, params) {
    params = Math.min(Math.max(params, 1e-300), 1e300);
    const growth = 1 + this.price.drift(params);
    const logScale = Math.log(this.price.k(params)) - (growth - 1) * Math.log(params);
    const alpha = this.law.alpha[i] / growth;
    return {
      alpha,
      logA: this.logA[i] + logScale * alpha,
      size: (logProduct) => Math.exp((logProduct - logScale) / growth),
    };
  }
}

/**
 * An IsoFLOP model (laws/frontier.py, laws/isoflop.py, planning/frontier_surface.py): along the frontier
 * N_opt = params_coefficient C^a and L_opt = E + loss_coefficient C^-gamma, and about it
 * L = L_opt (1 + kappa rise(log N / N_opt)).
 */
class FrontierSurface {
  /**
   * @param {Object<string, Float64Array>} line by draw; with alpha and beta if the profiles are skewed
   * @param {Price} price
   * @param {number} typicalCompute where the curvature is kappa
   */
  constructor(line, price, typicalCompute) {
    this.line = line;
    this.price = price;
    this.logTypical = Math.log(typicalCompute);
    this.draws = line.E.length;
    this.logParams = line.params_coefficient.map(Math.log);
    this.logLoss = line.loss_coefficient.map(Math.log);
  }

  size(i, compute) {
    return Math.exp(this.logParams[i] + this.line.a[i] * Math.log(compute));
  }

  leastLoss(i, compute) {
    return this.line.E[i] + Math.exp(this.logLoss[i] - this.line.gamma[i] * Math.log(compute));
  }

  leastCompute(i, loss) {
    const logRoom = Math.log(Math.max(loss - this.line.E[i], 0));
    return Math.exp((this.logLoss[i] - logRoom) / this.line.gamma[i]);
  }

  loss(i, params, compute) {
    return this.leastLoss(i, compute) * (1 + this.above(i, params, compute));
  }

  regret(i, params, compute) {
    const least = this.leastLoss(i, compute);
    const above = (this.above(i, params, compute) * least) / (least - this.line.E[i]);
    return -Math.expm1(-Math.log1p(above) / this.line.gamma[i]);
  }

  /** By how much, of the least loss, a size lies above it: kappa rise(u). */
  above(i, params, compute) {
    const { log_kappa, kappa_slope, alpha, beta } = this.line;
    const logCompute = Math.log(compute);
    const u = Math.log(params) - this.logParams[i] - this.line.a[i] * logCompute;
    const kappa = Math.exp(log_kappa[i] + kappa_slope[i] * (logCompute - this.logTypical));
    if (!alpha) return kappa * u * u;
    const x = alpha[i], y = beta[i];
    return ((kappa * 2) / (x * y)) * ((y * Math.exp(-x * u) + x * Math.exp(y * u)) / (x + y) - 1);
  }
}

/** Share of the law's gain from more compute that no slope takes away. */
const KEPT = 0.5;
/** Decades between the rungs of a ladder, and how many beyond the runs a loss is sought. */
const RUNG = 0.1, FAR = 12;
/** Step in log tokens: of the slope of the loss. */
const STEP = 1e-4;

/**
 * A surface that leaves its law beyond the runs (planning/discrepancy.py, planning/deviating_surface.py). With d
 * the decades beyond the largest run, N_opt' = N_opt e^(eps d) and L_opt' = L_opt e^dev(C), where dev = slope d up
 * to the bend, from where on the frontier keeps half of what the law gains.
 */
class DeviatingSurface {
  /**
   * @param {LawSurface|FrontierSurface} law
   * @param {{slope: Float64Array, params_slope: Float64Array, bend: Float64Array}} by slopes of the log loss and of
   *   log N_opt (eps) per decade, and how many decades the former holds, by draw
   * @param {number} largest compute of the runs
   */
  constructor(law, { slope, params_slope, bend }, largest) {
    Object.assign(this, { law, slope, params_slope, bend, largest, price: law.price, draws: law.draws });
    this.logStart = slope.map((_, i) => Math.log(law.leastLoss(i, largest)));
    /** Fall of the law's least log loss from the largest run to the bend, and what the slope leaves of it. */
    this.gainAtBend = bend.map((at, i) => (at < Infinity ? this.gain(i, largest * 10 ** at) : Infinity));
    this.keptAtBend = bend.map((at, i) => (at < Infinity ? this.gainAtBend[i] - slope[i] * at : Infinity));
    this.ladders = [];
  }

  decades(compute) {
    const ratio = compute / this.largest;
    return ratio > 1 + 1e-12 ? Math.log10(ratio) : 0;
  }

  /** Fall of the law's least log loss from the largest run on. */
  gain(i, compute) {
    return this.logStart[i] - Math.log(this.law.leastLoss(i, compute));
  }

  /** Logarithm of the loss over the law's. */
  deviate(i, compute) {
    const decades = this.decades(compute);
    if (decades <= this.bend[i]) return this.slope[i] * decades;
    return this.slope[i] * this.bend[i] + (1 - KEPT) * Math.max(this.gain(i, compute) - this.gainAtBend[i], 0);
  }

  size(i, compute) {
    return this.law.size(i, compute) * Math.exp(this.params_slope[i] * this.decades(compute));
  }

  leastLoss(i, compute) {
    return this.law.leastLoss(i, compute) * Math.exp(this.deviate(i, compute));
  }

  loss(i, params, compute) {
    const own = params * Math.exp(-this.params_slope[i] * this.decades(compute));
    return this.law.loss(i, own, compute) * Math.exp(this.deviate(i, compute));
  }

  /** In closed form up to the runs and past the bend, on the ladder between. */
  leastCompute(i, loss) {
    const gain = this.logStart[i] - Math.log(loss);
    if (!(gain > 0) || gain === Infinity || this.slope[i] === 0) return this.law.leastCompute(i, loss);
    if (gain <= this.keptAtBend[i]) return this.largest * 10 ** this.climb(i, gain);
    const byLaw = this.gainAtBend[i] + (gain - this.keptAtBend[i]) / KEPT;
    const least = this.law.leastCompute(i, Math.exp(this.logStart[i] - byLaw));
    return least <= this.largest * 10 ** FAR ? least : Infinity;
  }

  regret(i, params, compute) {
    const decades = this.decades(compute);
    if (decades === 0) return this.law.regret(i, params, compute);
    if (this.slope[i] === 0) {
      return this.law.regret(i, params * Math.exp(-this.params_slope[i] * decades), compute);
    }
    return 1 - Math.min(this.leastCompute(i, this.loss(i, params, compute)), compute) / compute;
  }

  /**
   * Decades beyond the largest run at which the frontier has gained so much (planning/ladder.py): between rungs
   * the gain is a cubic, which Newton's method turns round.
   */
  climb(i, gain) {
    const rungs = (this.ladders[i] ??= []);
    while (rungs.length < 2 || (rungs.at(-1).value < gain && rungs.at(-1).at < Math.min(this.bend[i], FAR))) {
      rungs.push(this.rung(i, Math.min(rungs.length * RUNG, this.bend[i])));
    }
    let cell = 0;
    while (cell < rungs.length - 2 && gain > rungs[cell + 1].value) cell++;
    const low = rungs[cell], high = rungs[cell + 1];
    if (gain > high.value && high.at < this.bend[i]) return Infinity;
    const width = high.at - low.at, rise = high.value - low.value;
    const first = width * low.rate, last = width * high.rate;
    const square = 3 * rise - 2 * first - last, cube = first + last - 2 * rise;
    const above = gain - low.value;
    let share = Math.min(above / (rise > 0 ? rise : 1), 1);
    for (let n = 0; n < 4; n++) {
      const steep = (3 * cube * share + 2 * square) * share + first;
      share -= (((cube * share + square) * share + first) * share - above) / (steep > 0 ? steep : 1);
    }
    return low.at + share * width;
  }

  /** Gain and its rate at decades beyond the largest run; at the optimum a loss changes as with tokens alone. */
  rung(i, at) {
    const compute = this.largest * 10 ** at, size = this.law.size(i, compute);
    const [less, more] = [-STEP, STEP].map((step) => this.law.loss(i, size, compute * Math.exp(step)));
    const least = this.law.leastLoss(i, compute);
    return {
      at,
      value: this.logStart[i] - Math.log(least) - this.slope[i] * at,
      rate: (Math.LN10 * (less - more)) / (2 * STEP * least) - this.slope[i],
    };
  }
}
