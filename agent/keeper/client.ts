// The Spawner port over the keeper's socket. Notices reach `onNotice` in the keeper's order, never from inside a call.
// Invariants: after `lost` nothing more is told and every call fails at once; reconnecting is the owner's business.
import { connect, type Socket } from 'node:net';
import { constants } from 'node:os';
import type {
  ChildRecord,
  SignalOutcome,
  SignalTarget,
  Spawner,
  SpawnNotice,
  SpawnRequest,
} from '../spawner.js';
import { decodeChild, decodeNotice, encodeForSpawn, encodeSpawn } from './messages.js';
import {
  bytesField,
  Field,
  type Frame,
  FrameReader,
  FrameWriter,
  KeeperErrorCode,
  Message,
  numberField,
  ProtocolError,
  requiredNumber,
  textField,
  VERSION_MAX,
  VERSION_MIN,
} from './protocol.js';

/** Requests and bytes that may wait for the keeper; beyond, the connection is given up as lost. */
const PENDING_MAX = 65_536;
const UNSENT_BYTES_MAX = 64 * 1024 * 1024;
const CONNECT_WAIT_MS = 5_000;

/** Thrown when the keeper refuses a request or cannot be reached; `code` is KeeperErrorCode's value, 0 for a lost connection. */
export class KeeperError extends Error {
  override readonly name = 'KeeperError';
  constructor(
    message: string,
    readonly code: number,
    /** The kernel's error name, e.g. `EACCES`, where a system call failed. */
    readonly errorName: string | undefined,
  ) {
    super(message);
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

/** A datagram that arrived at a socket opened with `openDatagram` for receiving. */
export interface Datagram {
  readonly name: string;
  readonly data: Buffer;
  readonly senderPid: number | undefined;
  readonly senderUid: number | undefined;
}

export interface KeeperOptions {
  readonly socketPath: string;
  /** Called once for each notice, in order; must not throw. */
  onNotice(notice: SpawnNotice): void;
  onDatagram?(datagram: Datagram): void;
  /** How long connecting and the greeting may take, in milliseconds. Default 5,000. */
  readonly connectWaitMs?: number;
}

/** Where a held socket listens; names are resolved by the caller. */
export type SocketAddress =
  | {
      readonly family: 'unix';
      readonly path: string;
      readonly mode: number | undefined;
      readonly owner: { readonly uid: number; readonly gid: number } | undefined;
    }
  | { readonly family: 'inet'; readonly address: string; readonly port: number };

interface Pending {
  readonly spawn: number | undefined;
  readonly rows: Frame[];
  resolve(reply: Frame, rows: readonly Frame[]): void;
  reject(error: KeeperError): void;
}

/**
 * Connects and greets. Rejects with a KeeperError when nobody listens, or versions have nothing in common.
 * The caller then lists: exits that happened before are told by the list, later ones by notices.
 */
export async function connectKeeper(options: KeeperOptions): Promise<KeeperClient> {
  const socket = connect(options.socketPath);
  const timer = setTimeout(() => {
    socket.destroy(new Error(`no answer within ${options.connectWaitMs ?? CONNECT_WAIT_MS} ms`));
  }, options.connectWaitMs ?? CONNECT_WAIT_MS);
  const client = new KeeperClient(socket, options);
  try {
    await client.greet();
    return client;
  } catch (error) {
    socket.destroy();
    const reason = error instanceof Error ? error.message : String(error);
    const code = error instanceof KeeperError ? error.code : 0;
    const name = error instanceof KeeperError ? error.errorName : undefined;
    throw new KeeperError(
      `cannot reach the keeper at ${options.socketPath}: ${reason}`,
      code,
      name,
    );
  } finally {
    clearTimeout(timer);
  }
}

/** One connection to the keeper; made by `connectKeeper`. */
export class KeeperClient implements Spawner {
  readonly #socket: Socket;
  readonly #options: KeeperOptions;
  readonly #reader = new FrameReader();
  readonly #pending = new Map<number, Pending>();
  #nextId = 1;
  #info: KeeperInfo | undefined;
  #ended = false;
  #cause: string | undefined;
  #displaced = false;

  constructor(socket: Socket, options: KeeperOptions) {
    this.#socket = socket;
    this.#options = options;
    socket.on('data', (chunk: Buffer) => {
      this.#receive(chunk);
    });
    socket.on('error', (error: NodeJS.ErrnoException) => {
      this.#cause ??= error.message;
    });
    socket.on('close', () => {
      this.#lose(this.#cause ?? 'the keeper closed the connection');
    });
  }

  /** What the keeper said of itself. */
  get info(): KeeperInfo {
    if (this.#info === undefined)
      throw new KeeperError('the keeper has not greeted yet', 0, undefined);
    return this.#info;
  }

  /** Sends hello; called once, by connectKeeper. */
  async greet(): Promise<void> {
    const writer = new FrameWriter()
      .number(Field.versionMin, VERSION_MIN)
      .number(Field.versionMax, VERSION_MAX);
    await this.#call(Message.hello, writer);
  }

  spawn(request: SpawnRequest): void {
    if (this.#ended) {
      this.#failLater(request.spawn, 'EIO');
      return;
    }
    const id = this.#takeId();
    let frame: Buffer;
    try {
      frame = encodeSpawn(request, id, request.cwd ?? currentDirectory());
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.#failLater(request.spawn, 'E2BIG');
      return;
    }
    const fail = (error: KeeperError): void => {
      // A lost connection leaves the outcome to the list of the next one.
      if (error.code !== 0) this.#fail(request.spawn, error.errorName ?? 'EIO');
    };
    this.#send(id, frame, {
      spawn: request.spawn,
      rows: [],
      resolve: () => undefined,
      reject: fail,
    });
  }

  async signal(spawn: number, signal: number, target: SignalTarget): Promise<SignalOutcome> {
    const targets = { process: 0, group: 1, tree: 2 } as const;
    const writer = new FrameWriter()
      .number(Field.spawn, spawn)
      .number(Field.signal, signal)
      .number(Field.target, targets[target]);
    try {
      await this.#call(Message.signal, writer);
      return 'delivered';
    } catch (error) {
      if (!(error instanceof KeeperError)) throw error;
      if (error.code === KeeperErrorCode.noSuch) return 'gone';
      return { errorName: error.errorName ?? 'EIO' };
    }
  }

  async list(): Promise<readonly ChildRecord[]> {
    const rows = await this.#listRows();
    return rows
      .filter((row) => row.type === Message.child)
      .map((row) => decodeChild(row, this.info.pid))
      .sort((a, b) => a.spawn - b.spawn);
  }

  /** Names of the sockets that the keeper holds. */
  async listSockets(): Promise<readonly string[]> {
    const rows = await this.#listRows();
    return rows
      .filter((row) => row.type === Message.socket)
      .map((row) => textField(row, Field.name) ?? '');
  }

  acknowledgeExit(spawn: number): void {
    this.#tell(Message.ackExit, spawn);
  }

  releaseOutput(spawn: number): void {
    this.#tell(Message.releaseOutput, spawn);
  }

  releaseSpill(spawn: number): void {
    this.#tell(Message.releaseSpill, spawn);
  }

  /** Opens a listening socket under `name`, for children's `socket` streams. Rejects with a KeeperError. */
  async listen(name: string, address: SocketAddress, backlog?: number): Promise<void> {
    const writer = new FrameWriter().text(Field.name, name);
    if (address.family === 'inet') {
      writer
        .number(Field.family, 1)
        .text(Field.address, address.address)
        .number(Field.port, address.port);
    } else {
      putPath(writer, address.path, address.mode, address.owner);
    }
    if (backlog !== undefined) writer.number(Field.backlog, backlog);
    await this.#call(Message.listen, writer);
  }

  /** Opens a unix datagram socket under `name`: bound to `path` when receiving, else connected to it. */
  async openDatagram(
    name: string,
    path: string,
    receive: false | { mode?: number; owner?: { uid: number; gid: number } },
  ): Promise<void> {
    const writer = new FrameWriter().text(Field.name, name);
    if (receive === false) putPath(writer, path, undefined, undefined);
    else putPath(writer, path, receive.mode, receive.owner);
    if (receive !== false) writer.number(Field.receive, 1);
    await this.#call(Message.dgramOpen, writer);
  }

  /** Sends one datagram. Rejects with a KeeperError (`EAGAIN`: the receiver is behind, nothing was sent). */
  async sendDatagram(name: string, data: Uint8Array): Promise<void> {
    const writer = new FrameWriter().text(Field.name, name).bytes(Field.data, data);
    await this.#call(Message.dgramSend, writer);
  }

  /** Closes a held socket; children that have it keep it. */
  async closeSocket(name: string): Promise<void> {
    await this.#call(Message.closeSocket, new FrameWriter().text(Field.name, name));
  }

  async shutdown(): Promise<void> {
    await this.#call(Message.shutdown, new FrameWriter());
    await this.close();
  }

  async close(): Promise<void> {
    this.#ended = true;
    if (this.#socket.closed) return;
    await new Promise<void>((resolve) => {
      this.#socket.once('close', () => {
        resolve();
      });
      this.#socket.destroy();
    });
  }

  async #listRows(): Promise<readonly Frame[]> {
    return await new Promise((resolve, reject) => {
      const id = this.#takeId();
      const frame = new FrameWriter().finish(Message.list, id);
      const done = (_reply: Frame, rows: readonly Frame[]): void => {
        resolve(rows);
      };
      this.#send(id, frame, { spawn: undefined, rows: [], resolve: done, reject });
    });
  }

  async #call(type: number, writer: FrameWriter): Promise<Frame> {
    return await new Promise((resolve, reject) => {
      const id = this.#takeId();
      this.#send(id, writer.finish(type, id), { spawn: undefined, rows: [], resolve, reject });
    });
  }

  // For requests whose refusal has no consequence: a repeat after a crash finds nothing to do.
  #tell(type: number, spawn: number): void {
    const id = this.#takeId();
    const ignore = (): undefined => undefined;
    const frame = encodeForSpawn(type, id, spawn);
    this.#send(id, frame, { spawn: undefined, rows: [], resolve: ignore, reject: ignore });
  }

  #takeId(): number {
    const id = this.#nextId;
    this.#nextId = id === 0xffff_ffff ? 1 : id + 1;
    return id;
  }

  #send(id: number, frame: Buffer, pending: Pending): void {
    if (this.#ended) {
      pending.reject(new KeeperError('the connection to the keeper is closed', 0, 'EIO'));
      return;
    }
    this.#pending.set(id, pending);
    this.#socket.write(frame);
    if (this.#pending.size > PENDING_MAX || this.#socket.writableLength > UNSENT_BYTES_MAX) {
      this.#socket.destroy(new Error('the keeper takes no more requests'));
    }
  }

  #receive(chunk: Buffer): void {
    try {
      for (const frame of this.#reader.push(chunk)) this.#handle(frame);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.#socket.destroy(error);
    }
  }

  #handle(frame: Frame): void {
    if (this.#ended) return;
    if (frame.id === 0) {
      this.#handleNotice(frame);
      return;
    }
    const pending = this.#pending.get(frame.id);
    if (pending === undefined) return;
    if (frame.type === Message.child || frame.type === Message.socket) {
      pending.rows.push(frame);
      return;
    }
    this.#pending.delete(frame.id);
    if (frame.type === Message.welcome) this.#info = decodeInfo(frame);
    if (frame.type === Message.error) pending.reject(decodeError(frame));
    else pending.resolve(frame, pending.rows);
  }

  #handleNotice(frame: Frame): void {
    if (frame.type === Message.displaced) {
      this.#displaced = true;
      this.#cause = 'another agent took over the keeper';
    } else if (frame.type === Message.dgram) {
      this.#options.onDatagram?.({
        name: textField(frame, Field.name) ?? '',
        data: bytesField(frame, Field.data) ?? Buffer.alloc(0),
        senderPid: numberField(frame, Field.senderPid),
        senderUid: numberField(frame, Field.senderUid),
      });
    } else {
      const notice = decodeNotice(frame, this.info.pid, errnoName);
      if (notice !== undefined) this.#options.onNotice(notice);
    }
  }

  #lose(reason: string): void {
    const known = this.#info !== undefined && !this.#ended;
    this.#ended = true;
    for (const pending of this.#pending.values()) pending.reject(new KeeperError(reason, 0, 'EIO'));
    this.#pending.clear();
    if (!known) return;
    const lost = { kind: 'lost', reason } as const;
    this.#options.onNotice(this.#displaced ? { ...lost, displaced: true } : lost);
  }

  #fail(spawn: number, errorName: string): void {
    const errno = constants.errno[errorName as keyof typeof constants.errno] ?? 0;
    this.#options.onNotice({ kind: 'spawn-failed', spawn, stage: 'keeper', errno, errorName });
  }

  #failLater(spawn: number, errorName: string): void {
    queueMicrotask(() => {
      this.#fail(spawn, errorName);
    });
  }
}

// A child without a directory gets the agent's, as under supervisord; the keeper's own is the root.
function currentDirectory(): string {
  try {
    return process.cwd();
  } catch {
    return '/'; // the agent's directory was removed
  }
}

function putPath(
  writer: FrameWriter,
  path: string,
  mode: number | undefined,
  owner: { readonly uid: number; readonly gid: number } | undefined,
): void {
  writer.text(Field.address, path);
  if (mode !== undefined) writer.number(Field.mode, mode);
  if (owner !== undefined) writer.number(Field.uid, owner.uid).number(Field.gid, owner.gid);
}

function decodeInfo(frame: Frame): KeeperInfo {
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

function decodeError(frame: Frame): KeeperError {
  const errno = numberField(frame, Field.errno);
  const text = textField(frame, Field.text) ?? 'the keeper refused';
  return new KeeperError(
    text,
    requiredNumber(frame, Field.code),
    errno === undefined ? undefined : errnoName(errno),
  );
}

// Node's own getSystemErrorName lacks some, ENOEXEC among them. The first name of a number wins (EAGAIN).
const ERRNO_NAMES = new Map(
  Object.entries(constants.errno)
    .reverse()
    .map(([name, errno]) => [errno, name]),
);

function errnoName(errno: number): string {
  return ERRNO_NAMES.get(errno) ?? `errno ${errno}`;
}
