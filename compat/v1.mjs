import Redlock from './v1.js';

export default Redlock;
export const { LockError } = Redlock;
