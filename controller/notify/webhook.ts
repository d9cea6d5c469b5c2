// Receiver `webhook`: POST JSON, with the notification id as Idempotency-Key (spec fleet 10).
import { createHmac } from 'node:crypto';
import type { OutgoingNotice, Receiver, SendResult } from './receiver.js';

const TIMEOUT_MS = 10_000;

export interface WebhookOptions {
  readonly name: string;
  readonly url: string;
  /** Signs timestamp and body with HMAC-SHA-256 when set. */
  readonly secret: string | undefined;
  /** Wall milliseconds now. */
  readonly wallMs: () => number;
}

/** The JSON that receivers get. Fields are only ever added. */
export function webhookBody(notice: OutgoingNotice): string {
  return JSON.stringify({
    id: notice.id,
    fleet: notice.fleet,
    receiver: notice.receiver,
    status: notice.status,
    group: Object.fromEntries(notice.group),
    alerts: notice.alerts.map((alert) => {
      const times = notice.times.get(alert.key);
      return {
        status: alert.state,
        labels: Object.fromEntries(alert.labels),
        summary: alert.summary,
        starts_at: times === undefined ? null : new Date(times.startsAt).toISOString(),
        ends_at: times?.endsAt === undefined ? null : new Date(times.endsAt).toISOString(),
      };
    }),
    truncated: notice.truncated,
  });
}

export function webhookReceiver(options: WebhookOptions): Receiver {
  return {
    name: options.name,
    async send(notice) {
      const body = webhookBody(notice);
      const timestamp = String(Math.floor(options.wallMs() / 1000));
      const headers: Record<string, string> = {
        'content-type': 'application/json',
        'idempotency-key': notice.id,
        'x-fleetvisor-timestamp': timestamp,
      };
      if (options.secret !== undefined) {
        const mac = createHmac('sha256', options.secret).update(`${timestamp}.${body}`);
        headers['x-fleetvisor-signature'] = `sha256=${mac.digest('hex')}`;
      }
      try {
        const response = await fetch(options.url, {
          method: 'POST',
          headers,
          body,
          redirect: 'error',
          signal: AbortSignal.timeout(TIMEOUT_MS),
        });
        await response.body?.cancel();
        return judge(response);
      } catch (error) {
        const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
        const reason = cause instanceof Error ? cause.message : String(cause);
        return { kind: 'failed', permanent: false, reason: `POST ${options.url}: ${reason}` };
      }
    },
  };
}

/** 5xx and 429 are worth another try; other refusals are not (spec fleet D47). */
function judge(response: Response): SendResult {
  if (response.ok) return { kind: 'sent' };
  const reason = `POST ${response.url}: ${response.status} ${response.statusText}`.trim();
  if (response.status < 500 && response.status !== 429) {
    return { kind: 'failed', permanent: true, reason };
  }
  const after = Number(response.headers.get('retry-after'));
  return {
    kind: 'failed',
    permanent: false,
    reason,
    ...(Number.isFinite(after) && after > 0 ? { retryAfterMs: after * 1000 } : {}),
  };
}
