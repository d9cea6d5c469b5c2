// A reporter for Node's test runner: the closing counts and the skipped tests as one JSON object.

const COUNT = /^(tests|suites|pass|fail|cancelled|skipped|todo) (\d+)$/;

/** Reads the runner's events to their end, then yields the summary that tools/test.mjs adds up. */
export default async function* summarize(events) {
  const counts = {};
  const skipped = [];
  for await (const { type, data } of events) {
    if (type === 'test:diagnostic' && data.nesting === 0) {
      const count = COUNT.exec(data.message);
      if (count !== null) counts[count[1]] = Number(count[2]);
    }
    const isSkipped = type === 'test:pass' && data.skip !== undefined && data.skip !== false;
    if (isSkipped) {
      const file = (data.file ?? '').replace(`${process.cwd()}/`, '');
      skipped.push({ name: data.name, file, reason: data.skip === true ? '' : data.skip });
    }
  }
  yield JSON.stringify({ counts, skipped });
}
