import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findExecutable } from '../../scripts/processes.mjs';

const COMPILER = findExecutable('cc', 'gcc', 'clang');

/** A library that stands before the C library and adds CLOCK_AHEAD seconds to the wall clock, but not to the monotonic one. */
const SOURCE = `
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
static struct timespec shifted(void) {
  struct timespec now;
  const char *ahead = getenv("CLOCK_AHEAD");
  syscall(SYS_clock_gettime, CLOCK_REALTIME, &now);
  now.tv_sec += ahead ? atol(ahead) : 0;
  return now;
}
int clock_gettime(clockid_t id, struct timespec *result) {
  if (id != CLOCK_REALTIME && id != CLOCK_REALTIME_COARSE) return syscall(SYS_clock_gettime, id, result);
  *result = shifted();
  return 0;
}
int gettimeofday(struct timeval *result, void *zone) {
  struct timespec now = shifted();
  result->tv_sec = now.tv_sec;
  result->tv_usec = now.tv_nsec / 1000;
  return 0;
}
time_t time(time_t *result) {
  time_t now = shifted().tv_sec;
  if (result) *result = now;
  return now;
}
`;

/** Why the clock of a server cannot be shifted here. */
export const NO_SHIFT =
  process.platform !== 'linux' ? 'not on Linux' : COMPILER === undefined ? 'no C compiler' : undefined;

/**
 * The environment of a server whose wall clock is so many seconds ahead (below 0: behind). What it loads is compiled into `dir`,
 * and needed there for as long as it runs.
 */
export function shiftedServerClock(ahead: number, dir: string): NodeJS.ProcessEnv {
  const [source, library] = [join(dir, 'clock.c'), join(dir, 'clock.so')];
  writeFileSync(source, SOURCE);
  execFileSync(COMPILER ?? '', ['-shared', '-fPIC', '-O1', '-o', library, source]);
  return { ...process.env, LD_PRELOAD: library, CLOCK_AHEAD: String(ahead) };
}
