// A tiny key-value server in memory: GET /get/KEY, /set/KEY?VALUE, /increment/KEY. Usage: node store.mjs PORT
import { createServer } from 'node:http';

const KEYS_MAX = 10_000;
const values = new Map();

const server = createServer((request, response) => {
  const url = new URL(request.url, 'http://store');
  const [, verb, key = ''] = url.pathname.split('/');
  if (verb === 'increment') values.set(key, Number(values.get(key) ?? 0) + 1);
  else if (verb === 'set') values.set(key, decodeURIComponent(url.search.slice(1)));
  else if (verb !== 'get') response.statusCode = 404;
  if (values.size > KEYS_MAX) values.delete(values.keys().next().value);
  response.end(String(values.get(key) ?? ''));
});
const [port] = process.argv.slice(2);
server.listen(Number(port), '127.0.0.1', () => console.log(`store answers on port ${port}`));
process.on('SIGTERM', () => {
  console.log(`store stops with ${values.size} keys`);
  server.close(() => process.exit(0));
  server.closeAllConnections();
});
