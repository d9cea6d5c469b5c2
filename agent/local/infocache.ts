// getAllProcessInfo as text: a row's XML is made once per change of the row; each call fills in what moves with time.
// Invariant: the text equals encodeResponse of the same structs (a test compares them).
import type { ProcessRow } from '../../common/rows.js';
import { encodeResponse, encodeValue } from '../../common/xmlrpc.js';
import type { ProcessLogs } from '../logs/files.js';
import { describeRow, processInfo, type InfoTimes } from './info.js';

/** A row's XML in three pieces; `now` and the description go between and after them. */
interface Pieces {
  readonly beforeNow: string;
  readonly beforeDescription: string;
  readonly end: string;
  /** The logs it was made with: their paths are part of it. */
  readonly logs: ProcessLogs | undefined;
}

const NOW = 'now';
const DESCRIPTION = 'description';
/** Stands for what is filled in; nobody's process or file is called that. */
const HOLE = 'to be filled in: 6f1d0c4e-0b7a-4a55-9f0e-3f1f1f7a2b90';
const ENCODED_HOLE = encodeValue(HOLE);

// Keyed by the row object itself: a changed row is another object, an old one is collected with its text.
const cache = new WeakMap<ProcessRow, Pieces>();

function piecesOf(row: ProcessRow, logs: ProcessLogs | undefined, times: InfoTimes): Pieces {
  const known = cache.get(row);
  if (known !== undefined && known.logs === logs) return known;
  const text = encodeValue({ ...processInfo(row, logs, times), [NOW]: HOLE, [DESCRIPTION]: HOLE });
  const [beforeNow = '', beforeDescription = '', end = ''] = text.split(ENCODED_HOLE);
  const pieces = { beforeNow, beforeDescription, end, logs };
  cache.set(row, pieces);
  return pieces;
}

const [HEAD = '', TAIL = ''] = encodeResponse([HOLE]).split(ENCODED_HOLE);

/** The whole response body of getAllProcessInfo. */
export function encodeAllProcessInfo(
  rows: readonly ProcessRow[],
  logsOf: (row: ProcessRow) => ProcessLogs | undefined,
  times: InfoTimes,
): string {
  const now = encodeValue(Math.floor(times.wallMs / 1000));
  let text = HEAD;
  for (const row of rows) {
    const pieces = piecesOf(row, logsOf(row), times);
    text += pieces.beforeNow + now + pieces.beforeDescription;
    text += encodeValue(describeRow(row, times)) + pieces.end;
  }
  return text + TAIL;
}
