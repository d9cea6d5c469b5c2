// A web server that answers every page with who it is; its access log is its stdout.
// Usage: node site.mjs PORT NAME
import { createServer } from 'node:http';

const [port, name] = process.argv.slice(2);
const server = createServer((request, response) => {
  response.setHeader('content-type', 'text/plain');
  response.end(`Hello from ${name}, pid ${process.pid}.\n`);
  console.log(`${request.socket.remoteAddress} ${request.method} ${request.url} 200`);
});
server.listen(Number(port), '127.0.0.1', () => console.log(`${name} answers on port ${port}`));
process.on('SIGTERM', () => {
  console.log(`${name} stops`);
  server.close(() => process.exit(0));
  server.closeAllConnections();
});
