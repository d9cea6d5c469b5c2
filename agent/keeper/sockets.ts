// Sockets that the keeper holds: listening ones for children's streams, datagram ones for syslog and notices.
import { bytesField, Field, type Frame, FrameWriter, numberField, textField } from './protocol.js';

/** Who owns a socket's file. */
export interface SocketOwner {
  readonly uid: number;
  readonly gid: number;
}

/** Where a held socket listens; names are resolved by the caller. */
export type SocketAddress =
  | {
      readonly family: 'unix';
      readonly path: string;
      readonly mode: number | undefined;
      readonly owner: SocketOwner | undefined;
    }
  | { readonly family: 'inet'; readonly address: string; readonly port: number };

/** A datagram that arrived at a socket opened with `openDatagram` for receiving. */
export interface Datagram {
  readonly name: string;
  readonly data: Buffer;
  readonly senderPid: number | undefined;
  readonly senderUid: number | undefined;
}

/** A `listen` request. */
export function listenRequest(
  name: string,
  address: SocketAddress,
  backlog: number | undefined,
): FrameWriter {
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
  return writer;
}

/** A `dgram-open` request: bound to `path` when receiving, else connected to it. */
export function datagramRequest(
  name: string,
  path: string,
  receive: false | { readonly mode?: number; readonly owner?: SocketOwner },
): FrameWriter {
  const writer = new FrameWriter().text(Field.name, name);
  if (receive === false) {
    putPath(writer, path, undefined, undefined);
    return writer;
  }
  putPath(writer, path, receive.mode, receive.owner);
  return writer.number(Field.receive, 1);
}

/** A datagram as the keeper passed it on. */
export function decodeDatagram(frame: Frame): Datagram {
  return {
    name: textField(frame, Field.name) ?? '',
    data: bytesField(frame, Field.data) ?? Buffer.alloc(0),
    senderPid: numberField(frame, Field.senderPid),
    senderUid: numberField(frame, Field.senderUid),
  };
}

function putPath(
  writer: FrameWriter,
  path: string,
  mode: number | undefined,
  owner: SocketOwner | undefined,
): void {
  writer.text(Field.address, path);
  if (mode !== undefined) writer.number(Field.mode, mode);
  if (owner !== undefined) writer.number(Field.uid, owner.uid).number(Field.gid, owner.gid);
}
