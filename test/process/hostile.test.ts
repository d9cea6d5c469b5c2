// Malformed input at every port: the program lives, its memory stays bounded, and the next good request is answered
// (spec fleet 14, 15 "malformed input on any port").
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { request } from 'node:http';
import { connect as connectHttp2, type ClientHttp2Stream } from 'node:http2';
import { connect, type NetConnectOpts, type Socket } from 'node:net';
import { test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { callUnary } from '../../common/rpc.js';
import type { TlsMaterial } from '../../common/tls.js';
import { encodeCall } from '../../common/xmlrpc.js';
import { startAgent } from '../support/agent.js';
import { makeTestFleet } from '../support/certificates.js';
import { startTestController } from '../support/controller.js';
import { freePort } from '../support/ports.js';
import { until } from '../support/wait.js';

const MEGA = 1024 * 1024;
/** What hostile input may leave in memory; each flood alone is larger or could be. */
const GROWTH_BYTES_MAX = 150 * MEGA;
/** A peer that is not cut off by then is left open while others are served. */
const CUT_MS = 300;

type Place = NetConnectOpts;

/** Connects, sends, and answers what came back until the other end closed or CUT_MS went by. */
async function pour(place: Place, bytes: Buffer | string): Promise<string> {
  const socket = connect(place);
  return exchange(socket, bytes);
}

async function exchange(socket: Socket, bytes: Buffer | string): Promise<string> {
  let answer = '';
  socket.on('data', (chunk: Buffer) => (answer += chunk.toString('latin1')));
  // A peer that cuts us off while we write is doing its work.
  socket.on('error', () => undefined);
  await new Promise<void>((resolve) => {
    const limit = setTimeout(resolve, CUT_MS);
    socket.once('close', () => {
      clearTimeout(limit);
      resolve();
    });
    socket.write(bytes);
  });
  socket.destroy();
  return answer;
}

const post = (body: string, headers = ''): string =>
  `POST /RPC2 HTTP/1.1\r\nHost: x\r\nContent-Type: text/xml\r\nContent-Length: ${Buffer.byteLength(body)}\r\n${headers}\r\n${body}`;

/** The beginning of a TLS handshake that never goes on. */
const HELLO = Buffer.concat([Buffer.from('1603010200010001fc0303', 'hex'), randomBytes(600)]);

const HTTP_GARBAGE: readonly (readonly [string, Buffer | string])[] = [
  ['random bytes', randomBytes(64 * 1024)],
  ['a TLS handshake', HELLO],
  ['zeros', Buffer.alloc(MEGA)],
  ['a request line of 4 MiB', `GET /${'a'.repeat(4 * MEGA)}`],
  ['a header of 4 MiB', `GET / HTTP/1.1\r\nHost: x\r\nX: ${'a'.repeat(4 * MEGA)}`],
  ['100,000 headers', `GET / HTTP/1.1\r\n${'a: b\r\n'.repeat(100_000)}\r\n`],
  ['bare line feeds in headers', 'GET / HTTP/1.1\nHost: x\nX: y\n\n'],
  [
    'a length and chunks at once',
    'POST /RPC2 HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
  ],
  ['a bad chunk', 'POST /RPC2 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n'],
  ['a negative length', 'POST /RPC2 HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n'],
  [
    'a length beyond numbers',
    `POST /RPC2 HTTP/1.1\r\nHost: x\r\nContent-Length: ${'9'.repeat(40)}\r\n\r\n`,
  ],
  ['a length of 900 GB', 'POST /RPC2 HTTP/1.1\r\nHost: x\r\nContent-Length: 900000000000\r\n\r\n<'],
  ['a method of its own', 'BREW /RPC2 HTTP/1.1\r\nHost: x\r\n\r\n'],
  ['an upgrade', 'GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'],
  ['CONNECT', 'CONNECT 10.0.0.1:80 HTTP/1.1\r\nHost: x\r\n\r\n'],
  [
    'Expect: 100-continue',
    'POST /RPC2 HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n',
  ],
  ['a path full of dots', 'GET /../../../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n'],
  ['a path with bad escapes', 'GET /%ff%zz%00?%=&&& HTTP/1.1\r\nHost: x\r\n\r\n'],
];

const entity = (name: string, of: string): string => `<!ENTITY ${name} "${`&${of};`.repeat(20)}">`;
const BOMB = `<?xml version="1.0"?><!DOCTYPE a [<!ENTITY a "aaaaaaaaaa">${entity('b', 'a')}${entity('c', 'b')}${entity('d', 'c')}${entity('e', 'd')}]>`;
const call = (inner: string): string =>
  `<?xml version="1.0"?><methodCall><methodName>supervisor.getState</methodName>${inner}</methodCall>`;

const XML_GARBAGE: readonly (readonly [string, string])[] = [
  ['nothing', ''],
  ['no XML', 'hello'],
  ['half of a call', call('').slice(0, 60)],
  ['NUL bytes', call('\0\0\0')],
  ['100,000 open elements', '<a>'.repeat(100_000)],
  ['100,000 nested arrays', call(`<params><param>${'<value><array><data>'.repeat(20_000)}`)],
  ['200,000 elements side by side', call(`<params>${'<param/>'.repeat(110_000)}</params>`)],
  ['entities that grow', `${BOMB}<methodCall><methodName>&e;</methodName></methodCall>`],
  [
    'a file as an entity',
    '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><methodCall><methodName>&x;</methodName></methodCall>',
  ],
  [
    'a name out of the prototype',
    '<methodCall><methodName>__proto__.constructor</methodName></methodCall>',
  ],
  [
    'a struct with __proto__',
    call(
      '<params><param><value><struct><member><name>__proto__</name><value>x</value></member></struct></value></param></params>',
    ),
  ],
  [
    'an endless multicall',
    '<methodCall><methodName>system.multicall</methodName><params><param><value><array><data><value><struct><member><name>methodName</name><value>system.multicall</value></member></struct></value></data></array></value></param></params></methodCall>',
  ],
];

/** Resident bytes of a process. */
function residentBytes(pid: number): number {
  const kib = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1];
  return Number(kib) * 1024;
}

test('an agent outlives what is sent to its sockets, and goes on answering', async (t) => {
  const port = await freePort();
  const programs = `[program:a]\ncommand=/bin/sleep 1000\n[inet_http_server]\nport=127.0.0.1:${port}\n`;
  const agent = await startAgent(t, programs);
  const child = (await agent.reaches('a', 'RUNNING'))['pid'];
  const before = residentBytes(agent.pid());
  for (const place of [{ path: agent.socket }, { host: '127.0.0.1', port }]) {
    for (const [what, bytes] of HTTP_GARBAGE) {
      const answer = await pour(place, bytes);
      assert.doesNotMatch(answer, /^HTTP\/1\.1 2|root:|at .*\.ts:\d/, what);
      assert.ok(await agent.call('supervisor.getState'), `after ${what}`);
    }
    for (const [what, body] of XML_GARBAGE) {
      const answer = await pour(place, post(body, 'Connection: close\r\n'));
      assert.doesNotMatch(answer, /root:|RUNNING|at .*\.ts:\d/, what);
      assert.ok(await agent.call('supervisor.getState'), `after ${what}`);
    }
  }
  assert.equal((await agent.info('a'))['pid'], child, 'the program was not touched');
  const grown = residentBytes(agent.pid()) - before;
  assert.ok(grown < GROWTH_BYTES_MAX, `${Math.round(grown / MEGA)} MiB more`);
});

test('clients that send a byte now and then do not keep others from an agent', async (t) => {
  const port = await freePort();
  const agent = await startAgent(t, `[inet_http_server]\nport=127.0.0.1:${port}\n`);
  const slow: Socket[] = [];
  t.after(() => {
    for (const socket of slow) socket.destroy();
  });
  for (let i = 0; i < 400; i++) {
    const socket = connect({ host: '127.0.0.1', port });
    socket.on('error', () => undefined);
    socket.write('POST /RPC2 HTTP/1.1\r\nHost:');
    slow.push(socket);
  }
  await until(
    'those beyond the limit to be closed',
    () => slow.filter(({ closed }) => closed).length >= 100,
  );
  assert.ok(await agent.call('supervisor.getState'), 'the unix socket answers meanwhile');
  for (const socket of slow) socket.destroy();
  await until('the port to answer again', () => getState(port).catch(() => false));
});

function getState(port: number): Promise<boolean> {
  const body = encodeCall('supervisor.getState', []);
  const headers = { 'Content-Type': 'text/xml', 'Content-Length': Buffer.byteLength(body) };
  return new Promise((resolve, reject) => {
    const place = { host: '127.0.0.1', port, path: '/RPC2', method: 'POST', agent: false };
    const sent = request({ ...place, headers }, (response) => {
      response.resume().on('end', () => resolve(response.statusCode === 200));
    });
    sent.on('error', reject).end(body);
  });
}

test('a controller outlives what is sent to its ports, and goes on answering', async () => {
  const controller = await startTestController('[user:anna]\ngrant=admin on *:*:*');
  const foreign = await makeTestFleet('test');
  try {
    const [host = '', port = ''] = controller.address.split(':');
    const grpc = { host, port: Number(port) };
    const client = await controller.control();
    const good = async (what: string): Promise<void> => {
      const answer = await callUnary(
        client.hosts.bind(client),
        { hosts: [] },
        { timeoutMs: 20_000 },
      );
      assert.deepEqual(answer.hosts, [], `after ${what}`);
    };
    await good('nothing');
    const before = process.memoryUsage.rss();
    for (const [what, bytes] of HTTP_GARBAGE) {
      await pour(grpc, bytes);
      const answer = await pour({ host, port: controller.httpPort }, bytes);
      assert.doesNotMatch(answer, /^HTTP\/1\.1 2(?!00 OK\r\n.*ok)|root:|at .*\.ts:\d/s, what);
      await good(what);
      assert.equal(await health(controller.httpPort), 200, `after ${what}`);
    }

    const own = await controller.fleet.tls('host', 'web1');
    const stranger = await foreign.tls('host', 'web1');
    const preface = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';
    const settings = Buffer.from('000000040000000000', 'hex');
    const frames: readonly (readonly [string, Buffer | string])[] = [
      ['random bytes', randomBytes(256 * 1024)],
      ['HTTP/1.1', 'GET / HTTP/1.1\r\nHost: x\r\n\r\n'],
      ['a preface and noise', Buffer.concat([Buffer.from(preface), randomBytes(64 * 1024)])],
      [
        'a frame of 16 MiB',
        Buffer.concat([Buffer.from(preface), settings, Buffer.from('ffffff000000000001', 'hex')]),
      ],
      ['headers without end', Buffer.concat([Buffer.from(preface), settings, continuations()])],
    ];
    for (const [what, bytes] of frames) {
      for (const tls of [own, stranger]) await exchange(secure(grpc, tls), bytes);
      await good(what);
    }
    for (const [what, path, body] of MESSAGES) {
      const status = await callRaw(controller.address, own, path, body);
      assert.notEqual(status, '0', what);
      await good(what);
    }
    const grown = process.memoryUsage.rss() - before;
    assert.ok(grown < 2 * GROWTH_BYTES_MAX, `${Math.round(grown / MEGA)} MiB more`);
  } finally {
    foreign.remove();
    await controller.stop();
  }
});

function health(port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const sent = request(
      { host: '127.0.0.1', port, path: '/healthz', agent: false },
      (response) => {
        response.resume().on('end', () => resolve(response.statusCode ?? 0));
      },
    );
    sent.on('error', reject).end();
  });
}

/** A connection with a certificate, which the other end may not like. */
function secure(place: { host: string; port: number }, { ca, cert, key }: TlsMaterial): Socket {
  const alpn = { ALPNProtocols: ['h2'], checkServerIdentity: () => undefined };
  return connectTls({ ...place, ca, cert, key, rejectUnauthorized: false, ...alpn });
}

/** HEADERS that never end: 2,000 CONTINUATION frames. */
function continuations(): Buffer {
  const frame = (type: number, payload: Buffer): Buffer => {
    const head = Buffer.alloc(9);
    head.writeUIntBE(payload.length, 0, 3);
    head[3] = type;
    head.writeUInt32BE(1, 5);
    return Buffer.concat([head, payload]);
  };
  const field = Buffer.concat([
    Buffer.from([0x00, 0x01, 0x61, 0x7f, 0x81, 0x0f]),
    Buffer.alloc(270, 0x62),
  ]);
  return Buffer.concat([frame(1, field), ...Array.from({ length: 2_000 }, () => frame(9, field))]);
}

const message = (body: Buffer, length = body.length): Buffer => {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(length, 1);
  return Buffer.concat([head, body]);
};
const SESSION = '/fleetvisor.v1.Sessions/Connect';

/** What an admitted host could send when it is broken or taken over: method and body. */
const MESSAGES: readonly (readonly [string, string, Buffer])[] = [
  ['a method that is not there', '/fleetvisor.v1.Sessions/Nope', message(Buffer.alloc(0))],
  ['a service for others', '/fleetvisor.v1.Control/Hosts', message(Buffer.alloc(0))],
  ['a message that is no message', SESSION, message(randomBytes(1_000))],
  ['a message cut short', SESSION, message(Buffer.from([0x0a, 0xff, 0xff, 0xff, 0x7f]))],
  ['a length of 4 GiB', SESSION, message(Buffer.from('x'), 0xffffffff)],
  ['a message of 5 MiB', SESSION, message(Buffer.alloc(5 * MEGA))],
  ['a compressed message without compression', SESSION, Buffer.from([1, 0, 0, 0, 1, 0])],
  ['an empty first message', SESSION, message(Buffer.alloc(0))],
];

/** The gRPC status of a raw call, or why there is none. */
function callRaw(address: string, tls: TlsMaterial, path: string, body: Buffer): Promise<string> {
  const { ca, cert, key } = tls;
  const options = { ca, cert, key, checkServerIdentity: () => undefined };
  const session = connectHttp2(`https://${address}`, options);
  return new Promise<string>((resolve) => {
    session.on('error', (error: Error) => resolve(error.message));
    const headers = {
      ':method': 'POST',
      ':path': path,
      'content-type': 'application/grpc',
      te: 'trailers',
    };
    const stream: ClientHttp2Stream = session.request(headers);
    const finish = (fields: Readonly<Record<string, unknown>>): void => {
      const status = fields['grpc-status'];
      if (typeof status === 'string') resolve(status);
    };
    stream.on('response', finish).on('trailers', finish);
    stream.on('error', (error: Error) => resolve(error.message));
    stream.on('close', () => resolve('closed'));
    stream.resume().end(body);
  }).finally(() => session.destroy());
}
