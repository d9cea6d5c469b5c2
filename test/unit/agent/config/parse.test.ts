// What files mean, and what is reported about those that are wrong, on a machine made of a few facts.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadConfig } from '../../../../agent/config/load.js';
import type { ConfigFiles } from '../../../../agent/config/read.js';
import type { AgentConfig, ConfigProblem, ConfigWorld } from '../../../../agent/config/types.js';

const world: ConfigWorld = {
  env: { HOME: '/home/op', STAGE: 'test' },
  cwd: '/srv',
  hostName: 'box',
  uid: 0,
  tempDir: '/tmp',
  isDirectory: (path) => !path.startsWith('/missing'),
  home: (user) => (user === undefined ? '/home/op' : undefined),
  userByName: (name) => (name === 'www' ? { uid: 33, gid: 34 } : undefined),
  userById: (uid) => (uid === 33 ? { uid: 33, gid: 34 } : undefined),
  groupByName: () => undefined,
  hasGroup: () => false,
};

function filesOf(texts: Readonly<Record<string, string>>): ConfigFiles {
  return {
    exists: (path) => path in texts,
    read(path) {
      const text = texts[path];
      if (text === undefined) throw new Error(`EACCES: ${path}`);
      return Buffer.from(text);
    },
    match: (pattern) =>
      Object.keys(texts).filter((path) => path.startsWith(pattern.replace('*', ''))),
  };
}

function load(text: string, more: Readonly<Record<string, string>> = {}) {
  return loadConfig('/etc/s.conf', { world, files: filesOf({ '/etc/s.conf': text, ...more }) });
}

function config(text: string, more: Readonly<Record<string, string>> = {}): AgentConfig {
  const result = load(text, more);
  if (!result.ok) assert.fail(result.problems.map(({ text: why }) => why).join('\n'));
  return result.config;
}

function problems(
  text: string,
  more: Readonly<Record<string, string>> = {},
): readonly ConfigProblem[] {
  const result = load(text, more);
  assert.equal(result.ok, false);
  return result.ok ? [] : result.problems;
}

const names = (found: AgentConfig): string[] =>
  found.groups.flatMap((group) => group.processes.map(({ name }) => `${group.name}:${name}`));

test('a program gets the documented defaults', () => {
  const { groups } = config('[supervisord]\n[program:cat]\ncommand=/bin/cat\n');
  const [process] = groups[0]?.processes ?? [];
  assert.ok(process);
  const { startMs, startRetries, stopWaitMs, autorestart, exitCodes, stopSignal } = process;
  assert.deepEqual(
    { startMs, startRetries, stopWaitMs, autorestart, exitCodes, stopSignal },
    {
      startMs: 1000,
      startRetries: 3,
      stopWaitMs: 10_000,
      autorestart: 'unexpected',
      exitCodes: [0],
      stopSignal: { number: 15, name: 'SIGTERM' },
    },
  );
  assert.deepEqual(process.stdout.logfile, { kind: 'auto' });
  assert.equal(process.stdout.logBytesMax, 50 * 1024 * 1024);
});

test('numprocs makes processes, each with its own expansions', () => {
  const { groups } = config(
    '[supervisord]\n[program:w]\nnumprocs=2\nnumprocs_start=1\nprocess_name=%(program_name)s_%(process_num)02d\n' +
      'environment=PORT="80%(process_num)02d"\ncommand=/bin/w --port %(ENV_PORT)s --of %(numprocs)d\n',
  );
  assert.deepEqual(
    groups[0]?.processes.map(({ name, words }) => [name, words]),
    [
      ['w_01', { kind: 'words', argv: ['/bin/w', '--port', '8001', '--of', '2'] }],
      ['w_02', { kind: 'words', argv: ['/bin/w', '--port', '8002', '--of', '2'] }],
    ],
  );
});

test('groups start by priority and then by name, and take over their members', () => {
  const found = config(
    '[supervisord]\n[program:b]\ncommand=x\n[program:a]\ncommand=x\n[program:z]\ncommand=x\npriority=1\n' +
      '[program:m]\ncommand=x\n[group:g]\nprograms=m,b\npriority=5\n',
  );
  assert.deepEqual(names(found), ['z:z', 'g:m', 'g:b', 'a:a']);
});

test('of two groups with one name the first runs, and a hint says so', () => {
  const found = config(
    '[supervisord]\n[program:y]\ncommand=x\n[program:a]\ncommand=x\n[group:y]\nprograms=a\n',
  );
  assert.deepEqual(names(found), ['y:a']);
  assert.equal(found.declaredGroups.length, 2);
  assert.deepEqual(
    found.hints.map(({ line, text }) => [line, text]),
    [[2, 'a second group named y: only [group:y] is run']],
  );
});

test('all problems are reported at once, the first being the one Supervisor reports', () => {
  const found = problems(
    [
      '[supervisord]',
      'loglevel=loud',
      '[unix_http_server]',
      'chmod=0799',
      '[program:a]',
      'autostart=maybe',
      'startsecs=soon',
      '[program:b]',
      'command=x',
      'user=nobody-here',
      '[group:g]',
      'programs=a,bb,c',
      '[eventlistener:l]',
      'command=x',
      'events=TICK_6',
    ].join('\n'),
  );
  assert.deepEqual(
    found.map(({ line, section, key, text, advice }) => [line, section, key, text, advice]),
    [
      [
        2,
        'supervisord',
        'loglevel',
        "bad logging level name 'loud'",
        'one of critical, error, warn, info, debug, trace, blather',
      ],
      [
        6,
        'program:a',
        'autostart',
        "not a valid boolean value: 'maybe' in section 'program:a' (file: '/etc/s.conf')",
        'write true or false',
      ],
      [
        7,
        'program:a',
        'startsecs',
        "invalid literal for int() with base 10: 'soon' in section 'program:a' (file: '/etc/s.conf')",
        'give a whole number, e.g. 10',
      ],
      [
        5,
        'program:a',
        'command',
        "program section program:a does not specify a command in section 'program:a' (file: '/etc/s.conf')",
        'add command = /path/to/program',
      ],
      [
        12,
        'group:g',
        'programs',
        '[program:a] names unknown program or fcgi-program bb',
        'did you mean b?',
      ],
      [
        12,
        'group:g',
        'programs',
        '[program:a] names unknown program or fcgi-program c',
        'add a section [program:c]',
      ],
      [
        10,
        'program:b',
        'user',
        "Invalid user name nobody-here in section 'program:b' (file: '/etc/s.conf')",
        'name a user of this machine; getent passwd lists them',
      ],
      [
        15,
        'eventlistener:l',
        'events',
        'Unknown event type TICK_6 in [eventlistener:l] events',
        'did you mean TICK_5?',
      ],
      [
        3,
        'unix_http_server',
        'file',
        'section [unix_http_server] has no file value',
        'add file = /path/to.sock',
      ],
      [4, 'unix_http_server', 'chmod', 'Invalid chmod value 0799', 'write a mode, e.g. 0700'],
    ],
  );
});

test('a process that cannot be made is reported once, not once for each number', () => {
  const found = problems(
    '[supervisord]\n[program:w]\nnumprocs=50\nprocess_name=%(process_num)d\ncommand=x %(nope)s\n',
  );
  assert.equal(found.length, 1);
});

test('included files are read in order and blamed by their own name', () => {
  const main = '[supervisord]\n[include]\nfiles=d/*\n';
  const found = config(main, {
    '/etc/d/b.conf': '[program:b]\ncommand=%(here)s/b\n',
    '/etc/d/a.conf': '[program:a]\ncommand=x\n',
  });
  assert.equal(found.groups[1]?.processes[0]?.command, '/etc/d/b');
  assert.deepEqual(found.infos, [
    'Included extra file "/etc/d/a.conf" during parsing',
    'Included extra file "/etc/d/b.conf" during parsing',
  ]);
  const [problem] = problems(main, { '/etc/d/a.conf': '[program:a]\ncommand=x\nnumprocs=many\n' });
  assert.deepEqual([problem?.file, problem?.line], ['/etc/d/a.conf', 3]);
});

test('syntax errors of several included files are reported together', () => {
  const found = problems('[supervisord]\n[include]\nfiles=d/*\n', {
    '/etc/d/a.conf': '[program:a]\nnonsense\n',
    '/etc/d/b.conf': 'x=1\n',
  });
  assert.deepEqual(
    found.map(({ file, line }) => [file, line]),
    [
      ['/etc/d/a.conf', 2],
      ['/etc/d/b.conf', 1],
    ],
  );
});

test('a pattern that matches nothing is a warning for the log', () => {
  assert.deepEqual(config('[supervisord]\n[include]\nfiles=none/*\n').warnings, [
    'No file matches via include "/etc/none/*"',
  ]);
});

test('misspelt keys, unknown sections and swallowed keys give hints and change nothing', () => {
  const found = config(
    '[supervisord]\n[program:a]\ncommand=x\n  autostart=false\nstopwaitsec=5\n[Program:b]\ncommand=x\n',
  );
  assert.deepEqual(names(found), ['a:a']);
  assert.deepEqual(
    found.hints.map(({ line, key, text }) => [line, key, text]),
    [
      [
        4,
        'autostart',
        'this line is indented, so it continues the value of command; remove the indentation',
      ],
      [5, 'stopwaitsec', 'unknown key, it is ignored; did you mean stopwaitsecs?'],
      [6, undefined, 'unknown section, everything in it is ignored; did you mean [program:b]?'],
    ],
  );
});

test('the command line wins over the file, whose value must be valid all the same', () => {
  const files = filesOf({ '/etc/s.conf': '[supervisord]\nloglevel=info\nlogfile=a.log\n' });
  const result = loadConfig('/etc/s.conf', {
    world,
    files,
    overrides: { loglevel: 'debug', nodaemon: 'true' },
  });
  assert.ok(result.ok);
  assert.equal(result.config.daemon.loglevel, 'debug');
  assert.equal(result.config.daemon.nodaemon, true);
  assert.deepEqual(result.config.daemon.logfile, { kind: 'file', path: '/srv/a.log' });
});

test('children get the address of the first unix server, else of the last TCP server', () => {
  const inet = '[inet_http_server]\nport=1\n[inet_http_server:b]\nport=h:2\n';
  assert.equal(config(`[supervisord]\n${inet}`).daemon.serverUrl, 'http://h:2');
  const unix = '[unix_http_server]\nfile=s.sock\n';
  assert.equal(config(`[supervisord]\n${inet}${unix}`).daemon.serverUrl, 'unix:///srv/s.sock');
});

test('[fleet] is read with paths relative to the file, and its absence means no fleet', () => {
  const fleet =
    '[fleet]\ncontrollers=ctl1:9500, [::1]:9501\nca=ca.crt\ncert=/x/h.crt\nkey=h.key\nlabels=role=web,env=%(ENV_STAGE)s\n';
  assert.deepEqual(config(`[supervisord]\n${fleet}`).fleet, {
    controllers: [
      { host: 'ctl1', port: 9500 },
      { host: '::1', port: 9501 },
    ],
    nats: [],
    ca: '/etc/ca.crt',
    cert: '/x/h.crt',
    key: '/etc/h.key',
    labels: { role: 'web', env: 'test' },
    stateDir: undefined,
  });
  assert.equal(config('[supervisord]\n').fleet, undefined);
});

test('a label that no selector could name is refused with what is allowed', () => {
  for (const label of ['Role=web', 'ro le=x', 'x.=y', 'role', `k=${'v'.repeat(129)}`]) {
    const [problem] = problems(
      `[supervisord]\n[fleet]\ncontrollers=a:1\nca=a\ncert=b\nkey=c\nlabels=${label}\n`,
    );
    assert.match(problem?.text ?? '', /not a label/, label);
    assert.match(problem?.advice ?? '', /a-z 0-9/);
  }
});

test('a [fleet] section without its required keys is refused, each named', () => {
  const found = problems('[supervisord]\n[fleet]\ncontrollers=ctl1\n');
  assert.deepEqual(
    found.map(({ line, key }) => [line, key]),
    [
      [3, 'controllers'],
      [2, 'ca'],
      [2, 'cert'],
      [2, 'key'],
    ],
  );
});

test('a text conversion without a name is refused instead of leaking the environment', () => {
  const [problem] = problems('[supervisord]\n[program:a]\ncommand=/bin/echo 100% sure\n');
  assert.match(problem?.text ?? '', /badly formatted: %s needs a name, as in %\(name\)s/);
  assert.doesNotMatch(problem?.text ?? '', /\/home\/op/);
});

test('a missing file and an unreadable one are told apart', () => {
  const missing = loadConfig('/etc/none.conf', { world, files: filesOf({}) });
  assert.deepEqual(missing.ok ? [] : missing.problems.map(({ text }) => text), [
    'could not find config file /etc/none.conf',
  ]);
  const files = { ...filesOf({}), exists: () => true };
  const unreadable = loadConfig('/etc/s.conf', { world, files });
  assert.deepEqual(unreadable.ok ? [] : unreadable.problems.map(({ text }) => text), [
    'could not read config file /etc/s.conf',
  ]);
});
