import Redlock from './v4.js';

export default Redlock;
export const { Lock, LockError } = Redlock;
