/** ELF64 as the loader needs it (elf(5)). */
export const ELF_MAGIC = 0x464c457f;
export const ELFCLASS64 = 2;
export const ELFDATA2LSB = 1;
export const ET_EXEC = 2;
export const ET_DYN = 3;
export const EM_X86_64 = 62;

/** Byte offsets in Elf64_Ehdr. */
export const Ehdr = {
  Class: 4,
  Data: 5,
  Type: 16,
  Machine: 18,
  Entry: 24,
  Phoff: 32,
  Phentsize: 54,
  Phnum: 56,
  Size: 64,
} as const;

/** Byte offsets in Elf64_Phdr. */
export const Phdr = {
  Type: 0,
  Flags: 4,
  Offset: 8,
  Vaddr: 16,
  Filesz: 32,
  Memsz: 40,
  Align: 48,
  Size: 56,
} as const;

export const PT_LOAD = 1;
export const PT_INTERP = 3;
export const PT_PHDR = 6;
export const PT_GNU_STACK = 0x6474e551;

export const PF_X = 1;
export const PF_W = 2;
export const PF_R = 4;
