// Receiver `log`: one line an alert in the controller's own log, so that a fleet without receivers still tells.
import type { Logger } from '../../common/log.js';
import type { Receiver } from './receiver.js';

export function logReceiver(name: string, log: Logger): Receiver {
  return {
    name,
    send(notice) {
      for (const alert of notice.alerts) {
        const fields = {
          alert: alert.name,
          status: alert.state,
          severity: alert.severity,
          host: alert.labels.get('host') ?? '',
          group: alert.labels.get('group') ?? '',
          process: alert.labels.get('process') ?? '',
          summary: alert.summary,
          notice: notice.id,
        };
        if (alert.state === 'firing' && alert.severity === 'critical') log.error('alert', fields);
        else log.warn('alert', fields);
      }
      return Promise.resolve({ kind: 'sent' });
    },
  };
}
