import v5 from './index.js';

export default v5.default;
export const { Lock, ExecutionError, ResourceLockedError } = v5;
