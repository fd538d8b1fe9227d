/** What several parts of lib/ call by one name. */

import type { Bridge } from './clients/bridge';

/** An instance's configuration, for native (docs/hand-over.md). */
export interface Config {
  kind: string;
  [key: string]: unknown;
}

/** One member of a quorum: a server of our own connection, or a caller's client. */
export interface Member {
  config: Config;
  bridge?: Bridge;
}
