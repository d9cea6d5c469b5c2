// The keeper's wire format: frames of typed fields, with a limit on every length. docs/keeper.md is the contract.
// Pure: bytes in, values out. Invariants: numbers stay below 2^53; a malformed frame throws, never guesses.

/** Protocol versions this agent speaks; the keeper answers with the highest that both know. */
export const VERSION_MIN = 1;
export const VERSION_MAX = 1;

/** The longest payload of one frame, in bytes; longer ones end the connection. */
export const FRAME_BYTES_MAX = 2560 * 1024;
/** The longest `tag` of a child, in bytes of UTF-8. */
export const TAG_BYTES_MAX = 1024;
/** All environment strings of one spawn together, in bytes, each with its zero byte. */
export const ENV_BYTES_MAX = 1024 * 1024;
/** All arguments of one spawn together, in bytes, each with its zero byte. */
export const ARG_BYTES_MAX = 1024 * 1024;
/** Arguments, or environment strings, of one spawn. */
export const STRINGS_MAX = 16384;
/** The longest name of a held socket, in bytes. */
export const NAME_BYTES_MAX = 128;
/** The longest datagram the keeper sends or receives, in bytes. */
export const DATAGRAM_BYTES_MAX = 64 * 1024;

/** Frame header: payload length (4), type (2), zero (2), request id (4); all little endian. */
export const HEADER_BYTES = 12;
const FIELD_HEADER_BYTES = 8;

/** Message types: requests below 64, replies from 64, notices from 128. */
export const Message = {
  hello: 1,
  spawn: 2,
  signal: 3,
  list: 4,
  ackExit: 5,
  releaseOutput: 6,
  releaseSpill: 7,
  listen: 8,
  closeSocket: 9,
  dgramOpen: 10,
  dgramSend: 11,
  shutdown: 12,
  ok: 64,
  error: 65,
  welcome: 66,
  child: 67,
  socket: 68,
  spawned: 128,
  spawnFailed: 129,
  exited: 130,
  orphan: 131,
  dgram: 132,
  displaced: 133,
} as const;

/** Field tags: those of requests below 64, those of answers from 64. */
export const Field = {
  versionMin: 1,
  versionMax: 2,
  spawn: 3,
  tag: 4,
  path: 5,
  arg: 6,
  env: 7,
  cwd: 8,
  uid: 9,
  gid: 10,
  groups: 11,
  umask: 12,
  rlimit: 13,
  session: 14,
  nice: 15,
  oomScoreAdj: 16,
  stdin: 17,
  stdout: 18,
  stderr: 19,
  signal: 20,
  target: 21,
  name: 22,
  address: 23,
  port: 24,
  backlog: 25,
  mode: 26,
  data: 27,
  receive: 28,
  family: 29,
  version: 64,
  pid: 65,
  nowUs: 66,
  features: 67,
  lastSpawn: 68,
  orphans: 69,
  keeperStartedUs: 70,
  state: 71,
  startTicks: 72,
  startedUs: 73,
  stdinFd: 74,
  stdoutFd: 75,
  stderrFd: 76,
  waitStatus: 77,
  exitedUs: 78,
  userUs: 79,
  systemUs: 80,
  maxrssKib: 81,
  acknowledged: 82,
  stage: 83,
  errno: 84,
  spillStdout: 85,
  spillStderr: 86,
  spillStdoutBytes: 87,
  spillStderrBytes: 88,
  spillStdoutDropped: 89,
  spillStderrDropped: 90,
  count: 91,
  code: 92,
  text: 93,
  senderPid: 94,
  senderUid: 95,
} as const;

/** Error codes of an `error` reply. */
export const KeeperErrorCode = {
  malformed: 1,
  unknownMessage: 2,
  unknownField: 3,
  version: 4,
  notGreeted: 5,
  duplicate: 6,
  noSuch: 7,
  childrenLive: 8,
  system: 9,
  limit: 10,
} as const;

/** Bits of the `features` field of `welcome`. */
export const Feature = { spill: 1, sockets: 2, dgrams: 4 } as const;

/** Thrown when bytes do not follow the protocol, or a value does not fit into it. */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError';
}

/** One decoded frame; fields keep their order, repeated tags included. */
export interface Frame {
  readonly type: number;
  readonly id: number;
  readonly fields: readonly { readonly tag: number; readonly data: Buffer }[];
}

/** Builds the frame of one message, field by field. */
export class FrameWriter {
  readonly #parts: Buffer[] = [];
  #length = 0;

  /** An integer, -(2^53 - 1)..2^53 - 1, as 8 bytes in two's complement. */
  number(tag: number, value: number): this {
    if (!Number.isSafeInteger(value))
      throw new ProtocolError(`field ${tag}: ${value} is no integer`);
    const data = Buffer.allocUnsafe(8);
    data.writeBigInt64LE(BigInt(value));
    return this.bytes(tag, data);
  }

  /** Text without a zero byte; one is added and counted. */
  text(tag: number, value: string): this {
    if (value.includes('\0')) throw new ProtocolError(`field ${tag}: text with a zero byte`);
    return this.bytes(tag, Buffer.from(`${value}\0`, 'utf8'));
  }

  bytes(tag: number, data: Uint8Array): this {
    const header = Buffer.alloc(FIELD_HEADER_BYTES);
    header.writeUInt16LE(tag, 0);
    header.writeUInt32LE(data.length, 4);
    this.#parts.push(header, Buffer.from(data.buffer, data.byteOffset, data.length));
    this.#length += FIELD_HEADER_BYTES + data.length;
    return this;
  }

  /** The finished frame. Throws a ProtocolError above FRAME_BYTES_MAX. */
  finish(type: number, id: number): Buffer {
    if (this.#length > FRAME_BYTES_MAX) {
      throw new ProtocolError(
        `message ${type}: ${this.#length} bytes, at most ${FRAME_BYTES_MAX} are allowed`,
      );
    }
    const header = Buffer.alloc(HEADER_BYTES);
    header.writeUInt32LE(this.#length, 0);
    header.writeUInt16LE(type, 4);
    header.writeUInt32LE(id, 8);
    return Buffer.concat([header, ...this.#parts], HEADER_BYTES + this.#length);
  }
}

/** Cuts a byte stream into frames; holds at most one incomplete frame. */
export class FrameReader {
  #pending: Buffer[] = [];
  #pendingBytes = 0;

  /** The frames that `chunk` completes, in order. Throws a ProtocolError when framing is broken. */
  push(chunk: Buffer): Frame[] {
    this.#pending.push(chunk);
    this.#pendingBytes += chunk.length;
    if (this.#pendingBytes < this.#wantedBytes()) return [];
    const bytes = this.#pending.length === 1 ? chunk : Buffer.concat(this.#pending);
    const frames: Frame[] = [];
    let at = 0;
    while (bytes.length - at >= HEADER_BYTES) {
      const end = at + HEADER_BYTES + payloadBytes(bytes, at);
      if (end > bytes.length) break;
      frames.push(decodeFrame(bytes.subarray(at, end)));
      at = end;
    }
    this.#pending = at < bytes.length ? [bytes.subarray(at)] : [];
    this.#pendingBytes = bytes.length - at;
    return frames;
  }

  // Bytes needed before anything can be decoded, so that a large frame is joined once, not per chunk.
  #wantedBytes(): number {
    const first = this.#pending[0];
    if (first === undefined || first.length < HEADER_BYTES) return HEADER_BYTES;
    return HEADER_BYTES + payloadBytes(first, 0);
  }
}

function payloadBytes(bytes: Buffer, at: number): number {
  const length = bytes.readUInt32LE(at);
  if (length > FRAME_BYTES_MAX) {
    throw new ProtocolError(`a frame of ${length} bytes, at most ${FRAME_BYTES_MAX} are allowed`);
  }
  return length;
}

function decodeFrame(bytes: Buffer): Frame {
  const fields: { tag: number; data: Buffer }[] = [];
  let at = HEADER_BYTES;
  while (at < bytes.length) {
    if (bytes.length - at < FIELD_HEADER_BYTES)
      throw new ProtocolError('a field header is cut off');
    const tag = bytes.readUInt16LE(at);
    const length = bytes.readUInt32LE(at + 4);
    at += FIELD_HEADER_BYTES;
    if (length > bytes.length - at)
      throw new ProtocolError(`field ${tag} reaches beyond its message`);
    fields.push({ tag, data: bytes.subarray(at, at + length) });
    at += length;
  }
  return { type: bytes.readUInt16LE(4), id: bytes.readUInt32LE(8), fields };
}

/** The bytes of a field, or undefined when the frame does not have it. */
export function bytesField(frame: Frame, tag: number): Buffer | undefined {
  return frame.fields.find((field) => field.tag === tag)?.data;
}

/** An integer field, or undefined. Throws a ProtocolError unless it is 8 bytes and below 2^53. */
export function numberField(frame: Frame, tag: number): number | undefined {
  const data = bytesField(frame, tag);
  if (data === undefined) return undefined;
  const value = data.length === 8 ? Number(data.readBigInt64LE(0)) : NaN;
  if (!Number.isSafeInteger(value)) throw new ProtocolError(`field ${tag} is no integer`);
  return value;
}

/** An integer field that the message must have. */
export function requiredNumber(frame: Frame, tag: number): number {
  const value = numberField(frame, tag);
  if (value === undefined) throw new ProtocolError(`message ${frame.type} lacks field ${tag}`);
  return value;
}

/** A text field without its closing zero byte, or undefined. */
export function textField(frame: Frame, tag: number): string | undefined {
  const data = bytesField(frame, tag);
  if (data === undefined) return undefined;
  if (data.length === 0 || data.indexOf(0) !== data.length - 1) {
    throw new ProtocolError(`field ${tag} is no text`);
  }
  return data.toString('utf8', 0, data.length - 1);
}
