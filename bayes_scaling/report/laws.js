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
      const near = this.near(i, params);
      const share = beta / (near.alpha + beta);
      params = near.size(this.balance(near.logA, i, near.alpha) + share * Math.log(compute));
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
const KEPT = 0.1;
const LN10 = Math.log(10);

/**
 * A surface that leaves its law beyond the runs (planning/discrepancy.py). With d the decades beyond the largest
 * run, N_opt' = N_opt e^(eps d) and L_opt' = L_opt e^dev(C), where dev = slope d up to the bend, from where on
 * the frontier keeps a tenth of what the law gains.
 */
class DeviatingSurface {
  /**
   * @param {LawSurface|FrontierSurface} surface
   * @param {{slope: Float64Array, params_slope: Float64Array, bend: Float64Array}} deviation by draw: slopes of
   *   the log loss and of log N_opt (eps) per decade, and how many decades the former holds
   * @param {number} largest compute of the runs
   */
  constructor(surface, deviation, largest) {
    Object.assign(this, { surface, deviation, largest, price: surface.price, draws: surface.draws });
  }

  decades(compute) {
    const ratio = compute / this.largest;
    return ratio > 1 + 1e-12 ? Math.log10(ratio) : 0;
  }

  /** Logarithm of the loss over the law's. */
  deviate(i, compute) {
    const decades = this.decades(compute);
    const slope = this.deviation.slope[i], bend = this.deviation.bend[i];
    if (decades <= bend) return slope * decades;
    const there = this.surface.leastLoss(i, this.largest * 10 ** bend);
    return slope * bend + (1 - KEPT) * Math.log(there / this.surface.leastLoss(i, compute));
  }

  size(i, compute) {
    return this.surface.size(i, compute) * Math.exp(this.deviation.params_slope[i] * this.decades(compute));
  }

  leastLoss(i, compute) {
    return this.surface.leastLoss(i, compute) * Math.exp(this.deviate(i, compute));
  }

  loss(i, params, compute) {
    const own = params * Math.exp(-this.deviation.params_slope[i] * this.decades(compute));
    return this.surface.loss(i, own, compute) * Math.exp(this.deviate(i, compute));
  }

  /** The frontier falls all the way: beyond the runs the compute is sought along it, by the Illinois rule. */
  leastCompute(i, loss) {
    if (loss >= this.surface.leastLoss(i, this.largest)) return this.surface.leastCompute(i, loss);
    const gap = (x) => Math.log(this.leastLoss(i, Math.exp(x)) / loss);
    const start = Math.log(this.largest);
    let low = start, high = start + 0.5;
    let atLow = gap(low), atHigh = gap(high);
    while (atHigh > 0) {
      if (high - start > 12 * LN10) return Infinity;
      [low, atLow, high] = [high, atHigh, high + 2 * (high - low)];
      atHigh = gap(high);
    }
    for (let n = 0, last = 0; n < 60 && high - low > 1e-13 * high && atHigh < 0; n++) {
      const middle = low + ((high - low) * atLow) / (atLow - atHigh);
      const value = gap(middle);
      const side = Math.sign(value) || -1;
      if (side < 0) [high, atHigh, atLow] = [middle, value, side === last ? atLow / 2 : atLow];
      else [low, atLow, atHigh] = [middle, value, side === last ? atHigh / 2 : atHigh];
      last = side;
      if (Math.abs(value) < 1e-14) return Math.exp(middle);
    }
    return Math.exp(high);
  }

  regret(i, params, compute) {
    if (this.decades(compute) === 0) return this.surface.regret(i, params, compute);
    return 1 - this.leastCompute(i, this.loss(i, params, compute)) / compute;
  }
}
