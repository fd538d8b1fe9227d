import Redlock from './v4.js';

export {
  type Callback,
  type CallOptions,
  type Client,
  Lock,
  LockError,
  type LockLike,
  type Name,
  type Options,
  type UnlockCallback,
} from './v4.js';
export { Redlock as default };
