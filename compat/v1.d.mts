import Redlock from './v1.js';

export {
  type Callback,
  type Client,
  type Lock,
  LockError,
  type LockLike,
  type Name,
  type Options,
  type UnlockCallback,
} from './v1.js';
export { Redlock as default };
