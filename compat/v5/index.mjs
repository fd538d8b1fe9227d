import Redlock from './index.js';

export default Redlock;
export const { ExecutionError, Lock, ResourceLockedError } = Redlock;
