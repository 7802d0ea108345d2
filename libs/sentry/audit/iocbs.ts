import { Iocb } from '../abi/aio.js';

const NAMES = ['PREAD', 'PWRITE', 'FSYNC', 'FDSYNC', '4', 'POLL', 'NOOP', 'PREADV', 'PWRITEV'];
/** What is copied and shown of a struct iocb: up to its offset, in bytes. */
export const IOCB_SHOWN_BYTES = 48;

/** The requests of io_submit(2), so that what is done for them is in the log as other reads and writes are. */
export function renderIocbs(bytes: Uint8Array, cut: boolean): string {
  const data = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const parts: string[] = [];
  for (let at = 0; at + IOCB_SHOWN_BYTES <= bytes.length; at += IOCB_SHOWN_BYTES) {
    const opcode = data.getUint16(at + Iocb.Opcode, true);
    const fields = [
      `aio_lio_opcode=IOCB_CMD_${NAMES[opcode] ?? opcode}`,
      `aio_fildes=${data.getInt32(at + Iocb.Fildes, true)}`,
      `aio_buf=0x${data.getBigUint64(at + Iocb.Buffer, true).toString(16)}`,
      `aio_nbytes=${data.getBigUint64(at + Iocb.Bytes, true)}`,
      `aio_offset=${data.getBigInt64(at + Iocb.Offset, true)}`,
    ];
    parts.push(`{${fields.join(', ')}}`);
  }
  return `[${parts.join(', ')}${cut ? ', ...' : ''}]`;
}
