import Redlock from './v3.js';

export default Redlock;
export const { Lock, LockError } = Redlock;
