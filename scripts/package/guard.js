'use strict';

/**
 * Run by npm before it packs or publishes the repository itself, which would be a package without an addon: refuses. What
 * is published are the packages that `npm run package` makes in a folder of their own, from where npm doesn't come by here.
 */

console.error(
  'This is the source, which is not published: its package would have no addon for any platform. ' +
    'npm run package makes the packages, in target/packages/, and those are published: see docs/platforms.md.',
);
process.exitCode = 1;
