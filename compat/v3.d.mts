import Redlock from './v3.js';

export {
  type Callback,
  type Client,
  Lock,
  LockError,
  type LockLike,
  type Name,
  type Options,
  type UnlockCallback,
} from './v3.js';
export { Redlock as default };
