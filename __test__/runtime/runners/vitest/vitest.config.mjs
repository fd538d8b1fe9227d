import path from 'node:path';

export default {
  root: import.meta.dirname ?? path.dirname(new URL(import.meta.url).pathname),
  cacheDir: process.env.VITEST_CACHE,
  test: {
    include: ['*.spec.mjs'],
    testTimeout: 20_000,
    // Where ticks may be replaced.
    pool: 'threads',
    watch: false,
  },
};
