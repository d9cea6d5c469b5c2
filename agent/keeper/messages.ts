// The keeper's messages as our types: spawn requests out, child records and notices in.
// Pure: `docs/keeper.md` names each field. Fields that a newer keeper adds are skipped.
import type {
  ChildRecord,
  ChildStream,
  SpawnNotice,
  SpawnRequest,
  SpawnStage,
  WaitStatus,
} from '../spawner.js';
import {
  ARG_BYTES_MAX,
  bytesField,
  ENV_BYTES_MAX,
  Field,
  type Frame,
  FrameWriter,
  Message,
  numberField,
  ProtocolError,
  requiredNumber,
  STRINGS_MAX,
  TAG_BYTES_MAX,
  textField,
} from './protocol.js';

const STAGES: Readonly<Record<number, SpawnStage>> = {
  1: 'limit',
  2: 'pipe',
  3: 'fork',
  4: 'group',
  5: 'descriptors',
  6: 'rlimit',
  7: 'priority',
  8: 'user',
  9: 'chdir',
  10: 'exec',
};

const STATE_EXITED = 3;
const ID_MAX = 2 ** 32 - 2;
const RLIM_INFINITY = 2n ** 64n - 1n;

/**
 * The frame of a spawn that starts in `cwd`. Throws a ProtocolError when the request exceeds a limit of the protocol.
 */
export function encodeSpawn(request: SpawnRequest, id: number, cwd: string): Buffer {
  const writer = new FrameWriter().number(Field.spawn, request.spawn);
  const tag = Buffer.from(request.tag, 'utf8');
  if (tag.length > TAG_BYTES_MAX) {
    throw new ProtocolError(`a tag of ${tag.length} bytes, at most ${TAG_BYTES_MAX} are allowed`);
  }
  writer.bytes(Field.tag, tag).text(Field.path, request.path);
  putStrings(writer, Field.arg, request.argv, ARG_BYTES_MAX);
  const env = Object.entries(request.env).map(([key, value]) => `${key}=${value}`);
  putStrings(writer, Field.env, env, ENV_BYTES_MAX);
  writer.text(Field.cwd, cwd);
  if (request.credentials !== undefined) putCredentials(writer, request.credentials);
  if (request.umask !== undefined) writer.number(Field.umask, request.umask);
  for (const limit of request.rlimits) {
    const data = Buffer.alloc(24);
    data.writeBigUInt64LE(BigInt(limit.resource), 0);
    data.writeBigUInt64LE(limitValue(limit.soft), 8);
    data.writeBigUInt64LE(limitValue(limit.hard), 16);
    writer.bytes(Field.rlimit, data);
  }
  if (request.newSession === true) writer.number(Field.session, 1);
  if (request.nice !== undefined) writer.number(Field.nice, request.nice);
  if (request.oomScoreAdj !== undefined) writer.number(Field.oomScoreAdj, request.oomScoreAdj);
  writer.text(Field.stdin, streamText(request.stdin));
  writer.text(Field.stdout, streamText(request.stdout));
  writer.text(Field.stderr, streamText(request.stderr));
  return writer.finish(Message.spawn, id);
}

function putStrings(
  writer: FrameWriter,
  tag: number,
  texts: readonly string[],
  bytesMax: number,
): void {
  let bytes = 0;
  for (const text of texts) {
    bytes += Buffer.byteLength(text) + 1;
    writer.text(tag, text);
  }
  if (texts.length > STRINGS_MAX || bytes > bytesMax) {
    const what = tag === Field.arg ? 'arguments' : 'environment strings';
    throw new ProtocolError(
      `${texts.length} ${what} of ${bytes} bytes, at most ${STRINGS_MAX} of ${bytesMax} are allowed`,
    );
  }
}

function putCredentials(writer: FrameWriter, who: NonNullable<SpawnRequest['credentials']>): void {
  const groups = Buffer.alloc(4 * who.groups.length);
  for (const id of [who.uid, who.gid, ...who.groups]) {
    // 2^32 - 1 means "leave it unchanged" to the kernel, which would keep root.
    if (!Number.isInteger(id) || id < 0 || id > ID_MAX)
      throw new ProtocolError(`no uid or gid: ${id}`);
  }
  who.groups.forEach((group, index) => groups.writeUInt32LE(group, 4 * index));
  writer.number(Field.uid, who.uid).number(Field.gid, who.gid).bytes(Field.groups, groups);
}

/** `Infinity` means no limit. */
function limitValue(value: number): bigint {
  if (value === Infinity) return RLIM_INFINITY;
  if (!Number.isSafeInteger(value) || value < 0)
    throw new ProtocolError(`no resource limit: ${value}`);
  return BigInt(value);
}

function streamText(stream: ChildStream): string {
  return stream.kind === 'socket' ? `socket:${stream.name}` : stream.kind;
}

/** The frame of a request that names a child by its spawn number. */
export function encodeForSpawn(type: number, id: number, spawn: number): Buffer {
  return new FrameWriter().number(Field.spawn, spawn).finish(type, id);
}

/** A raw status as `wait` gives it, in our words. */
export function waitStatus(raw: number): WaitStatus {
  const signal = raw & 0x7f;
  if (signal === 0) return { kind: 'code', code: (raw >> 8) & 0xff };
  return { kind: 'signal', signal, coreDumped: (raw & 0x80) !== 0 };
}

/** The record in a `child` or `spawned` message; pipes become paths under /proc of the keeper. */
export function decodeChild(frame: Frame, keeperPid: number): ChildRecord {
  const exited = numberField(frame, Field.state) === STATE_EXITED;
  const record: ChildRecord = {
    spawn: requiredNumber(frame, Field.spawn),
    tag: bytesField(frame, Field.tag)?.toString('utf8') ?? '',
    pid: requiredNumber(frame, Field.pid),
    startTicks: requiredNumber(frame, Field.startTicks),
    startedAtMs: requiredNumber(frame, Field.startedUs) / 1000,
    exit: exited ? decodeExit(frame) : undefined,
    pipes: {
      ...pipe('stdin', numberField(frame, Field.stdinFd), keeperPid),
      ...pipe('stdout', numberField(frame, Field.stdoutFd), keeperPid),
      ...pipe('stderr', numberField(frame, Field.stderrFd), keeperPid),
    },
  };
  const spill = decodeSpills(frame);
  return spill === undefined ? record : { ...record, spill };
}

function pipe<Name extends string>(
  name: Name,
  fd: number | undefined,
  pid: number,
): { [key in Name]?: string } {
  return fd === undefined
    ? {}
    : ({ [name]: `/proc/${pid}/fd/${fd}` } as { [key in Name]?: string });
}

function decodeExit(frame: Frame): NonNullable<ChildRecord['exit']> {
  return {
    status: waitStatus(requiredNumber(frame, Field.waitStatus)),
    atMs: requiredNumber(frame, Field.exitedUs) / 1000,
    ...(numberField(frame, Field.acknowledged) === 1 ? { acknowledged: true as const } : {}),
  };
}

function decodeSpills(frame: Frame): ChildRecord['spill'] {
  const stdout = decodeSpill(
    frame,
    Field.spillStdout,
    Field.spillStdoutBytes,
    Field.spillStdoutDropped,
  );
  const stderr = decodeSpill(
    frame,
    Field.spillStderr,
    Field.spillStderrBytes,
    Field.spillStderrDropped,
  );
  if (stdout === undefined && stderr === undefined) return undefined;
  return {
    ...(stdout === undefined ? {} : { stdout }),
    ...(stderr === undefined ? {} : { stderr }),
  };
}

function decodeSpill(frame: Frame, path: number, bytes: number, dropped: number) {
  const spilledBytes = numberField(frame, bytes);
  if (spilledBytes === undefined) return undefined;
  return {
    path: textField(frame, path),
    spilledBytes,
    droppedBytes: numberField(frame, dropped) ?? 0,
  };
}

/**
 * A notice of the keeper in our words; undefined for one that is not about children.
 * Throws a ProtocolError when a required field is missing.
 */
export function decodeNotice(
  frame: Frame,
  keeperPid: number,
  errorName: (errno: number) => string,
): SpawnNotice | undefined {
  switch (frame.type) {
    case Message.spawned:
      return { kind: 'spawned', child: decodeChild(frame, keeperPid) };
    case Message.spawnFailed: {
      const errno = requiredNumber(frame, Field.errno);
      const stage = STAGES[requiredNumber(frame, Field.stage)] ?? 'keeper';
      const spawn = requiredNumber(frame, Field.spawn);
      return { kind: 'spawn-failed', spawn, stage, errno, errorName: errorName(errno) };
    }
    case Message.exited:
      return {
        kind: 'exited',
        spawn: requiredNumber(frame, Field.spawn),
        pid: requiredNumber(frame, Field.pid),
        status: waitStatus(requiredNumber(frame, Field.waitStatus)),
        atMs: requiredNumber(frame, Field.exitedUs) / 1000,
        usage: {
          userMs: (numberField(frame, Field.userUs) ?? 0) / 1000,
          systemMs: (numberField(frame, Field.systemUs) ?? 0) / 1000,
          maxResidentBytes: (numberField(frame, Field.maxrssKib) ?? 0) * 1024,
        },
      };
    case Message.orphan:
      return {
        kind: 'orphan',
        pid: requiredNumber(frame, Field.pid),
        status: waitStatus(requiredNumber(frame, Field.waitStatus)),
      };
    default:
      return undefined;
  }
}

/** What the keeper says of itself in answer to hello. */
export interface KeeperInfo {
  readonly version: number;
  readonly pid: number;
  /** The highest spawn number it has seen, 0 for none; new numbers must lie above. */
  readonly lastSpawn: number;
  /** Orphans that ended while no agent was connected. */
  readonly orphans: number;
  /** Records it holds: live children and unacknowledged exits. */
  readonly children: number;
  /** Monotonic milliseconds of its start. */
  readonly startedAtMs: number;
  /** Bits of protocol.Feature. */
  readonly features: number;
}

/** The `welcome` reply. */
export function decodeInfo(frame: Frame): KeeperInfo {
  return {
    version: requiredNumber(frame, Field.version),
    pid: requiredNumber(frame, Field.pid),
    lastSpawn: numberField(frame, Field.lastSpawn) ?? 0,
    orphans: numberField(frame, Field.orphans) ?? 0,
    children: numberField(frame, Field.count) ?? 0,
    startedAtMs: (numberField(frame, Field.keeperStartedUs) ?? 0) / 1000,
    features: numberField(frame, Field.features) ?? 0,
  };
}
