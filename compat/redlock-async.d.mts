import Redlock from './redlock-async.js';

export { type Client, Lock, LockError, type LockLike, type Name, type Options } from './redlock-async.js';
export { Redlock as default };
