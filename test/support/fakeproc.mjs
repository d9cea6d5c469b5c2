// A program to supervise: does what its arguments say, in order. Plain JavaScript, so that it starts in 40 ms.
//   print:TEXT  error:TEXT   a line on stdout, on stderr      flood:BYTES  that many bytes of lines on stdout
//   env:NAME  cwd  umask  ids                                 prints what it got, as NAME=value
//   reopen:TEXT              writes through /dev/stdout       ignore:SIGNAL  deaf to it from now on
//   trap:SIGNAL:CODE         exits with CODE on it            fork  a child that hangs, its pid printed as child=PID
//   echo                     copies stdin to stdout           sleep:MS
//   exit:CODE  abort         ends                             hang  never ends by itself
import { spawn } from 'node:child_process';
import { writeFileSync, writeSync } from 'node:fs';

const print = (text) => writeSync(1, `${text}\n`);

const acts = {
  print: (text) => print(text),
  error: (text) => writeSync(2, `${text}\n`),
  flood(bytes) {
    const block = Buffer.from(`${'x'.repeat(119)}\n`.repeat(500));
    for (let left = Number(bytes); left > 0; left -= block.length)
      writeAll(block.subarray(0, Math.min(left, block.length)));
  },
  env: (name) => print(`${name}=${process.env[name] ?? '(unset)'}`),
  cwd: () => print(`cwd=${process.cwd()}`),
  umask: () => print(`umask=${process.umask().toString(8).padStart(3, '0')}`),
  ids: () => print(`ids=${process.getuid()}:${process.getgid()}:${process.getgroups().join(',')}`),
  reopen: (text) => writeFileSync('/dev/stdout', `${text}\n`, { flag: 'a' }),
  ignore: (signal) => process.on(`SIG${signal}`, () => undefined),
  trap: (signal, code) => process.on(`SIG${signal}`, () => process.exit(Number(code))),
  fork() {
    const child = spawn('sleep', ['1000'], { stdio: 'inherit' });
    print(`child=${child.pid}`);
  },
  async echo() {
    for await (const chunk of process.stdin) writeAll(chunk);
  },
  sleep: (ms) => new Promise((resolve) => setTimeout(resolve, Number(ms))),
  exit: (code) => process.exit(Number(code)),
  abort: () => process.kill(process.pid, 'SIGKILL'),
  hang: () => new Promise(() => setInterval(() => undefined, 1e9)),
};

function writeAll(data) {
  for (let done = 0; done < data.length;) {
    try {
      done += writeSync(1, data, done);
    } catch (error) {
      if (error.code !== 'EAGAIN') throw error;
    }
  }
}

for (const argument of process.argv.slice(2)) {
  const [act, ...rest] = argument.split(':');
  await acts[act](...rest);
}
