// A webhook receiver: prints what the controller sends, one line an alert, so that `ctl tail` shows it.
// Usage: node alerts-inbox.mjs PORT
import { createServer } from 'node:http';

const BODY_BYTES_MAX = 1024 * 1024;

function describe(alert) {
  const labels = Object.entries(alert.labels ?? {}).map(([key, value]) => `${key}=${value}`);
  const status = String(alert.status ?? '?').toUpperCase();
  return `${status} ${labels.join(' ')}: ${alert.summary ?? ''}`;
}

const server = createServer((request, response) => {
  let body = '';
  request.on('data', (chunk) => {
    body += chunk;
    if (body.length > BODY_BYTES_MAX) request.destroy();
  });
  request.on('end', () => {
    try {
      const message = JSON.parse(body);
      for (const alert of message.alerts ?? [message]) console.log(describe(alert));
      response.end('ok\n');
    } catch (error) {
      console.error(`not JSON: ${error.message}`);
      response.statusCode = 400;
      response.end('not JSON\n');
    }
  });
});
const [port] = process.argv.slice(2);
server.listen(Number(port), '127.0.0.1', () => console.log(`waiting for alerts on port ${port}`));
process.on('SIGTERM', () => {
  server.close(() => process.exit(0));
  server.closeAllConnections();
});
