// ENOSPC: what does not fit leaves nothing, and works once there is room.
import * as fs from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { ImageCache } from '#src/provision/index.js';
import { cacheKey } from '#src/provision/names.js';
import { cloudImage, tree } from '../support/cloudImage.js';
import { ImageServer } from '../support/imageServer.js';
import { canMount, mountFresh } from '../support/mount.js';
import { Random } from '../support/random.js';
import { failsWith } from '../support/settled.js';
import { qemuImg } from '../support/tools.js';

const MiB = 2 ** 20;
const image = cloudImage(join(t.testdir(), 'source'), new Random(53), 24 * MiB, 16 * MiB);

for (const kind of ['tmpfs', 'ext4'] as const) {
  t.test(kind, { skip: !canMount() && 'only root may mount' }, async (t) => {
    const instances = mountFresh(t, kind, 24 * MiB);
    const filler = join(instances, 'filler');
    const cache = new ImageCache({ instances });
    const server = await ImageServer.start(t, fs.readFileSync(image.path));
    const free = (): number => {
      const { bavail, bsize } = fs.statfsSync(instances);
      return bavail * bsize;
    };
    const leave = (bytes: number): void => {
      fs.rmSync(filler, { force: true });
      fs.writeFileSync(filler, Buffer.alloc(Math.max(0, free() - bytes), 1));
    };
    for (const [where, source, room] of [
      ['download', server.url, 2 * MiB],
      ['conversion of a file', image.path, 8 * MiB],
      ['raw copy', image.raw, 8 * MiB],
    ] as const) {
      leave(room);
      const before = free();
      const request = { imageId: 'image', source, size: 2 ** 30, instance: 'vm' };
      const error = await failsWith(t, cache.provision(request), 'IO');
      t.equal(error.errno, 'ENOSPC', `${where}: ${error.message}`);
      const left = tree(instances).filter(
        (name) => !name.endsWith('/') && !/^(filler|lost.found)/.test(name),
      );
      t.same(left, [`locks/nova-${cacheKey('image')}`], where);
      t.ok(free() >= before - 64 * 1024, 'the space is free again');
    }
    fs.rmSync(filler);
    const source = image.path;
    const made = await cache.provision({ imageId: 'image', source, size: 2 ** 30, instance: 'vm' });
    t.match(qemuImg('compare', '-f', 'raw', '-F', 'qcow2', image.raw, made.disk), 'Images are identical.');
    leave(4 * MiB);
    const raw = { imageId: 'image', size: 2 ** 30, instance: 'vm2', imageType: 'raw' as const };
    t.equal((await failsWith(t, cache.provision(raw), 'IO')).errno, 'ENOSPC');
    t.notOk(fs.existsSync(join(instances, 'vm2')), 'an instance whose disk did not fit has no folder');
    t.equal(
      (await cache.provision({ imageId: 'image', size: 2 ** 30, instance: 'vm3' })).existed,
      false,
      'an overlay fits',
    );
  });
}
