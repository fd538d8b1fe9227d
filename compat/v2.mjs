import Redlock from './v2.js';

export default Redlock;
export const { Lock, LockError } = Redlock;
