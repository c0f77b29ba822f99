"use strict";
// Numbers as bayes_scaling/quantities.py reads and writes them, to the letter.

const SUFFIXES = { k: 3, m: 6, b: 9, g: 9, t: 12 };
const NUMBER = /^([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))(?:([eE][+-]?[0-9]+)|\s*([kKmMbBgGtT]))?$/;
const GROUPED = /^[+-]?[0-9]{1,3}(?:,[0-9]{3}){2,}$/;

/**
 * Read a number as people write it: 5.76e23, 70B, 1.4T, 1,000,000.
 * @param {string} text
 * @returns {number} NaN of what is no number, or is beyond what a float can hold.
 */
function parseQuantity(text) {
  const stripped = text.trim();
  const match = (GROUPED.test(stripped) ? stripped.replaceAll(",", "") : stripped).match(NUMBER);
  if (!match) return NaN;
  const [, digits, exponent, suffix] = match;
  const value = Number(digits + (exponent ?? (suffix ? `e${SUFFIXES[suffix.toLowerCase()]}` : "")));
  return Number.isFinite(value) ? value : NaN;
}

/**
 * Round to significant digits, halves to the even digit as Python does; toExponential takes them away from 0.
 * @param {number} value finite
 * @param {number} digits
 * @returns {[string, number]} mantissa and exponent
 */
function rounded(value, digits) {
  const [mantissa, exponent] = value.toExponential(digits - 1).split("e");
  const [exact, power] = value.toExponential(60).split("e");
  const kept = exact.slice(0, exact.indexOf(".") + digits).replace(/\.$/, "");
  const rest = exact.replace(".", "").slice(kept.replace(".", "").length);
  const tie = /^50*$/.test(rest) && "02468".includes(kept.at(-1));
  return tie ? [kept, Number(power)] : [mantissa, Number(exponent)];
}

const trimmed = (number) => (number.includes(".") ? number.replace(/0+$/, "").replace(/\.$/, "") : number);
const notWritten = (value) => (value === 0 ? "0" : String(value).replace("Infinity", "inf").replace("NaN", "nan"));

/**
 * Write a count: 512, 2k, 70.2B, 1.42T; from 1e15 up and below 0.001 with an exponent.
 * @param {number} value
 * @param {number} [digits]
 */
function formatQuantity(value, digits = 3) {
  if (!Number.isFinite(value) || value === 0) return notWritten(value);
  const [mantissa, exponent] = rounded(value, digits);
  if (exponent >= 15 || exponent < -3) return `${trimmed(mantissa)}e${exponent}`;
  const power = Math.max(Math.floor(exponent / 3) * 3, 0);
  const decimals = Math.max(digits - 1 - (exponent - power), 0);
  const suffix = { 0: "", 3: "k", 6: "M", 9: "B", 12: "T" }[power];
  return trimmed(Number(`${mantissa}e${exponent - power}`).toFixed(decimals)) + suffix;
}

/** Write FLOPs, always with an exponent: 5.76e23. */
function formatFlops(value, digits = 3) {
  if (!Number.isFinite(value) || value === 0) return notWritten(value);
  const [mantissa, exponent] = rounded(value, digits);
  return `${trimmed(mantissa)}e${exponent}`;
}

/** Write significant digits, as Python's format "g". */
function formatPlain(value, digits = 4) {
  if (!Number.isFinite(value) || value === 0) return notWritten(value);
  const [mantissa, exponent] = rounded(value, digits);
  if (exponent < -4 || exponent >= digits) {
    const power = String(Math.abs(exponent)).padStart(2, "0");
    return `${trimmed(mantissa)}e${exponent < 0 ? "-" : "+"}${power}`;
  }
  return trimmed(Number(`${mantissa}e${exponent}`).toFixed(digits - 1 - exponent));
}

/** Write a share as per cent: 90 %. */
const formatShare = (value, digits = 3) => `${formatPlain(100 * value, digits)} %`;

/** Write a factor with three significant digits. */
function formatFactor(value) {
  const text = formatPlain(value, 3).replace("e+0", "e").replace("e+", "e");
  return value >= 1000 && value < 1e6 ? Number(text).toLocaleString("en-US", { maximumFractionDigits: 0 }) : text;
}

/** Write the ends of an interval with a dash between them. */
const formatInterval = (value, write) => `${write(value.low)}\u2013${write(value.high)}`;
