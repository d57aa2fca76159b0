// Checks a history that a run has kept: node --import ./test/support/typescript-loader.mjs test/linearizability/check.ts FILE
import { check } from './explain.js';
import { readHistory } from './history.js';
import { explain } from './verdict.js';

const [file] = process.argv.slice(2);
if (file === undefined) throw new Error('which file? test/linearizability/check.ts FILE');

const history = readHistory(file);
const findings = check(history);
if (findings.length > 0) console.log(`${explain(findings)}\n`);
const records = new Set(findings.map(({ key }) => key)).size;
console.log(
  findings.length === 0
    ? `All ${history.calls.length} calls can be explained.`
    : `Of ${history.calls.length} calls ${findings.length} cannot be explained, in ${records} records.`,
);
process.exitCode = findings.length === 0 ? 0 : 1;
