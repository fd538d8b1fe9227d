import Redlock from './v0.js';

export { type Callback, type Client, type Lock, type LockLike, type Name, type Options } from './v0.js';
export { Redlock as default };
