// Adds up the JSON reports of test runs and prints `N passed, N failed`. Fails when a report is missing, nothing ran,
// or anything failed.
import { readFileSync } from 'node:fs';

let passed = 0;
let failed = 0;
for (const file of process.argv.slice(2)) {
  try {
    const report = JSON.parse(readFileSync(file, 'utf8'));
    passed += report.numPassedTests;
    // A suite that could not even be loaded counts as a failure of its own.
    failed += Math.max(report.numFailedTests, report.numFailedTestSuites > 0 && report.numFailedTests === 0 ? 1 : 0);
    if (report.numPassedTests + report.numFailedTests === 0) failed += 1;
  } catch (error) {
    process.stderr.write(`${file}: ${String(error)}\n`);
    failed += 1;
  }
}
process.stdout.write(`${passed} passed, ${failed} failed\n`);
process.exitCode = failed > 0 ? 1 : 0;
