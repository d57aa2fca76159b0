/** Ends a run with one plain line, for people and scripts that want no more than that. */
export default class CountReporter {
  /**
   * @param {unknown} _contexts
   * @param {import('@jest/reporters').AggregatedResult} results
   */
  onRunComplete(_contexts, results) {
    // Not before the end: Jest's own summary comes after every other reporter, and its verdict later still.
    process.once('exit', () => {
      // A file that does not even load has no failed test, and a run may fail without any: neither is "0 failed".
      const failed = results.numFailedTests + results.numRuntimeErrorTestSuites;
      console.log(`${results.numPassedTests} passed, ${failed === 0 && !results.success ? 1 : failed} failed`);
    });
  }
}
