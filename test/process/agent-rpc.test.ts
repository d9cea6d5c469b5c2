// The XML-RPC edge of a real agent: HTTP statuses, faults, names, rows, multicall (spec xmlrpc 1-8).
import assert from 'node:assert/strict';
import { request } from 'node:http';
import { test } from 'node:test';
import { XmlFault, encodeCall } from '../../common/xmlrpc.js';
import { FAKE, startAgent } from '../support/agent.js';
import { freePort } from '../support/ports.js';

const fault = (code: number, text: string) => (error: unknown) => {
  assert.ok(error instanceof XmlFault, String(error));
  assert.deepEqual([error.faultCode, error.faultString], [code, text]);
  return true;
};

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: string;
}

function http(
  place: { readonly socketPath: string } | { readonly port: number },
  options: {
    readonly method?: string;
    readonly path?: string;
    readonly headers?: Readonly<Record<string, string>>;
    readonly body?: string;
    readonly chunked?: boolean;
  },
): Promise<Answer> {
  const { method = 'POST', path = '/RPC2', headers = {}, body, chunked } = options;
  const length = body === undefined || chunked ? {} : { 'Content-Length': Buffer.byteLength(body) };
  return new Promise((resolve, reject) => {
    const call = request(
      {
        ...place,
        host: '127.0.0.1',
        method,
        path,
        headers: { ...length, ...headers },
        agent: false,
      },
      (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
        response.on('end', () => {
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text });
        });
      },
    );
    call.on('error', reject);
    if (chunked === true) call.write(body ?? '');
    call.end(chunked === true ? undefined : body);
  });
}

test('HTTP answers are those that clients of Supervisor know', async (t) => {
  const agent = await startAgent(t, `[program:a]\ncommand=${FAKE} hang\nautostart=false\n`);
  const place = { socketPath: agent.socket };
  const body = encodeCall('supervisor.getState', []);
  const good = await http(place, { body });
  assert.deepEqual([good.status, good.headers['content-type']], [200, 'text/xml']);
  assert.ok(good.body.startsWith("<?xml version='1.0'?>\n<methodResponse>\n<params>\n"), good.body);
  const statuses = await Promise.all([
    http(place, { body, path: '/RPC2/x?y' }),
    http(place, { method: 'GET' }),
    http(place, { body: 'no xml' }),
    http(place, { body: "<?xml version='1.0'?><methodCall><params/></methodCall>" }),
    http(place, { body: '', headers: { 'Content-Length': '0' } }),
    http(place, { body, chunked: true }),
    http(place, { body, path: '/rpc2' }),
    http(place, { method: 'GET', path: '/nothing' }),
    http(place, { body, headers: { Origin: 'http://evil', 'Content-Type': 'text/xml' } }),
  ]);
  assert.deepEqual(
    statuses.map(({ status }) => status),
    [200, 400, 400, 400, 400, 411, 400, 404, 403],
  );
  assert.match(statuses[1]?.body ?? '', /^<head>\r\n<title>Error response<\/title>.*\r\n$/s);
});

test('a TCP server asks for its password, and without one tells strangers the status only', async (t) => {
  const port = await freePort();
  const openPort = await freePort();
  const agent = await startAgent(
    t,
    `[inet_http_server]\nport=127.0.0.1:${port}\nusername=ann\npassword=secret\n` +
      `[inet_http_server:open]\nport=*:${openPort}\n` +
      `[program:a]\ncommand=${FAKE} hang\nautostart=false\n`,
  );
  const state = encodeCall('supervisor.getState', []);
  const basic = (text: string): Record<string, string> => ({
    Authorization: `Basic ${Buffer.from(text).toString('base64')}`,
  });
  const refused = await http({ port }, { body: state });
  assert.equal(refused.status, 401);
  assert.equal(refused.headers['www-authenticate'], 'Basic realm="default"');
  assert.equal((await http({ port }, { body: state, headers: basic('ann:wrong') })).status, 401);
  assert.equal((await http({ port }, { body: state, headers: basic('ann:secret') })).status, 200);
  assert.equal((await http({ port: openPort }, { body: state })).status, 200);
  const acts = [
    encodeCall('supervisor.shutdown', []),
    encodeCall('supervisor.readLog', [0, 0]),
    encodeCall('system.multicall', [[{ methodName: 'supervisor.shutdown', params: [] }]]),
  ];
  for (const body of acts) assert.equal((await http({ port: openPort }, { body })).status, 403);
  assert.match(agent.log(), /WARN Server 'inet_http_server:open' can be reached by others/);
});

test('faults name what is wrong, with the name as it was sent', async (t) => {
  const agent = await startAgent(
    t,
    `[program:a]\ncommand=${FAKE} hang\nautostart=false\nstartsecs=0\n` +
      `[program:two]\ncommand=${FAKE} hang\nautostart=false\nstartsecs=0\nnumprocs=2\n` +
      'process_name=%(program_name)s_%(process_num)d\n',
  );
  const rejects = (
    code: number,
    text: string,
    method: string,
    ...params: (string | number)[]
  ): Promise<void> => assert.rejects(agent.call(method, ...params), fault(code, text));
  await rejects(1, 'UNKNOWN_METHOD', 'supervisor.noSuch');
  await rejects(1, 'UNKNOWN_METHOD', 'getState');
  await rejects(1, 'UNKNOWN_METHOD', 'other.getState');
  await rejects(2, 'INCORRECT_PARAMETERS', 'supervisor.getProcessInfo');
  await rejects(2, 'INCORRECT_PARAMETERS', 'supervisor.getState', 1);
  await rejects(10, 'BAD_NAME: two', 'supervisor.getProcessInfo', 'two');
  await rejects(10, 'BAD_NAME: two:*', 'supervisor.getProcessInfo', 'two:*');
  await rejects(10, 'BAD_NAME: nope:*', 'supervisor.startProcess', 'nope:*');
  await rejects(10, 'BAD_NAME: nope', 'supervisor.startProcessGroup', 'nope');
  await rejects(70, 'NOT_RUNNING: two:two_0', 'supervisor.stopProcess', 'two:two_0');
  await rejects(11, 'BAD_SIGNAL: WHAT', 'supervisor.signalProcess', 'a', 'WHAT');
  await rejects(70, 'NOT_RUNNING: a', 'supervisor.signalProcess', 'a', 'hup');
  await rejects(70, 'NOT_RUNNING: a', 'supervisor.sendProcessStdin', 'a', 'x');
  await agent.call('supervisor.startProcess', 'a');
  await rejects(60, 'ALREADY_STARTED: a', 'supervisor.startProcess', 'a');

  const ok = { status: 80, description: 'OK', group: 'two' };
  const rows = [
    { ...ok, name: 'two_0' },
    { ...ok, name: 'two_1' },
  ];
  assert.deepEqual(await agent.call('supervisor.startProcess', 'two:*'), rows);
  assert.deepEqual(await agent.call('supervisor.startProcessGroup', 'two'), []);
  assert.deepEqual(await agent.call('supervisor.signalProcessGroup', 'two', 'CONT'), rows);
  assert.deepEqual(await agent.call('supervisor.signalProcessGroup', 'two', 'X'), [
    { name: 'two_0', group: 'two', status: 11, description: 'BAD_SIGNAL: X' },
    { name: 'two_1', group: 'two', status: 11, description: 'BAD_SIGNAL: X' },
  ]);
  assert.equal(((await agent.call('supervisor.stopAllProcesses')) as unknown[]).length, 3);
});

test('system.* describes the methods and calls several at once', async (t) => {
  const agent = await startAgent(t, `[program:a]\ncommand=${FAKE} hang\nautostart=false\n`);
  const methods = (await agent.call('system.listMethods')) as string[];
  assert.deepEqual(methods, [...methods].sort());
  assert.ok(
    methods.includes('supervisor.getAllProcessInfo') && methods.includes('system.multicall'),
  );
  assert.deepEqual(await agent.call('system.methodSignature', 'supervisor.signalProcess'), [
    'boolean',
    'string',
    'string',
  ]);
  assert.deepEqual(await agent.call('system.methodSignature', 'supervisor.startProcess'), [
    'boolean',
    'string',
    'boolean',
  ]);
  assert.deepEqual(
    await agent.call('system.multicall', [
      { methodName: 'supervisor.getAPIVersion' },
      { methodName: 'supervisor.getState', params: [] },
      { methodName: 'no.such' },
      { params: [] },
      { methodName: 'system.multicall', params: [] },
    ]),
    [
      '3.0',
      { statecode: 1, statename: 'RUNNING' },
      { faultCode: 1, faultString: 'UNKNOWN_METHOD' },
      { faultCode: 2, faultString: 'INCORRECT_PARAMETERS: No methodName' },
      { faultCode: 2, faultString: 'INCORRECT_PARAMETERS: Recursive system.multicall forbidden' },
    ],
  );
});

test('getProcessInfo has every field, in its type', async (t) => {
  const agent = await startAgent(
    t,
    `[program:a]\ncommand=${FAKE} exit:3\nstartsecs=0\nautorestart=false\nstdout_logfile=DIR/a.log\nredirect_stderr=true\n`,
  );
  const { start, stop, now, description, ...same } = await agent.reaches('a', 'EXITED');
  assert.deepEqual(same, {
    name: 'a',
    group: 'a',
    state: 100,
    statename: 'EXITED',
    spawnerr: 'Bad exit code 3',
    exitstatus: 3,
    logfile: `${agent.dir}/a.log`,
    stdout_logfile: `${agent.dir}/a.log`,
    stderr_logfile: '',
    pid: 0,
  });
  assert.match(String(description), /^[A-Z][a-z]{2} \d\d \d\d:\d\d [AP]M$/);
  const wallS = Date.now() / 1000;
  for (const time of [start, stop, now])
    assert.ok(Math.abs(Number(time) - wallS) < 60, String(time));
});
