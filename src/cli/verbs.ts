import type { VerbModule } from './context.js';

/** Every verb and its module, loaded only when the verb is called: start-up time is the one module's. */
export const verbs: Readonly<Record<string, () => Promise<VerbModule>>> = {
  amend: () => import('./amend.js'),
  'bench-vs': () => import('./benchVs.js'),
  bitmap: () => import('./bitmap.js'),
  cache: () => import('./cache.js'),
  check: () => import('./check.js'),
  commit: () => import('./commit.js'),
  compare: () => import('./compare.js'),
  convert: () => import('./convert.js'),
  create: () => import('./create.js'),
  dd: () => import('./dd.js'),
  hash: () => import('./hash.js'),
  info: () => import('./info.js'),
  inspect: () => import('./inspect.js'),
  map: () => import('./map.js'),
  measure: () => import('./measure.js'),
  provision: () => import('./provision.js'),
  rebase: () => import('./rebase.js'),
  resize: () => import('./resize.js'),
  snapshot: () => import('./snapshot.js'),
};

/** qemu-img's verbs that basecow has not got: named in the refusal, so that nobody looks for a typing error. */
export const absentVerbs: readonly string[] = ['bench'];
