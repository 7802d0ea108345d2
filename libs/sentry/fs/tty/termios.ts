import {
  B38400,
  BOTHER,
  CBAUD,
  CREAD,
  CS8,
  CSIZE,
  ECHO,
  ECHOCTL,
  ECHOE,
  ECHOK,
  ECHOKE,
  IBSHIFT,
  ICANON,
  ICRNL,
  IEXTEN,
  ISIG,
  IXON,
  NCC,
  NCCS,
  ONLCR,
  OPOST,
  PARENB,
  TERMIO_BYTES,
  TERMIOS_BYTES,
  TERMIOS2_BYTES,
} from '../../abi/termios.js';

/** INIT_C_CC of Linux: ^C ^\ DEL ^U ^D, VTIME 0, VMIN 1, ^Q ^S ^Z, ^R ^O ^W ^V. */
const INITIAL_CHARACTERS = [3, 28, 127, 21, 4, 0, 1, 0, 17, 19, 26, 0, 18, 15, 23, 22, 0, 0, 0];

/** Speeds by the CBAUD bits: B0 to B38400, then those with the extension bit from B57600. */
const SPEEDS = [0, 50, 75, 110, 134, 150, 200, 300, 600, 1200, 1800, 2400, 4800, 9600, 19200, 38400];
const EXTENDED_SPEEDS = [
  0, 57600, 115200, 230400, 460800, 500000, 576000, 921600, 1000000, 1152000, 1500000, 2000000, 2500000, 3000000,
  3500000, 4000000,
];

function speedOf(bits: number, other: number): number {
  if (bits === BOTHER) return other;
  return bits & BOTHER ? EXTENDED_SPEEDS[bits & 15] : SPEEDS[bits & 15];
}

/** Settings of a terminal, as `struct termios2` holds them. */
const keep = (wanted: number, old: number, locked: number): number => (wanted & ~locked) | (old & locked);

export class Termios {
  inputFlags = ICRNL | IXON;
  outputFlags = OPOST | ONLCR;
  controlFlags = B38400 | CS8 | CREAD;
  localFlags = ISIG | ICANON | ECHO | ECHOE | ECHOK | ECHOCTL | ECHOKE | IEXTEN;
  line = 0;
  readonly characters = Uint8Array.from(INITIAL_CHARACTERS);
  inputSpeed = 38400;
  outputSpeed = 38400;

  copy(): Termios {
    const copy = new Termios();
    copy.inputFlags = this.inputFlags;
    copy.outputFlags = this.outputFlags;
    copy.controlFlags = this.controlFlags;
    copy.localFlags = this.localFlags;
    copy.line = this.line;
    copy.characters.set(this.characters);
    copy.inputSpeed = this.inputSpeed;
    copy.outputSpeed = this.outputSpeed;
    return copy;
  }

  /** Puts back what `locks` has set of `old` (TIOCSLCKTRMIOS): flags bit by bit, characters and the line as a whole. */
  keepLocked(old: Termios, locks: Termios): void {
    this.inputFlags = keep(this.inputFlags, old.inputFlags, locks.inputFlags);
    this.outputFlags = keep(this.outputFlags, old.outputFlags, locks.outputFlags);
    this.controlFlags = keep(this.controlFlags, old.controlFlags, locks.controlFlags);
    this.localFlags = keep(this.localFlags, old.localFlags, locks.localFlags);
    if (locks.line !== 0) this.line = old.line;
    for (let index = 0; index < NCCS; index++) {
      if (locks.characters[index] !== 0) this.characters[index] = old.characters[index];
    }
  }

  /** Writes struct termios (or termios2 with `length` TERMIOS2_BYTES, or termio with TERMIO_BYTES). */
  encode(view: DataView, length: number): void {
    if (length === TERMIO_BYTES) {
      view.setUint16(0, this.inputFlags & 0xffff, true);
      view.setUint16(2, this.outputFlags & 0xffff, true);
      view.setUint16(4, this.controlFlags & 0xffff, true);
      view.setUint16(6, this.localFlags & 0xffff, true);
      view.setUint8(8, this.line);
      for (let index = 0; index < NCC; index++) view.setUint8(9 + index, this.characters[index]);
      return;
    }
    view.setUint32(0, this.inputFlags, true);
    view.setUint32(4, this.outputFlags, true);
    view.setUint32(8, this.controlFlags, true);
    view.setUint32(12, this.localFlags, true);
    view.setUint8(16, this.line);
    for (let index = 0; index < NCCS; index++) view.setUint8(17 + index, this.characters[index]);
    if (length !== TERMIOS2_BYTES) return;
    view.setUint32(TERMIOS_BYTES, this.inputSpeed, true);
    view.setUint32(TERMIOS_BYTES + 4, this.outputSpeed, true);
  }

  /** Takes what a struct of that length holds; the rest stays (struct termio has only the low halves of the flags). */
  decode(view: DataView, length: number): void {
    if (length === TERMIO_BYTES) {
      this.inputFlags = (this.inputFlags & ~0xffff) | view.getUint16(0, true);
      this.outputFlags = (this.outputFlags & ~0xffff) | view.getUint16(2, true);
      this.controlFlags = (this.controlFlags & ~0xffff) | view.getUint16(4, true);
      this.localFlags = (this.localFlags & ~0xffff) | view.getUint16(6, true);
      this.line = view.getUint8(8);
      for (let index = 0; index < NCC; index++) this.characters[index] = view.getUint8(9 + index);
    } else {
      this.inputFlags = view.getUint32(0, true);
      this.outputFlags = view.getUint32(4, true);
      this.controlFlags = view.getUint32(8, true);
      this.localFlags = view.getUint32(12, true);
      this.line = view.getUint8(16);
      for (let index = 0; index < NCCS; index++) this.characters[index] = view.getUint8(17 + index);
      if (length === TERMIOS2_BYTES) {
        this.inputSpeed = view.getUint32(TERMIOS_BYTES, true);
        this.outputSpeed = view.getUint32(TERMIOS_BYTES + 4, true);
      }
    }
    this.settleSpeeds();
  }

  /** A pseudoterminal always has eight bits and no parity. */
  asPseudoTerminal(): void {
    this.controlFlags = (this.controlFlags & ~(CSIZE | PARENB)) | CS8 | CREAD;
  }

  private settleSpeeds(): void {
    const inputBits = (this.controlFlags >>> IBSHIFT) & CBAUD;
    this.outputSpeed = speedOf(this.controlFlags & CBAUD, this.outputSpeed);
    this.inputSpeed = inputBits === 0 ? this.outputSpeed : speedOf(inputBits, this.inputSpeed);
  }
}
