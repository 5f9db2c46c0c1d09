// A pool's worker thread: one job at a time.
import { poolOperations } from './operations.js';
import { serve } from './serve.js';

export default serve(poolOperations);
