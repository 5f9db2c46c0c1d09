// `--object`: what qemu-img lets a user create, of which only secrets mean something here.
import { JsonError, type JsonInput, parseQemuJson } from '../disk/qemuJson.js';
import type { CliContext } from './context.js';
import { CliError, EarlyEnd } from './errors.js';
import { parseKeyval } from './keyval.js';
import { ObjectProperties } from './objectProperties.js';
import { addSecret } from './secretObject.js';

/** Types that qemu-img knows by name and does not create, with the first property that each must have. */
const NOT_CREATED: Readonly<Record<string, string | undefined>> = {
  'can-bus': undefined,
  'can-host-socketcan': 'if',
  'colo-compare': 'primary_in',
  'cryptodev-backend': undefined,
  'cryptodev-backend-builtin': undefined,
  'cryptodev-backend-lkcf': undefined,
  'cryptodev-vhost-user': 'chardev',
  'dbus-vmstate': 'addr',
  'filter-buffer': 'netdev',
  'filter-dump': 'netdev',
  'filter-mirror': 'netdev',
  'filter-redirector': 'netdev',
  'filter-replay': 'netdev',
  'filter-rewriter': 'netdev',
  'input-barrier': 'name',
  'input-linux': 'evdev',
  iothread: undefined,
  'memory-backend-epc': 'size',
  'memory-backend-file': 'size',
  'memory-backend-memfd': 'size',
  'memory-backend-ram': 'size',
  'pef-guest': undefined,
  qtest: 'chardev',
  'rng-builtin': undefined,
  'rng-egd': 'chardev',
  'rng-random': undefined,
  's390-pv-guest': undefined,
  'sev-guest': 'reduced-phys-bits',
  'x-remote-object': 'fd',
  'x-vfio-user-server': 'socket',
};

/** Types that qemu-img creates and we do not: they are for network protocols, throttling and the kernel's key ring. */
const NOT_SUPPORTED: Readonly<Record<string, string | undefined>> = {
  'authz-list': undefined,
  'authz-listfile': 'filename',
  'authz-pam': 'service',
  'authz-simple': 'identity',
  'main-loop': undefined,
  'pr-manager-helper': 'path',
  secret_keyring: 'serial',
  'thread-context': undefined,
  'throttle-group': undefined,
  'tls-cipher-suites': undefined,
  'tls-creds-anon': undefined,
  'tls-creds-psk': undefined,
  'tls-creds-x509': undefined,
};

/**
 * Makes the object that `text` describes (`secret,id=ID,…`, or JSON) known to the verb.
 * @throws CliError with qemu-img's sentences; EarlyEnd when help was asked for.
 */
export function addObject(ctx: CliContext, text: string, exitCode = 1): void {
  try {
    create(ctx, parse(text));
  } catch (error) {
    if (error instanceof CliError && error.exitCode !== exitCode) {
      throw new CliError(error.lines, { hint: error.hint, exitCode, cause: error });
    }
    throw error;
  }
}

function parse(text: string): ObjectProperties {
  if (text.startsWith('{')) {
    try {
      return new ObjectProperties(parseQemuJson(text) as Record<string, JsonInput>, true);
    } catch (error) {
      throw error instanceof JsonError ? new CliError(error.message, { cause: error }) : error;
    }
  }
  const { values, help } = parseKeyval(text, 'qom-type');
  if (help) throw new EarlyEnd(helpText(values['qom-type']));
  return new ObjectProperties(values, false);
}

function helpText(type: unknown): string {
  if (type !== 'secret') return 'List of user creatable objects:\n  secret\n';
  return (
    'secret options:\n  data=<string>\n  file=<string>\n  format=<QCryptoSecretFormat>\n' +
    '  iv=<string>\n  keyid=<string>\n'
  );
}

function create(ctx: CliContext, properties: ObjectProperties): void {
  const type = properties.require('qom-type');
  if (type === 'secret') {
    addSecret(ctx.secrets, properties);
    return;
  }
  const known = Object.hasOwn(NOT_CREATED, type);
  if (!known && !Object.hasOwn(NOT_SUPPORTED, type)) {
    throw new CliError(`Parameter 'qom-type' does not accept value '${type}'`);
  }
  properties.require('id');
  const required = (known ? NOT_CREATED : NOT_SUPPORTED)[type];
  if (required !== undefined) properties.require(required);
  throw new CliError(known ? `invalid object type: ${type}` : `Object type '${type}' is not supported`);
}
