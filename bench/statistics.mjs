/** The middle one, and the extremes over all rounds. */
export function summary(values) {
  const sorted = values.toSorted((a, b) => a - b);
  return { median: percentile(sorted, 0.5), min: sorted[0], max: sorted.at(-1), rounds: sorted.length };
}

/** Of sorted values. */
export function percentile(sorted, share) {
  const at = (sorted.length - 1) * share;
  const below = sorted[Math.floor(at)];
  return below + (sorted[Math.ceil(at)] - below) * (at - Math.floor(at));
}
