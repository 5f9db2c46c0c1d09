import { DiskImageError } from '../../disk/errors.js';
import { ExtensionType, HEADER_V3_BYTES } from './constants.js';
import { serializeFeatureNames } from './featureNames.js';
import type { HeaderFields } from './header.js';
import { switchHeader } from './headerSwitch.js';
import type { ImageCore } from './imageCore.js';
import { ShadowRefcounts } from './shadowRefcounts.js';
import { placeSnapshots, publish } from './snapshotEdit.js';
import { readSnapshots } from './snapshots.js';

/** Disk size and 64-bit VM state size, which version 3 wants with every snapshot. */
const V3_EXTRA = 16;

/** Version 2 to 3. The core is to be reloaded afterwards. */
export async function upgrade(core: ImageCore): Promise<void> {
  const { file, limits } = core;
  const table = await readSnapshots(file, core.header, limits);
  if (table.snapshots.some(({ extra }) => extra.length < V3_EXTRA)) {
    const shadow = new ShadowRefcounts(core);
    await publish(core, shadow, await placeSnapshots(core, shadow, table.snapshots, table));
    await core.reload();
  }
  const fields: HeaderFields = { ...core.header, version: 3, headerLength: HEADER_V3_BYTES };
  const names = { type: ExtensionType.featureNames, data: serializeFeatureNames() };
  try {
    await switchHeader(file, { ...fields, extensions: [...fields.extensions, names] });
  } catch (error) {
    // The names are for people; a small first cluster has no room for them.
    if (!(error instanceof DiskImageError) || error.code !== 'INVALID_HEADER') throw error;
    await switchHeader(file, fields);
  }
}
