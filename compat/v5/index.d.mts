import Redlock from './index.js';

export {
  type Client,
  type ClientExecutionResult,
  ExecutionError,
  type ExecutionResult,
  type ExecutionStats,
  Lock,
  type NewerSettings,
  type RedlockAbortSignal,
  ResourceLockedError,
  type Script,
  type Scripts,
  type Settings,
} from './index.js';
export { Redlock as default };
