import { kernelHandler as own } from '../kernel-handler.js';
import { full, partial, type SyscallRow } from '../row.js';
import { getrandom } from './getrandom.js';
import { refusedRows } from './refused.js';
import { setdomainname, sethostname } from './sethostname.js';
import { sysinfo } from './sysinfo.js';
import { syslog } from './syslog.js';
import { uname } from './uname.js';

/** System calls of the system family: one row each. */
export const systemRows: readonly SyscallRow[] = [
  full('uname', 'buf:address', uname),
  partial('sysinfo', 'info:address', own(sysinfo), 'there is no swap'),
  full('getrandom', 'buf:buffer-out buflen:size flags:getrandom-flags', getrandom),
  full('sethostname', 'name:buffer len:size', sethostname, { security: true }),
  full('setdomainname', 'name:buffer len:size', setdomainname, { security: true }),
  partial('syslog', 'type:int buf:buffer-out len:int', syslog, 'a log of one line'),
  ...refusedRows,
];
