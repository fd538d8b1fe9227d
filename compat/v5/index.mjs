import v5 from './index.js';

// Bun reads what was `exports.default` there, Node.js and Deno all of `module.exports`.
export default v5.default ?? v5;
export { ExecutionError, Lock, ResourceLockedError } from './index.js';
