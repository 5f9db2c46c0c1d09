// Systems that lack what the engine tries first: a preloaded library answers chosen calls with an error.
import * as fs from 'node:fs';
import { join } from 'node:path';
import { run } from './tools.js';

export type Lacking =
  | 'tmpfile' // O_TMPFILE: EOPNOTSUPP, as NFS
  | 'noreplace' // RENAME_NOREPLACE: EINVAL
  | 'punch' // FALLOC_FL_PUNCH_HOLE: EOPNOTSUPP
  | 'zerorange' // FALLOC_FL_ZERO_RANGE: EOPNOTSUPP
  | 'falloc' // plain fallocate: EOPNOTSUPP
  | 'copyrange' // copy_file_range: EXDEV after the first 64 KiB of each process
  | 'seekdata'; // SEEK_DATA and SEEK_HOLE: EINVAL

const source = `
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#define NEXT(name) ((__typeof__(name)*)dlsym(RTLD_NEXT, #name))
static int lacks(const char* what) {
  const char* list = getenv("BASECOW_TEST_LACKING");
  return list != NULL && strstr(list, what) != NULL;
}
static int fail(int err) { errno = err; return -1; }
int open64(const char* path, int flags, ...) {
  va_list rest; va_start(rest, flags); mode_t mode = va_arg(rest, mode_t); va_end(rest);
  if ((flags & O_TMPFILE) == O_TMPFILE && lacks("tmpfile")) return fail(EOPNOTSUPP);
  return NEXT(open64)(path, flags, mode);
}
int renameat2(int a, const char* from, int b, const char* to, unsigned flags) {
  if (flags != 0 && lacks("noreplace")) return fail(EINVAL);
  return NEXT(renameat2)(a, from, b, to, flags);
}
int fallocate64(int fd, int mode, off64_t offset, off64_t length) {
  if (lacks((mode & 2) ? "punch" : (mode & 16) ? "zerorange" : "falloc")) return fail(EOPNOTSUPP);
  return NEXT(fallocate64)(fd, mode, offset, length);
}
static long allowance = 65536;
ssize_t copy_file_range(int in, off64_t* from, int out, off64_t* to, size_t length, unsigned flags) {
  if (lacks("copyrange")) {
    if (allowance == 0) return fail(EXDEV);
    if (length > (size_t)allowance) length = allowance;
    allowance -= length;
  }
  return NEXT(copy_file_range)(in, from, out, to, length, flags);
}
off64_t lseek64(int fd, off64_t offset, int whence) {
  if ((whence == SEEK_DATA || whence == SEEK_HOLE) && lacks("seekdata")) return fail(EINVAL);
  return NEXT(lseek64)(fd, offset, whence);
}
`;

/** Runs CommonJS `code` in a Node.js whose system lacks things; returns its stdout. */
export function runLacking(scratch: string, lacking: Lacking[], code: string): string {
  const library = join(scratch, 'lacking.so');
  if (!fs.existsSync(library)) {
    const file = join(scratch, 'lacking.c');
    fs.writeFileSync(file, source);
    run('cc', ['-shared', '-fPIC', '-O1', '-o', library, file, '-ldl']);
  }
  return run('env', [
    `LD_PRELOAD=${library}`,
    `BASECOW_TEST_LACKING=${lacking.join()}`,
    process.execPath,
    '-e',
    code,
  ]);
}
