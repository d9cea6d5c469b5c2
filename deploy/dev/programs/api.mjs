// A small service that counts its visits in the store of another host; it answers 503 while the store is away.
// Usage: node api.mjs PORT STORE_URL
import { createServer, get } from 'node:http';

const [port, storeUrl] = process.argv.slice(2);

function countVisit() {
  return new Promise((resolve, reject) => {
    get(`${storeUrl}/increment/visits`, (response) => {
      let body = '';
      response.on('data', (chunk) => (body += chunk));
      response.on('end', () => resolve(Number(body)));
    }).on('error', reject);
  });
}

const server = createServer(async (request, response) => {
  response.setHeader('content-type', 'application/json');
  try {
    response.end(`${JSON.stringify({ visits: await countVisit(), port: Number(port) })}\n`);
  } catch (error) {
    console.error(`${request.url}: the store at ${storeUrl} does not answer: ${error.message}`);
    response.statusCode = 503;
    response.end(`${JSON.stringify({ error: 'the store is away' })}\n`);
  }
});
server.listen(Number(port), '127.0.0.1', () => console.log(`api answers on port ${port}`));
process.on('SIGTERM', () => {
  server.close(() => process.exit(0));
  server.closeAllConnections();
});
