import Redlock from './v0.js';

export default Redlock;
